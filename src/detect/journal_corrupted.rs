//! `JournalCorrupted`: journald found one of its files damaged, and set it aside. It refuses to call a file damaged that was only left open, by a kill or a
//! power cut (its header tells), or that the last boot left so: those are set aside soon after boot.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::time::{Span, Wall};

/// The name of the problem.
pub const JOURNAL_CORRUPTED: Kind = Kind::new("JournalCorrupted");

/// The detector.
pub struct JournalCorrupted;

/// `[detect.journal_corrupted]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Files set aside so soon after boot are those that the last boot left open.
    pub boot: Span,
}

impl Default for Rules {
    fn default() -> Self {
        Self { boot: Span::minutes(3) }
    }
}

impl Detector for JournalCorrupted {
    type Rules = Rules;
    type Memory = ();
    const NAME: &'static str = "journal_corrupted";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: JOURNAL_CORRUPTED,
        severity: Severity::Warning,
        condition: Condition::Logging,
        may_cordon: false,
        meaning: "journald found its own file damaged, set it aside and began a new one. Part of the log may be lost, and a disk that damages one file may damage others.",
        advice: "Look at the disk (`journalctl -k`, file system errors), at `journalctl --verify`, and at how often it happens; a file ending in .journal~ can be removed once nobody needs it.",
    }];

    fn look(rules: &Rules, (): &mut (), scene: &Scene<'_>) -> Look {
        let Some(journal) = scene.samples.journal.value() else {
            return Look::unknown(format!(
                "nobody has looked at the journal's files: {}",
                scene.samples.journal.reading.origin()
            ));
        };
        let now = scene.now;
        let booted = now.wall.0.saturating_sub(i64::try_from(now.mono.0).unwrap_or(i64::MAX));
        let from = booted.saturating_add(i64::try_from(rules.boot.ms()).unwrap_or(i64::MAX));
        let mut when: Vec<i64> =
            journal.set_aside_wall_ms.iter().copied().filter(|at| (from..=now.wall.0).contains(at)).collect();
        when.sort_unstable();
        let (Some(last), count) = (when.last(), when.len()) else { return Look::at(Vec::new()) };
        let store = if journal.persistent { "/var/log/journal" } else { "/run/log/journal" };
        Look::at(vec![Finding {
            kind: JOURNAL_CORRUPTED,
            subject: store.to_owned(),
            severity: Severity::Warning,
            summary: format!(
                "journald set {count} damaged {} of {store} aside since boot, the last at {}",
                if count == 1 { "file" } else { "files" },
                Wall(*last)
            ),
            advice: format!(
                "`journalctl --verify --directory={store}` and `journalctl -k -p err` say more; a disk that damages this file may damage others. Files *.journal~ there can be removed when nobody needs them."
            ),
            evidence: vec![
                Evidence::count("files", u64::try_from(count).unwrap_or(u64::MAX), ""),
                Evidence::text("last", Wall(*last).to_string()),
            ],
            device: None,
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::{Journal, Samples};

    #[test]
    fn a_power_cut_is_none() {
        // `made` booted at 1,700,000,000 s.
        let look = |set_aside: &[i64]| {
            let set_aside_wall_ms = set_aside.iter().map(|second| (1_700_000_000 + second) * 1000).collect();
            let journal = Journal { set_aside_wall_ms, persistent: true, ..Journal::default() };
            let samples = Samples { journal: made::fresh(5000, journal), ..Samples::default() };
            made::look::<JournalCorrupted>(&mut (), 5000, &samples, &Default::default())
        };
        for well in [&[][..], &[-100_000], &[4], &[100], &[90_000]] {
            assert_eq!(look(well), Look::at(Vec::new()), "{well:?}");
        }
        let sick = look(&[4, 4000, 200]);
        assert_eq!(made::shown(&sick), ["JournalCorrupted /var/log/journal warning"]);
        assert!(sick.findings[0].summary.starts_with("journald set 2 damaged files"), "{}", sick.findings[0].summary);
    }
}
