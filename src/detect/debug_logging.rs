//! `DebugLogging`: messages for debugging go to the journal in numbers, and whose they are. Advice: nothing is broken, and it costs all the same. It refuses
//! to blame a unit by its share of all messages: the newest messages of that priority are asked whose they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hold::Patience;
use super::journal_rates::{Rate, counted, say_less, whose};
use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};

/// The name of the problem.
pub const DEBUG_LOGGING: Kind = Kind::new("DebugLogging");

/// The detector.
pub struct DebugLogging;

/// `[detect.debug_logging]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// More messages of priority 7 than so many a second.
    pub per_s: u32,
    /// In so many of the newest four looks, a minute apart.
    pub enter_windows: u32,
    /// It ends after so many looks with less than half of that.
    pub clear_windows: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { per_s: 20, enter_windows: 2, clear_windows: 3 }
    }
}

impl Detector for DebugLogging {
    type Rules = Rules;
    type Memory = Rate;
    const NAME: &'static str = "debug_logging";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: DEBUG_LOGGING,
        severity: Severity::Advice,
        condition: Condition::Logging,
        may_cordon: false,
        meaning: "Somebody left debugging switched on: messages of the lowest priority go to the journal in numbers, and cost CPU, disk writes and the room of messages that matter.",
        advice: "Switch debugging off where it was switched on, or keep these messages out: LogLevelMax=info in a drop-in of the unit, or MaxLevelStore=info for the whole journal.",
    }];

    fn look(rules: &Rules, memory: &mut Rate, scene: &Scene<'_>) -> Look {
        let journal = match counted(scene) {
            Ok(journal) => journal,
            Err(look) => return look,
        };
        let patience = Patience { enter: rules.enter_windows, among: 4, clear: rules.clear_windows };
        memory.take(scene, (rules.per_s, patience), |came| came.of("7"), |file| &file.debug);
        let unit = match memory.unit() {
            Ok(unit) => unit,
            Err(look) => return look,
        };
        let rate = memory.per_s();
        let mut evidence = vec![
            Evidence::number("messages of priority 7", rate, "/s"),
            Evidence::count("window", memory.window_s(), "s"),
        ];
        let list = whose(journal.files.iter().map(|file| &file.debug));
        let of = list.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        evidence.extend(
            list.iter()
                .take(3)
                .map(|(unit, count)| Evidence::text("among the newest", format!("{count} of {of} of {unit}"))),
        );
        Look::at(vec![Finding {
            kind: DEBUG_LOGGING,
            subject: unit.to_owned(),
            severity: Severity::Advice,
            summary: format!("{rate:.0} messages a second for debugging go to the journal, most of them of {unit}"),
            advice: format!("Switch debugging off: {}.", say_less(unit)),
            evidence,
            device: None,
        }])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::made;
    use super::*;
    use crate::model::watch::{Journal, JournalFile, Newest, Samples};

    #[test]
    fn it_names_whose_they_are() {
        let mut memory = Rate::default();
        let (mut count, mut minute) = (0, 0);
        let mut look = |rate: u64| {
            minute += 1;
            count += rate * 60;
            let units = BTreeMap::from([("kubelet.service".to_owned(), 60), (String::new(), 4)]);
            let file = JournalFile {
                path: "s".to_owned(),
                priorities: [0, 0, 0, 0, 0, 0, minute * 9000, count],
                debug: Newest { of: 64, units, synced: 0 },
                ..JournalFile::default()
            };
            let samples = Samples {
                journal: made::fresh(minute * 60, Journal { files: vec![file], ..Journal::default() }),
                ..Samples::default()
            };
            made::look::<DebugLogging>(&mut memory, minute * 60, &samples, &Default::default())
        };
        let seen: Vec<usize> = [5, 19, 25, 25, 12, 3, 3, 3].map(|rate| look(rate).findings.len()).to_vec();
        assert_eq!(seen, [0, 0, 0, 1, 1, 1, 1, 0]);
        look(30);
        let one = look(30).findings.remove(0);
        assert_eq!((one.subject.as_str(), one.severity), ("kubelet.service", Severity::Advice));
        assert!(one.summary.starts_with("30 messages a second for debugging"), "{}", one.summary);
        assert!(one.advice.contains("`--v=2`"), "{}", one.advice);
    }
}
