//! What the CPU and memory managers wrote down in an earlier run. It refuses to guess which CPUs the static policy takes
//! for a mere number of them.

use super::Rule;
use super::case::{Case, Report};
use super::cpus::{reserved, reserved_cpus};
use crate::model::{CpuSet, Node, Resource, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "cpu-manager-state",
        severity: Weight::Fatal,
        meaning: "the CPU manager's state of an earlier run does not fit this configuration",
        look: cpu_manager,
    },
    Rule {
        code: "memory-manager-state",
        severity: Weight::Fatal,
        meaning: "the memory manager's state of an earlier run does not fit this configuration",
        look: memory_manager,
    },
];

const WAY_OUT: &str = "drain the node, stop kubelet, remove the state file, start kubelet";

fn cpu_manager(case: &Case<'_>, report: &mut Report<'_>) {
    let Some(state) = &case.ground.cpu_manager_state else { return };
    let policy = case.text("cpuManagerPolicy", "none");
    if policy != state.policy {
        let found = format!("policy {policy:?}, while {} was written by policy {:?}", state.file, state.policy);
        report.add("cpuManagerPolicy", found, "the policy of the state", WAY_OUT);
        return;
    }
    if policy != "static" {
        return;
    }
    let strict =
        case.effective.texts("cpuManagerPolicyOptions").get("strict-cpu-reservation").is_some_and(|v| v == "true");
    let default = &state.default_cpus;
    let path = "reservedSystemCPUs";
    match reserved_cpus(case) {
        Some(Ok(cpus)) if !strict && !cpus.is_subset(default) => {
            report.add(
                path,
                format!("{cpus}, while {} has {default} for shared use", state.file),
                "CPUs that no container has for itself",
                WAY_OUT,
            );
        }
        Some(Ok(cpus)) if strict && cpus.0.iter().any(|cpu| default.0.contains(cpu)) => {
            report.add(
                path,
                format!("{cpus}, some of which {} has for shared use ({default})", state.file),
                "CPUs that containers did not have",
                WAY_OUT,
            );
        }
        None if !strict => {
            let wanted = reserved(case, Resource::Cpu).map(|cpu| cpu.to_millis().div_ceil(1000));
            if wanted.is_some_and(|wanted| wanted > u64::from(default.len())) {
                report.add(
                    "kubeReserved.cpu",
                    format!("{} CPUs, while {} has {default} for shared use", wanted.unwrap_or_default(), state.file),
                    "no more than are shared",
                    WAY_OUT,
                );
            }
        }
        _ => {}
    }
    let known = CpuSet(default.0.union(&state.assigned_cpus.0).copied().collect());
    if let Some(online) =
        case.ground.online_cpus.as_ref().filter(|online| !strict && !default.is_empty() && **online != known)
    {
        report.add(
            "cpuManagerPolicy",
            format!("CPUs {known} in {}", state.file),
            format!("the online CPUs, {online}"),
            WAY_OUT,
        );
    }
}

fn memory_manager(case: &Case<'_>, report: &mut Report<'_>) {
    let Some(state) = &case.ground.memory_manager_state else { return };
    let policy = case.text("memoryManagerPolicy", "None");
    if policy != state.policy {
        let found = format!("policy {policy:?}, while {} was written by policy {:?}", state.file, state.policy);
        report.add("memoryManagerPolicy", found, "the policy of the state", WAY_OUT);
        return;
    }
    if policy != "Static" {
        return;
    }
    for (numa, before) in &state.system_reserved {
        let of_node = |entry: &&Node| entry.get("numaNode").and_then(Node::as_i64).unwrap_or(0) == i64::from(*numa);
        // The last entry of a node counts, as in kubelet.
        let entry = case.list("reservedMemory").iter().rfind(of_node);
        let quantity = entry.and_then(|entry| entry.get("limits")).and_then(|limits| limits.get("memory"));
        let bytes = match quantity {
            Some(Node::String(text)) => text.trim().parse::<crate::model::Quantity>().ok().map(|q| q.to_u64()),
            Some(Node::Number(number)) => number.as_u64(),
            _ => Some(0),
        };
        if bytes.is_some_and(|bytes| bytes != *before) {
            report.add(
                "reservedMemory",
                format!("{} bytes on NUMA node {numa}, while {} has {before}", bytes.unwrap_or_default(), state.file),
                "what the state says",
                WAY_OUT,
            );
        }
    }
}
