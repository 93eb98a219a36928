//! From a machine's numbers to reservations: pure arithmetic, one profile a file, one list. Whole numbers only.
//! It refuses to look at the machine: values in, values out.
#![forbid(unsafe_code)]

mod aks;
mod aks_legacy;
mod bottlerocket;
mod brackets;
mod custom;
mod eks;
mod given;
mod gke;
pub mod max_pods;
pub mod measured;
mod openshift;
mod plan;
mod rules;

pub use custom::Formula;
pub use plan::{Capacity, Excess, Kept, Plan, plan};
pub use rules::{Amount, OnExcess, Percent, PodsFrom, Rules};

use crate::model::{Bytes, Resources};

/// What a formula may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// Online CPUs.
    pub cores: u32,
    /// MemTotal, which is kubelet's memory capacity.
    pub memory: Bytes,
    /// The size on the label; where it is unknown, the formulas that want it take MemTotal.
    pub installed_memory: Option<Bytes>,
    /// Pods that the node may hold.
    pub max_pods: u32,
    /// All of kubelet's file system, where it is known.
    pub node_filesystem: Option<Bytes>,
    /// What this node's own history says, where it is long enough.
    pub measured: Option<measured::Estimate>,
}

impl Input {
    /// The size on the label, or MemTotal where it is unknown.
    pub fn label_memory(&self) -> Bytes {
        self.installed_memory.unwrap_or(self.memory)
    }
}

/// What a profile's formula says, before overrides and ceilings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reserved {
    /// For kubelet and the container runtime.
    pub kube: Resources,
    /// For the rest of the system.
    pub system: Resources,
    /// The hard eviction thresholds that the product sets, by signal; empty where it leaves kubelet's own.
    pub eviction_hard: Vec<(&'static str, &'static str)>,
}

/// A way to compute reservations.
pub trait Profile: Sync {
    /// The name in settings and on the command line.
    fn name(&self) -> &'static str;
    /// One line for help, docs and `check`: the rule and what it looks at.
    fn summary(&self) -> &'static str;
    /// Whether the formula takes the size on the label instead of MemTotal.
    fn wants_installed_memory(&self) -> bool {
        false
    }
    /// Whether the formula rests on this node's own history.
    fn wants_history(&self) -> bool {
        false
    }
    /// Whether the number of pods is counted as nodeadm and Karpenter do, whatever kubelet's real maxPods is.
    fn counts_pods_as_nodeadm(&self) -> bool {
        false
    }
    /// The formula. `rules` matter to `custom` and `static` only. The error is a sentence naming the settings key.
    fn reserve(&self, input: &Input, rules: &Rules) -> Result<Reserved, String>;
}

/// The one list from which help, docs and `check` derive.
pub const ALL: [&dyn Profile; 9] = [
    &eks::Eks,
    &bottlerocket::Bottlerocket,
    &gke::Gke,
    &aks::Aks,
    &aks_legacy::AksLegacy,
    &openshift::OpenShift,
    &measured::Measured,
    &custom::Custom,
    &given::Given,
];

/// The default profile's name.
pub const DEFAULT: &str = "eks";

/// The profile of that name.
pub fn profile(name: &str) -> Result<&'static dyn Profile, String> {
    ALL.into_iter().find(|profile| profile.name() == name).ok_or_else(|| {
        let names: Vec<_> = ALL.iter().map(|profile| profile.name()).collect();
        format!("there is no profile {name:?}; expected one of {}", names.join(", "))
    })
}
