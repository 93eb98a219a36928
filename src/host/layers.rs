//! A recording in layers: a base, and what was different in each later turn on top of it. The topmost layer that knows a path answers.
//! It refuses to look through a layer that says a path is gone, or that it could not be read.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{self, OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::Mode;

use super::error::{HostError, HostResult, Reason};
use super::root::Host;

/// In a layer: paths that are gone since the layer beneath, one a line; all beneath them is gone too.
const GONE: &str = ".recorded/gone";
/// In a layer: `{"/proc/pressure/io": 95}`, what the kernel refused to read, and how.
const ERRNO: &str = ".recorded/errno.json";
/// More than a recording's own notes ever are.
const MOST_BYTES: usize = 16 << 20;

/// One directory that stands for a machine's `/`, or for what changed there.
pub(super) struct Layer {
    dir: OwnedFd,
    gone: BTreeSet<PathBuf>,
    refused: BTreeMap<PathBuf, i32>,
}

impl Layer {
    /// The directory; its notes are read where it is a recording.
    pub(super) fn new(root: &Path, recorded: bool) -> HostResult<Self> {
        let failed = |reason| HostError { act: "take as root", path: root.to_owned(), reason };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = fcntl::open(root, flags, Mode::empty()).map_err(|errno| failed(Reason::System(errno)))?;
        let mut layer = Self { dir, gone: BTreeSet::new(), refused: BTreeMap::new() };
        if !recorded {
            return Ok(layer);
        }
        let gone = layer.note(GONE).map_err(|errno| failed(Reason::System(errno)))?.unwrap_or_default();
        layer.gone = String::from_utf8_lossy(&gone).lines().map(|line| beneath(Path::new(line))).collect();
        if let Some(refused) = layer.note(ERRNO).map_err(|errno| failed(Reason::System(errno)))? {
            let refused: BTreeMap<String, i32> = serde_json::from_slice(&refused)
                .map_err(|error| failed(Reason::Other(format!("{ERRNO}: {error}; expected {{\"/path\": errno}}"))))?;
            layer.refused = refused.iter().map(|(path, errno)| (beneath(Path::new(path)), *errno)).collect();
        }
        Ok(layer)
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, Errno> {
        let file = match self.open(Path::new(name), OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            Ok(file) => file,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let mut bytes = Vec::new();
        let mut piece = [0; 8192];
        loop {
            match nix::unistd::read(file.as_fd(), &mut piece) {
                Ok(0) => return Ok(Some(bytes)),
                Ok(_) if bytes.len() > MOST_BYTES => return Err(Errno::EFBIG),
                Ok(count) => bytes.extend(piece.iter().take(count)),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Opens what lies in this layer alone; `relative` comes from [`beneath`].
    fn open(&self, relative: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT);
        match fcntl::openat2(self.dir.as_fd(), relative, how) {
            // Kernels before 5.6 have no such call: they get a plain walk, in which `beneath` has removed every `..`.
            Err(Errno::ENOSYS) => fcntl::openat(self.dir.as_fd(), relative, flags | OFlag::O_CLOEXEC, Mode::empty()),
            other => other,
        }
    }

    fn refuses(&self, relative: &Path) -> Option<Errno> {
        self.refused.get(relative).map(|errno| Errno::from_raw(*errno))
    }

    fn hides(&self, relative: &Path) -> bool {
        !self.gone.is_empty() && relative.ancestors().any(|path| self.gone.contains(path))
    }
}

impl Host {
    /// Opens `path` in the topmost layer that has it.
    pub(super) fn open(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let relative = beneath(path);
        for layer in &self.layers {
            // What may not be read can be seen to be there all the same.
            if let Some(errno) = layer.refuses(&relative).filter(|_| !flags.contains(OFlag::O_PATH)) {
                return Err(errno);
            }
            match layer.open(&relative, flags) {
                Err(Errno::ENOENT | Errno::ENOTDIR) if !layer.hides(&relative) => {}
                other => return other,
            }
        }
        Err(Errno::ENOENT)
    }

    /// Opens `path` in every layer that has it, the topmost first, with the layer's depth.
    pub(super) fn open_all(&self, path: &Path, flags: OFlag) -> Result<Vec<(usize, OwnedFd)>, Errno> {
        let relative = beneath(path);
        let mut opened = Vec::with_capacity(1);
        for (depth, layer) in self.layers.iter().enumerate() {
            if let Some(errno) = layer.refuses(&relative).filter(|_| opened.is_empty()) {
                return Err(errno);
            }
            match layer.open(&relative, flags) {
                Ok(file) => opened.push((depth, file)),
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(errno) if opened.is_empty() => return Err(errno),
                Err(_) => {}
            }
            if layer.hides(&relative) {
                break;
            }
        }
        Ok(opened)
    }

    /// Whether `path` is gone in the layer `depth`, or in one above it.
    pub(super) fn hidden_above(&self, path: &Path, depth: usize) -> bool {
        let relative = beneath(path);
        self.layers.iter().take(depth).any(|layer| layer.hides(&relative))
    }
}

/// The path without its leading slash and without `.` and `..` steps above the root (`Path::join` would drop the root for an absolute path).
pub(super) fn beneath(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut clean = PathBuf::with_capacity(path.as_os_str().len());
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
