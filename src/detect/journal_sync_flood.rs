//! `JournalSyncFlood`: messages of priority 2 and worse come often. journald syncs the journal after each, which costs a disk a hundred times what others
//! cost. It refuses to count those that have a syslog facility (as a unit's own output and /dev/log have): journald compares the whole number, and takes
//! these for less than critical.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hold::Patience;
use super::journal_rates::{Came, NO_UNIT, Rate, counted, is_edited};
use super::log_cost;
use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::watch::Journal;

/// The name of the problem.
pub const JOURNAL_SYNC_FLOOD: Kind = Kind::new("JournalSyncFlood");

/// The detector.
pub struct JournalSyncFlood;

/// `[detect.journal_sync_flood]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// More messages than so many a second, of priority 0 to 2 and such that journald syncs after them, as those without a syslog facility.
    pub per_s: u32,
    /// In so many of the newest four looks, a minute apart.
    pub enter_windows: u32,
    /// It ends after so many looks with less than half of that.
    pub clear_windows: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { per_s: 1, enter_windows: 2, clear_windows: 2 }
    }
}

impl Detector for JournalSyncFlood {
    type Rules = Rules;
    type Memory = Rate;
    const NAME: &'static str = "journal_sync_flood";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: JOURNAL_SYNC_FLOOD,
        severity: Severity::Warning,
        condition: Condition::Logging,
        may_cordon: false,
        meaning: "Messages of priority critical, alert or emergency come often. journald waits for the disk after each of them instead of once in a while (SyncIntervalSec=, five minutes by default): each costs several writes and flushes, and everybody who logs waits meanwhile.",
        advice: "Let the program log its errors as errors (priority 3), or limit the unit: LogRateLimitBurst= in a drop-in.",
    }];

    fn look(rules: &Rules, memory: &mut Rate, scene: &Scene<'_>) -> Look {
        let journal = match counted(scene) {
            Ok(journal) => journal,
            Err(look) => return look,
        };
        // The index counts priorities and facilities, and not both together: the newest stand for the others.
        let (of, synced) = newest(journal);
        let count = |came: &Came| {
            let all = ["0", "1", "2"].into_iter().map(|name| came.of(name)).fold(0, u64::saturating_add);
            all.saturating_mul(synced).checked_div(of).unwrap_or(0)
        };
        let patience = Patience { enter: rules.enter_windows, among: 4, clear: rules.clear_windows };
        memory.take(scene, (rules.per_s, patience), count, |file| &file.critical);
        let unit = match memory.unit() {
            Ok(unit) => unit,
            Err(look) => return look,
        };
        let rate = memory.per_s();
        let (of_whom, who) = match unit {
            NO_UNIT => (NO_UNIT.to_owned(), "whoever writes them"),
            unit => (format!("of {unit}"), unit),
        };
        let setup = scene.samples.logging.value().map(|logging| logging.journal.sync_interval.as_str());
        let mut advice = format!(
            "journald syncs at once from priority 2 on, here {rate:.1} times a second instead of once in {}. Let {who} log at priority 3",
            interval(setup)
        );
        if is_edited(unit) {
            advice.push_str(&format!(
                ", or `systemctl edit {unit}` with [Service] LogRateLimitIntervalSec=30s and LogRateLimitBurst=30"
            ));
        }
        advice.push('.');
        let mut evidence = vec![
            Evidence::number("messages of priority 0 to 2, synced", rate, "/s"),
            Evidence::count("window", memory.window_s(), "s"),
            Evidence::text("without a syslog facility", format!("{synced} of the newest {of}")),
        ];
        evidence.extend(log_cost::evidence(&scene.log_writers));
        Look::at(vec![Finding {
            kind: JOURNAL_SYNC_FLOOD,
            subject: unit.to_owned(),
            severity: Severity::Warning,
            summary: format!(
                "{rate:.1} messages a second of priority critical or worse, most of them {of_whom}; journald waits for the disk after each"
            ),
            advice,
            evidence,
            device: None,
        }])
    }
}

/// How long journald lets other messages wait before it syncs.
fn interval(written: Option<&str>) -> String {
    match written {
        None => "the time of SyncIntervalSec=".to_owned(),
        Some("") => "5m (SyncIntervalSec= is at its default)".to_owned(),
        // A number alone is seconds.
        Some(written) if written.bytes().all(|byte| byte.is_ascii_digit()) => format!("{written}s (SyncIntervalSec=)"),
        Some(written) => format!("{written} (SyncIntervalSec=)"),
    }
}

/// The newest of priority 0 to 2, and how many of them are synced.
fn newest(journal: &Journal) -> (u64, u64) {
    journal.files.iter().fold((0, 0), |(of, synced), file| {
        (file.critical.of.saturating_add(of), file.critical.synced.saturating_add(synced))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::made;
    use super::*;
    use crate::model::watch::{Journal, JournalFile, Newest, Samples};

    #[test]
    fn a_few_are_none_and_many_are() {
        let mut memory = Rate::default();
        let (mut count, mut minute) = (0, 0);
        let mut look = |more: u64, synced: u64| {
            minute += 1;
            count += more;
            let critical = Newest { of: 64, units: BTreeMap::from([("db.service".to_owned(), synced)]), synced };
            let file = JournalFile {
                path: "s".to_owned(),
                priorities: [0, 0, count, 0, 0, 0, 0, 0],
                critical,
                ..JournalFile::default()
            };
            let samples = Samples {
                journal: made::fresh(minute * 60, Journal { files: vec![file], ..Journal::default() }),
                ..Samples::default()
            };
            made::look::<JournalSyncFlood>(&mut memory, minute * 60, &samples, &Default::default())
        };
        let seen: Vec<usize> = [500, 10, 60, 61, 900, 40, 5, 5].map(|more| look(more, 64).findings.len()).to_vec();
        assert_eq!(seen, [0, 0, 0, 0, 1, 1, 1, 0]);
        assert!((0..3).all(|_| look(6000, 0).findings.is_empty()), "a facility spares the disk");
        look(1200, 32);
        let one = look(1200, 32).findings.remove(0);
        assert!(
            one.summary.starts_with("10.0 messages a second of priority critical or worse, most of them of db.service"),
            "{}",
            one.summary
        );
        assert!(one.summary.contains(", most of them of db.service; journald waits"), "{}", one.summary);
        let syncs = "here 10.0 times a second instead of once in the time of SyncIntervalSec=. Let db.service log";
        assert!(one.advice.contains(syncs), "{}", one.advice);
    }

    #[test]
    fn this_hosts_interval_is_named() {
        assert_eq!(interval(Some("")), "5m (SyncIntervalSec= is at its default)");
        assert_eq!(interval(Some("30")), "30s (SyncIntervalSec=)");
        assert_eq!(interval(Some("1min 30s")), "1min 30s (SyncIntervalSec=)");
    }
}
