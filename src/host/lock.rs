//! One run at a time: an exclusive lock on a file, with a limit on the wait. It refuses to wait for ever.

use std::os::fd::OwnedFd;
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
    _held: Flock<OwnedFd>,
}

impl Host {
    /// Takes the lock at `path`, making its directory where needed, and waits at most `patience` for another run.
    pub fn lock(&self, path: &Path, patience: Duration) -> HostResult<Lock> {
        let failed = |reason| HostError { act: "lock", path: path.to_owned(), reason };
        let (dir, name) = self.open_parent(path, "lock")?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let file = nix::fcntl::openat(&dir, name.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|errno| failed(Reason::System(errno)))?;
        wait_for(file, patience).map_err(failed)
    }

    /// Takes a lock on the directory that `path` (or the file it links to) lies in: nothing is left behind.
    pub fn lock_dir(&self, path: &Path, patience: Duration) -> HostResult<Lock> {
        // The directory in which the write will happen, so that two names of one file share one lock.
        let (dir, _) = self.open_parent(&self.follow_links(path)?, "lock")?;
        wait_for(dir, patience).map_err(|reason| HostError { act: "lock", path: path.to_owned(), reason })
    }
}

#[allow(clippy::disallowed_methods)] // The one wait of this room; nothing is judged by this clock.
fn wait_for(mut file: OwnedFd, patience: Duration) -> Result<Lock, Reason> {
    let start = Instant::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Ok(Lock { _held: held }),
            Err((back, Errno::EWOULDBLOCK)) => file = back,
            Err((_, errno)) => return Err(Reason::System(errno)),
        }
        if start.elapsed() >= patience {
            return Err(Reason::Held(patience.as_millis()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
