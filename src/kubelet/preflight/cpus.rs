//! Reserved CPUs and the CPU and topology managers. It refuses to judge where a policy takes its CPUs from.

use std::collections::BTreeMap;

use super::Rule;
use super::case::{Case, Report};
use crate::model::{CpuSet, Quantity, Resource, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "reserved-cpus-format",
        severity: Weight::Fatal,
        meaning: "reservedSystemCPUs is no list of CPU numbers",
        look: reserved_cpus_format,
    },
    Rule {
        code: "reserved-cpus-and-cgroup",
        severity: Weight::Fatal,
        meaning: "reservedSystemCPUs cannot stand beside kubeReservedCgroup or systemReservedCgroup, enforced or not",
        look: reserved_cpus_and_cgroup,
    },
    Rule {
        code: "reserved-cpus-offline",
        severity: Weight::Fatal,
        meaning: "reservedSystemCPUs names CPUs that are not online",
        look: reserved_cpus_offline,
    },
    Rule {
        code: "static-cpu-needs-reserve",
        severity: Weight::Fatal,
        meaning: "the static CPU manager needs a CPU reservation above zero",
        look: static_cpu_needs_reserve,
    },
    Rule {
        code: "cpu-manager-option",
        severity: Weight::Fatal,
        meaning: "an option of the CPU manager is unknown, not enabled, unreadable, or clashes with another",
        look: cpu_manager_option,
    },
    Rule {
        code: "topology-manager-option",
        severity: Weight::Fatal,
        meaning: "an option of the topology manager is unknown, not enabled, or unreadable",
        look: topology_manager_option,
    },
];

const RESERVED: &str = "reservedSystemCPUs";

/// The reserved CPUs as kubelet reads them: no blanks anywhere.
pub(super) fn reserved_cpus(case: &Case<'_>) -> Option<Result<CpuSet, String>> {
    let text = case.node(RESERVED)?.as_str().filter(|text| !text.is_empty())?;
    if text.trim() != text {
        return Some(Err(format!("{text:?} has blanks around it")));
    }
    Some(text.parse())
}

fn reserved_cpus_format(case: &Case<'_>, report: &mut Report<'_>) {
    if let Some(Err(why)) = reserved_cpus(case) {
        report.add(RESERVED, why, "CPU numbers and ranges such as 0-3,8", "correct the list");
    }
}

fn reserved_cpus_and_cgroup(case: &Case<'_>, report: &mut Report<'_>) {
    for field in ["kubeReservedCgroup", "systemReservedCgroup"] {
        if reserved_cpus(case).is_some() && !case.text(field, "").is_empty() {
            let origin = case.effective.origin(field);
            report.add(
                RESERVED,
                format!("{RESERVED} beside {field} of {origin}"),
                "one of the two",
                format!("set {field} to \"\" or remove {RESERVED}"),
            );
        }
    }
}

fn reserved_cpus_offline(case: &Case<'_>, report: &mut Report<'_>) {
    if let (Some(Ok(cpus)), Some(online)) = (reserved_cpus(case), &case.ground.online_cpus)
        && !cpus.is_subset(online)
    {
        report.add(RESERVED, cpus, format!("some of the online CPUs, {online}"), "name online CPUs only");
    }
}

/// kube and system reservation of a resource together; with reserved CPUs their number is the CPU reservation.
pub(super) fn reserved(case: &Case<'_>, resource: Resource) -> Option<Quantity> {
    if let (Resource::Cpu, Some(Ok(cpus))) = (resource, reserved_cpus(case))
        && !cpus.is_empty()
    {
        return Some(Quantity::count(cpus.len().into()));
    }
    let of = |field| case.effective.resources(field).ok().map(|list| list.get(resource));
    Some(of("kubeReserved")?.plus(of("systemReserved")?))
}

fn static_cpu_needs_reserve(case: &Case<'_>, report: &mut Report<'_>) {
    if case.text("cpuManagerPolicy", "none") == "static"
        && reserved(case, Resource::Cpu).is_some_and(|cpu| cpu.is_zero())
    {
        report.add(
            "cpuManagerPolicy",
            "static, with no CPU reserved",
            "kubeReserved.cpu, systemReserved.cpu or reservedSystemCPUs above zero",
            "reserve CPU; each begun core is kept from exclusive use",
        );
    }
}

