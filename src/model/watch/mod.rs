//! What one turn sees: plain values, one file per subject. They refuse to hold a rate: rates are made from two of them, in `detect`.

mod devices;
mod groups;
mod journal;
mod kernel_log;
mod logging;
mod mounts;
mod node;
mod nvme;
mod outside;
mod resources;

use serde::{Deserialize, Serialize};

pub use devices::{BlockDevice, Dev, DiskCounters, Layer};
pub use groups::{BlockedTask, GroupIo, IoCounters, PodName, ProcessIo};
pub use journal::{Journal, JournalFile, JournalNotices, Newest};
pub use kernel_log::{KernelLog, Record};
pub use logging::{JOURNALD, JournalSetup, LogFile, LogReader, LogWriter, Logging, SYSLOG_UNITS, SyslogDaemon};
pub use mounts::{Answer, ExtErrors, Mount, Place, Space};
pub use node::{CpuTimes, NodePressure, Pressure, Stall, Thresholds};
pub use nvme::{Bin, EbsPage, Histogram, NvmeController, NvmeModel, Smart};
pub use outside::{GroupUse, Offer, OutsidePods, Part, Reserved};
pub use resources::{
    Allowances, ClockState, Conntrack, Daemon, FileTable, GroupTasks, Image, KUBE_UNITS, Memory, Tasks, UnitState,
};

use super::Reading;
use super::time::Mono;

/// A reading and when it was taken. A source that is not due keeps its last one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sampled<T> {
    /// When.
    pub taken: Mono,
    /// What came of it.
    pub reading: Reading<T>,
}

impl<T> Default for Sampled<T> {
    fn default() -> Self {
        Self { taken: Mono(0), reading: Reading::absent("not looked at yet") }
    }
}

impl<T> Sampled<T> {
    /// A reading taken now.
    pub fn at(taken: Mono, reading: Reading<T>) -> Self {
        Self { taken, reading }
    }

    /// The value, if there is one.
    pub fn value(&self) -> Option<&T> {
        self.reading.value()
    }
}

/// What the next samples should hold besides the cheap ones: asked for by a turn, because it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wants {
    /// io.stat of all cgroups, and where they do not count I/O, /proc/PID/io of all processes.
    pub contributors: bool,
    /// Tasks in uninterruptible sleep.
    pub blocked_tasks: bool,
}

/// Everything that one turn may look at.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Samples {
    /// /proc/diskstats.
    pub counters: Sampled<Vec<DiskCounters>>,
    /// The tree of /sys/block.
    pub devices: Sampled<Vec<BlockDevice>>,
    /// /proc/pressure.
    pub pressure: Sampled<NodePressure>,
    /// /proc/stat.
    pub cpu: Sampled<CpuTimes>,
    /// /proc/self/mountinfo.
    pub mounts: Sampled<Vec<Mount>>,
    /// /sys/fs/ext4.
    pub ext: Sampled<Vec<ExtErrors>>,
    /// What the probes answered about mount points and directories.
    pub places: Sampled<Vec<Place>>,
    /// kubelet's hard eviction thresholds and reservations, as it will use them.
    pub thresholds: Sampled<Thresholds>,
    /// NVMe controllers: state, log pages.
    pub nvme: Sampled<Vec<NvmeController>>,
    /// io.stat of cgroups.
    pub groups: Sampled<Vec<GroupIo>>,
    /// /proc/PID/io.
    pub processes: Sampled<Vec<ProcessIo>>,
    /// Tasks in uninterruptible sleep.
    pub tasks: Sampled<Vec<BlockedTask>>,
    /// Pods by the names of their log directories, and by the container runtime's list.
    pub names: Sampled<Vec<PodName>>,
    /// /proc/sys/net/netfilter.
    pub conntrack: Sampled<Conntrack>,
    /// Tasks and their limits.
    pub task_room: Sampled<Tasks>,
    /// /proc/sys/fs/file-nr.
    pub files: Sampled<FileTable>,
    /// Daemons that the node needs.
    pub daemons: Sampled<Vec<Daemon>>,
    /// What the cloud's network interfaces count of their allowances.
    pub allowances: Sampled<Vec<Allowances>>,
    /// Units that the node cannot do without.
    pub units: Sampled<Vec<UnitState>>,
    /// What the Node offers to pods, where there is an API server that shows it.
    pub offer: Sampled<Offer>,
    /// What is used outside of pods.
    pub outside_pods: Sampled<OutsidePods>,
    /// The kernel's clock.
    pub clock: Sampled<ClockState>,
    /// /proc/meminfo, while somebody waits for memory.
    pub memory: Sampled<Memory>,
    /// The cloud's name for this kind of machine.
    pub instance_type: Sampled<String>,
    /// What is installed.
    pub image: Sampled<Image>,
    /// Syslog daemons, journald's settings, and who reads their files.
    pub logging: Sampled<Logging>,
    /// Counts of the journal's own index, and the room that it takes.
    pub journal: Sampled<Journal>,
    /// /proc/PID/io of journald and of syslog daemons.
    pub log_writers: Sampled<Vec<LogWriter>>,
    /// New kernel log records since the last turn.
    pub kernel_log: KernelLog,
}
