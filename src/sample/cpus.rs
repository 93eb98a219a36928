//! Online CPUs, as kubelet's cadvisor counts them: those of every NUMA node in sysfs that are online, or all online ones where sysfs has no nodes.
//! It refuses the caller's affinity and cgroup quota, which would give a unit with CPUAffinity= another number than kubelet.
//!
//! Source: cadvisor's `machine.GetTopology` and nodeadm's `GetMilliNumCores`.

use std::path::Path;

use super::text_file;
use crate::host::Host;
use crate::model::{CpuSet, Reading};

const ONLINE: &str = "/sys/devices/system/cpu/online";
const NODES: &str = "/sys/devices/system/node";

/// The online CPUs' numbers.
pub(super) fn online(host: &Host) -> Reading<CpuSet> {
    let online = text_file(host, ONLINE, str::parse::<CpuSet>);
    let Some(all) = online.value() else { return online };
    if all.is_empty() {
        return Reading::failed(format!("{ONLINE} names no CPU"));
    }
    let nodes = numa_nodes(host);
    let Some(node_numbers) = nodes.value() else { return online };
    let mut in_nodes = CpuSet::default();
    for node in &node_numbers.0 {
        match text_file(host, &format!("{NODES}/node{node}/cpulist"), str::parse::<CpuSet>) {
            Reading::Fresh { value, .. } => in_nodes.0.extend(value.0.intersection(&all.0)),
            Reading::Absent { .. } => {}
            Reading::Failed { why } => return Reading::failed(why),
        }
    }
    // Nodes without a list of CPUs (seen in some guests) say nothing about them.
    if in_nodes.is_empty() { online } else { Reading::fresh(in_nodes, format!("{NODES}/node*/cpulist")) }
}

/// The NUMA nodes' numbers.
pub(super) fn numa_nodes(host: &Host) -> Reading<CpuSet> {
    match host.list(Path::new(NODES)) {
        Ok(Some(entries)) => {
            let numbers = entries.iter().filter_map(|entry| entry.name.strip_prefix("node")?.parse().ok()).collect();
            Reading::fresh(CpuSet(numbers), NODES)
        }
        Ok(None) => Reading::absent(format!("there is no {NODES}")),
        Err(error) => Reading::failed(error.to_string()),
    }
}
