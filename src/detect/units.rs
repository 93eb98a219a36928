//! `UnitFailed` and `UnitFlapping`: kubelet, the container runtime or the journal has failed for good, or is started again and again. Where the manager counts
//! restarts, it refuses to take a start that somebody asked for as one of them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::time::{Mono, Span};
use crate::model::watch::UnitState;

/// systemd has given it up.
pub const UNIT_FAILED: Kind = Kind::new("UnitFailed");
/// It ends and is started again.
pub const UNIT_FLAPPING: Kind = Kind::new("UnitFlapping");

/// The journal is the one unit here without which pods still run.
const JOURNAL: &str = "systemd-journald.service";

/// The detector.
pub struct Units;

/// `[detect.units]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Restarts are counted over so long.
    pub window: Span,
    /// So many restarts by systemd in that time are flapping; it ends when there was none in that time.
    pub restarts: u64,
    /// From so many on it is critical for kubelet and the container runtime: they hardly run.
    pub critical_restarts: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { window: Span::minutes(15), restarts: 3, critical_restarts: 10 }
    }
}

/// What is kept of one unit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    taken: Mono,
    restarts: Option<u64>,
    started_us: u64,
    /// When restarts were seen, and how many.
    seen: Vec<(Mono, u64)>,
    flapping: bool,
}

const COST: &str = "Without kubelet no pod is started, probed or removed and the node becomes NotReady; without the container runtime kubelet can do nothing; without journald the node's \
                    logs are lost, and services that log wait for it.";

impl Detector for Units {
    type Rules = Rules;
    type Memory = BTreeMap<String, Kept>;
    const NAME: &'static str = "units";
    const ENTRIES: &'static [Entry] = &[
        Entry {
            kind: UNIT_FAILED,
            severity: Severity::Critical,
            condition: Condition::NodeServices,
            may_cordon: false,
            meaning: COST,
            advice: "See why (journalctl -u UNIT -b), correct it, and start the unit again (systemctl reset-failed UNIT, systemctl start UNIT): systemd will not do it by itself any more.",
        },
        Entry {
            kind: UNIT_FLAPPING,
            severity: Severity::Critical,
            condition: Condition::NodeServices,
            may_cordon: false,
            meaning: COST,
            advice: "See why it ends (journalctl -u UNIT -b): a configuration that it refuses, too little memory, a watchdog that a hanging disk keeps from being fed.",
        },
    ];

    fn look(rules: &Rules, memory: &mut Self::Memory, scene: &Scene<'_>) -> Look {
        let samples = &scene.samples.units;
        let Some(now) = samples.value() else { return Look::unknown(samples.reading.origin()) };
        memory.retain(|name, _| now.iter().any(|unit| unit.unit == *name));
        let mut findings = Vec::new();
        for unit in now {
            let kept = memory.entry(unit.unit.clone()).or_default();
            if samples.taken > kept.taken || kept.taken == Mono(0) {
                kept.take(rules, samples.taken, unit);
            }
            if unit.active == "failed" {
                findings.push(failed(unit));
            }
            if kept.flapping {
                findings.push(flapping(rules, kept, unit));
            }
        }
        Look::at(findings)
    }
}

impl Kept {
    fn take(&mut self, rules: &Rules, at: Mono, unit: &UnitState) {
        let more = match (self.restarts, unit.restarts) {
            _ if self.taken == Mono(0) => 0,
            // A start that somebody asked for counts from nothing again.
            (Some(before), Some(after)) => after.saturating_sub(before),
            // Managers before 235 do not count: there every start is one, whoever asked for it.
            (_, None) => u64::from(self.started_us > 0 && unit.started_us > self.started_us),
            (None, Some(_)) => 0,
        };
        (self.taken, self.restarts, self.started_us) = (at, unit.restarts, unit.started_us);
        if more > 0 {
            self.seen.push((at, more));
        }
        self.seen.retain(|(when, _)| at.since_ms(*when) < rules.window.ms());
        self.flapping = match self.flapping {
            true => !self.seen.is_empty(),
            false => self.count() >= rules.restarts.max(1),
        };
    }

