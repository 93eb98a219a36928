//! The `[kubelet]` settings: where the configuration is placed and what else is written. It refuses unknown keys.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[kubelet]`: where the configuration is placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// How this image configures kubelet; found by itself where it is not named.
    pub layout: Option<Layout>,
    /// The directory of `--config-dir`, where kubelet's unit does not show it.
    pub drop_in: Option<PathBuf>,
    /// The number that the drop-in's name starts with; nodeadm's own is 40.
    pub drop_in_number: u8,
    /// What is done with a key that user data, another drop-in or a flag has set.
    pub on_existing: OnExisting,
    /// Hard eviction thresholds to write, by signal. Nothing is written where it is empty.
    pub eviction_hard: BTreeMap<String, String>,
    /// enforceNodeAllocatable to write. Enforcing kube-reserved with a formula's few millicores starves kubelet: see the README.
    pub enforce_node_allocatable: Vec<String>,
    /// kubeReservedCgroup to write.
    pub kube_reserved_cgroup: Option<String>,
    /// systemReservedCgroup to write.
    pub system_reserved_cgroup: Option<String>,
    /// Write systemd drop-ins that protect runtime.slice and system.slice.
    pub protect: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            layout: None,
            drop_in: None,
            drop_in_number: 50,
            on_existing: OnExisting::default(),
            eviction_hard: BTreeMap::new(),
            enforce_node_allocatable: Vec::new(),
            kube_reserved_cgroup: None,
            system_reserved_cgroup: None,
            protect: false,
        }
    }
}

/// What is done with another's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnExisting {
    /// It stays, and that is said.
    #[default]
    Keep,
    /// Ours replaces it, except where a flag holds it: flags win over all files.
    Override,
}

/// How an image configures kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// bootstrap.sh edits one JSON file late: merge into it.
    EksAl2,
    /// nodeadm writes the file: give it a NodeConfig fragment, or a drop-in where the directory is in use.
    EksAl2023,
    /// kubelet reads a directory of drop-ins.
    DropIn,
    /// kubeadm owns the file: a drop-in beside it.
    Kubeadm,
    /// A file of the caller's choice.
    StandAlone,
}

impl Layout {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::EksAl2, Self::EksAl2023, Self::DropIn, Self::Kubeadm, Self::StandAlone];

    /// The name in settings and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::EksAl2 => "eks-al2",
            Self::EksAl2023 => "eks-al2023",
            Self::DropIn => "drop-in",
            Self::Kubeadm => "kubeadm",
            Self::StandAlone => "stand-alone",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|layout| layout.name() == text)
            .ok_or_else(|| format!("there is no layout {text:?}; expected one of {}", names()))
    }
}