/// An option's stage in a version: alpha and beta ones need a gate of their own.
fn stage(option: &str, minor: u16) -> Option<&'static str> {
    let stages: &[(u16, &str)] = match option {
        "full-pcpus-only" => &[(28, "Beta"), (33, "stable")],
        "distribute-cpus-across-numa" => &[(28, "Alpha"), (33, "Beta")],
        "align-by-socket" => &[(28, "Alpha")],
        "distribute-cpus-across-cores" => &[(31, "Alpha")],
        "strict-cpu-reservation" => &[(32, "Alpha"), (33, "Beta"), (35, "stable")],
        "prefer-align-cpus-by-uncorecache" => &[(32, "Alpha"), (34, "Beta"), (36, "stable")],
        "prefer-closest-numa-nodes" => &[(28, "Beta"), (32, "stable")],
        "max-allowable-numa-nodes" => &[(31, "Beta"), (35, "stable")],
        _ => &[],
    };
    stages.iter().rev().find(|(since, _)| *since <= minor).map(|(_, stage)| *stage)
}

const CPU_OPTIONS: [&str; 6] = [
    "full-pcpus-only",
    "distribute-cpus-across-numa",
    "align-by-socket",
    "distribute-cpus-across-cores",
    "strict-cpu-reservation",
    "prefer-align-cpus-by-uncorecache",
];

const TOPOLOGY_OPTIONS: [&str; 2] = ["prefer-closest-numa-nodes", "max-allowable-numa-nodes"];

/// What is wrong with one option's name in this version.
fn option_fault(case: &Case<'_>, manager: &str, known: &[&str], option: &str) -> Option<String> {
    let stage = known.contains(&option).then(|| stage(option, case.version.minor)).flatten();
    match stage {
        None => Some(format!(
            "one of {}",
            known
                .iter()
                .filter(|o| self::stage(o, case.version.minor).is_some())
                .copied()
                .collect::<Vec<_>>()
                .join(", ")
        )),
        Some("stable") => None,
        Some(stage) => {
            let gate = format!("{manager}Policy{stage}Options");
            (!case.gate(&gate)).then(|| format!("the gate {gate} beside it"))
        }
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn cpu_manager_option(case: &Case<'_>, report: &mut Report<'_>) {
    let field = "cpuManagerPolicyOptions";
    let options = case.effective.texts(field);
    if options.is_empty() {
        return;
    }
    if case.gate_row("CPUManagerPolicyOptions").is_some() && !case.gate("CPUManagerPolicyOptions") {
        report.add(
            field,
            "options, while the gate CPUManagerPolicyOptions is off",
            "no options",
            "remove them, or the gate",
        );
        return;
    }
    if case.text("cpuManagerPolicy", "none") == "none" {
        report.add(
            field,
            "options for the policy none",
            "no options, or cpuManagerPolicy: static",
            "remove them, or set the policy",
        );
        return;
    }
    for (name, value) in &options {
        let path = format!("{field}.{name}");
        if let Some(expected) = option_fault(case, "CPUManager", &CPU_OPTIONS, name) {
            report.add(&path, name, expected, "remove it, or set the gate");
        } else if truth(value).is_none() {
            report.add(&path, format!("{value:?}"), "\"true\" or \"false\"", "write one of them");
        }
    }
    let on = |name: &str| options.get(name).and_then(|value| truth(value)) == Some(true);
    for (a, b, since) in [
        ("full-pcpus-only", "distribute-cpus-across-cores", 31),
        ("distribute-cpus-across-numa", "distribute-cpus-across-cores", 31),
        ("prefer-align-cpus-by-uncorecache", "distribute-cpus-across-cores", 32),
        ("prefer-align-cpus-by-uncorecache", "distribute-cpus-across-numa", 32),
    ] {
        if on(a) && on(b) && case.since(since) {
            report.add(field, format!("{a} and {b}"), "one of the two", "switch one of them off");
        }
    }
    if on("align-by-socket") && case.text("topologyManagerPolicy", "none") == "single-numa-node" {
        report.add(
            field,
            "align-by-socket with topologyManagerPolicy single-numa-node",
            "one of the two",
            "change one of them",
        );
    }
}

fn topology_manager_option(case: &Case<'_>, report: &mut Report<'_>) {
    let field = "topologyManagerPolicyOptions";
    let options: BTreeMap<String, String> = case.effective.texts(field);
    // The policy none does not look at them.
    if options.is_empty() || case.text("topologyManagerPolicy", "none") == "none" {
        return;
    }
    for (name, value) in &options {
        let path = format!("{field}.{name}");
        if let Some(expected) = option_fault(case, "TopologyManager", &TOPOLOGY_OPTIONS, name) {
            report.add(&path, name, expected, "remove it, or set the gate");
        } else if name == "max-allowable-numa-nodes" {
            if !value.parse::<i64>().is_ok_and(|n| n >= 8) {
                report.add(&path, format!("{value:?}"), "a number from 8 up", "write such a number");
            }
        } else if truth(value).is_none() {
            report.add(&path, format!("{value:?}"), "\"true\" or \"false\"", "write one of them");
        }
    }
}
