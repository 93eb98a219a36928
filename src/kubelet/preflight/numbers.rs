//! Numbers and durations that have limits of their own. It refuses limits between two values; other rules know those.

use super::Rule;
use super::case::{Case, Report, shown};
use crate::kubelet::config::{SECOND, parse_duration};
use crate::model::{Node, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "out-of-range",
        severity: Weight::Fatal,
        meaning: "a number is outside of what kubelet takes",
        look: out_of_range,
    },
    Rule {
        code: "duration-range",
        severity: Weight::Fatal,
        meaning: "a duration is outside of what kubelet takes",
        look: duration_range,
    },
];

const I32: i64 = i32::MAX as i64;

/// Path, least, most, whether 0 in a file means "not set", first minor version.
const NUMBERS: [(&str, i64, i64, bool, u16); 22] = [
    ("containerLogMaxFiles", 2, I32, false, 28),
    ("containerLogMaxWorkers", 1, I32, false, 30),
    ("eventBurst", 0, I32, true, 28),
    ("eventRecordQPS", 0, I32, false, 28),
    ("healthzPort", 0, 65535, false, 28),
    ("imageGCHighThresholdPercent", 0, 100, false, 28),
    ("imageGCLowThresholdPercent", 0, 100, false, 28),
    ("iptablesDropBit", 0, 31, false, 28),
    ("iptablesMasqueradeBit", 0, 31, false, 28),
    ("kubeAPIBurst", 0, I32, true, 28),
    ("kubeAPIQPS", 0, I32, false, 28),
    ("logging.verbosity", 0, I32, false, 28),
    ("maxOpenFiles", 0, i64::MAX, true, 28),
    ("maxParallelImagePulls", 1, I32, false, 28),
    ("maxPods", 0, I32, true, 28),
    ("nodeLeaseDurationSeconds", 1, I32, true, 28),
    ("nodeStatusMaxImages", -1, I32, false, 28),
    ("oomScoreAdj", -1000, 1000, false, 28),
    ("podsPerCore", 0, I32, true, 28),
    ("port", 1, 65535, true, 28),
    ("readOnlyPort", 0, 65535, true, 28),
    ("registryBurst", 0, I32, true, 28),
];

fn out_of_range(case: &Case<'_>, report: &mut Report<'_>) {
    let rest = [("registryPullQPS", 0, I32, false, 28), ("tracing.samplingRatePerMillion", 0, 1_000_000, false, 28)];
    for (path, least, most, zero_is_unset, since) in NUMBERS.into_iter().chain(rest) {
        let Some(value) = case.int(path).filter(|_| case.since(since)) else { continue };
        if (value == 0 && zero_is_unset && !case.after_defaults(path)) || (least..=most).contains(&value) {
            continue;
        }
        let expected = if most >= I32 { format!("{least} or more") } else { format!("{least} to {most}") };
        report.add(path, value, expected, "write a number in that range, or remove it for kubelet's default");
    }
    ids_per_pod(case, report);
    throttling(case, report);
}

fn ids_per_pod(case: &Case<'_>, report: &mut Report<'_>) {
    const UNIT: i64 = 65536;
    let path = "userNamespaces.idsPerPod";
    let Some(ids) = case.int(path).filter(|_| case.since(33)) else { return };
    if !(UNIT..=u32::MAX.into()).contains(&ids) || ids % UNIT != 0 {
        report.add(path, ids, "a multiple of 65536 from 65536 to 4294901760", "write such a number, or remove it");
    }
}

fn throttling(case: &Case<'_>, report: &mut Report<'_>) {
    let path = "memoryThrottlingFactor";
    if let Some(Node::Number(number)) = case.node(path)
        && !number.as_f64().is_some_and(|factor| factor > 0.0 && factor <= 1.0)
    {
        report.add(path, number, "above 0, at most 1.0", "write such a number, or remove it for kubelet's 0.9");
    }
}

/// Path, least, most in nanoseconds, whether 0 in a file means "not set", first minor version.
const DURATIONS: [(&str, i64, i64, bool, u16); 6] = [
    ("containerLogMonitorInterval", 3 * SECOND, i64::MAX, false, 30),
    ("cpuCFSQuotaPeriod", SECOND / 1000, SECOND, false, 28),
    ("imageMaximumGCAge", 0, i64::MAX, true, 29),
    ("imageMinimumGCAge", 0, i64::MAX, true, 36),
    ("logging.flushFrequency", 1, i64::MAX, true, 28),
    ("syncFrequency", 1, i64::MAX, true, 28),
];

fn duration_range(case: &Case<'_>, report: &mut Report<'_>) {
    for (path, least, most, zero_is_unset, since) in DURATIONS {
        let Some(node) = case.node(path).filter(|_| case.since(since)) else { continue };
        // Logging alone also takes nanoseconds.
        let Some(value) = node.as_str().map_or_else(|| node.as_i64(), parse_duration) else { continue };
        if path == "cpuCFSQuotaPeriod"
            && !case.gate("CustomCPUCFSQuotaPeriod")
            && case.gate_row("CustomCPUCFSQuotaPeriod").is_some()
        {
            continue;
        }
        if (value == 0 && zero_is_unset && !case.after_defaults(path)) || (least..=most).contains(&value) {
            continue;
        }
        let expected = match path {
            "containerLogMonitorInterval" => "3s or more",
            "cpuCFSQuotaPeriod" => "1ms to 1s",
            "logging.flushFrequency" | "syncFrequency" => "more than zero",
            _ => "zero or more",
        };
        report.add(path, shown(node), expected, "write a duration in that range, or remove it for kubelet's default");
    }
}
