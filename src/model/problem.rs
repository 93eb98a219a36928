//! What is wrong with a node: kinds, findings of one turn, and problems that last. It refuses a finding without numbers and a kind without advice.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::{Mono, Wall};

/// How bad it is. Advice is never a condition, an event, or a reason to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Works; could be better.
    Advice,
    /// Pods or the node suffer, or soon will.
    Warning,
    /// The node does not do its work.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Advice => "advice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

/// The stable CamelCase name of a kind of problem, such as `DiskStalled`: public interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kind(Cow<'static, str>);

impl Kind {
    /// A kind's name.
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The node condition that a kind belongs to; at most six of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Condition {
    /// Disks are slow, over their quota, or answer no more.
    DiskIO,
    /// Disks or file systems report errors.
    DiskHealth,
    /// Logging costs too much or loses messages.
    Logging,
    /// Units that the node needs.
    NodeServices,
    /// Memory, CPU, process ids, files, network allowances.
    NodeResources,
    /// The agent itself cannot see.
    AgentHealth,
}

/// One line of the catalogue of problems: help, docs, metric labels and events derive from it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its name.
    pub kind: Kind,
    /// The worst that it can be.
    pub severity: Severity,
    /// Where it is reported.
    pub condition: Condition,
    /// Whether it may ever cordon by default.
    pub may_cordon: bool,
    /// What it means, for somebody who has never seen it.
    pub meaning: &'static str,
    /// What to do, in general; a finding's own advice has this host's numbers.
    pub advice: &'static str,
}

/// One number or word that a finding rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was measured, such as `await`.
    pub name: Cow<'static, str>,
    /// The number, or the word.
    pub value: serde_json::Value,
    /// Its unit, such as `ms`; empty for words and counts.
    pub unit: Cow<'static, str>,
}

impl Evidence {
    /// A number with its unit, rounded to three decimals.
    pub fn number(name: &'static str, value: f64, unit: &'static str) -> Self {
        let rounded = (value * 1000.0).round() / 1000.0;
        Self { name: name.into(), value: serde_json::json!(rounded), unit: unit.into() }
    }

    /// A count.
    pub fn count(name: &'static str, value: u64, unit: &'static str) -> Self {
        Self { name: name.into(), value: value.into(), unit: unit.into() }
    }

    /// A word.
    pub fn text(name: &'static str, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into().into(), unit: "".into() }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            serde_json::Value::String(word) => write!(f, "{} {word}", self.name)?,
            value => write!(f, "{} {value}", self.name)?,
        }
        if self.unit.is_empty() { Ok(()) } else { write!(f, " {}", self.unit) }
    }
}

/// Who does the I/O.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "what")]
pub enum Who {
    /// A container of a pod.
    Container {
        /// The pod's namespace; empty where only the UID is known.
        namespace: String,
        /// The pod's name; empty where only the UID is known.
        pod: String,
        /// The container's name; empty where only its id is known.
        container: String,
        /// The pod's UID.
        uid: String,
        /// The container's id, 64 hex digits; empty for the pod's own cgroup.
        id: String,
    },
    /// A systemd unit.
    Unit {
        /// Such as `containerd.service`.
        unit: String,
    },
    /// Any other cgroup.
    Group {
        /// Its path beneath the cgroup root.
        path: String,
    },
    /// A process, where cgroups do not count I/O.
    Process {
        /// Its id.
        pid: u32,
        /// Its name, as in /proc/PID/comm.
        comm: String,
        /// The unit or pod that it belongs to, where that is known.
        of: String,
    },
    /// All that are not listed by themselves.
    Others {
        /// How many.
        count: u32,
    },
    /// What the device did and nobody was seen to ask for.
    Unattributed,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container { namespace, pod, container, uid, id } => {
                if pod.is_empty() {
                    write!(f, "pod {uid}")?
                } else {
                    write!(f, "pod {namespace}/{pod}")?
                }
                match (container.is_empty(), id.get(..12)) {
                    (false, _) => write!(f, " container {container}"),
                    (true, Some(short)) => write!(f, " container {short}"),
                    (true, None) => Ok(()),
                }
            }
            Self::Unit { unit } => write!(f, "unit {unit}"),
            Self::Group { path } => write!(f, "cgroup {path}"),
            Self::Process { pid, comm, of } if of.is_empty() => write!(f, "process {comm}[{pid}]"),
            Self::Process { pid, comm, of } => write!(f, "process {comm}[{pid}] of {of}"),
            Self::Others { count } => write!(f, "{count} others"),
            Self::Unattributed => f.write_str("unattributed"),
        }
    }
}

/// A share of a device's work in a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contributor {
    /// Who.
    pub who: Who,
    /// Of the device's bytes in the window, 0 to 1; all shares add up to 1.
    pub share_of_bytes: f64,
    /// Of the device's operations in the window, 0 to 1; none where operations are not counted (per process).
    pub share_of_operations: Option<f64>,
    /// Bytes per second read.
    pub read_bytes_per_s: f64,
    /// Bytes per second written.
    pub write_bytes_per_s: f64,
    /// Not counted on this device but divided among several by what each of them did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

/// What a detector or a rule sees in one turn, after its own hysteresis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// Of what: a device, a mount point, a controller, a unit, or `node`.
    pub subject: String,
    /// How bad now.
    pub severity: Severity,
    /// One sentence with this host's numbers.
    pub summary: String,
    /// What to do here, where it can be said more exactly than in the catalogue.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// The block device whose I/O is meant, for attribution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<super::watch::Dev>,
}

/// What another program says is wrong, and for how long that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Its own name for it.
    pub kind: Kind,
    /// Of what.
    pub subject: String,
    /// How bad.
    pub severity: Severity,
    /// One sentence.
    pub summary: String,
    /// How long it stands unless it is said again.
    pub ttl_ms: u64,
}

/// Where a problem was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A detector, from measured state.
    Detector,
    /// A rule, from the text of a log line.
    Rule,
    /// Another program, through the local API.
    Companion,
}

/// A finding that lasts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The newest finding; kind and subject are the problem's identity.
    #[serde(flatten)]
    pub finding: Finding,
    /// Who saw it.
    pub source: Source,
    /// When it began, on the clock that does not jump.
    #[serde(rename = "sinceMonoMs")]
    pub since: Mono,
    /// When it began, for people.
    #[serde(rename = "sinceWallMs")]
    pub since_wall: Wall,
    /// When it was last seen.
    #[serde(rename = "lastSeenMonoMs")]
    pub last_seen: Mono,
    /// In how many turns it was seen.
    pub samples: u64,
    /// Why it can no longer be judged; it then stands as it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// Who is behind it, the largest first.
    #[serde(default)]
    pub contributors: Vec<Contributor>,
}
