//! The agent's own log: journald's native protocol under systemd, else stderr. It refuses to wait for a reader (what cannot be taken at once
//! is dropped and counted) and any priority above error: journald syncs to disk at those, and the agent must not cause what it watches for.

use std::cell::{Cell, RefCell};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat;

use super::clock;
use super::service::Service;
use crate::model::time::Mono;

/// How much somebody should care; there is nothing above `Error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// 3.
    Error,
    /// 4.
    Warning,
    /// 5.
    Notice,
    /// 6.
    Info,
}

/// A field beside the message: name (upper case) and value.
pub type Field<'a> = (&'a str, &'a str);

const JOURNAL: &str = "/run/systemd/journal/socket";
/// Longer than any line of ours; the socket and a pipe take it whole.
const MOST_BYTES: usize = 3500;
/// So many lines at once, and so many per minute after that.
const BURST: u64 = 60;
const PER_MINUTE: u64 = 30;

/// Where lines go.
#[derive(Debug)]
pub struct Log {
    sink: Sink,
    dropped: Cell<u64>,
    purse: RefCell<Purse>,
}

#[derive(Debug)]
enum Sink {
    Journal(UnixDatagram),
    Nowhere(Option<UnixDatagram>),
    Stderr,
}

/// Lines that may still be written, in sixtieths of a line.
#[derive(Debug)]
struct Purse {
    left: u64,
    filled: Mono,
}

impl Log {
    /// The journal where our stderr leads to it, stderr otherwise.
    pub fn open(service: &Service) -> Self {
        let journal = service.journal.filter(|(device, inode)| {
            stat::fstat(std::io::stderr().as_fd()).is_ok_and(|facts| (facts.st_dev, facts.st_ino) == (*device, *inode))
        });
        let socket = journal.and_then(|_| {
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_nonblocking(true).ok()?;
            Some(socket)
        });
        Self::to(socket.map_or(Sink::Stderr, Sink::Journal))
    }

    /// A log that nobody reads, with a journal's way as far as the socket.
    pub fn nowhere() -> Self {
        Self::to(UnixDatagram::unbound().map_or(Sink::Nowhere(None), |socket| Sink::Nowhere(Some(socket))))
    }

    fn to(sink: Sink) -> Self {
        let purse = Purse { left: BURST * 60, filled: clock::monotonic() };
        Self { sink, dropped: Cell::new(0), purse: RefCell::new(purse) }
    }

    /// One line, with fields for who reads them by program.
    pub fn line(&self, priority: Priority, message: &str, fields: &[Field<'_>]) {
        let taken = self.purse.borrow_mut().pay(clock::monotonic())
            && match &self.sink {
                // Addressed anew each time: journald may have been restarted.
                Sink::Journal(socket) => {
                    socket.send_to(&datagram(priority, message, fields), Path::new(JOURNAL)).is_ok()
                }
                Sink::Nowhere(socket) => {
                    let bytes = datagram(priority, message, fields);
                    // An address that cannot be: the call is made, and nobody is told.
                    socket.as_ref().is_some_and(|socket| socket.send_to(&bytes, Path::new("/dev/null/none")).is_ok())
                }
                Sink::Stderr => to_stderr(message),
            };
        if !taken {
            self.dropped.set(self.dropped.get().saturating_add(1));
        }
    }

    /// Goes the way of a line without writing one, so that its code is in memory.
    pub fn rehearse(&self) {
        to_stderr("");
    }

    /// How many lines nobody took.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }
}

impl Purse {
    fn pay(&mut self, now: Mono) -> bool {
        let earned = now.since_ms(self.filled).saturating_mul(PER_MINUTE) / 1000;
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(BURST * 60);
            self.filled = now;
        }
        let enough = self.left >= 60;
        if enough {
            self.left -= 60;
        }
        enough
    }
}

/// systemd's native journal protocol: `NAME=value` lines; a value with a line end of its own is written with its length.
fn datagram(priority: Priority, message: &str, fields: &[Field<'_>]) -> Vec<u8> {
    let number = match priority {
        Priority::Error => "3",
        Priority::Warning => "4",
        Priority::Notice => "5",
        Priority::Info => "6",
    };
    let mut bytes = Vec::with_capacity(512);
    let own = [("PRIORITY", number), ("SYSLOG_IDENTIFIER", "node-steward"), ("MESSAGE", cut(message))];
    for (name, value) in own.iter().chain(fields) {
        bytes.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
            bytes.push(b'\n');
            bytes.extend_from_slice(&length.to_le_bytes());
        } else {
            bytes.push(b'=');
        }
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

/// A pipe that says it can be written to takes 4096 bytes without waiting; a full one, or a stopped terminal, says so.
fn to_stderr(message: &str) -> bool {
    let stderr = std::io::stderr();
    let mut ready = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    let writable = poll(&mut ready, PollTimeout::ZERO).is_ok_and(|count| count == 1)
        && ready[0].revents().is_some_and(|events| events.contains(PollFlags::POLLOUT));
    let line = match message {
        "" => String::new(),
        message => format!("node-steward: {}\n", cut(message).replace('\n', " ")),
    };
    writable && nix::unistd::write(stderr.as_fd(), line.as_bytes()).is_ok()
}

fn cut(message: &str) -> &str {
    let mut end = message.len().min(MOST_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_fields_and_a_line_end_is_no_field() {
        let bytes = datagram(Priority::Error, "two\nlines", &[("NODE_STEWARD_KIND", "DiskStalled")]);
        let mut wanted = b"PRIORITY=3\nSYSLOG_IDENTIFIER=node-steward\nMESSAGE\n".to_vec();
        wanted.extend_from_slice(&9_u64.to_le_bytes());
        wanted.extend_from_slice(b"two\nlines\nNODE_STEWARD_KIND=DiskStalled\n");
        assert_eq!(bytes, wanted);
    }

    #[test]
    fn a_burst_is_held_and_time_pays_for_more() {
        let mut purse = Purse { left: BURST * 60, filled: Mono(0) };
        let paid = (0..100).filter(|_| purse.pay(Mono(1))).count();
        assert_eq!(paid, 60);
        assert!(!purse.pay(Mono(1500)));
        assert!(purse.pay(Mono(2100)));
    }

    #[test]
    fn a_journal_that_is_not_there_is_not_waited_for() {
        let socket = UnixDatagram::unbound().unwrap();
        socket.set_nonblocking(true).unwrap();
        // Connected to nobody who reads: the buffer fills up, and lines are dropped.
        let (ours, _theirs) = UnixDatagram::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        while ours.send(&[0; 1000]).is_ok() {}
        assert!(ours.send(&[0; 1000]).is_err());
        let log = Log::to(Sink::Journal(socket));
        for _ in 0..100 {
            log.line(Priority::Info, "x", &[]);
        }
        assert!(log.dropped() >= 40, "the purse holds {BURST} lines");
    }
}
