//! `JournaldUnhealthy`: journald was killed or started anew, or lost messages of the kernel or for the syslog daemon. It refuses to count a restart that
//! somebody asked for once, as upgrades do.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::journal_rates::Counter;
use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::time::{Mono, Span};
use crate::model::watch::{JOURNALD, JournalFile};

/// The name of the problem.
pub const JOURNALD_UNHEALTHY: Kind = Kind::new("JournaldUnhealthy");
const STARTS_KEPT: usize = 16;
/// What may be lost, in words.
const KERNELS: &str = "messages of the kernel";
const SYSLOGS: &str = "messages for the syslog daemon";

/// The detector.
pub struct JournaldUnhealthy;

/// `[detect.journald_unhealthy]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Started anew so often...
    pub restarts: u32,
    /// ...within this time. What was found ends when it is so old.
    pub within: Span,
}

impl Default for Rules {
    fn default() -> Self {
        Self { restarts: 2, within: Span::minutes(60) }
    }
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    counter: Counter,
    /// The process that runs, as far as it is known.
    process: Option<(u32, u64)>,
    /// When another one was found.
    starts: Vec<Mono>,
    /// Messages of the kernel, and for the syslog daemon, that were lost: notices, and when the last came.
    lost: BTreeMap<String, (u64, Mono)>,
    /// How it ended when it last failed, and when that was seen.
    failed: Option<(String, Mono)>,
}

impl Detector for JournaldUnhealthy {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "journald_unhealthy";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: JOURNALD_UNHEALTHY,
        severity: Severity::Warning,
        condition: Condition::Logging,
        may_cordon: false,
        meaning: "journald, to which every unit logs, was killed by its watchdog or started again and again, or could not keep up and lost messages. Programs that log wait for it; the usual cause is a disk on which it waits.",
        advice: "Look at the disk of /var/log and at who floods the journal; `systemctl status systemd-journald` and `journalctl -u systemd-journald -b` say more.",
    }];

    fn look(rules: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        let (journal, writers) = (&scene.samples.journal, &scene.samples.log_writers);
        if journal.value().is_none() && writers.value().is_none() {
            return Look::unknown(format!("neither journald nor its files were found: {}", journal.reading.origin()));
        }
        let now = scene.now.mono;
        memory.started(scene, now);
        memory.noticed(scene, now);
        let old = |at: &Mono| now.since_ms(*at) >= rules.within.ms();
        memory.starts.retain(|at| !old(at));
        memory.lost.retain(|_, (_, at)| !old(at));
        memory.failed = memory.failed.take().filter(|(_, at)| !old(at));
        let often = memory.starts.len() >= usize::try_from(rules.restarts.max(1)).unwrap_or(usize::MAX);
        if !often && memory.lost.is_empty() && memory.failed.is_none() {
            return Look::at(Vec::new());
        }
        Look::at(vec![finding(memory, rules, often)])
    }
}

impl Kept {
    fn started(&mut self, scene: &Scene<'_>, now: Mono) {
        let writers = scene.samples.log_writers.value().map_or(&[][..], Vec::as_slice);
        let Some(process) = writers.iter().find(|one| one.unit == JOURNALD).map(|one| (one.pid, one.start_ticks))
        else {
            return;
        };
        if self.process.is_some_and(|before| before != process) && self.starts.len() < STARTS_KEPT {
            self.starts.push(now);
        }
        self.process = Some(process);
    }

    fn noticed(&mut self, scene: &Scene<'_>, now: Mono) {
        let pick = |file: &JournalFile| {
            BTreeMap::from([
                (KERNELS.to_owned(), file.notices.missed_kernel),
                (SYSLOGS.to_owned(), file.notices.missed_forward),
                // A name for each file: the newest notices of it, as many as are new.
                (file.path.clone(), file.notices.failed),
            ])
        };
        let Some(came) = self.counter.take(scene, pick) else { return };
        for (name, count) in [KERNELS, SYSLOGS].map(|name| (name, came.of(name))) {
            if count > 0 {
                let kept = self.lost.entry(name.to_owned()).or_default();
                *kept = (kept.0.saturating_add(count), now);
            }
        }
        let files = scene.samples.journal.value().map_or(&[][..], |journal| journal.files.as_slice());
        let new = |file: &JournalFile| usize::try_from(came.of(&file.path)).unwrap_or(usize::MAX);
        let mut notices = files.iter().flat_map(|file| file.failed.iter().rev().take(new(file)));
        if let Some((_, result)) = notices.find(|(unit, _)| unit == JOURNALD) {
            self.failed = Some((result.clone(), now));
        }
    }
}

fn finding(memory: &Kept, rules: &Rules, often: bool) -> Finding {
    let (mut said, mut evidence) = (Vec::new(), Vec::new());
    if let Some((result, _)) = &memory.failed {
        said.push(format!("it failed (result {result})"));
        evidence.push(Evidence::text("result", result.clone()));
    }
    let starts = memory.starts.len();
    if often {
        said.push(format!("it was started anew {starts} times within {}", rules.within));
    }
    evidence.push(Evidence::count("started anew", u64::try_from(starts).unwrap_or(u64::MAX), ""));
    for (what, (notices, _)) in &memory.lost {
        said.push(format!("{what} were lost ({notices} notices)"));
        evidence.push(Evidence::text("lost", what.clone()));
    }
    Finding {
        kind: JOURNALD_UNHEALTHY,
        subject: JOURNALD.to_owned(),
        severity: Severity::Warning,
        summary: format!("journald does not keep up: {}", said.join("; ")),
        advice: "`journalctl -u systemd-journald -b` and `node-steward problems` for the disk of /var/log: journald waits for it, and everybody who logs waits for journald.".to_owned(),
        evidence,
        device: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::{Journal, JournalNotices, LogWriter, Samples};

    #[test]
    fn one_restart_is_none_and_what_was_lost_is_told() {
        let mut memory = Kept::default();
        let mut look = |seconds: u64, pid: u32, missed_kernel: u64, failed: &[(&str, &str)]| {
            let writer = LogWriter { unit: JOURNALD.to_owned(), pid, ..LogWriter::default() };
            let notices = JournalNotices { missed_kernel, failed: failed.len() as u64, ..JournalNotices::default() };
            let failed = failed.iter().map(|(unit, how)| ((*unit).to_owned(), (*how).to_owned())).collect();
            let file = JournalFile { path: "/s".to_owned(), notices, failed, ..JournalFile::default() };
            let samples = Samples {
                journal: made::fresh(seconds, Journal { files: vec![file], ..Journal::default() }),
                log_writers: made::fresh(seconds, vec![writer]),
                ..Samples::default()
            };
            let look = made::look::<JournaldUnhealthy>(&mut memory, seconds, &samples, &Default::default());
            look.findings.first().map(|one| one.summary.clone()).unwrap_or_default()
        };
        let other = ("b.service", "exit-code");
        assert_eq!(look(60, 50, 3, &[other]), "");
        assert_eq!(look(120, 51, 3, &[other]), "", "an upgrade");
        assert_eq!(look(180, 52, 3, &[other]), "journald does not keep up: it was started anew 2 times within 1h");
        assert_eq!(look(4000, 52, 3, &[other]), "");
        assert_eq!(
            look(4060, 52, 4, &[other, other]),
            "journald does not keep up: messages of the kernel were lost (1 notices)"
        );
        let dead = (JOURNALD, "watchdog");
        assert!(
            look(4120, 53, 4, &[other, other, dead])
                .starts_with("journald does not keep up: it failed (result watchdog); messages")
        );
    }
}
