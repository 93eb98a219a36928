//! The root beneath which every address lies, and opening things beneath it.
//! It refuses `..` and absolute symlinks that lead out: the kernel resolves the path as if the root were `/`.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::HostResult;
use super::kernel::{Kernel, Live, Recorded};
use super::layers::{Layer, beneath};
use super::tape::Tape;

/// A machine, real or recorded.
pub struct Host {
    /// The topmost first; one for a real machine.
    pub(super) layers: Vec<Layer>,
    root: PathBuf,
    pub(super) kernel: Box<dyn Kernel>,
    pub(super) tape: Option<Tape>,
}

impl Host {
    /// The machine whose `/` is `root`. Anything but `/` is a recording: system calls are answered from it and no program is run.
    pub fn new(root: &Path) -> HostResult<Self> {
        let real = root == Path::new("/");
        let kernel: Box<dyn Kernel> = if real { Box::new(Live) } else { Box::new(Recorded) };
        Ok(Self { layers: vec![Layer::new(root, !real)?], root: root.to_owned(), kernel, tape: None })
    }

    /// A recording whose later directories lie on top of the earlier ones: the last one that knows a path answers, and listings are put together.
    /// The first must be there; one of the others may be missing, as a turn in which nothing changed.
    pub fn layered(roots: &[PathBuf]) -> HostResult<Self> {
        let root = roots.first().cloned().unwrap_or_default();
        let there = |(index, root): &(usize, &PathBuf)| *index == 0 || root.is_dir();
        let mut layers = roots
            .iter()
            .enumerate()
            .filter(there)
            .map(|(_, root)| Layer::new(root, true))
            .collect::<HostResult<Vec<_>>>()?;
        layers.reverse();
        Ok(Self { layers, root, kernel: Box::new(Recorded), tape: None })
    }

    /// The same machine, with everything that is read from now on kept for [`Host::taken`].
    pub fn taping(mut self) -> Self {
        self.tape = Some(Tape::default());
        self
    }

    /// Whether this is the machine itself.
    pub fn is_real(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where a path beneath the root lies on the machine itself, for a person to read; symlinks are not looked at.
    pub fn outside_path(&self, path: &Path) -> PathBuf {
        self.root.join(beneath(path))
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("root", &self.root).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leaves_the_root() {
        for (path, clean) in
            [("/proc/x", "proc/x"), ("a/../../etc", "etc"), ("/..", "."), ("/", "."), ("./a/./b", "a/b")]
        {
            assert_eq!(beneath(Path::new(path)), Path::new(clean));
        }
    }

    #[test]
    fn absolute_symlinks_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", root.path().join("link")).unwrap();
        let host = Host::new(root.path()).unwrap();
        assert!(host.read(Path::new("/link"), 1 << 20).unwrap().is_none(), "read the machine's own file");
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // Makes the recording that is read.
    fn the_last_layer_answers_first() {
        let dir = tempfile::tempdir().unwrap();
        let put = |layer: &str, path: &str, text: &str| {
            let file = dir.path().join(layer).join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        put("base", "proc/1/io", "old");
        put("base", "proc/2/io", "gone later");
        put("base", "proc/uptime", "1");
        put("one", "proc/1/io", "new");
        put("one", ".recorded/gone", "/proc/2\n");
        put("one", ".recorded/errno.json", r#"{"/proc/pressure/io": 95}"#);
        put("two", "proc/3/io", "came");
        let roots = ["base", "one", "two"].map(|layer| dir.path().join(layer));
        let host = Host::layered(&roots).unwrap();
        let text = |path: &str| host.read_text(Path::new(path)).unwrap();
        assert_eq!(text("/proc/1/io").as_deref(), Some("new"));
        assert_eq!(text("/proc/2/io"), None);
        assert_eq!(text("/proc/3/io").as_deref(), Some("came"));
        assert_eq!(text("/proc/uptime").as_deref(), Some("1"));
        let errno = host.read_text(Path::new("/proc/pressure/io")).unwrap_err().errno();
        assert_eq!(errno, Some(nix::errno::Errno::EOPNOTSUPP));
        let names: Vec<_> = host.list(Path::new("/proc")).unwrap().unwrap().into_iter().map(|e| e.name).collect();
        assert_eq!(names, ["1", "3", "uptime"]);
        let below = Host::layered(&roots[..1]).unwrap();
        assert!(below.exists(Path::new("/proc/2/io")));
        assert!(Host::layered(&[dir.path().join("none")]).is_err());
        assert!(Host::layered(&[dir.path().join("base"), dir.path().join("none")]).is_ok());
    }
}
