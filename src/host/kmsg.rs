//! The kernel's log, `/dev/kmsg`: records in the order of their sequence numbers, each once. It refuses to wait, and refuses to hide a gap: what the
//! kernel has overwritten before it was read is counted.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{SFlag, fstat};

use super::error::{HostError, HostResult, Reason};
use super::root::Host;
use crate::model::watch::{KernelLog, Record};

/// Where it is.
const PATH: &str = "/dev/kmsg";
/// The longest record that the kernel makes.
const RECORD_BYTES: usize = 8192;
/// So much of a recording is read.
const RECORDING_BYTES: u64 = 16 << 20;
/// One drain ends here, so that a flood cannot hold a turn up; the rest stays readable.
const MOST_RECORDS: usize = 8192;

/// A reader of the kernel's log.
#[derive(Debug)]
pub struct Kmsg {
    source: Source,
    /// The sequence number that comes next; none before the first record.
    next: Option<u64>,
}

#[derive(Debug)]
enum Source {
    /// The device, and the buffer that one record is read into.
    Live(OwnedFd, Box<[u8]>),
    /// The records of a recording that nobody has taken yet.
    Recorded(Vec<Record>, OwnedFd),
}

impl Kmsg {
    /// Opens the log at its oldest record. In a recording it is a plain file of raw records, and all of them are there at once.
    pub fn open(host: &Host) -> HostResult<Self> {
        let failed = |errno| HostError { act: "read", path: PATH.into(), reason: Reason::System(errno) };
        let file = host.open(Path::new(PATH), OFlag::O_RDONLY | OFlag::O_NONBLOCK).map_err(failed)?;
        let facts = fstat(file.as_fd()).map_err(failed)?;
        let source = if SFlag::from_bits_truncate(facts.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR {
            Source::Live(file, vec![0; RECORD_BYTES].into_boxed_slice())
        } else {
            let text = host.read(Path::new(PATH), RECORDING_BYTES)?.unwrap_or_default();
            Source::Recorded(records(&text), file)
        };
        Ok(Self { source, next: None })
    }

    /// Goes on where another reader of the same boot stopped: what that one has given is skipped, what lies between is counted as lost.
    pub fn after(mut self, other: &Self) -> Self {
        self.next = other.next;
        self
    }

    /// What is there now. Never waits.
    pub fn drain(&mut self) -> KernelLog {
        let mut log = KernelLog::default();
        match &mut self.source {
            Source::Recorded(records, _) => {
                for record in std::mem::take(records) {
                    take(&mut self.next, record, &mut log);
                }
            }
            Source::Live(file, buffer) => {
                // Records too long or without a head are no records but were read: the bound is on reads.
                for _ in 0..MOST_RECORDS {
                    match nix::unistd::read(file.as_fd(), buffer) {
                        Ok(0) | Err(Errno::EAGAIN) => break,
                        Ok(length) => {
                            if let Some(record) = buffer.get(..length).and_then(Record::parse) {
                                take(&mut self.next, record, &mut log);
                            }
                        }
                        // EPIPE: overwritten since the last read; the next read goes on with the oldest that is left. EINVAL: longer than the buffer.
                        // Both leave a gap in the sequence, which is counted there.
                        Err(Errno::EPIPE | Errno::EINVAL | Errno::EINTR) => {}
                        Err(errno) => {
                            log.unreadable = Some(format!("cannot read {PATH}: {}", errno.desc()));
                            break;
                        }
                    }
                }
            }
        }
        log
    }
}

impl AsFd for Kmsg {
    /// Readable when there is a new record; a recording's is always.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::Live(file, _) | Source::Recorded(_, file) => file.as_fd(),
        }
    }
}

/// Takes a record that is new, and counts those that are missing before it.
fn take(next: &mut Option<u64>, record: Record, log: &mut KernelLog) {
    let expected = next.unwrap_or(record.seq);
    if record.seq < expected {
        return;
    }
    log.lost = log.lost.saturating_add(record.seq - expected);
    *next = Some(record.seq.saturating_add(1));
    log.records.push(record);
}

/// The records of a file: lines that start with a space belong to the record before them.
fn records(text: &[u8]) -> Vec<Record> {
    let mut raw: Vec<Vec<u8>> = Vec::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match raw.last_mut() {
            Some(last) if line.first() == Some(&b' ') => {
                last.push(b'\n');
                last.extend_from_slice(line);
            }
            _ => raw.push(line.to_vec()),
        }
    }
    raw.iter().filter_map(|raw| Record::parse(raw)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(text: &str) -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("dev")).unwrap();
        #[allow(clippy::disallowed_methods)] // A recording is made.
        std::fs::write(root.path().join("dev/kmsg"), text).unwrap();
        let host = Host::new(root.path()).unwrap();
        (root, host)
    }

    fn numbers(log: &KernelLog) -> (Vec<u64>, u64) {
        (log.records.iter().map(|record| record.seq).collect(), log.lost)
    }

    #[test]
    fn a_recording_is_read_once_and_gaps_are_counted() {
        let (_root, host) = recorded("6,7,1,-;a\n SUBSYSTEM=x\n6,8,2,-;b\n6,12,3,-;c\n");
        let mut kmsg = Kmsg::open(&host).unwrap();
        assert_eq!(numbers(&kmsg.drain()), (vec![7, 8, 12], 3));
        assert_eq!(numbers(&kmsg.drain()), (vec![], 0));
        // The next turn's recording holds all records again, and one more.
        let (_more, later) = recorded("6,8,2,-;b\n6,12,3,-;c\n6,13,4,-;d\n");
        let mut again = Kmsg::open(&later).unwrap().after(&kmsg);
        assert_eq!(numbers(&again.drain()), (vec![13], 0));
    }

    #[test]
    fn no_log_is_an_error_that_says_so() {
        let root = tempfile::tempdir().unwrap();
        let error = Kmsg::open(&Host::new(root.path()).unwrap()).unwrap_err();
        assert!(error.to_string().starts_with("cannot read /dev/kmsg: No such file"), "{error}");
    }
}
