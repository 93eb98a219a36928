//! Numbers of the node as a whole: pressure, CPU time, kubelet's thresholds and reservations.

use serde::{Deserialize, Serialize};

use super::outside::Reserved;
use crate::model::Reading;

/// Totals of one pressure line, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stall {
    /// Some task waited.
    pub some_us: u64,
    /// All tasks waited.
    pub full_us: u64,
}

/// `/proc/pressure`; a resource that the kernel does not tell about is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pressure {
    /// Waiting for I/O.
    pub io: Option<Stall>,
    /// Waiting for memory.
    pub memory: Option<Stall>,
    /// Waiting for a CPU.
    pub cpu: Option<Stall>,
}

/// Pressure of the node and of the cgroups that matter most.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePressure {
    /// The node's.
    pub node: Pressure,
    /// By cgroup path: kubelet, the runtime, journald, kubepods, where they exist.
    pub groups: Vec<(String, Pressure)>,
}

/// The first line of /proc/stat, in ticks, and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CpuTimes {
    /// All ticks of all CPUs.
    pub total: u64,
    /// Idle.
    pub idle: u64,
    /// Idle while somebody waited for I/O.
    pub iowait: u64,
    /// Taken by the hypervisor.
    pub steal: u64,
    /// How many CPUs.
    pub cpus: u32,
}

/// kubelet's hard eviction thresholds for a file system, each in bytes or inodes of that file system, or a percentage; and what it reserves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Thresholds {
    /// Signal (`nodefs.available`, `nodefs.inodesFree`, `imagefs.available`, `imagefs.inodesFree`) to kubelet's text, such as `10%` or `1Gi`.
    pub hard: std::collections::BTreeMap<String, String>,
    /// The same for memory (`memory.available`).
    #[serde(default)]
    pub memory: Option<String>,
    /// Whether whole CPUs are set aside (reservedSystemCPUs), in place of what is reserved of CPU time.
    #[serde(default)]
    pub whole_cpus: bool,
    /// What it keeps for the system and for itself; failed where it would refuse what is written there.
    pub reserved: Reading<Reserved>,
    /// Where the thresholds are from, for a person.
    pub from: String,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            hard: std::collections::BTreeMap::new(),
            memory: None,
            whole_cpus: false,
            reserved: Reading::absent("not looked at yet"),
            from: String::new(),
        }
    }
}
