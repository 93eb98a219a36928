//! What works but is regretted later, and what could not be looked at. It refuses to be more than advice, except where
//! kubelet silently does something else than the file says.

use super::Rule;
use super::case::{Case, Report};
use super::enforcement::enforced;
use crate::kubelet::config::Origin;
use crate::model::{KubeletVersion, Node, Quantity, Resource, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "eviction-defaults-dropped",
        severity: Weight::Advice,
        meaning: "evictionHard in the main file names some signals, so kubelet's defaults for the others are off",
        look: eviction_defaults_dropped,
    },
    Rule {
        code: "merge-eviction-too-late",
        severity: Weight::Warning,
        meaning: "mergeDefaultEvictionSettings works in the main file only",
        look: merge_too_late,
    },
    Rule {
        code: "unsafe-sysctls",
        severity: Weight::Advice,
        meaning: "allowedUnsafeSysctls lets any pod change kernel settings that other pods may feel",
        look: unsafe_sysctls,
    },
    Rule {
        code: "anonymous-auth",
        severity: Weight::Advice,
        meaning: "anonymous requests reach kubelet's API",
        look: anonymous_auth,
    },
    Rule {
        code: "always-allow",
        severity: Weight::Advice,
        meaning: "kubelet's API allows everything to everyone who is let in",
        look: always_allow,
    },
    Rule {
        code: "read-only-port",
        severity: Weight::Advice,
        meaning: "the read-only port serves pod specs to everyone without authentication",
        look: read_only_port,
    },
    Rule {
        code: "no-pod-pids-limit",
        severity: Weight::Advice,
        meaning: "one pod can use up all process ids of the node",
        look: no_pod_pids_limit,
    },
    Rule {
        code: "log-size-unlimited",
        severity: Weight::Advice,
        meaning: "container logs are never rotated and can fill the disk",
        look: log_size_unlimited,
    },
    Rule {
        code: "enforced-cpu-weight",
        severity: Weight::Advice,
        meaning: "enforcing a small CPU reservation gives its cgroup a weight far below that of others",
        look: enforced_cpu_weight,
    },
    Rule {
        code: "unchecked",
        severity: Weight::Advice,
        meaning: "a fact about the machine is not known, so some rules could not look",
        look: unchecked,
    },
];

fn eviction_defaults_dropped(case: &Case<'_>, report: &mut Report<'_>) {
    const DEFAULTS: [&str; 4] = ["memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available"];
    let Some(main) =
        case.config.main.as_ref().filter(|main| main.node.get("evictionHard").is_some_and(|n| *n != Node::Null))
    else {
        return;
    };
    let set = case.effective.texts("evictionHard");
    let off: Vec<&str> = DEFAULTS.into_iter().filter(|signal| !set.contains_key(*signal)).collect();
    if !off.is_empty() {
        let merge = if case.since(33) { "mergeDefaultEvictionSettings: true, or all signals" } else { "all signals" };
        report.in_file(
            &main.path,
            "evictionHard",
            format!("no {}", off.join(", ")),
            format!("{merge}; what is not named is off, and a full disk then stops the node"),
            "name the signals that are missing",
        );
    }
}

fn merge_too_late(case: &Case<'_>, report: &mut Report<'_>) {
    for (file, main) in case.files() {
        if !main && file.node.get("mergeDefaultEvictionSettings").and_then(Node::as_bool) == Some(true) {
            report.in_file(
                &file.path,
                "mergeDefaultEvictionSettings",
                "true in a drop-in, which comes too late",
                "true in the main file",
                "move it there",
            );
        }
    }
}

fn unsafe_sysctls(case: &Case<'_>, report: &mut Report<'_>) {
    let names: Vec<&str> = case.list("allowedUnsafeSysctls").iter().filter_map(Node::as_str).collect();
    if !names.is_empty() {
        report.add(
            "allowedUnsafeSysctls",
            names.join(", "),
            "an empty list, unless a workload here needs them",
            "remove what no workload needs",
        );
    }
}

/// Without a main file kubelet keeps its old, open defaults.
fn open_default(case: &Case<'_>) -> bool {
    case.config.main.is_none() && case.config.drop_ins.is_empty()
}

fn anonymous_auth(case: &Case<'_>, report: &mut Report<'_>) {
    let path = "authentication.anonymous.enabled";
    if case.truth(path, open_default(case)) {
        report.add(path, "true", "false: whoever reaches the port can ask as system:anonymous", "set it to false");
    }
}

