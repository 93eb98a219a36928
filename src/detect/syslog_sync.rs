//! `SyslogSync`: a syslog daemon syncs a file after every message. It refuses to wait for a flood: each line then costs writes and flushes of the disk,
//! whatever the rate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log_cost::{self, Kept as CostKept};
use super::scene::Scene;
use super::slot::{Detector, Look};
use super::window::ratio;
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::time::Mono;
use crate::model::watch::{LogFile, SyslogDaemon};

/// The name of the problem.
pub const SYSLOG_SYNC: Kind = Kind::new("SyslogSync");

/// The detector.
pub struct SyslogSync;

/// `[detect.syslog_sync]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    cost: CostKept,
    /// The disk, its flushes, and when they were read.
    flushes: Option<(String, u64, Mono)>,
    /// Flushes in the newest window, and its length in ms.
    flushed: Option<(u64, u64)>,
}

impl Detector for SyslogSync {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "syslog_sync";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: SYSLOG_SYNC,
        severity: Severity::Warning,
        condition: Condition::Logging,
        may_cordon: false,
        meaning: "A syslog daemon waits for the disk after every message that it writes. Each line costs several writes and flushes of a disk whose IOPS containers share, about a hundred times as much as without, and everybody who logs waits for it.",
        advice: "Let it write without syncing: `sync=\"off\"`, `$ActionFileEnableSync off`, or a `-` before the file's name. Where the journal is persistent, it needs no syslog daemon beside it: `node-steward fix syslog --dry-run`.",
    }];

    fn look(_: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        if memory.cost.take(scene.samples) || memory.flushes.is_none() {
            memory.count(scene);
        }
        let Some(logging) = scene.samples.logging.value() else {
            return Look::unknown(format!(
                "nobody has looked at who writes logs: {}",
                scene.samples.logging.reading.origin()
            ));
        };
        let synced =
            |daemon: &SyslogDaemon| daemon.files.iter().filter(|file| file.synced).cloned().collect::<Vec<_>>();
        let sick = logging.daemons.iter().map(|daemon| (daemon, synced(daemon))).filter(|(_, files)| !files.is_empty());
        Look::at(
            sick.map(|(daemon, files)| finding(daemon, &files, daemon.doubles(&logging.journal).is_some(), memory))
                .collect(),
        )
    }
}

impl Kept {
    fn count(&mut self, scene: &Scene<'_>) {
        let taken = scene.samples.counters.taken;
        let now = log_cost::flushes(scene);
        self.flushed = match (&self.flushes, &now) {
            (Some((before, old, since)), Some((after, new))) if before == after && taken > *since => {
                new.checked_sub(*old).map(|count| (count, taken.since_ms(*since)))
            }
            _ => None,
        };
        self.flushes = now.map(|(disk, flushes)| (disk, flushes, taken));
    }
}

fn finding(daemon: &SyslogDaemon, files: &[LogFile], doubles: bool, memory: &Kept) -> Finding {
    let cost = memory.cost.cost(&daemon.unit);
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let mut evidence = vec![Evidence::text("unit", daemon.unit.clone())];
    evidence.extend(files.iter().map(|file| Evidence::text("synced", format!("{} (by {})", file.path, file.from))));
    evidence.extend(cost.evidence(&daemon.unit));
    let mut flushes = String::new();
    if let (Some((count, ms)), Some((disk, ..))) = (memory.flushed, &memory.flushes) {
        let rate = ratio(count.saturating_mul(1000), ms);
        evidence.push(Evidence::number("flushes of the disk", rate, "/s"));
        flushes = format!("; {disk} was flushed {rate:.1} times a second");
    }
    let places: Vec<&str> = files.iter().map(|file| file.from.as_str()).collect();
    let other = if doubles {
        " Or switch it off, since the journal keeps all of it: `node-steward fix syslog --dry-run`."
    } else {
        ""
    };
    Finding {
        kind: SYSLOG_SYNC,
        subject: daemon.unit.clone(),
        severity: Severity::Warning,
        summary: format!(
            "{} syncs {} after every message: {}{flushes}",
            daemon.unit,
            super::syslog_active::some(&names),
            cost.words()
        ),
        advice: format!(
            "In {}: sync=\"off\", `$ActionFileEnableSync off`, or a `-` before the name; then systemctl restart {}.{other}",
            places.join(", "),
            daemon.unit
        ),
        evidence,
        device: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::{JournalSetup, Logging, Samples};

    #[test]
    fn a_synced_file_is_found_whatever_the_journal_does() {
        let file = |path: &str, synced| LogFile {
            path: path.to_owned(),
            synced,
            from: "/etc/rsyslog.d/50-x.conf:3".to_owned(),
        };
        let look = |files: Vec<LogFile>, persistent| {
            let daemon = SyslogDaemon {
                unit: "rsyslog.service".to_owned(),
                files,
                reads_journal: true,
                ..SyslogDaemon::default()
            };
            let journal = JournalSetup { persistent, ..JournalSetup::default() };
            let logging = Logging { daemons: vec![daemon], journal, readers: Vec::new() };
            let samples = Samples { logging: made::fresh(1, logging), ..Samples::default() };
            made::look::<SyslogSync>(&mut Kept::default(), 1, &samples, &Default::default())
        };
        assert_eq!(look(vec![file("/var/log/messages", false)], true), Look::at(Vec::new()));
        for persistent in [true, false] {
            let found = look(vec![file("/var/log/messages", true), file("/var/log/cron", false)], persistent);
            assert_eq!(made::shown(&found), ["SyslogSync rsyslog.service warning"]);
            let one = &found.findings[0];
            assert!(
                one.summary.starts_with("rsyslog.service syncs /var/log/messages after every message"),
                "{}",
                one.summary
            );
            assert!(one.advice.starts_with("In /etc/rsyslog.d/50-x.conf:3: "), "{}", one.advice);
            assert_eq!(one.advice.contains("fix syslog"), persistent);
        }
    }
}
