//! The one door to the machine: every file, lock, program and file-system call goes through [`Host`], beneath one root.
//! It refuses to leave that root, to read without a limit, and to leave a file half-written.

mod error;
mod exec;
mod file;
mod kernel;
mod lock;
mod root;
mod write;

pub use error::{HostError, HostResult, Reason};
pub use exec::{Finished, run};
pub use file::{Entry, FileFacts};
pub use lock::Lock;
pub use root::Host;
pub use write::{Wanted, Written};
