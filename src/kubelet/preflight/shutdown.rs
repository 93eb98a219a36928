//! Grace periods at shutdown and after crashes. It refuses to judge whether they are long enough.

use super::Rule;
use super::case::{Case, Report};
use crate::kubelet::config::SECOND;
use crate::model::{Node, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "shutdown-grace-period",
        severity: Weight::Fatal,
        meaning: "a shutdown grace period is between 0 and 1s, negative, or the critical part exceeds the whole",
        look: grace_period,
    },
    Rule {
        code: "shutdown-by-priority",
        severity: Weight::Fatal,
        meaning: "shutdownGracePeriodByPodPriority stands beside the plain periods, or without its gate",
        look: by_priority,
    },
    Rule {
        code: "crash-loop-back-off",
        severity: Weight::Fatal,
        meaning: "crashLoopBackOff.maxContainerRestartPeriod is outside of 1s to 300s, or without its gate",
        look: crash_loop,
    },
];

const WHOLE: &str = "shutdownGracePeriod";
const CRITICAL: &str = "shutdownGracePeriodCriticalPods";
const BY_PRIORITY: &str = "shutdownGracePeriodByPodPriority";

fn grace_period(case: &Case<'_>, report: &mut Report<'_>) {
    let (whole, critical) = (case.duration(WHOLE).unwrap_or(0), case.duration(CRITICAL).unwrap_or(0));
    if !case.gate_or_gone("GracefulNodeShutdown") {
        if whole > 0 || critical > 0 {
            report.add(
                WHOLE,
                "a period, while the gate GracefulNodeShutdown is off",
                "no period",
                "remove it, or the gate",
            );
        }
        return;
    }
    let text = |path| case.text(path, "0s").to_owned();
    if critical > whole {
        report.add(
            CRITICAL,
            text(CRITICAL),
            format!("at most {WHOLE}, {}", text(WHOLE)),
            "make it shorter, or the whole longer",
        );
    }
    for (path, period) in [(WHOLE, whole), (CRITICAL, critical)] {
        if period < 0 || (period > 0 && period < SECOND) {
            report.add(path, text(path), "0s, or 1s and more", "correct it");
        }
    }
}

fn by_priority(case: &Case<'_>, report: &mut Report<'_>) {
    if case.list(BY_PRIORITY).is_empty() {
        return;
    }
    if !case.gate_or_gone("GracefulNodeShutdownBasedOnPodPriority") {
        report.add(
            BY_PRIORITY,
            "a list, while the gate GracefulNodeShutdownBasedOnPodPriority is off",
            "no list",
            "remove it, or the gate",
        );
    } else if case.duration(WHOLE).unwrap_or(0) > 0 || case.duration(CRITICAL).unwrap_or(0) > 0 {
        report.add(BY_PRIORITY, format!("a list beside {WHOLE}"), "one of the two", "remove one of them");
    }
}

fn crash_loop(case: &Case<'_>, report: &mut Report<'_>) {
    let path = "crashLoopBackOff.maxContainerRestartPeriod";
    let Some(text) = case.node(path).and_then(Node::as_str).filter(|_| case.since(32)) else { return };
    if !case.gate_or_gone("KubeletCrashLoopBackOffMax") {
        report.add(
            path,
            text,
            "no setting while the gate KubeletCrashLoopBackOffMax is off",
            "remove it, or set the gate",
        );
    } else if !case.duration(path).is_some_and(|period| (SECOND..=300 * SECOND + 999_999).contains(&period)) {
        report.add(path, text, "1s to 300s", "correct it");
    }
}
