//! `JournalRateLimited`: journald threw messages away because a unit wrote too many. It refuses to take silence for room: journald says so only when the
//! unit logs again, so what is found stands for a while.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::journal_rates::{Counter, counted, say_less};
use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::time::{Mono, Span};
use crate::model::watch::JournalFile;

/// The name of the problem.
pub const JOURNAL_RATE_LIMITED: Kind = Kind::new("JournalRateLimited");
/// A unit whose name is not known.
const SOME_UNIT: &str = "journal";

/// The detector.
pub struct JournalRateLimited;

/// `[detect.journal_rate_limited]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// It ends when for so long nothing was thrown away.
    pub clear_after: Span,
}

impl Default for Rules {
    fn default() -> Self {
        Self { clear_after: Span::minutes(10) }
    }
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    counter: Counter,
    /// Of each unit: when it was last seen, notices since it began, and messages dropped as the newest notice has it.
    units: BTreeMap<String, (Mono, u64, u64)>,
}

impl Detector for JournalRateLimited {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "journal_rate_limited";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: JOURNAL_RATE_LIMITED,
        severity: Severity::Warning,
        condition: Condition::Logging,
        may_cordon: false,
        meaning: "A unit wrote more messages than journald takes from one unit, and the rest was thrown away. What is missing may be what somebody looks for later.",
        advice: "Let the unit log less; where all of it is wanted, raise LogRateLimitBurst= in a drop-in of the unit, at the disk's cost.",
    }];

    fn look(rules: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        let journal = match counted(scene) {
            Ok(journal) => journal,
            Err(look) => return look,
        };
        let now = scene.now.mono;
        // A name for each file: the newest notices of it, as many as are new.
        let pick = |file: &JournalFile| BTreeMap::from([(file.path.clone(), file.notices.suppressed)]);
        let came = memory.counter.take(scene, pick).unwrap_or_default();
        for file in &journal.files {
            let new = usize::try_from(came.of(&file.path)).unwrap_or(usize::MAX);
            for (unit, count) in file.dropped.iter().rev().take(new) {
                let name = if unit.is_empty() { SOME_UNIT } else { unit };
                let kept = memory.units.entry(name.to_owned()).or_default();
                *kept = (now, kept.1.saturating_add(1), *count);
            }
        }
        memory.units.retain(|_, (seen, ..)| now.since_ms(*seen) < rules.clear_after.ms());
        let limit = scene.samples.logging.value().map(|logging| logging.journal.rate_limit.clone()).unwrap_or_default();
        let findings = memory.units.iter().map(|(unit, kept)| finding(unit, *kept, &limit)).collect();
        Look { findings, ..memory.counter.quiet() }
    }
}

fn finding(unit: &str, (_, notices, dropped): (Mono, u64, u64), limit: &(String, String)) -> Finding {
    let or =
        |value: &str, default: &str| if value.is_empty() { format!("{default} (default)") } else { value.to_owned() };
    Finding {
        kind: JOURNAL_RATE_LIMITED,
        subject: unit.to_owned(),
        severity: Severity::Warning,
        summary: format!("journald threw away {dropped} messages of {unit} at once, because there were too many"),
        advice: format!(
            "Let it log less: {}; or, where all of it is wanted, a higher LogRateLimitBurst= there.",
            say_less(unit)
        ),
        evidence: vec![
            Evidence::count("messages thrown away, last time", dropped, ""),
            Evidence::count("notices", notices, ""),
            Evidence::text("RateLimitIntervalSec", or(&limit.0, "30s")),
            Evidence::text("RateLimitBurst", or(&limit.1, "10000")),
        ],
        device: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::{Journal, JournalNotices, Samples};

    #[test]
    fn each_unit_stands_for_a_while() {
        let mut memory = Kept::default();
        let mut look = |seconds: u64, suppressed: u64, dropped: &[(&str, u64)]| {
            let file = JournalFile {
                path: "s".to_owned(),
                notices: JournalNotices { suppressed, ..JournalNotices::default() },
                dropped: dropped.iter().map(|(unit, count)| ((*unit).to_owned(), *count)).collect(),
                ..JournalFile::default()
            };
            let samples = Samples {
                journal: made::fresh(seconds, Journal { files: vec![file], ..Journal::default() }),
                ..Samples::default()
            };
            made::shown(&made::look::<JournalRateLimited>(&mut memory, seconds, &samples, &Default::default()))
        };
        let old = ("old.service", 5);
        assert!(look(60, 4, &[old, old, old, old]).is_empty(), "before we came");
        assert_eq!(look(120, 5, &[old, old, old, ("a.service", 900)]), ["JournalRateLimited a.service warning"]);
        assert_eq!(look(600, 6, &[old, old, ("a.service", 900), ("", 7)]).len(), 2);
        assert_eq!(look(780, 6, &[]), ["JournalRateLimited journal warning"]);
        assert!(look(1260, 6, &[]).is_empty());
    }
}
