//! Reading a kernel file again and again: the bytes are compared before they are parsed. It refuses to call an old value fresh after a failure.

use std::path::Path;

use nix::errno::Errno;

use crate::host::Host;
use crate::model::Reading;
use crate::model::time::Mono;
use crate::model::watch::Sampled;

/// More than any file here has on the largest host.
const MOST_BYTES: u64 = 16 << 20;

/// A file's bytes as they were read last.
#[derive(Debug, Default)]
pub(super) struct Raw {
    last: Vec<u8>,
    next: Vec<u8>,
}

/// What reading again brought.
#[derive(Debug, PartialEq)]
pub(super) enum Came {
    /// The same bytes.
    Same,
    /// Other bytes: [`Raw::bytes`].
    New,
    /// No such file, or the kernel has no such thing.
    Gone,
    /// An error, in words.
    Failed(String),
}

impl Raw {
    pub(super) fn read(&mut self, host: &Host, path: &str) -> Came {
        match host.read_into(Path::new(path), MOST_BYTES, &mut self.next) {
            Ok(true) if self.next == self.last && !self.last.is_empty() => Came::Same,
            Ok(true) => {
                std::mem::swap(&mut self.last, &mut self.next);
                Came::New
            }
            Ok(false) => {
                self.last.clear();
                Came::Gone
            }
            Err(error) => {
                self.last.clear();
                match error.errno() {
                    Some(Errno::EOPNOTSUPP) => Came::Gone,
                    _ => Came::Failed(error.to_string()),
                }
            }
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.last
    }

    /// Reads into a sample. Unchanged bytes keep the value; the parser may write over the old one.
    pub(super) fn keep<T: Default>(
        &mut self,
        (host, at): (&Host, Mono),
        path: &str,
        slot: &mut Sampled<T>,
        absent: &str,
        parse: impl FnOnce(&str, &mut T) -> Result<(), String>,
    ) -> Came {
        let came = self.read(host, path);
        slot.taken = at;
        match &came {
            Came::Same if slot.reading.value().is_some() => {}
            Came::Same | Came::New => {
                // The old value's room is used again.
                let (mut value, from) = match std::mem::replace(&mut slot.reading, Reading::absent("")) {
                    Reading::Fresh { value, from } => (value, from),
                    Reading::Absent { .. } | Reading::Failed { .. } => (T::default(), path.to_owned()),
                };
                let parsed = text(self.bytes()).and_then(|text| parse(text, &mut value));
                slot.reading = match parsed {
                    Ok(()) => Reading::fresh(value, from),
                    Err(why) => Reading::failed(format!("{path}: {why}")),
                };
            }
            Came::Gone => slot.reading = Reading::absent(absent),
            Came::Failed(why) => slot.reading = Reading::failed(why),
        }
        came
    }
}

/// Bytes as text; the kernel's tables hold nothing else.
pub(super) fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("byte {} is no text", error.valid_up_to()))
}

/// A small file's text, or nothing where it is missing or unreadable.
pub(super) fn word(host: &Host, path: &str) -> Option<String> {
    host.read_text(Path::new(path)).ok().flatten()
}

/// A small file's number, or nothing where it is missing or holds none.
pub(super) fn number<N: std::str::FromStr>(host: &Host, path: &str) -> Option<N> {
    word(host, path)?.parse().ok()
}

/// A small file's text; nothing where there is none, or where it went while it was read: a cgroup's and a device's files answer with errors then.
pub(super) fn needed(host: &Host, path: &str) -> Result<Option<String>, String> {
    host.read_text(Path::new(path)).or_else(|error| if gone(host, path) { Ok(None) } else { Err(error.to_string()) })
}

/// A small file's number, in the same way.
pub(super) fn needed_number(host: &Host, path: &str) -> Result<Option<u64>, String> {
    needed(host, path)?.map(|text| whole_number(path, &text)).transpose()
}

/// The whole text as a number.
pub(super) fn whole_number(path: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{path}: {text:?} is not a number"))
}

/// Whether nothing is there; what cannot be looked at may be.
pub(super) fn gone(host: &Host, path: &str) -> bool {
    matches!(host.facts(Path::new(path)), Ok(None))
}

/// A line that was not understood, with its number counted from 1, cut where it is long.
pub(super) fn bad_line(index: usize, line: &str, expected: &str) -> String {
    let shown: String = line.chars().take(120).collect();
    format!("line {} is {shown:?}; expected {expected}", index + 1)
}
