//! Who writes the host's logs to disk, as units, configuration files and processes say. It refuses to say what is too much: detectors do.

use serde::{Deserialize, Serialize};

/// A file that a syslog daemon writes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogFile {
    /// Its path, as the configuration has it.
    pub path: String,
    /// Every message is synced to the disk before the next.
    pub synced: bool,
    /// File and line of the configuration.
    pub from: String,
}

/// A syslog daemon that runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyslogDaemon {
    /// Its real unit, such as `rsyslog.service`.
    pub unit: String,
    /// `syslog.service` is another name of it.
    pub alias: bool,
    /// Some target wants it at boot.
    pub enabled: bool,
    /// Its main process.
    pub pid: u32,
    /// Which process of that id.
    pub start_ticks: u64,
    /// How messages come in, by the names of its modules: `imuxsock`, `imjournal`, `imklog`, `imudp`.
    pub inputs: Vec<String>,
    /// It is given what journald forwards to its socket.
    pub reads_socket: bool,
    /// It reads the journal's files.
    pub reads_journal: bool,
    /// Files that it writes.
    pub files: Vec<LogFile>,
    /// Where else messages go, such as `@@10.0.0.1:514`.
    pub sends: Vec<String>,
    /// Where other hosts' messages come from, such as `imudp`.
    pub listens: Vec<String>,
}

/// How journald is set up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalSetup {
    /// `Storage=`.
    pub storage: String,
    /// What it stores outlives a reboot.
    pub persistent: bool,
    /// `ForwardToSyslog=`.
    pub forward_to_syslog: bool,
    /// The file that says so, or that it is built in.
    pub forward_from: String,
    /// `SyncIntervalSec=`, as written; empty for the default.
    pub sync_interval: String,
    /// `RateLimitIntervalSec=` and `RateLimitBurst=`, as written; empty for the default.
    pub rate_limit: (String, String),
    /// `SystemMaxUse=`, as written; empty for the default.
    pub system_max_use: String,
}

/// Somebody who reads what a syslog daemon writes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogReader {
    /// A process, such as `fluent-bit[812]`, or a configuration file.
    pub who: String,
    /// The file, or the pattern that fits one.
    pub path: String,
    /// The file is open now; else a configuration names it.
    pub open: bool,
}

/// Everything about logging that changes seldom.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Logging {
    /// Syslog daemons that run.
    pub daemons: Vec<SyslogDaemon>,
    /// journald's settings.
    pub journal: JournalSetup,
    /// Who reads their files.
    pub readers: Vec<LogReader>,
}

/// What a process that writes logs has written, from /proc/PID/io.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogWriter {
    /// Its unit.
    pub unit: String,
    /// Its process.
    pub pid: u32,
    /// Which process of that id.
    pub start_ticks: u64,
    /// Bytes on their way to a disk.
    pub write_bytes: u64,
    /// Calls of write and its like.
    pub writes: u64,
}

/// The unit that keeps the journal.
pub const JOURNALD: &str = "systemd-journald.service";
/// Units that are syslog daemons, and the name of their process.
pub const SYSLOG_UNITS: [(&str, &str); 6] = [
    ("rsyslog.service", "rsyslogd"),
    ("syslog-ng.service", "syslog-ng"),
    ("inetutils-syslogd.service", "syslogd"),
    ("sysklogd.service", "syslogd"),
    ("busybox-syslogd.service", "syslogd"),
    ("syslog.service", "syslogd"),
];

impl SyslogDaemon {
    /// By which way it gets what the journal keeps as well; none where it does not, or writes nothing.
    pub fn doubles(&self, journal: &JournalSetup) -> Option<&'static str> {
        if !journal.persistent || self.files.is_empty() {
            None
        } else if self.reads_journal {
            Some("by reading the journal")
        } else if self.reads_socket && journal.forward_to_syslog {
            Some("by ForwardToSyslog")
        } else {
            None
        }
    }
}
