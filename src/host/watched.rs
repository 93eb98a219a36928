//! A descriptor that the runtime watches, with what it is watched for. It refuses descriptors of others: it owns its own until it is dropped.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

/// A descriptor in the runtime's care; it must be non-blocking.
#[derive(Debug)]
pub struct Watched(AsyncFd<OwnedFd>);

impl Watched {
    /// Puts `fd` into the care of the runtime that runs this.
    #[allow(unsafe_code)]
    pub fn new(fd: OwnedFd, interest: Interest) -> io::Result<Self> {
        // SAFETY: an `OwnedFd` is open and refers to one file for as long as it lives; it is moved in, and nobody is ever lent it mutably.
        unsafe { AsyncFd::register_with_interest(fd, interest) }.map(Self).map_err(io::Error::from)
    }

    /// Waits until there is something; true where the descriptor says that it has failed. What is read away is forgotten first, so a caller
    /// that reads until nothing is left misses nothing.
    pub async fn woken(&self, interest: Interest) -> io::Result<bool> {
        let mut ready = self.0.ready(interest).await?;
        let failed = ready.ready().is_error();
        ready.clear_ready_matching(Ready::ALL);
        Ok(failed)
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}
