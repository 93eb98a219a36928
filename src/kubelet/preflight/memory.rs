//! Swap, memory QoS and the version of cgroups. It refuses to say whether swap is wise.

use super::Rule;
use super::case::{Case, Report, shown};
use crate::model::{Node, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "swap-behavior",
        severity: Weight::Fatal,
        meaning: "memorySwap.swapBehavior is not one that this kubelet knows, or its gate is off",
        look: swap_behavior,
    },
    Rule {
        code: "swap-needs-cgroup-v2",
        severity: Weight::Fatal,
        meaning: "LimitedSwap works with cgroup v2 only",
        look: swap_needs_cgroup_v2,
    },
    Rule { code: "swap-on", severity: Weight::Fatal, meaning: "swap is on and failSwapOn is not false", look: swap_on },
    Rule {
        code: "memory-qos",
        severity: Weight::Fatal,
        meaning: "a setting of memory QoS without the gate MemoryQoS",
        look: memory_qos,
    },
    Rule {
        code: "cgroup-v1",
        severity: Weight::Fatal,
        meaning: "the machine has cgroup v1, which this kubelet or this setting refuses",
        look: cgroup_v1,
    },
];

fn swap_behavior(case: &Case<'_>, report: &mut Report<'_>) {
    let path = "memorySwap.swapBehavior";
    let found = case.text(path, "");
    if found.is_empty() {
        return;
    }
    if !case.gate("NodeSwap") {
        report.add(path, found, "no setting while the gate NodeSwap is off", "remove it, or set the gate");
        return;
    }
    let known: [&str; 2] = if case.since(30) { ["NoSwap", "LimitedSwap"] } else { ["LimitedSwap", "UnlimitedSwap"] };
    if !known.contains(&found) {
        report.add(path, format!("{found:?}"), format!("\"\", {} or {}", known[0], known[1]), "write one of them");
    }
}

fn swap_needs_cgroup_v2(case: &Case<'_>, report: &mut Report<'_>) {
    let limited = case.text("memorySwap.swapBehavior", "") == "LimitedSwap" && case.gate("NodeSwap");
    if limited && case.since(28) && case.ground.cgroup_version == Some(1) {
        report.add(
            "memorySwap.swapBehavior",
            "LimitedSwap on cgroup v1",
            "cgroup v2",
            "remove it, or boot with cgroup v2",
        );
    }
}

fn swap_on(case: &Case<'_>, report: &mut Report<'_>) {
    if case.ground.swap_on == Some(true) && case.truth("failSwapOn", true) {
        report.add(
            "failSwapOn",
            "swap is on",
            "no swap, or failSwapOn: false",
            "switch swap off, or set failSwapOn: false and memorySwap",
        );
    }
}

fn memory_qos(case: &Case<'_>, report: &mut Report<'_>) {
    if case.gate("MemoryQoS") {
        return;
    }
    let path = "memoryReservationPolicy";
    if case.since(36) && case.text(path, "None") == "TieredReservation" {
        report.add(path, "TieredReservation, while the gate MemoryQoS is off", "None", "set the gate, or remove it");
    }
    let path = "memoryThrottlingFactor";
    if let Some(Node::Number(number)) = case.node(path).filter(|_| case.since(37))
        && number.as_f64() != Some(0.9)
    {
        report.add(
            path,
            shown(&Node::Number(number.clone())),
            "no setting while the gate MemoryQoS is off",
            "set the gate, or remove it",
        );
    }
}

fn cgroup_v1(case: &Case<'_>, report: &mut Report<'_>) {
    if case.ground.cgroup_version != Some(1) {
        return;
    }
    if case.since(31) && case.truth("failCgroupV1", case.since(35)) {
        report.add(
            "failCgroupV1",
            "a machine with cgroup v1",
            "cgroup v2, or failCgroupV1: false",
            "boot with cgroup v2, or set failCgroupV1: false",
        );
    }
    if case.since(32) && !case.truth("singleProcessOOMKill", true) {
        report.add("singleProcessOOMKill", "false on cgroup v1", "true on cgroup v1", "remove it");
    }
}
