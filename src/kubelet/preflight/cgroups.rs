//! The cgroups that a configuration names, against those that the machine has. It refuses a judgement on a cgroup that
//! nobody looked at; [`cgroups_to_look_at`] says which ones matter.

use std::collections::BTreeSet;

use super::Rule;
use super::case::{Case, Report};
use super::enforcement::enforced;
use crate::kubelet::config::{Effective, KubeletConfig};
use crate::model::{Node, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "enforced-cgroup-missing",
        severity: Weight::Fatal,
        meaning: "a reservation is enforced on a cgroup that does not exist; kubelet does not make it",
        look: missing,
    },
    Rule {
        code: "enforced-cgroup-controllers",
        severity: Weight::Fatal,
        meaning: "a reservation is enforced on a cgroup that lacks controllers which the root has",
        look: controllers,
    },
    Rule {
        code: "enforced-nothing",
        severity: Weight::Fatal,
        meaning: "a reservation is enforced that is empty",
        look: nothing,
    },
    Rule {
        code: "cgroup-root-missing",
        severity: Weight::Fatal,
        meaning: "cgroupRoot names a cgroup that does not exist or lacks controllers",
        look: root_missing,
    },
    Rule {
        code: "cgroup-name",
        severity: Weight::Warning,
        meaning: "with the systemd cgroup driver a cgroup's name means another cgroup than it seems",
        look: name_means_another,
    },
];

const SIDES: [(&str, &str, &str); 2] = [
    ("system-reserved", "systemReservedCgroup", "systemReserved"),
    ("kube-reserved", "kubeReservedCgroup", "kubeReserved"),
];

/// The controllers that kubelet uses, as far as the root has them.
const USED: [&str; 5] = ["cpu", "cpuset", "hugetlb", "memory", "pids"];

/// The paths beneath the cgroup mount whose existence and controllers decide about this configuration, for both cgroup
/// drivers; `/` is always among them.
pub fn cgroups_to_look_at(config: &KubeletConfig) -> BTreeSet<String> {
    let effective = config.effective();
    let named = |path: &str| text(&effective, path);
    let mut paths = BTreeSet::from(["/".to_owned()]);
    for systemd in [true, false] {
        let reserved = SIDES.iter().filter_map(|(_, field, _)| named(field)).map(|name| reserved_path(&name, systemd));
        paths.extend(reserved.chain(named("cgroupRoot").map(|name| root_path(&name, systemd))));
    }
    paths
}

