//! Changes of the host that a person asks for, each with a way back. It refuses to run by itself: only the verb `fix` comes here.

mod plan;
mod record;
pub mod syslog;
mod systemd;

use serde::Serialize;

use crate::host::HostError;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Show it.
    DryRun,
    /// Do it; with `force` although somebody reads what will no longer be written.
    Apply {
        /// Somebody's reading does not count.
        force: bool,
    },
    /// Take it back.
    Undo,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// There is nothing to do.
    Nothing,
    /// The steps would be taken.
    WouldChange,
    /// The steps were taken, and the host is as they promise.
    Applied,
    /// The steps were taken back.
    Undone,
}

/// What was or would be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Why, in a sentence.
    pub why: String,
    /// What was or would be done, one after the other.
    pub steps: Vec<String>,
    /// What it rests on, and what else there is to know.
    pub notes: Vec<String>,
}

/// Why nothing was changed, or what went wrong while it was.
#[derive(Debug, thiserror::Error)]
pub enum FixError {
    /// It would take something away that somebody needs.
    #[error("refused, nothing was changed: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// The machine did not do it.
    #[error(transparent)]
    Host(#[from] HostError),
    /// What there is cannot be known.
    #[error("nothing was changed: {0}")]
    Unknown(String),
    /// A step went wrong, and those before it were taken back, or not.
    #[error("{why}; {back}")]
    Broken {
        /// What went wrong.
        why: String,
        /// What became of the steps before.
        back: String,
    },
}
