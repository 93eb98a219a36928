//! What a node has only so much of: tracked connections, task ids, open files, memory; its clock, its daemons and its image. They refuse to say what
//! is too much: detectors do.

use serde::{Deserialize, Serialize};

/// The table of tracked connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Conntrack {
    /// Entries now.
    pub count: u64,
    /// The most that the kernel keeps.
    pub max: u64,
    /// Packets dropped and connections thrown out because there was no room, since boot; read only while the table is at least half full.
    pub dropped: Option<u64>,
}

/// A cgroup with a limit of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupTasks {
    /// Its path.
    pub path: String,
    /// Tasks in it and beneath.
    pub tasks: u64,
    /// pids.max.
    pub max: u64,
}

/// Tasks (processes and threads) and how many there may be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tasks {
    /// All of the node, as /proc/loadavg counts them.
    pub tasks: u64,
    /// kernel.pid_max.
    pub pid_max: u64,
    /// kernel.threads-max.
    pub threads_max: u64,
    /// Cgroups that matter most and have a limit.
    pub groups: Vec<GroupTasks>,
}

/// The kernel's table of open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileTable {
    /// Open files of all processes.
    pub open: u64,
    /// fs.file-max.
    pub max: u64,
}

/// A daemon that the node needs, by its unit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Daemon {
    /// Such as `kubelet.service`.
    pub unit: String,
    /// Its main process.
    pub pid: u32,
    /// Which process of that id.
    pub start_ticks: u64,
    /// How many files it may open.
    pub files_max: u64,
    /// Its open files, or where that is far from the limit, the size of its table, which is never less.
    pub files: u64,
    /// Its executable was removed or replaced since it was started.
    pub outdated: bool,
}

/// What the kernel knows of its clock (adjtimex(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClockState {
    /// Somebody keeps it right.
    pub synchronized: bool,
    /// How wrong it may be, us; grows by 500 us a second while nobody corrects it, up to 16 s.
    pub max_error_us: u64,
    /// How wrong it is thought to be, us.
    pub estimated_error_us: u64,
}

/// Units of kubelet and of the container runtimes in their several forms, and the name of each one's main process.
pub const KUBE_UNITS: [(&str, &str); 9] = [
    ("kubelet.service", "kubelet"),
    ("containerd.service", "containerd"),
    ("crio.service", "crio"),
    ("docker.service", "dockerd"),
    ("k3s.service", "k3s-server"),
    ("k3s-agent.service", "k3s-agent"),
    ("rke2-server.service", "rke2"),
    ("rke2-agent.service", "rke2"),
    ("snap.kubelet-eks.daemon.service", "kubelet"),
];

/// A unit as systemd sees it, in systemd's words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnitState {
    /// Such as `kubelet.service`.
    pub unit: String,
    /// ActiveState: active, activating, failed.
    pub active: String,
    /// SubState: running, auto-restart.
    pub sub: String,
    /// How it ended last: success, exit-code, signal, oom-kill, watchdog, start-limit-hit.
    pub result: String,
    /// How often systemd has started it again by itself since somebody started it; managers before 235 do not count.
    pub restarts: Option<u64>,
    /// When its main process was started, us after boot; 0 where it never was.
    pub started_us: u64,
    /// The status that its main process exited with last, where it exited.
    pub exit_status: Option<u64>,
}

/// What the cloud's network interface counts of its allowances.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allowances {
    /// Such as `ens5`.
    pub interface: String,
    /// The driver's counters since it was loaded, by their own names, such as `bw_in_allowance_exceeded`.
    pub counters: std::collections::BTreeMap<String, u64>,
}

/// /proc/meminfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// MemTotal.
    pub total_bytes: u64,
    /// MemAvailable.
    pub available_bytes: u64,
}

/// What is installed, as files say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// os-release's PRETTY_NAME.
    pub os: String,
    /// os-release's SUPPORT_END; empty where there is none.
    pub support_end: String,
    /// When the image was made, as its stamp says; empty where there is none.
    pub built: String,
    /// The kernel that runs.
    pub running: String,
    /// Kernels that are installed; none where nothing lists them.
    pub kernels: Option<Vec<String>>,
    /// Packages that ask for a reboot, where any does.
    pub reboot_required: Option<Vec<String>>,
}