fn text(effective: &Effective, path: &str) -> Option<String> {
    effective.get(path).and_then(Node::as_str).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Where the cgroup lies that kubelet takes a reserved cgroup's name for. systemd's driver reads the last part of the
/// name only, and each `-` in it as one level more.
fn reserved_path(name: &str, systemd: bool) -> String {
    if !systemd {
        return format!("/{}", name.trim_start_matches('/'));
    }
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    slice_path(&last.strip_suffix(".slice").unwrap_or(last).replace('_', "-"))
}

/// Where `cgroupRoot` lies: systemd's driver turns each part of the path into one level of a slice.
fn root_path(name: &str, systemd: bool) -> String {
    let name = name.trim_start_matches('/');
    if systemd {
        slice_path(&name.replace('-', "_").replace('/', "-").replace('_', "\\x2d"))
    } else {
        format!("/{name}")
    }
}

/// `a-b` lies at `/a.slice/a-b.slice`.
fn slice_path(name: &str) -> String {
    if name.is_empty() {
        return "/".to_owned();
    }
    let ends = name.match_indices('-').map(|(at, _)| at).chain([name.len()]);
    ends.map(|end| format!("/{}.slice", &name[..end])).collect()
}

/// Where to look for a named cgroup: by the known driver, else everywhere that it may lie.
fn paths(case: &Case<'_>, of: impl Fn(bool) -> String) -> Vec<String> {
    match case.ground.systemd_cgroups {
        Some(systemd) => vec![of(systemd)],
        None => vec![of(true), of(false)],
    }
}

/// Which of the needed controllers a cgroup lacks; nothing where that is not known, `None` inside where it is not there.
fn lacks(case: &Case<'_>, path: &str) -> Option<Option<Vec<&'static str>>> {
    let has = case.ground.cgroups.get(path)?;
    let root = case.ground.cgroups.get("/").and_then(Option::as_ref);
    Some(match has {
        None => None,
        Some(has) => {
            let used = USED.into_iter().filter(|used| root.is_none_or(|root| root.contains(*used)));
            Some(used.filter(|used| !has.contains(*used)).collect())
        }
    })
}

/// Each enforcement with its cgroup's field and name and its reservation's field.
fn sides<'c>(case: &'c Case<'_>) -> impl Iterator<Item = (&'c str, &'static str, String, &'static str)> {
    enforced(case).into_iter().filter_map(|asked| {
        let side = SIDES.iter().find(|(what, _, _)| asked.trim_end_matches("-compressible") == *what);
        let (_, field, reserved) = side.filter(|(what, _, _)| asked == *what || case.since(32))?;
        Some((asked, *field, text(&case.effective, field)?, *reserved))
    })
}

fn missing(case: &Case<'_>, report: &mut Report<'_>) {
    for (asked, field, name, _) in sides(case) {
        let paths = paths(case, |systemd| reserved_path(&name, systemd));
        if paths.iter().all(|path| lacks(case, path) == Some(None)) {
            report.add(
                field,
                format!("{name:?}, but there is no cgroup {}", paths.join(" or ")),
                "a cgroup that is there before kubelet starts",
                format!("make the slice, or remove {asked} from enforceNodeAllocatable"),
            );
        }
    }
}

fn controllers(case: &Case<'_>, report: &mut Report<'_>) {
    // With cgroup v1 every controller has a tree of its own.
    for (asked, field, name, _) in sides(case).filter(|_| case.ground.cgroup_version == Some(2)) {
        for path in paths(case, |systemd| reserved_path(&name, systemd)) {
            if let Some(Some(lacking)) = lacks(case, &path).filter(|l| l.as_ref().is_some_and(|l| !l.is_empty())) {
                report.add(
                    field,
                    format!("{path} lacks the controllers {}", lacking.join(", ")),
                    "a cgroup with the root's controllers",
                    format!("delegate them (systemd: Delegate=, CPUAccounting=, ...), or remove {asked}"),
                );
            }
        }
    }
}

fn nothing(case: &Case<'_>, report: &mut Report<'_>) {
    for (asked, _, _, reserved) in sides(case) {
        if case.effective.texts(reserved).is_empty()
            && (reserved == "kubeReserved" || super::cpus::reserved_cpus(case).is_none())
        {
            report.add(
                reserved,
                "nothing reserved",
                format!("a reservation, since {asked} is enforced"),
                format!("set {reserved}, or remove {asked} from enforceNodeAllocatable"),
            );
        }
    }
}

fn root_missing(case: &Case<'_>, report: &mut Report<'_>) {
    let Some(name) = text(&case.effective, "cgroupRoot").filter(|_| case.truth("cgroupsPerQOS", true)) else { return };
    let paths = paths(case, |systemd| root_path(&name, systemd));
    let broken = |path: &String| match lacks(case, path) {
        None => false,
        Some(None) => true,
        Some(Some(lacking)) => case.ground.cgroup_version == Some(2) && !lacking.is_empty(),
    };
    if paths.iter().all(broken) {
        report.add(
            "cgroupRoot",
            format!("{name:?}, but {} is missing or lacks controllers", paths.join(" or ")),
            "an existing cgroup with the root's controllers",
            "make it, or remove cgroupRoot",
        );
    }
}

fn name_means_another(case: &Case<'_>, report: &mut Report<'_>) {
    if case.ground.systemd_cgroups == Some(false) {
        return;
    }
    for (_, field, reserved) in SIDES {
        let Some(name) = text(&case.effective, field) else { continue };
        let meant = reserved_path(&name, true);
        let plain = format!("/{}", name.trim_matches('/').trim_end_matches(".slice"));
        if format!("{plain}.slice") != meant && name != meant {
            report.add(
                field,
                format!("{name:?}, which kubelet takes for {meant}"),
                "the name of a top-level slice, such as /runtime.slice",
                format!("name the slice on which {reserved} is to be enforced"),
            );
        }
    }
}
