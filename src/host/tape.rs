//! What the door answered, kept for a recording: files, listings, refusals and system calls, in the order in which they were asked.
//! It refuses to write anything; whoever takes the tape decides what of it may be kept.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::HostResult;
use super::file::Entry;
use super::root::Host;
use crate::model::watch::Answer;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// The file's bytes.
    File(Vec<u8>),
    /// The names in a directory.
    Names(Vec<Entry>),
    /// It is there.
    There {
        /// And is a directory.
        is_dir: bool,
    },
    /// It is not there.
    Missing,
    /// The kernel refused, by number.
    Refused(i32),
    /// What a guarded look gave.
    Looked(Answer),
    /// A log page of an NVMe controller; the path is that of its device.
    Page {
        /// Which page.
        id: u8,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

impl Answered {
    pub(super) fn of_file(came: &HostResult<bool>, bytes: &[u8]) -> Option<Self> {
        match came {
            Ok(true) => Some(Self::File(bytes.to_vec())),
            Ok(false) => Some(Self::Missing),
            Err(error) => error.errno().map(|errno| Self::Refused(errno as i32)),
        }
    }
}

/// All answers so far.
#[derive(Debug, Default)]
pub(super) struct Tape(Mutex<Vec<(PathBuf, Answered)>>);

impl Host {
    /// Keeps an answer, where a tape runs.
    pub(super) fn taped(&self, path: &Path, answer: impl FnOnce() -> Option<Answered>) {
        let Some(tape) = &self.tape else { return };
        if let Some(answer) = answer() {
            tape.0.lock().unwrap_or_else(PoisonError::into_inner).push((path.to_owned(), answer));
        }
    }

    /// All answers since the last call, oldest first.
    pub fn taken(&self) -> Vec<(PathBuf, Answered)> {
        match &self.tape {
            Some(tape) => std::mem::take(&mut tape.0.lock().unwrap_or_else(PoisonError::into_inner)),
            None => Vec::new(),
        }
    }
}
