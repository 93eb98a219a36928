//! What concerns the node as a whole: taints, sysctls, and settings that stand alone. It refuses to look at the cluster.

use super::Rule;
use super::case::{Case, Report, shown};
use crate::model::{Node, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "taint",
        severity: Weight::Fatal,
        meaning: "a taint to register with has a bad key, value or effect, or a time",
        look: taint,
    },
    Rule {
        code: "sysctl-pattern",
        severity: Weight::Fatal,
        meaning: "allowedUnsafeSysctls holds no sysctl name or pattern, or one that the kernel keeps for the whole host",
        look: sysctl_pattern,
    },
    Rule { code: "run-once", severity: Weight::Fatal, meaning: "runOnce is gone since 1.32", look: run_once },
    Rule {
        code: "hidden-metrics",
        severity: Weight::Fatal,
        meaning: "showHiddenMetricsForVersion may only be the version before kubelet's own",
        look: hidden_metrics,
    },
    Rule {
        code: "cfs-quota-period",
        severity: Weight::Fatal,
        meaning: "cpuCFSQuotaPeriod is changed without the gate CustomCPUCFSQuotaPeriod",
        look: cfs_quota_period,
    },
    Rule {
        code: "default-pod-sysctls",
        severity: Weight::Fatal,
        meaning: "defaultPodSysctls holds a bad name, or its gate is off",
        look: default_pod_sysctls,
    },
    Rule {
        code: "runtime-endpoint",
        severity: Weight::Fatal,
        meaning: "kubelet has no container runtime to talk to",
        look: runtime_endpoint,
    },
];

fn taint(case: &Case<'_>, report: &mut Report<'_>) {
    for (at, taint) in case.list("registerWithTaints").iter().enumerate() {
        let text = |key: &str| taint.get(key).and_then(Node::as_str).unwrap_or_default();
        let effect = matches!(text("effect"), "" | "NoSchedule" | "PreferNoSchedule" | "NoExecute");
        let sound = qualified_name(text("key")) && (text("value").is_empty() || name_part(text("value"))) && effect;
        let timed = taint.get("timeAdded").is_some_and(|time| *time != Node::Null);
        if !sound || timed {
            report.add(&format!("registerWithTaints[{at}]"), shown(taint), "a qualified key, a label's value, and the effect NoSchedule, PreferNoSchedule or NoExecute; no timeAdded", "correct it");
        }
    }
}

/// A name as labels have it: letters, digits, `-_.`, at most 63, begun and ended by a letter or digit.
fn name_part(text: &str) -> bool {
    let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let ends = [text.bytes().next(), text.bytes().last()].iter().all(|b| b.is_some_and(|b| b.is_ascii_alphanumeric()));
    inner && ends && text.len() <= 63
}

/// `name` or `dns.prefix/name`.
fn qualified_name(text: &str) -> bool {
    let label = |part: &str| {
        let inner = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        inner && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
    };
    match text.split_once('/') {
        Some((prefix, name)) => prefix.len() <= 253 && prefix.split('.').all(label) && name_part(name),
        None => name_part(text),
    }
}

fn sysctl_pattern(case: &Case<'_>, report: &mut Report<'_>) {
    for pattern in case.list("allowedUnsafeSysctls").iter().filter_map(Node::as_str) {
        if !sysctl_name(pattern, true) {
            report.add(
                "allowedUnsafeSysctls",
                format!("{pattern:?}"),
                "a sysctl's name, or a prefix that ends in *",
                "correct it",
            );
        } else if !namespaced(pattern) {
            report.add(
                "allowedUnsafeSysctls",
                format!("{pattern:?}"),
                "a sysctl that a pod has of its own: kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*, net.*",
                "remove it; set it on the host",
            );
        }
    }
}

/// Segments of lower-case letters, digits, `-` and `_`, parted by `.` or `/`; the last one of a pattern may end in `*`.
fn sysctl_name(text: &str, pattern: bool) -> bool {
    let segment = |part: &str| {
        let inner = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        inner && edge(part.bytes().next()) && edge(part.bytes().last())
    };
    let parts: Vec<&str> = text.split(['.', '/']).collect();
    let Some((last, rest)) = parts.split_last() else { return false };
    let starred = last.strip_suffix('*').filter(|_| pattern);
    let last_fits = match starred {
        Some("") => true,
        Some(start) => {
            let inner = start.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
            inner && start.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        }
        None => segment(last),
    };
    text.len() <= 253 && rest.iter().all(|part| segment(part)) && last_fits
}

/// Whether the kernel keeps the sysctl per namespace, as far as kubelet knows.
fn namespaced(pattern: &str) -> bool {
    const NAMES: [&str; 10] = [
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
        "kernel.shm",
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.msg",
    ];
    let dotted = normalized(pattern);
    let bare = dotted.split('*').next().unwrap_or_default();
    NAMES.contains(&bare) || ["net.", "fs.mqueue."].iter().any(|prefix| bare.starts_with(prefix))
}

/// The name with dots: where the first separator is `/`, slashes and dots change places.
fn normalized(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'/' => name
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
        _ => name.to_owned(),
    }
}

fn run_once(case: &Case<'_>, report: &mut Report<'_>) {
    if case.since(32) && case.truth("runOnce", false) {
        report.add("runOnce", "true", "false", "remove it");
    }
}

fn hidden_metrics(case: &Case<'_>, report: &mut Report<'_>) {
    let path = "showHiddenMetricsForVersion";
    let wanted = format!("1.{}", case.version.minor.saturating_sub(1));
    let found = case.text(path, "");
    if !found.is_empty() && found != wanted {
        report.add(path, format!("{found:?}"), format!("{wanted:?} or nothing"), "remove it");
    }
}

fn cfs_quota_period(case: &Case<'_>, report: &mut Report<'_>) {
    let path = "cpuCFSQuotaPeriod";
    let Some(period) = case.duration(path) else { return };
    if !case.gate_or_gone("CustomCPUCFSQuotaPeriod") && period != 100_000_000 {
        report.add(
            path,
            case.text(path, ""),
            "100ms while the gate CustomCPUCFSQuotaPeriod is off",
            "remove it, or set the gate",
        );
    }
}

fn default_pod_sysctls(case: &Case<'_>, report: &mut Report<'_>) {
    let field = "defaultPodSysctls";
    let names = case.effective.texts(field);
    if names.is_empty() || !case.since(37) {
        return;
    }
    if !case.gate_or_gone("DefaultPodSysctls") {
        report.add(
            field,
            "a setting, while the gate DefaultPodSysctls is off",
            "no setting",
            "remove it, or set the gate",
        );
        return;
    }
    let mut seen = std::collections::BTreeSet::new();
    for name in names.keys() {
        if !sysctl_name(name, false) || !namespaced(name) || !seen.insert(normalized(name)) {
            report.add(
                &format!("{field}.{name}"),
                format!("{name:?}"),
                "each sysctl once, and only one that a pod has of its own",
                "correct it",
            );
        }
    }
}

fn runtime_endpoint(case: &Case<'_>, report: &mut Report<'_>) {
    let path = "containerRuntimeEndpoint";
    if case.text(path, "unix:///run/containerd/containerd.sock").is_empty() {
        report.add(
            path,
            "an empty text",
            "the runtime's socket, such as unix:///run/containerd/containerd.sock",
            "name it, or remove the flag",
        );
    }
}
