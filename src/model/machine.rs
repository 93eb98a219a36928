//! What a machine is, as far as reservations depend on it. It refuses to hold a guess: each fact is a [`Reading`] that says where it came from.

use serde::Serialize;

use super::usage::History;
use super::{Bytes, CpuSet, KubeletVersion, Reading};

/// kube-proxy, as it runs here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeProxy {
    /// `iptables`, `ipvs` or `nftables`.
    pub mode: String,
    /// Ports of services that it has rules for; none where they were not counted.
    pub service_ports: Option<u64>,
}

/// What takes places among the attachments of an EC2 machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attachments {
    /// EBS volumes, the root volume among them.
    pub volumes: usize,
    /// NVMe drives of the machine's own.
    pub drives: usize,
    /// Network interfaces (ENIs).
    pub interfaces: usize,
    /// GPUs and the like.
    pub accelerators: usize,
}

/// Huge pages of one size that are set aside; they cannot be used as ordinary memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HugePages {
    /// Size of one page.
    pub size_bytes: u64,
    /// How many there are.
    pub count: u64,
}

/// The cgroup hierarchy that is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cgroups {
    /// 1 or 2.
    pub version: u8,
    /// Controllers of the root cgroup; empty for version 1.
    pub controllers: Vec<String>,
}

/// A file system's size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Filesystem {
    /// The directory that was asked about.
    pub path: String,
    /// All of it, in bytes, as kubelet counts nodefs capacity.
    pub total_bytes: u64,
    /// What is free for root and others, in bytes.
    pub available_bytes: u64,
}

/// What tells one machine from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// DMI product UUID; empty where the firmware has none or it cannot be read.
    pub product_uuid: String,
    /// Online CPUs.
    pub cores: u32,
    /// MemTotal in bytes.
    pub memory_bytes: u64,
}

impl Identity {
    /// Whether both describe one machine. A new kernel may see a little more or less memory: up to a 64th counts as the same.
    /// A fact that could not be read (0) fits where both have the same UUID, and nowhere else.
    pub fn same_machine(&self, other: &Self) -> bool {
        let uuids = [&self.product_uuid, &other.product_uuid];
        let one_uuid = uuids[0] == uuids[1] && !uuids[0].is_empty();
        let fits = |fact: u64, theirs: u64, slack: u64| {
            if fact == 0 || theirs == 0 { one_uuid } else { fact.abs_diff(theirs) <= slack }
        };
        (one_uuid || uuids.iter().any(|uuid| uuid.is_empty()))
            && fits(u64::from(self.cores), u64::from(other.cores), 0)
            && fits(self.memory_bytes, other.memory_bytes, self.memory_bytes / 64)
    }
}

/// All facts about the machine, each with its origin.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Online CPUs as kubelet's cadvisor counts them.
    pub cores: Reading<u32>,
    /// The numbers of the online CPUs.
    #[serde(skip)]
    pub online_cpus: Reading<CpuSet>,
    /// MemTotal, which is kubelet's memory capacity.
    pub memory: Reading<Bytes>,
    /// Installed memory: online memory blocks times their size.
    pub installed_memory: Reading<Bytes>,
    /// Huge pages by size.
    pub huge_pages: Reading<Vec<HugePages>>,
    /// Total swap.
    pub swap: Reading<Bytes>,
    /// NUMA nodes.
    #[serde(skip)]
    pub numa_nodes: Reading<CpuSet>,
    /// cgroup version and controllers.
    pub cgroups: Reading<Cgroups>,
    /// Kernel release.
    pub kernel: Reading<String>,
    /// min(kernel.pid_max, kernel.threads-max): kubelet's pid capacity.
    pub pids: Reading<u64>,
    /// The file system of kubelet's root directory (nodefs).
    pub node_filesystem: Reading<Filesystem>,
    /// The file system of the container runtime's state.
    pub container_filesystem: Reading<Filesystem>,
    /// Cloud instance type, such as m5.xlarge.
    pub instance_type: Reading<String>,
    /// DMI product UUID, which tells a baked image from the machine that runs it.
    pub product_uuid: Reading<String>,
    /// kubelet's version.
    pub kubelet_version: Reading<KubeletVersion>,
    /// What the daemon has seen the system and the kube daemons use.
    #[serde(skip)]
    pub history: Reading<History>,
}

impl Machine {
    /// What a placed file is stamped with; a fact that could not be read counts as empty.
    pub fn identity(&self) -> Identity {
        Identity {
            product_uuid: self.product_uuid.value().cloned().unwrap_or_default(),
            cores: self.cores.value().copied().unwrap_or_default(),
            memory_bytes: self.memory.value().map(|b| b.0).unwrap_or_default(),
        }
    }
}
