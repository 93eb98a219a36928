//! What went wrong at the door: the path, the act and the system's word, with the usual way out. It refuses to lose any of the three.

use std::path::PathBuf;

use nix::errno::Errno;

/// One failed act on one path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {}: {reason}{}", path.display(), way_out(reason))]
pub struct HostError {
    /// What was tried: read, write, list.
    pub act: &'static str,
    /// On what, as seen from inside the root.
    pub path: PathBuf,
    /// The system's word, or ours where the system had none.
    pub reason: Reason,
}

/// Why an act failed.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The kernel refused.
    #[error("{}", _0.desc())]
    System(Errno),
    /// It is larger than anything that belongs there.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    /// It is a directory, a pipe or a device.
    #[error("it is not a regular file")]
    NotRegular,
    /// Another run has not let go of it.
    #[error("another run of node-steward held it for more than {0} ms")]
    Held(u128),
    /// It would act on the real machine although another root was given.
    #[error("refused, because --root is not /")]
    OtherRoot,
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

/// What every call at the door gives.
pub type HostResult<T> = Result<T, HostError>;

impl HostError {
    /// The kernel's error number, where it was the kernel that refused.
    pub fn errno(&self) -> Option<Errno> {
        match self.reason {
            Reason::System(errno) => Some(errno),
            _ => None,
        }
    }
}

fn way_out(reason: &Reason) -> &'static str {
    match reason {
        Reason::System(Errno::EACCES | Errno::EPERM) => {
            " (run as root, or choose a path that this user may read and write)"
        }
        Reason::System(Errno::EROFS) => " (the file system is read-only: remount it, or choose another directory)",
        Reason::System(Errno::ENOSPC | Errno::EDQUOT) => " (free some space or inodes on that file system)",
        Reason::System(Errno::ELOOP) => " (symbolic links lead round in a circle: correct them)",
        Reason::System(Errno::ENOTDIR | Errno::EISDIR) => " (a directory and a file are confused: correct the path)",
        Reason::System(Errno::EIO) => " (the disk does not answer as it should: see the kernel's log)",
        Reason::TooLarge(_) => " (nothing that belongs there is that large: give the right file)",
        Reason::NotRegular => " (expected a file: choose another path, or remove what is there)",
        Reason::Held(_) => " (wait for it to end; nothing was changed)",
        _ => "",
    }
}