    fn count(&self) -> u64 {
        self.seen.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

/// Why it ended last, in words.
fn why(unit: &UnitState) -> String {
    let name = unit.unit.as_str();
    match unit.result.as_str() {
        "start-limit-hit" => format!("{name} was started too often in a short time"),
        "oom-kill" => format!("the kernel killed a process of {name}: out of memory"),
        "watchdog" => format!("{name} gave no sign of life to its watchdog"),
        "timeout" => format!("{name} took too long to start or to stop"),
        "signal" | "core-dump" => format!("{name} was ended by a signal"),
        "exit-code" => match unit.exit_status {
            Some(status) => format!("{name} ended with status {status}"),
            None => format!("{name} ended with an error"),
        },
        "" | "success" => format!("{name} ended"),
        other => format!("{name}: {other}"),
    }
}

/// What to look at first, by how it ended.
fn hint(unit: &UnitState) -> &'static str {
    match unit.result.as_str() {
        "oom-kill" => {
            " Its own limit (MemoryMax) or the whole node ran out of memory: see ReservationExceeded and the kernel's log."
        }
        "watchdog" | "timeout" => " Such a unit often waits for a disk: see DiskStalled and TaskHung.",
        _ if unit.unit.starts_with("kubelet") => {
            " `node-steward config check --kubelet` says what a kubelet would refuse in its configuration."
        }
        _ => "",
    }
}

fn evidence(unit: &UnitState) -> Vec<Evidence> {
    let mut evidence = vec![Evidence::text("state", format!("{} ({})", unit.active, unit.sub))];
    evidence.push(Evidence::text("result", unit.result.clone()));
    evidence.extend(unit.exit_status.map(|status| Evidence::count("exit status", status, "")));
    evidence.extend(unit.restarts.map(|count| Evidence::count("restarts that systemd counts", count, "")));
    evidence
}

fn failed(unit: &UnitState) -> Finding {
    let name = &unit.unit;
    Finding {
        kind: UNIT_FAILED,
        subject: name.clone(),
        severity: if name == JOURNAL { Severity::Warning } else { Severity::Critical },
        summary: format!("{}, and systemd has given it up", why(unit)),
        advice: format!(
            "journalctl -u {name} -b -n 50 says why; then systemctl reset-failed {name} && systemctl start {name}.{}",
            hint(unit)
        ),
        evidence: evidence(unit),
        device: None,
    }
}

fn flapping(rules: &Rules, kept: &Kept, unit: &UnitState) -> Finding {
    let (name, count) = (&unit.unit, kept.count());
    let mut evidence = evidence(unit);
    evidence.push(Evidence::count("restarts", count, ""));
    evidence.push(Evidence::text("within", rules.window.to_string()));
    let critical = name != JOURNAL && count >= rules.critical_restarts;
    Finding {
        kind: UNIT_FLAPPING,
        subject: name.clone(),
        severity: if critical { Severity::Critical } else { Severity::Warning },
        summary: format!("{name} was restarted {count} times within {}; last: {}", rules.window, why(unit)),
        advice: format!("journalctl -u {name} -b says why it ends.{}", hint(unit)),
        evidence,
        device: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::Samples;

    fn unit(name: &str, active: &str, result: &str, restarts: Option<u64>, started_us: u64) -> UnitState {
        UnitState {
            unit: name.to_owned(),
            active: active.to_owned(),
            sub: String::new(),
            result: result.to_owned(),
            restarts,
            started_us,
            exit_status: (result == "exit-code").then_some(1),
        }
    }

    fn samples(minute: u64, units: Vec<UnitState>) -> Samples {
        Samples { units: made::fresh(minute * 60, units), ..Samples::default() }
    }

    #[test]
    fn a_unit_that_systemd_gave_up_is_found_at_once() {
        let mut kept = BTreeMap::new();
        let units = vec![
            unit("kubelet.service", "failed", "start-limit-hit", Some(5), 9),
            unit("systemd-journald.service", "failed", "watchdog", Some(1), 9),
            unit("containerd.service", "inactive", "success", Some(0), 0),
        ];
        let look = made::look::<Units>(&mut kept, 60, &samples(1, units), &Default::default());
        assert_eq!(
            made::shown(&look),
            ["UnitFailed kubelet.service critical", "UnitFailed systemd-journald.service warning"]
        );
        let found = &look.findings[0];
        assert_eq!(found.summary, "kubelet.service was started too often in a short time, and systemd has given it up");
        assert!(found.advice.contains("systemctl reset-failed kubelet.service && systemctl start kubelet.service."));
        let unknown = made::look::<Units>(&mut kept, 120, &Samples::default(), &Default::default());
        assert_eq!(unknown.standing, Look::unknown("not looked at yet").standing);
    }

    /// `NRestarts` or the start's moment by minute; what was found after each.
    fn play(counts: &[(Option<u64>, u64)]) -> String {
        let mut kept = BTreeMap::new();
        let turn = |(minute, (restarts, started)): (u64, &(Option<u64>, u64))| {
            let units = vec![unit("containerd.service", "active", "exit-code", *restarts, *started)];
            let found = made::turn::<Units>(&mut kept, minute * 60, &samples(minute, units));
            match found.first().map(String::as_str) {
                None => '.',
                Some(one) if one.ends_with("critical") => '#',
                Some(_) => '+',
            }
        };
        (1..).zip(counts).map(turn).collect()
    }

    #[test]
    fn three_restarts_in_a_quarter_of_an_hour() {
        let counted = |counts: &[u64]| play(&counts.iter().map(|count| (Some(*count), 0)).collect::<Vec<_>>());
        assert_eq!(counted(&[40, 40, 41, 42, 43, 43]), "....++", "what was before is not counted");
        assert_eq!(counted(&[0, 12, 12]), ".##");
        assert_eq!(counted(&[5, 0, 0, 1, 0, 1]), "......", "somebody started it: the count begins anew");
        let mut long = vec![0, 3];
        long.extend([3; 15]);
        assert_eq!(counted(&long), ".+++++++++++++++.");
        let slow: Vec<u64> = (0..40).map(|minute| minute / 8).collect();
        assert_eq!(counted(&slow), ".".repeat(40), "once in eight minutes");
    }

    #[test]
    fn a_manager_that_does_not_count_is_watched_by_starts() {
        assert_eq!(play(&[(None, 5), (None, 6), (None, 7), (None, 7), (None, 9)]), "....+");
    }
}