fn always_allow(case: &Case<'_>, report: &mut Report<'_>) {
    let path = "authorization.mode";
    if case.text(path, if open_default(case) { "AlwaysAllow" } else { "Webhook" }) == "AlwaysAllow" {
        report.add(
            path,
            "AlwaysAllow",
            "Webhook: the API server decides who may run commands in pods",
            "set it to Webhook",
        );
    }
}

fn read_only_port(case: &Case<'_>, report: &mut Report<'_>) {
    let port = case.int("readOnlyPort").unwrap_or(if open_default(case) { 10255 } else { 0 });
    if port != 0 {
        report.add(
            "readOnlyPort",
            port,
            "0: it shows pod specs, with their environment, without authentication",
            "remove it",
        );
    }
}

fn no_pod_pids_limit(case: &Case<'_>, report: &mut Report<'_>) {
    if case.int("podPidsLimit").is_none_or(|limit| limit < 0) {
        let found = case.int("podPidsLimit").map_or("nothing".to_owned(), |limit| limit.to_string());
        report.add(
            "podPidsLimit",
            found,
            "a limit such as 4096: a fork bomb in one pod stops the whole node",
            "set podPidsLimit",
        );
    }
}

fn log_size_unlimited(case: &Case<'_>, report: &mut Report<'_>) {
    let path = "containerLogMaxSize";
    if case.text(path, "10Mi").parse::<Quantity>().is_ok_and(Quantity::is_negative) {
        report.add(
            path,
            case.text(path, ""),
            "a positive size such as 10Mi: without rotation logs fill the disk",
            "set a size",
        );
    }
}

fn enforced_cpu_weight(case: &Case<'_>, report: &mut Report<'_>) {
    for (side, field) in [("kube-reserved", "kubeReserved"), ("system-reserved", "systemReserved")] {
        let asked = enforced(case).into_iter().any(|value| value.trim_end_matches("-compressible") == side);
        let Some(cpu) = case.effective.resources(field).ok().map(|list| list.get(Resource::Cpu)).filter(|_| asked)
        else {
            continue;
        };
        // kubelet's own line from shares to weight; an unmanaged slice has 100, which 2.6 cores come to.
        let shares = (cpu.to_millis() * 1024 / 1000).max(2);
        let weight = 1 + (shares - 2) * 9999 / 262_142;
        if !cpu.is_zero() && weight < 100 {
            report.add(
                &format!("{field}.cpu"),
                format!("{cpu}, which becomes the CPU weight {weight}"),
                "more than 100, the weight of a slice that nobody manages",
                format!("do not enforce {side}, or reserve CPU for the weight that is meant"),
            );
        }
    }
}

fn unchecked(case: &Case<'_>, report: &mut Report<'_>) {
    let ground = case.ground;
    let mut unknown = |what: &str, why: &str| {
        report.in_file(
            "this machine",
            "",
            format!("{what} is not known"),
            why,
            "name it, or run this on the node itself",
        );
    };
    match ground.version {
        None => {
            unknown("kubelet's version", "a version; without it only what every kubelet from 1.28 refuses is fatal")
        }
        Some(version) if version != version.clamped() => {
            let near = version.clamped();
            unknown(
                &format!("what kubelet {version} changed"),
                &format!("a version from {} to {}; {near} is taken", KubeletVersion::OLDEST, KubeletVersion::NEWEST),
            );
        }
        Some(_) => {}
    }
    let reserves = |resource| super::cpus::reserved(case, resource).is_some_and(|quantity| !quantity.is_zero());
    for (resource, known) in [
        (Resource::Cpu, ground.cores.is_some()),
        (Resource::Memory, ground.memory.is_some()),
        (Resource::EphemeralStorage, ground.ephemeral_storage.is_some()),
    ] {
        if !known && reserves(resource) {
            unknown(&format!("the capacity of {resource}"), "it; reservations over it stop kubelet");
        }
    }
    if ground.online_cpus.is_none() && super::cpus::reserved_cpus(case).is_some() {
        unknown("which CPUs are online", "them; reservedSystemCPUs must be among them");
    }
    if ground.numa_nodes.is_none() && !case.list("reservedMemory").is_empty() {
        unknown("which NUMA nodes there are", "them; reservedMemory must name existing ones");
    }
    for field in ["kubeReservedCgroup", "systemReservedCgroup"] {
        let side = if field.starts_with("kube") { "kube-reserved" } else { "system-reserved" };
        let asked = enforced(case).into_iter().any(|value| value.trim_end_matches("-compressible") == side);
        let looked = super::cgroups_to_look_at(case.config).iter().all(|path| ground.cgroups.contains_key(path));
        if asked && !looked && case.effective.origin(field) != Origin::Default {
            unknown(&format!("the cgroup of {field}"), "it; kubelet stops where it is missing");
        }
    }
}
