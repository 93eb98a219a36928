//! What the agent says about itself and the node: the value that the local API, the metrics and the tables are made of. It refuses to call a blind source healthy.

use serde::{Deserialize, Serialize};

use super::Reading;
use super::cluster::ApiServer;
use super::problem::{Kind, Problem};
use super::recommendation::Recommendation;
use super::time::{Mono, Wall};

/// How a source or a detector stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Standing {
    /// It looks and can judge.
    Working,
    /// It looks, but cannot judge yet.
    Learning {
        /// What is missing.
        why: String,
    },
    /// It cannot look: neither sick nor well.
    Unknown {
        /// Why.
        why: String,
    },
    /// Switched off by the settings.
    Off,
}

/// A source of samples or a detector, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Its name: a source's, or a detector's settings section.
    pub name: String,
    /// How it stands.
    #[serde(flatten)]
    pub standing: Standing,
}

/// What a disk did in the newest window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskStatus {
    /// The kernel's name.
    pub name: String,
    /// The newest window; none before the second sample.
    pub window: Option<WindowStatus>,
    /// What the disk needs when it is idle.
    pub baseline: BaselineStatus,
    /// Whether the saturation rule holds for this one window; none where there is no baseline or no pressure.
    pub saturated_now: Option<bool>,
}

/// Rates of one window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowStatus {
    /// Its start, CLOCK_MONOTONIC.
    pub start_ms: Mono,
    /// Its end.
    pub end_ms: Mono,
    /// Reads per second.
    pub reads_per_s: f64,
    /// Writes per second.
    pub writes_per_s: f64,
    /// Bytes per second, both ways.
    pub bytes_per_s: f64,
    /// Mean time of a request, ms; none where none completed.
    pub await_ms: Option<f64>,
    /// Mean number of requests in the queue and in service.
    pub aqu: f64,
    /// Time with anything in flight, percent.
    pub util_percent: f64,
    /// In flight at the end.
    pub in_flight: u64,
}

/// Idle latency by size of request, ms.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaselineStatus {
    /// Up to 32 KiB.
    pub small: Option<f64>,
    /// Up to 256 KiB.
    pub medium: Option<f64>,
    /// Larger.
    pub large: Option<f64>,
    /// From how many windows.
    pub windows: u32,
}

/// How the turns went.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turns {
    /// How many.
    pub count: u64,
    /// The newest, CLOCK_MONOTONIC.
    pub last_ms: Mono,
    /// The longest time between two turns that were due, ms.
    pub longest_gap_ms: u64,
    /// Gaps: upper bound in ms (`inf` for the last) and how many were at most that and more than the bound before.
    pub gaps: Vec<(String, u64)>,
    /// All gaps together, ms.
    pub gaps_sum_ms: u64,
    /// Time that a turn took: the newest and the longest, us.
    pub duration_us: Durations,
}

/// Two durations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Durations {
    /// The newest.
    pub last: u64,
    /// The longest.
    pub max: u64,
}

/// What would be done, or why not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The action, such as `cordon`.
    pub action: String,
    /// Whether it is done or withheld.
    pub verdict: Verdict,
    /// The problem that it is about.
    pub kind: Kind,
    /// Its subject.
    pub subject: String,
    /// The named reason of a refusal, such as `ModeIsObserve`; empty where it is done.
    pub reason: String,
    /// The same as a sentence.
    pub why: String,
    /// Since when it stands so.
    #[serde(rename = "sinceWallMs")]
    pub since_wall: Wall,
}

/// Done or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is done.
    Do,
    /// It is not done.
    Withheld,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// `observe`, `cordon` or `drain`.
    pub mode: String,
    /// Problems that were there until this moment do not act: the mode was switched on then. None in mode `observe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acting_from_mono_ms: Option<Mono>,
    /// What the cluster knows of us, in a sentence: `local-only` and why, where there is none.
    pub cluster: String,
    /// The connection to the API server; none where the agent works alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_server: Option<Box<ApiServer>>,
    /// Which boot.
    pub boot_id: String,
    /// When the agent started.
    pub started_wall_ms: Wall,
    /// The moment of this status.
    pub now_mono_ms: Mono,
    /// The same for people.
    pub now_wall_ms: Wall,
    /// How the turns went.
    pub turns: Turns,
    /// Where samples come from.
    pub sources: Vec<Part>,
    /// Who judges them.
    pub detectors: Vec<Part>,
    /// What the disks did.
    pub disks: Vec<DiskStatus>,
    /// I/O pressure of the newest window.
    pub pressure: PressureStatus,
    /// Who did the I/O of the newest window, by disk; only while it is asked for.
    pub contributors: Vec<(String, Vec<super::problem::Contributor>)>,
    /// What writing the host's logs costs.
    #[serde(default)]
    pub log_writers: Vec<LogWriterStatus>,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What is done about it, or why not.
    pub decisions: Vec<Decision>,
    /// What this node's own history says of its reservations; none until the first look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommendation: Option<Reading<Recommendation>>,
    /// Counters of the agent itself: kernel records read and lost, own log lines dropped, probes started and abandoned, API requests.
    pub counters: std::collections::BTreeMap<String, u64>,
}

/// What one writer of the host's logs writes: journald, or a syslog daemon.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogWriterStatus {
    /// Its unit.
    pub unit: String,
    /// Bytes since it was started.
    pub written_bytes: u64,
    /// Write calls since then; journald writes through memory, and needs few.
    pub write_calls: u64,
    /// Bytes per second of the newest window; none before there is one.
    pub bytes_per_s: Option<f64>,
    /// Write calls per second.
    pub write_calls_per_s: Option<f64>,
    /// The one disk that /var/log lies on.
    pub disk: Option<String>,
    /// Its part of what that disk wrote, percent; none where the disk wrote nothing.
    pub disk_percent: Option<f64>,
}

/// Pressure in percent of the window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PressureStatus {
    /// Some task waited for I/O; none where the kernel does not tell.
    pub io_some_percent: Option<f64>,
    /// All tasks waited for I/O.
    pub io_full_percent: Option<f64>,
}
