//! `LogFlood`: a unit writes so many messages to the journal that it costs the node's disk, or hides what others say. It refuses to count a burst: some
//! windows in a row must have been so.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hold::{Hold, Patience, Sign};
use super::journal_rates::{Came, Counter, counted, say_less};
use super::log_cost;
use super::scene::Scene;
use super::slot::{Detector, Look};
use super::window::ratio;
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::status::LogWriterStatus;

/// The name of the problem.
pub const LOG_FLOOD: Kind = Kind::new("LogFlood");

/// The detector.
pub struct LogFlood;

/// `[detect.log_flood]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Messages a second of one unit...
    pub unit_per_s: u32,
    /// ...or such a part of all, in percent...
    pub share_percent: u32,
    /// ...where all are so many a second.
    pub all_per_s: u32,
    /// In so many of the newest four looks, a minute apart.
    pub enter_windows: u32,
    /// It ends after so many looks with less than half of that.
    pub clear_windows: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { unit_per_s: 100, share_percent: 50, all_per_s: 50, enter_windows: 2, clear_windows: 3 }
    }
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    counter: Counter,
    units: BTreeMap<String, Unit>,
}

/// Of one unit: whether it floods, and what it wrote in the newest window, in messages and ms.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Unit {
    hold: Hold,
    count: u64,
    all: u64,
    window_ms: u64,
    /// Quiet windows in a row.
    quiet: u32,
}

/// Units that have been quiet for so long are forgotten.
const FORGOTTEN_AFTER: u32 = 4;
/// The sum of all messages, which no unit is called.
const ALL: &str = "";

impl Detector for LogFlood {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "log_flood";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: LOG_FLOOD,
        severity: Severity::Warning,
        condition: Condition::Logging,
        may_cordon: false,
        meaning: "A unit writes so much to the journal that the node's disk and journald work for it, older messages of others are thrown away sooner, and where a syslog daemon runs each line is written once more.",
        advice: "Let the unit log less, or limit it: LogLevelMax= and LogRateLimitBurst= in a drop-in of the unit.",
    }];

    fn look(rules: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        if let Err(look) = counted(scene) {
            return look;
        }
        let pick = |file: &crate::model::watch::JournalFile| {
            let mut counts = file.units.clone();
            counts.insert(ALL.to_owned(), file.entries);
            counts
        };
        if let Some(came) = memory.counter.take(scene, pick) {
            memory.judge(rules, &came);
        }
        let on = memory.units.iter().filter(|(_, unit)| unit.hold.is_on());
        let findings = on.map(|(name, unit)| finding(name, unit, &scene.log_writers)).collect();
        Look { findings, ..memory.counter.quiet() }
    }
}

impl Kept {
    fn judge(&mut self, rules: &Rules, came: &Came) {
        let all = came.of(ALL);
        let patience = Patience { enter: rules.enter_windows, among: 4, clear: rules.clear_windows };
        let names: BTreeSet<String> =
            came.counts.keys().chain(self.units.keys()).filter(|name| *name != ALL).cloned().collect();
        for name in names {
            let count = came.of(&name);
            let above = |part: f64| {
                came.per_s(count) >= f64::from(rules.unit_per_s) * part
                    || (came.per_s(all) >= f64::from(rules.all_per_s) * part
                        && ratio(count, all) * 100.0 >= f64::from(rules.share_percent) * part)
            };
            let sign = match (above(1.0), above(0.5)) {
                (true, _) => Sign::Sick,
                (false, true) => Sign::Neither,
                (false, false) => Sign::Well,
            };
            if sign == Sign::Well && !self.units.contains_key(&name) {
                continue;
            }
            let unit = self.units.entry(name.clone()).or_default();
            (unit.count, unit.all, unit.window_ms) = (count, all, came.window_ms);
            unit.quiet = if sign == Sign::Well { unit.quiet.saturating_add(1) } else { 0 };
            if !unit.hold.take(sign, patience) && unit.quiet >= FORGOTTEN_AFTER {
                self.units.remove(&name);
            }
        }
    }
}

fn finding(name: &str, unit: &Unit, writers: &[LogWriterStatus]) -> Finding {
    let per_s = |count: u64| ratio(count.saturating_mul(1000), unit.window_ms);
    let share = ratio(unit.count, unit.all).min(1.0) * 100.0;
    let mut evidence = vec![
        Evidence::number("messages", per_s(unit.count), "/s"),
        Evidence::number("of all units", per_s(unit.all), "/s"),
        Evidence::number("share", share, "%"),
        Evidence::count("window", unit.window_ms / 1000, "s"),
    ];
    evidence.extend(log_cost::evidence(writers));
    Finding {
        kind: LOG_FLOOD,
        subject: name.to_owned(),
        severity: Severity::Warning,
        summary: format!(
            "{name} writes {:.0} messages a second to the journal, {share:.0} % of all",
            per_s(unit.count)
        ),
        advice: format!("Let it log less: {}.", say_less(name)),
        evidence,
        device: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::{Journal, JournalFile, Samples};

    #[test]
    fn a_flood_lasts_and_a_busy_unit_on_a_quiet_node_is_none() {
        let mut memory = Kept::default();
        let mut counts = (0, 0);
        let mut minute = 0;
        let mut look = |flood: u64, others: u64| {
            minute += 1;
            counts = (counts.0 + flood * 60, counts.1 + others * 60);
            let units = BTreeMap::from([("noisy.service".to_owned(), counts.0), ("b.service".to_owned(), counts.1)]);
            let file = JournalFile {
                path: "s".to_owned(),
                id: "1".to_owned(),
                entries: counts.0 + counts.1,
                units,
                ..JournalFile::default()
            };
            let journal = Journal { files: vec![file], ..Journal::default() };
            let samples = Samples { journal: made::fresh(minute * 60, journal), ..Samples::default() };
            made::shown(&made::look::<LogFlood>(&mut memory, minute * 60, &samples, &Default::default())).join(" ")
        };
        let rates = [
            (0, 5),
            (40, 5),
            (49, 0),
            (300, 5),
            (5, 5),
            (300, 5),
            (300, 5),
            (60, 5),
            (10, 5),
            (10, 5),
            (10, 5),
            (10, 5),
            (30, 21),
            (30, 21),
        ];
        let seen: Vec<bool> = rates.into_iter().map(|(flood, others)| !look(flood, others).is_empty()).collect();
        let on = |from: usize, to: usize| (0..14).map(|at| (from..to).contains(&at)).collect::<Vec<_>>();
        let mut expected = on(5, 10);
        expected[13] = true;
        assert_eq!(seen, expected, "half of a busy journal is a flood as well");
    }
}
