//! What the service manager told this process, and telling it back. It refuses to wait for a manager that does not read: its words are
//! sd-notify's, the socket is our own and never blocks.

use std::ffi::OsString;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::time::Duration;

use sd_notify::NotifyState;

/// The service manager's wishes, from the environment.
#[derive(Debug, Default)]
pub struct Service {
    notify: Option<(UnixDatagram, SocketAddr)>,
    /// How long it waits between two signs of life.
    pub watchdog: Option<Duration>,
    /// The directory under /run that it made for us.
    pub runtime_directory: Option<PathBuf>,
    /// Device and inode of the journal's stream, where stderr is one.
    pub(super) journal: Option<(u64, u64)>,
}

impl Service {
    /// Reads the environment once, at the start.
    pub fn from_environment() -> Self {
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        // Set for another process where we were started by a wrapper.
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        Self {
            notify: variable("NOTIFY_SOCKET").and_then(|path| socket(&path)),
            watchdog: number("WATCHDOG_USEC").filter(|usec| ours && *usec > 0).map(Duration::from_micros),
            runtime_directory: variable("RUNTIME_DIRECTORY").and_then(|list| {
                let first = list.to_str()?.split(':').next()?.to_owned();
                (!first.is_empty()).then(|| PathBuf::from(first))
            }),
            journal: variable("JOURNAL_STREAM").and_then(|pair| {
                let (device, inode) = pair.to_str()?.split_once(':')?;
                Some((device.parse().ok()?, inode.parse().ok()?))
            }),
        }
    }

    /// Whether somebody waits to hear that we are ready.
    pub fn is_told(&self) -> bool {
        self.notify.is_some()
    }

    /// Says it, or not: a manager that does not read is the manager's trouble.
    pub fn say(&self, words: &[NotifyState<'_>]) {
        let Some((socket, address)) = &self.notify else { return };
        let text: String = words.iter().map(|word| format!("{word}\n")).collect();
        let _ = socket.send_to_addr(text.as_bytes(), address);
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn socket(path: &OsString) -> Option<(UnixDatagram, SocketAddr)> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok()?,
        [b'/', ..] => SocketAddr::from_pathname(path).ok()?,
        _ => return None,
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive_and_a_manager_that_does_not_read_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let service = Service { notify: socket(&path.into_os_string()), ..Service::default() };
        service.say(&[NotifyState::Ready, NotifyState::Status("all is well")]);
        let mut words = [0; 100];
        let count = manager.recv(&mut words).unwrap();
        assert_eq!(&words[..count], b"READY=1\nSTATUS=all is well\n");
        for _ in 0..10_000 {
            service.say(&[NotifyState::Watchdog]);
        }
    }
}
