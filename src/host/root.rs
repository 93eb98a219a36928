//! The root beneath which every address lies, and opening things beneath it.
//! It refuses `..` and absolute symlinks that lead out: the kernel resolves the path as if the root were `/`.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{self, OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::Mode;

use super::error::{HostError, HostResult, Reason};
use super::kernel::{Kernel, Live, Recorded};

/// A machine, real or recorded.
pub struct Host {
    pub(super) dir: OwnedFd,
    root: PathBuf,
    pub(super) kernel: Box<dyn Kernel>,
}

impl Host {
    /// The machine whose `/` is `root`. Anything but `/` is a recording: system calls are answered from it and no program is run.
    pub fn new(root: &Path) -> HostResult<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = fcntl::open(root, flags, Mode::empty()).map_err(|errno| HostError {
            act: "take as root",
            path: root.to_owned(),
            reason: Reason::System(errno),
        })?;
        let real = root == Path::new("/");
        let kernel: Box<dyn Kernel> = if real { Box::new(Live) } else { Box::new(Recorded) };
        Ok(Self { dir, root: root.to_owned(), kernel })
    }

    /// Whether this is the machine itself.
    pub fn is_real(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where a path beneath the root lies on the machine itself, for a person to read; symlinks are not looked at.
    pub fn outside_path(&self, path: &Path) -> PathBuf {
        self.root.join(beneath(path))
    }

    /// Opens `path` beneath the root.
    pub(super) fn open(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlag::O_CLOEXEC;
        let relative = beneath(path);
        let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT);
        match fcntl::openat2(self.dir.as_fd(), &relative, how) {
            // Kernels before 5.6 have no such call: they get a plain walk, in which `beneath` has removed every `..`.
            Err(Errno::ENOSYS) => fcntl::openat(self.dir.as_fd(), &relative, flags, Mode::empty()),
            other => other,
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("root", &self.root).finish_non_exhaustive()
    }
}

/// The path without its leading slash and without `.` and `..` steps above the root (`Path::join` would drop the root for an absolute path).
fn beneath(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    if clean.as_os_str().is_empty() { PathBuf::from(".") } else { clean }
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
}
