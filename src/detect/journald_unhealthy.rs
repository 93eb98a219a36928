//! `JournaldUnhealthy`: journald was killed or started anew, or lost messages of the kernel or for the syslog daemon. Where systemd tells how often it has
//! restarted journald by itself, it refuses to count a restart that somebody asked for, as upgrades and `fix syslog` do.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::journal_rates::Counter;
use super::log_cost;
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
    /// Restarted by systemd so often (where systemd cannot be asked: another process so often)...
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
    /// systemd's own count of its restarts; none where it was not told.
    restarts: Option<u64>,
    /// The process that runs, as far as it is known.
    process: Option<(u32, u64)>,
    /// When it was restarted.
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
        Look::at(vec![finding(memory, rules, often, scene)])
    }
}

impl Kept {
    fn started(&mut self, scene: &Scene<'_>, now: Mono) {
        let units = &scene.samples.units;
        // A daemon that has just begun has not asked systemd yet.
        if units.taken == Mono(0) {
            return;
        }
        let writers = scene.samples.log_writers.value().map_or(&[][..], Vec::as_slice);
        let journald = units.value().and_then(|all| all.iter().find(|one| one.unit == JOURNALD));
        let counted = journald.and_then(|one| one.restarts);
        let process = writers.iter().find(|one| one.unit == JOURNALD).map(|one| (one.pid, one.start_ticks));
        let more = match (counted, self.restarts) {
            // A restart that somebody asks for is another process as well, but begins the count anew.
            (Some(after), Some(before)) => after.saturating_sub(before),
            // The first count is what was before, and one that cannot be had now will be had later.
            (Some(_), None) | (None, Some(_)) => 0,
            (None, None) => u64::from(self.process.zip(process).is_some_and(|(before, after)| before != after)),
        };
        self.restarts = counted.or(self.restarts);
        self.process = process.or(self.process);
        let room = STARTS_KEPT.saturating_sub(self.starts.len());
        self.starts.extend(std::iter::repeat_n(now, usize::try_from(more).unwrap_or(room).min(room)));
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

fn finding(memory: &Kept, rules: &Rules, often: bool, scene: &Scene<'_>) -> Finding {
    let (mut said, mut evidence) = (Vec::new(), Vec::new());
    if let Some((result, _)) = &memory.failed {
        said.push(format!("it failed (result {result})"));
        evidence.push(Evidence::text("result", result.clone()));
    }
    let starts = memory.starts.len();
    if often {
        let who = if memory.restarts.is_some() { "systemd restarted it" } else { "it was started anew" };
        said.push(format!("{who} {starts} times within {}", rules.within));
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
        advice: advice(memory, often, scene),
        evidence,
        device: None,
    }
}

/// Where to look first: at the disk when it ended, at those who log when it could not keep up.
fn advice(memory: &Kept, often: bool, scene: &Scene<'_>) -> String {
    let disk = log_cost::disk_of_logs(scene.samples).unwrap_or_else(|| "the disk of /var/log".to_owned());
    let ended = often || memory.failed.is_some();
    let waits = format!("Everybody who logs waits for journald, and journald for {disk}");
    match memory.lost.is_empty() {
        true => {
            format!("{waits}: `node-steward problems` shows that disk, `journalctl -u {JOURNALD} -b` how it ended.")
        }
        false => {
            let pace = scene.log_writers.iter().find(|one| one.unit == JOURNALD).and_then(|one| one.bytes_per_s);
            let writes = pace.map_or_else(String::new, |pace| format!("journald writes {}/s; ", log_cost::size(pace)));
            let how = if ended { format!(", and `journalctl -u {JOURNALD} -b` how it ended") } else { String::new() };
            format!(
                "{waits} ({writes}what came faster was lost): `node-steward problems` shows who floods it and that disk{how}."
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::Reading;
    use crate::model::watch::{Journal, JournalNotices, LogWriter, Sampled, Samples, UnitState};

    /// One look; `restarts` is systemd's count, none where systemd cannot be asked.
    fn look(memory: &mut Kept, seconds: u64, pid: u32, restarts: Option<u64>, file: JournalFile) -> String {
        let writer = LogWriter { unit: JOURNALD.to_owned(), pid, ..LogWriter::default() };
        let unit = |count| UnitState { unit: JOURNALD.to_owned(), restarts: Some(count), ..UnitState::default() };
        let samples = Samples {
            units: restarts.map_or_else(
                || Sampled::at(Mono(seconds * 1000), Reading::absent("no bus")),
                |count| made::fresh(seconds, vec![unit(count)]),
            ),
            journal: made::fresh(seconds, Journal { files: vec![file], ..Journal::default() }),
            log_writers: made::fresh(seconds, vec![writer]),
            ..Samples::default()
        };
        let look = made::look::<JournaldUnhealthy>(memory, seconds, &samples, &Default::default());
        look.findings.first().map(|one| one.summary.clone()).unwrap_or_default()
    }

    #[test]
    fn what_somebody_asked_for_is_no_restart() {
        let mut memory = Kept::default();
        let mut turn = |seconds, pid, restarts| look(&mut memory, seconds, pid, restarts, JournalFile::default());
        for (minute, pid) in (1..9).zip(50..) {
            assert_eq!(turn(minute * 60, pid, Some(0)), "", "fix syslog, its undo, and an operator");
        }
        assert_eq!(turn(600, 58, Some(1)), "");
        assert_eq!(turn(660, 59, Some(0)), "", "asked for again: the count begins anew");
        let twice = "journald does not keep up: systemd restarted it 2 times within 1h";
        assert_eq!(turn(720, 60, Some(1)), twice);
        assert_eq!(turn(4199, 60, Some(1)), twice);
        assert_eq!(turn(4200, 60, Some(1)), "");
        assert_eq!(turn(4400, 62, Some(3)), twice, "two between two looks");
        // For a moment systemd does not answer: it tells of the restart when it does.
        assert_eq!(turn(9000, 62, Some(3)), "");
        assert_eq!(turn(9060, 63, None), "");
        assert_eq!(turn(9120, 63, Some(4)), "");
        assert_eq!(
            turn(9180, 63, Some(u64::MAX)),
            "journald does not keep up: systemd restarted it 16 times within 1h"
        );
    }

    #[test]
    fn a_daemon_that_begins_waits_for_what_systemd_tells() {
        let mut memory = Kept::default();
        for (turn, pid) in (1..8).zip(50..) {
            assert_eq!(look(&mut memory, turn * 60, pid, Some(0), JournalFile::default()), "");
            // Started anew with its memory; journald's process is known before systemd has answered.
            let writer = LogWriter { unit: JOURNALD.to_owned(), pid: pid + 1, ..LogWriter::default() };
            let samples = Samples { log_writers: made::fresh(turn * 60 + 9, vec![writer]), ..Samples::default() };
            assert_eq!(made::turn::<JournaldUnhealthy>(&mut memory, turn * 60 + 9, &samples), [""; 0]);
        }
        assert_eq!((memory.restarts, memory.starts), (Some(0), Vec::new()));
    }

    #[test]
    fn where_systemd_does_not_tell_one_restart_is_none_and_what_was_lost_is_told() {
        let mut memory = Kept::default();
        let mut look = |seconds: u64, pid: u32, missed_kernel: u64, failed: &[(&str, &str)]| {
            let notices = JournalNotices { missed_kernel, failed: failed.len() as u64, ..JournalNotices::default() };
            let failed = failed.iter().map(|(unit, how)| ((*unit).to_owned(), (*how).to_owned())).collect();
            let file = JournalFile { path: "/s".to_owned(), notices, failed, ..JournalFile::default() };
            look(&mut memory, seconds, pid, None, file)
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
