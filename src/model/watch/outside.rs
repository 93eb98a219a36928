//! What the node itself uses, outside of pods: cgroups of the system and of the kube daemons, and what kubelet keeps for them. They refuse to say what
//! is too much: detectors do.

use serde::{Deserialize, Serialize};

use crate::model::Resources;

/// One cgroup with all beneath it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupUse {
    /// Its path in the hierarchy.
    pub path: String,
    /// Memory that the kernel cannot take back without swapping: without page cache, and without slab that is a cache.
    pub held_bytes: u64,
    /// Memory as kubelet counts it: all but page cache that was not used again.
    pub working_set_bytes: u64,
}

/// What a part of the node uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// As in [`GroupUse`].
    pub held_bytes: u64,
    /// CPU time since boot, where it is counted.
    pub cpu_us: Option<u64>,
    /// Processes and threads, where they are counted.
    pub tasks: Option<u64>,
    /// The kernel's high-water mark of memory, page cache and all, where it keeps one.
    pub peak_bytes: Option<u64>,
}

/// Everything on the node that is no pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutsidePods {
    /// kubelet and the container runtime.
    pub kube: Part,
    /// All the rest of it.
    pub system: Part,
    /// Pods that have a cgroup...
    pub pods: u32,
    /// ...and their containers, those that only hold a pod together as well.
    pub containers: u32,
    /// The topmost cgroups but those of pods; together they are all of it.
    pub groups: Vec<GroupUse>,
    /// The largest cgroups directly beneath them, the largest first; read only where the sum is near to what is reserved.
    pub largest: Vec<GroupUse>,
}

impl OutsidePods {
    /// The sum of what is held.
    pub fn held_bytes(&self) -> u64 {
        self.groups.iter().fold(0, |sum, group| sum.saturating_add(group.held_bytes))
    }
}

/// What the Node says that pods may use, and of what: quantities by resource, as the API server has them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// What kubelet counts as the machine.
    pub capacity: std::collections::BTreeMap<String, String>,
    /// What it leaves to pods.
    pub allocatable: std::collections::BTreeMap<String, String>,
}

/// What kubelet keeps from pods, as it will read it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reserved {
    /// kubeReserved.
    pub kube: Resources,
    /// systemReserved.
    pub system: Resources,
}

impl Reserved {
    /// Memory in both.
    pub fn memory_bytes(&self) -> u64 {
        use crate::model::Resource::Memory;
        self.kube.get(Memory).to_u64().saturating_add(self.system.get(Memory).to_u64())
    }
}
