//! One run at a time: an exclusive lock on a file, with a limit on the wait. It refuses to wait for ever.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::stat::Mode;

use super::error::{HostError, HostResult, Reason};
use super::root::Host;

/// Held until dropped; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _held: Flock<std::os::fd::OwnedFd>,
}

impl Host {
    /// Takes the lock at `path`, making its directory where needed, and waits at most `patience` for another run.
    #[allow(clippy::disallowed_methods)] // The one wait of this room; nothing is judged by this clock.
    pub fn lock(&self, path: &Path, patience: Duration) -> HostResult<Lock> {
        let failed = |reason| HostError { act: "lock", path: path.to_owned(), reason };
        let (dir, name) = self.open_parent(path, "lock")?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let mut file = nix::fcntl::openat(&dir, name.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|errno| failed(Reason::System(errno)))?;
        let start = Instant::now();
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(held) => return Ok(Lock { _held: held }),
                Err((back, Errno::EWOULDBLOCK)) => file = back,
                Err((_, errno)) => return Err(failed(Reason::System(errno))),
            }
            if start.elapsed() >= patience {
                return Err(failed(Reason::Held(patience.as_millis())));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
