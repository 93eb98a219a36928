//! The one door to the machine: every file, lock, program and file-system call goes through [`Host`], beneath one root.
//! It refuses to leave that root, to read without a limit, and to leave a file half-written.

mod bus;
pub mod clock;
mod cri;
mod device;
mod error;
mod ethtool;
mod exec;
mod file;
pub mod http;
mod kernel;
mod kmsg;
mod layers;
mod lock;
pub mod log;
#[cfg(test)]
pub mod made;
pub mod memory;
mod nvme;
mod open_files;
mod pages;
mod peer;
mod pressure;
pub mod probe;
mod recording;
mod root;
mod runtime;
mod service;
mod signals;
mod tape;
mod told;
mod watched;
mod wire;
mod write;

pub use error::{HostError, HostResult, Reason};
pub use exec::{Finished, run, run_with};
pub use file::{Entry, FileFacts};
pub use kmsg::Kmsg;
pub use lock::Lock;
pub use log::{Log, Priority};
pub use nvme::{SMART_PAGE, STATS_PAGE};
pub use open_files::OpenFile;
pub use pages::Pages;
pub use peer::{Peer, own_uid, peer_of};
pub use pressure::{Share, Trigger};
pub use recording::Recording;
pub use root::Host;
pub use service::Service;
pub use signals::{Signal, Signals};
pub use tape::Answered;
pub use watched::Watched;
pub use write::{Staged, Wanted, Written};

/// Ends this process by SIGALRM after so many seconds, whatever it is waiting for. What is written atomically stays whole.
pub fn end_after(seconds: u32) {
    nix::unistd::alarm::set(seconds);
}

/// A line on the machine's console, for a failure that would otherwise wait in a journal that nobody can reach. Best effort.
pub fn console(line: &str) {
    use std::io::Write;
    #[allow(clippy::disallowed_types)] // The console is a device of the running machine, not a file beneath a root.
    let opened = std::fs::OpenOptions::new().append(true).open("/dev/console");
    if let Ok(mut console) = opened {
        let _ = writeln!(console, "{line}\r");
    }
}
