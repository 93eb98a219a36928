//! Who does I/O: cgroups, processes, and tasks that wait.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::devices::Dev;
use crate::model::time::Mono;

/// Cumulative I/O.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IoCounters {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Read operations.
    pub reads: u64,
    /// Write operations.
    pub writes: u64,
}

/// `io.stat` of one cgroup that has no children with the controller: a leaf of the I/O tree.
/// An inner cgroup stands in as well, for what its own processes and gone children did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupIo {
    /// Path beneath the cgroup root, with a leading slash.
    pub path: String,
    /// By device; includes all cgroups beneath this one, as the kernel counts.
    pub by_device: Vec<(Dev, IoCounters)>,
}

/// `/proc/PID/io` of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessIo {
    /// Its id.
    pub pid: u32,
    /// Start time in ticks after boot: pid and start together name a process.
    pub start_ticks: u64,
    /// Its name.
    pub comm: String,
    /// Its cgroup, version 2 path or that of the systemd hierarchy; empty where unknown.
    pub cgroup: String,
    /// When its counters were read: on a large host not every process is read in every turn.
    pub taken: Mono,
    /// `read_bytes` of the storage layer.
    pub read_bytes: u64,
    /// `write_bytes` less `cancelled_write_bytes`.
    pub write_bytes: u64,
    /// Devices of the file systems that it has files open on, by fdinfo's mnt_id; filled in for the busiest processes only.
    pub devices: Vec<Dev>,
}

/// A task in uninterruptible sleep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockedTask {
    /// Thread id.
    pub tid: u32,
    /// Process id.
    pub pid: u32,
    /// Start time in ticks after boot.
    pub start_ticks: u64,
    /// Its name.
    pub comm: String,
    /// The kernel function that it waits in; empty or `0` where the kernel does not tell.
    pub wchan: String,
    /// Its cgroup path.
    pub cgroup: String,
    /// How often it was switched to or away from (`voluntary_ctxt_switches` and `nonvoluntary_ctxt_switches` of its status): the same number twice
    /// means that it has not run in between. None where the kernel does not tell.
    pub switches: Option<u64>,
}

/// A pod by its name: a directory of /var/log/pods, `NAMESPACE_NAME_UID`, or what the container runtime has of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub pod: String,
    /// UID as in the cgroup path (a static pod's is its configuration's hash).
    pub uid: String,
    /// Names of the containers' directories, none by the runtime alone; a single one names the container of any id.
    pub containers: Vec<String>,
    /// Names of containers by id, from the links in /var/log/containers and the runtime's list.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ids: BTreeMap<String, String>,
}
