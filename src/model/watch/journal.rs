//! What the journal's files tell of themselves: how many messages of which unit and priority, without one of them being read. They refuse to hold a rate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Messages that journald and systemd write about logging itself, by their catalogue's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JournalNotices {
    /// journald began.
    pub started: u64,
    /// Messages of a unit were dropped because there were too many.
    pub suppressed: u64,
    /// Messages of the kernel were lost.
    pub missed_kernel: u64,
    /// Messages for the syslog daemon were lost.
    pub missed_forward: u64,
    /// A unit failed.
    pub failed: u64,
}

/// Of the newest messages of a kind, whose they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Newest {
    /// Messages looked at.
    pub of: u64,
    /// By unit; empty for messages without one, `kernel` for the kernel's. Of critical ones, those alone that are synced.
    pub units: BTreeMap<String, u64>,
    /// Of these, so many have no syslog facility besides the kernel's: where they are critical, journald syncs after each.
    pub synced: u64,
}

/// One file that is written to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JournalFile {
    /// Its path.
    pub path: String,
    /// Which file of that name: rotation makes a new one.
    pub id: String,
    /// Messages.
    pub entries: u64,
    /// Messages by priority, 0 to 7.
    pub priorities: [u64; 8],
    /// Messages by unit, of the units that have most; the kernel's as `kernel`.
    pub units: BTreeMap<String, u64>,
    /// No unit that is not among them has more than this.
    pub floor: u64,
    /// Messages about logging itself.
    pub notices: JournalNotices,
    /// The newest messages of priority 7.
    pub debug: Newest,
    /// The newest of priority 0 to 2.
    pub critical: Newest,
    /// Whose messages were dropped last, and how many, as journald says.
    pub dropped: Vec<(String, u64)>,
    /// Units that failed last, by the newest notices: the unit, and how it ended.
    pub failed: Vec<(String, String)>,
    /// Why not all of it was read; the counts are then too low, and no rate is made of them.
    pub cut: Option<String>,
}

/// All of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Journal {
    /// Files that are written to.
    pub files: Vec<JournalFile>,
    /// Room that all files take, those that are only kept too.
    pub disk_bytes: u64,
    /// How many they are.
    pub count: u64,
    /// They lie beneath /var/log, not /run/log.
    pub persistent: bool,
    /// When files were found damaged and set aside, ms since 1970, as their names say; those that were only left open are not among them.
    pub set_aside_wall_ms: Vec<i64>,
}
