//! The four resources that a kubelet can reserve, and lists of them. It refuses every other name, as kubelet does.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::quantity::{Bytes, Millicores, Quantity};

/// What `kubeReserved` and `systemReserved` may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// CPU time, in cores.
    Cpu,
    /// Memory, in bytes.
    Memory,
    /// The root (nodefs) file system, in bytes.
    EphemeralStorage,
    /// Process ids.
    Pid,
}

impl Resource {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::EphemeralStorage, Self::Pid];

    /// The name in kubelet's configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::EphemeralStorage => "ephemeral-storage",
            Self::Pid => "pid",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Resource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|r| r.name() == text)
            .ok_or_else(|| format!("{text:?} cannot be reserved; expected one of cpu, memory, ephemeral-storage, pid"))
    }
}

/// Quantities by resource.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resources(pub BTreeMap<Resource, Quantity>);

impl Resources {
    /// What kube-reserved formulas give: CPU, memory and, where the product sets it, ephemeral storage.
    pub fn of(cpu: Millicores, memory: Bytes, ephemeral_storage: Option<Bytes>) -> Self {
        let mut list =
            BTreeMap::from([(Resource::Cpu, Quantity::millicores(cpu)), (Resource::Memory, Quantity::bytes(memory))]);
        list.extend(ephemeral_storage.map(|bytes| (Resource::EphemeralStorage, Quantity::bytes(bytes))));
        Self(list)
    }

    /// What is reserved of it; zero where nothing is.
    pub fn get(&self, resource: Resource) -> Quantity {
        self.0.get(&resource).copied().unwrap_or(Quantity::ZERO)
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
