//! All facts about the machine in one go. It refuses the two slow ones (memory blocks, network) unless they are asked for.

use std::path::{Path, PathBuf};

use super::{cpus, dmi, filesystems, history, kubelet_version, limits, memory};
use crate::host::Host;
use crate::model::machine::Identity;
use crate::model::{KubeletVersion, Machine, Reading};

/// What the caller already knows or wants besides.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// kubelet's root directory.
    pub kubelet_root: PathBuf,
    /// Count the memory blocks, one read each.
    pub installed_memory: bool,
    /// Read what the daemon has seen the node use, by this state file of its.
    pub history: Option<PathBuf>,
    /// kubelet's version where it is given.
    pub kubelet_version: Option<(KubeletVersion, String)>,
    /// Instance type where it is given.
    pub instance_type: Option<(String, String)>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            kubelet_root: PathBuf::from("/var/lib/kubelet"),
            installed_memory: false,
            history: None,
            kubelet_version: None,
            instance_type: None,
        }
    }
}

/// What tells this machine from another, and no more.
pub fn identity(host: &Host) -> Identity {
    Identity {
        product_uuid: dmi::product_uuid(host).value().cloned().unwrap_or_default(),
        cores: cpus::online(host).value().map(|set| set.len()).unwrap_or_default(),
        memory_bytes: memory::total_and_swap(host).0.value().map(|bytes| bytes.0).unwrap_or_default(),
    }
}

/// Reads the machine.
pub fn read(host: &Host, wishes: &Wishes) -> Machine {
    let online_cpus = cpus::online(host);
    let (memory, swap) = memory::total_and_swap(host);
    Machine {
        cores: online_cpus.clone().map(|set| set.len()),
        online_cpus,
        memory,
        swap,
        installed_memory: match wishes.installed_memory {
            true => memory::installed(host),
            false => Reading::absent("not asked for: this profile does not use it"),
        },
        huge_pages: memory::huge_pages(host),
        numa_nodes: cpus::numa_nodes(host),
        cgroups: limits::cgroups(host),
        kernel: limits::kernel(host),
        pids: limits::pids(host),
        node_filesystem: filesystems::node(host, Path::new(&wishes.kubelet_root)),
        container_filesystem: filesystems::containers(host),
        instance_type: match &wishes.instance_type {
            Some((name, from)) => Reading::fresh(name.clone(), from),
            None => dmi::instance_type(host),
        },
        product_uuid: dmi::product_uuid(host),
        kubelet_version: match &wishes.kubelet_version {
            Some((version, from)) => Reading::fresh(*version, from),
            None => kubelet_version::read(host),
        },
        history: match &wishes.history {
            Some(state) => history::read(host, state, &identity(host)),
            None => Reading::absent("not asked for: this profile does not use it"),
        },
    }
}
