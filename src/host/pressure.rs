//! Pressure triggers: the kernel wakes us when tasks wait for I/O for longer than a share of a window. It refuses windows that need a
//! capability: they are multiples of 2 s.

use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd;
use tokio::io::Interest;

use super::error::{HostError, HostResult, Reason};
use super::root::Host;
use super::watched::Watched;

const IO: &str = "/proc/pressure/io";
/// What every kernel grants without CAP_SYS_RESOURCE.
const WINDOW_US: u64 = 2_000_000;

/// One trigger; it ends with its descriptor.
#[derive(Debug)]
pub struct Trigger {
    fd: Watched,
}

/// What a trigger watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Some task waited.
    Some,
    /// All that could run waited.
    Full,
}

impl Host {
    /// Arms a trigger on the node's I/O pressure, for so many percent of a window of 2 s. It needs a running kernel and a runtime.
    pub fn io_pressure_trigger(&self, share: Share, percent: u64) -> HostResult<Trigger> {
        let failed = |reason| HostError { act: "arm a trigger on", path: Path::new(IO).to_owned(), reason };
        if !self.is_real() {
            return Err(failed(Reason::OtherRoot));
        }
        let fd = self.open(Path::new(IO), OFlag::O_RDWR | OFlag::O_NONBLOCK).map_err(|errno| match errno {
            Errno::ENOENT | Errno::EOPNOTSUPP => failed(Reason::Other("this kernel counts no pressure".to_owned())),
            errno => failed(Reason::System(errno)),
        })?;
        let word = if share == Share::Some { "some" } else { "full" };
        // The line end matters: the kernel overwrites the last byte.
        let words = format!("{word} {} {WINDOW_US}\n", WINDOW_US / 100 * percent.clamp(1, 100));
        unistd::write(&fd, words.as_bytes()).map_err(|errno| failed(Reason::System(errno)))?;
        let fd = Watched::new(fd, Interest::PRIORITY).map_err(|e| failed(Reason::Other(e.to_string())))?;
        Ok(Trigger { fd })
    }
}

impl Trigger {
    /// Waits until it fires; an error when there is no such pressure file any more.
    pub async fn fired(&self) -> Result<(), String> {
        let gone = self.fd.woken(Interest::PRIORITY).await.map_err(|error| error.to_string())?;
        if gone { Err("the kernel has taken its trigger away".to_owned()) } else { Ok(()) }
    }
}
