//! Eviction signals, thresholds and grace periods. It refuses to weigh a threshold against the machine; `capacity` does.

use super::Rule;
use super::case::{Case, Report};
use super::document::nearest;
use crate::kubelet::config::{Threshold, parse_duration};
use crate::model::{Quantity, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "eviction-signal",
        severity: Weight::Fatal,
        meaning: "an eviction setting names a signal that kubelet does not have",
        look: eviction_signal,
    },
    Rule {
        code: "eviction-threshold",
        severity: Weight::Fatal,
        meaning: "an eviction threshold is no positive quantity and no percentage from 0% to 100%",
        look: eviction_threshold,
    },
    Rule {
        code: "eviction-soft-without-grace",
        severity: Weight::Fatal,
        meaning: "a soft eviction threshold has no grace period",
        look: soft_without_grace,
    },
    Rule {
        code: "eviction-grace-period",
        severity: Weight::Fatal,
        meaning: "a soft eviction's grace period is no duration, or negative",
        look: grace_period,
    },
    Rule {
        code: "eviction-reclaim",
        severity: Weight::Fatal,
        meaning: "evictionMinimumReclaim is neither a quantity nor a percentage above zero",
        look: reclaim,
    },
];

const SIGNALS: [&str; 9] = [
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "allocatableMemory.available",
    "pid.available",
    // Since 1.29.
    "containerfs.available",
    "containerfs.inodesFree",
];

fn signals(case: &Case<'_>) -> &'static [&'static str] {
    if case.since(29) { &SIGNALS } else { &SIGNALS[..7] }
}

fn eviction_signal(case: &Case<'_>, report: &mut Report<'_>) {
    for field in ["evictionHard", "evictionSoft", "evictionSoftGracePeriod", "evictionMinimumReclaim"] {
        for (signal, _) in case.effective.texts(field) {
            if !signals(case).contains(&signal.as_str()) {
                let meant = nearest(&signal, signals(case).iter().copied());
                let action = meant.map_or("remove it".to_owned(), |meant| format!("write {meant}"));
                report.add(
                    &format!("{field}.{signal}"),
                    format!("{signal:?}"),
                    format!("one of {}", signals(case).join(", ")),
                    action,
                );
            }
        }
    }
}

fn eviction_threshold(case: &Case<'_>, report: &mut Report<'_>) {
    for field in ["evictionHard", "evictionSoft"] {
        for (signal, text) in case.effective.texts(field) {
            if let Err(why) = Threshold::parse(&text) {
                report.add(
                    &format!("{field}.{signal}"),
                    why,
                    "a quantity above zero, or 0% to 100%",
                    "correct it; \"0%\" switches it off",
                );
            }
        }
    }
}

fn soft_without_grace(case: &Case<'_>, report: &mut Report<'_>) {
    let grace = case.effective.texts("evictionSoftGracePeriod");
    for (signal, text) in case.effective.texts("evictionSoft") {
        // What is switched off needs none.
        if !grace.contains_key(&signal) && Threshold::parse(&text).is_ok_and(|t| t != Threshold::Off) {
            report.add(
                &format!("evictionSoft.{signal}"),
                format!("{text} without evictionSoftGracePeriod.{signal}"),
                "a grace period for it",
                format!("set evictionSoftGracePeriod.{signal}, such as 1m30s"),
            );
        }
    }
}

fn grace_period(case: &Case<'_>, report: &mut Report<'_>) {
    for (signal, text) in case.effective.texts("evictionSoftGracePeriod") {
        if parse_duration(&text).is_none_or(|grace| grace < 0) {
            report.add(
                &format!("evictionSoftGracePeriod.{signal}"),
                format!("{text:?}"),
                "a duration that is not negative, such as 1m30s",
                "correct it",
            );
        }
    }
}

fn reclaim(case: &Case<'_>, report: &mut Report<'_>) {
    for (signal, text) in case.effective.texts("evictionMinimumReclaim") {
        let fits = match text.ends_with('%') {
            true => text.trim_end_matches('%').parse::<f32>().is_ok_and(|percent| percent > 0.0),
            false => text.parse::<Quantity>().is_ok_and(|quantity| !quantity.is_negative()),
        };
        if !fits {
            report.add(
                &format!("evictionMinimumReclaim.{signal}"),
                format!("{text:?}"),
                "a quantity, or a percentage above 0%",
                "correct it",
            );
        }
    }
}
