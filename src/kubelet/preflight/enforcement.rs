//! `enforceNodeAllocatable` and the cgroups that it names. It refuses to look at the cgroups themselves; `cgroups` does.

use super::Rule;
use super::case::{Case, Report};
use crate::model::{Node, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "enforce-value",
        severity: Weight::Fatal,
        meaning: "enforceNodeAllocatable names something that this kubelet does not enforce",
        look: enforce_value,
    },
    Rule {
        code: "enforce-twice",
        severity: Weight::Fatal,
        meaning: "enforceNodeAllocatable names a thing twice, or both it and its compressible form",
        look: enforce_twice,
    },
    Rule {
        code: "enforce-none-and-more",
        severity: Weight::Fatal,
        meaning: "enforceNodeAllocatable holds none and something else",
        look: enforce_none_and_more,
    },
    Rule {
        code: "enforce-without-cgroup",
        severity: Weight::Fatal,
        meaning: "a reservation is to be enforced on a cgroup that is not named",
        look: enforce_without_cgroup,
    },
    Rule {
        code: "enforce-without-qos",
        severity: Weight::Fatal,
        meaning: "enforceNodeAllocatable needs cgroupsPerQOS",
        look: enforce_without_qos,
    },
    Rule {
        code: "system-cgroups-without-root",
        severity: Weight::Fatal,
        meaning: "systemCgroups needs cgroupRoot and cannot be the root itself",
        look: system_cgroups,
    },
];

const PATH: &str = "enforceNodeAllocatable";

/// What is enforced: the list, or kubelet's default.
pub(super) fn enforced<'c>(case: &'c Case<'_>) -> Vec<&'c str> {
    match case.node(PATH) {
        Some(Node::List(items)) => items.iter().filter_map(Node::as_str).collect(),
        _ => vec!["pods"],
    }
}

fn known(case: &Case<'_>) -> &'static [&'static str] {
    const ALL: [&str; 6] = [
        "pods",
        "system-reserved",
        "kube-reserved",
        "none",
        "system-reserved-compressible",
        "kube-reserved-compressible",
    ];
    if case.since(32) { &ALL } else { &ALL[..4] }
}

fn enforce_value(case: &Case<'_>, report: &mut Report<'_>) {
    for value in enforced(case).into_iter().filter(|value| !known(case).contains(value)) {
        let meant = super::document::nearest(value, known(case).iter().copied());
        let action = meant.map_or("remove it".to_owned(), |meant| format!("write {meant}"));
        report.add(PATH, format!("{value:?}"), format!("one of {}", known(case).join(", ")), action);
    }
}

fn enforce_twice(case: &Case<'_>, report: &mut Report<'_>) {
    let list = enforced(case);
    for (at, value) in list.iter().enumerate() {
        if list[..at].contains(value) && case.since(31) {
            report.add(PATH, format!("{value} twice"), "each value once", "leave one of them");
        }
        let compressible = format!("{value}-compressible");
        if list.iter().any(|other| **other == compressible) && case.since(32) && value.ends_with("-reserved") {
            report.add(PATH, format!("{value} and {compressible}"), "one of the two", "leave one of them");
        }
    }
}

fn enforce_none_and_more(case: &Case<'_>, report: &mut Report<'_>) {
    let list = enforced(case);
    if list.contains(&"none") && list.len() > 1 {
        report.add(PATH, list.join(", "), "none alone", "remove none, or everything else");
    }
}

fn enforce_without_cgroup(case: &Case<'_>, report: &mut Report<'_>) {
    for (what, field) in [("system-reserved", "systemReservedCgroup"), ("kube-reserved", "kubeReservedCgroup")] {
        let asked =
            enforced(case).into_iter().find(|v| known(case).contains(v) && v.trim_end_matches("-compressible") == what);
        if let Some(asked) = asked.filter(|_| case.text(field, "").is_empty()) {
            report.add(
                field,
                format!("no {field} while {PATH} has {asked}"),
                "a cgroup's name",
                format!("set {field}, or remove {asked} from {PATH}"),
            );
        }
    }
}

fn enforce_without_qos(case: &Case<'_>, report: &mut Report<'_>) {
    if case.truth("cgroupsPerQOS", true) {
        return;
    }
    // Up to 1.30 even none needs it, and so the default [pods] does.
    let list = enforced(case);
    let needs: Vec<&str> =
        list.iter().copied().filter(|v| !case.since(31) || (*v != "none" && known(case).contains(v))).collect();
    if !needs.is_empty() {
        let expected = if case.since(31) {
            "cgroupsPerQOS: true, or enforceNodeAllocatable: [none]"
        } else {
            "cgroupsPerQOS: true, or enforceNodeAllocatable: []"
        };
        report.add(
            "cgroupsPerQOS",
            format!("false, while {PATH} is [{}]", needs.join(", ")),
            expected,
            "set one of the two",
        );
    }
}

fn system_cgroups(case: &Case<'_>, report: &mut Report<'_>) {
    let path = "systemCgroups";
    let name = case.text(path, "");
    if !name.is_empty() && case.text("cgroupRoot", "").is_empty() {
        report.add(
            path,
            format!("{name:?} without cgroupRoot"),
            "cgroupRoot beside it",
            "set cgroupRoot, such as /, or remove systemCgroups",
        );
    } else if name == "/" {
        report.add(path, "\"/\"", "a cgroup that is not the root", "name another cgroup, or remove it");
    }
}
