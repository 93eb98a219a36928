//! System calls that are not files: one trait, answered by the kernel or by a recording beneath the root.
//! The recording refuses to ask the machine that it is read on.

use std::os::fd::AsFd;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::statvfs;

use super::error::{HostError, HostResult, Reason};
use super::root::Host;
use crate::model::machine::Filesystem;

/// What only a system call can tell.
pub(super) trait Kernel: Send + Sync {
    /// The size of the file system that `path` lies on; nothing where the path does not exist.
    fn filesystem(&self, host: &Host, path: &Path) -> HostResult<Option<Filesystem>>;
}

/// The running kernel.
pub(super) struct Live;

impl Kernel for Live {
    fn filesystem(&self, host: &Host, path: &Path) -> HostResult<Option<Filesystem>> {
        let failed = |errno| HostError { act: "measure", path: path.to_owned(), reason: Reason::System(errno) };
        let file = match host.open(path, OFlag::O_PATH) {
            Ok(file) => file,
            Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        let size = statvfs::fstatvfs(file.as_fd()).map_err(failed)?;
        let block = size.fragment_size();
        Ok(Some(Filesystem {
            path: path.display().to_string(),
            total_bytes: size.blocks().saturating_mul(block),
            available_bytes: size.blocks_available().saturating_mul(block),
        }))
    }
}

/// Answers kept in `.recorded/` beneath the root: `statvfs.json` holds `{"/var/lib/kubelet": {"totalBytes": N, "availableBytes": N}}`.
pub(super) struct Recorded;

impl Kernel for Recorded {
    fn filesystem(&self, host: &Host, path: &Path) -> HostResult<Option<Filesystem>> {
        let recording = Path::new("/.recorded/statvfs.json");
        let Some(bytes) = host.read(recording, 1 << 20)? else { return Ok(None) };
        let malformed =
            |what: String| HostError { act: "understand", path: recording.to_owned(), reason: Reason::Other(what) };
        let sizes: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        let name = path.display().to_string();
        let Some(size) = sizes.get(&name) else { return Ok(None) };
        let number = |key: &str| {
            size.get(key)
                .and_then(serde_json::Value::as_u64)
                .ok_or_else(|| malformed(format!("{name}.{key} is not a number")))
        };
        Ok(Some(Filesystem {
            total_bytes: number("totalBytes")?,
            available_bytes: number("availableBytes")?,
            path: name,
        }))
    }
}

impl Host {
    /// The size of the file system that `path` lies on; nothing where the path does not exist.
    pub fn filesystem(&self, path: &Path) -> HostResult<Option<Filesystem>> {
        self.kernel.filesystem(self, path)
    }
}
