//! `SyslogActive`: a syslog daemon writes to disk what a persistent journal keeps already. Advice, until it takes a large part of the disk's writes.
//! It refuses to call a syslog daemon superfluous where the journal is lost at reboot.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hold::{Hold, Patience, Sign};
use super::log_cost::{self, Cost, Kept as CostKept};
use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::watch::{JournalSetup, Logging, SyslogDaemon};

/// The name of the problem.
pub const SYSLOG_ACTIVE: Kind = Kind::new("SyslogActive");
/// Files named in words.
const NAMED: usize = 3;

/// The detector.
pub struct SyslogActive;

/// `[detect.syslog_active]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// A warning where the daemon alone writes so many bytes a second...
    pub warn_bytes_per_s: u32,
    /// ...and so many percent of what the disk of /var/log writes...
    pub warn_percent: u32,
    /// ...in so many windows of the newest six.
    pub warn_windows: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { warn_bytes_per_s: 1_000_000, warn_percent: 10, warn_windows: 4 }
    }
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    cost: CostKept,
    heavy: Hold,
}

impl Detector for SyslogActive {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "syslog_active";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: SYSLOG_ACTIVE,
        severity: Severity::Warning,
        condition: Condition::Logging,
        may_cordon: false,
        meaning: "A syslog daemon writes to disk what the journal keeps there already: every message is stored twice, on a disk whose IOPS and throughput containers share. journald collects messages in memory and writes them together; a syslog daemon calls write for each line.",
        advice: "Where nobody ships the syslog daemon's files, switch it off: `node-steward fix syslog --dry-run` shows how, `--apply` does it, `--undo` takes it back. Where somebody does, let them read the journal first.",
    }];

    fn look(rules: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        let fresh = memory.cost.take(scene.samples);
        let Some(logging) = scene.samples.logging.value() else {
            return Look::unknown(format!(
                "nobody has looked at who writes logs: {}",
                scene.samples.logging.reading.origin()
            ));
        };
        let mut findings = Vec::new();
        for daemon in &logging.daemons {
            let Some(way) = daemon.doubles(&logging.journal) else { continue };
            if fresh {
                let patience = Patience { enter: rules.warn_windows, among: 6, clear: 6 };
                memory.heavy.take(sign(rules, &memory.cost, &daemon.unit), patience);
            }
            findings.push(finding(logging, daemon, way, memory));
        }
        if findings.is_empty() {
            memory.heavy = Hold::default();
        }
        Look::at(findings)
    }
}

fn sign(rules: &Rules, kept: &CostKept, unit: &str) -> Sign {
    let cost = kept.cost(unit);
    let bytes = cost.rate.map_or(0.0, |(bytes, _)| bytes);
    let percent = cost.share.map_or(0.0, |(share, _)| share * 100.0);
    match bytes >= f64::from(rules.warn_bytes_per_s) && percent >= f64::from(rules.warn_percent) {
        true => Sign::Sick,
        false if bytes * 2.0 >= f64::from(rules.warn_bytes_per_s) => Sign::Neither,
        false => Sign::Well,
    }
}

fn finding(logging: &Logging, daemon: &SyslogDaemon, way: &str, memory: &Kept) -> Finding {
    let cost = memory.cost.cost(&daemon.unit);
    let files: Vec<&str> = daemon.files.iter().map(|file| file.path.as_str()).collect();
    let mut evidence =
        vec![Evidence::text("unit", daemon.unit.clone()), Evidence::text("gets what the journal has", way)];
    if daemon.alias {
        evidence.push(Evidence::text("also known as", "syslog.service"));
    }
    evidence.push(Evidence::text("writes", files.join(", ")));
    evidence.push(Evidence::text("journal", format!("Storage={}, kept in /var/log/journal", logging.journal.storage)));
    evidence.push(Evidence::text("ForwardToSyslog", forward(&logging.journal)));
    evidence.extend(cost.evidence(&daemon.unit));
    evidence.extend(log_cost::journald(&memory.cost).evidence("systemd-journald.service"));
    evidence.extend(
        logging.readers.iter().map(|reader| Evidence::text("read by", format!("{} ({})", reader.who, reader.path))),
    );
    evidence.extend(daemon.sends.iter().map(|to| Evidence::text("sends to", to.clone())));
    let severity = if memory.heavy.is_on() { Severity::Warning } else { Severity::Advice };
    Finding {
        kind: SYSLOG_ACTIVE,
        subject: daemon.unit.clone(),
        severity,
        summary: format!(
            "{} writes again to {} what the journal keeps in /var/log/journal: {}",
            daemon.unit,
            some(&files),
            cost.words()
        ),
        advice: format!(
            "{} {}",
            advice(logging, daemon),
            buffers(&daemon.unit, &cost, &log_cost::journald(&memory.cost))
        ),
        evidence,
        device: None,
    }
}

/// What it comes to here that journald buffers and a syslog daemon does not.
fn buffers(unit: &str, cost: &Cost, journald: &Cost) -> String {
    let calls = |cost: &Cost| cost.rate.map(|(bytes, writes)| (log_cost::size(bytes), writes));
    let numbers = match (calls(cost), calls(journald)) {
        (Some((bytes, writes)), Some((theirs, fewer))) => {
            format!("{writes:.1} write calls a second here for {bytes}, against journald's {fewer:.1} for {theirs}")
        }
        _ => cost.words(),
    };
    format!("journald buffers what it writes, {unit} does not: {numbers}.")
}

fn forward(journal: &JournalSetup) -> String {
    format!("{} ({})", if journal.forward_to_syslog { "yes" } else { "no" }, journal.forward_from)
}

/// The first few, and how many more.
pub(super) fn some(files: &[&str]) -> String {
    let named = files[..files.len().min(NAMED)].join(", ");
    match files.len().saturating_sub(NAMED) {
        0 => named,
        1 => format!("{named} and 1 more file"),
        more => format!("{named} and {more} more files"),
    }
}

fn advice(logging: &Logging, daemon: &SyslogDaemon) -> String {
    let mut first = Vec::new();
    first.extend(logging.readers.iter().take(NAMED).map(|reader| match reader.open {
        true => format!("{} reads {}", reader.who, reader.path),
        false => format!("{} names {}", reader.who, reader.path),
    }));
    first.extend(daemon.sends.iter().take(NAMED).map(|to| format!("{} sends to {to}", daemon.unit)));
    first.extend(
        daemon.listens.iter().take(NAMED).map(|from| format!("{} takes messages of other hosts ({from})", daemon.unit)),
    );
    let unit = &daemon.unit;
    let mut steps = Vec::new();
    if logging.journal.forward_to_syslog {
        steps.push(
            "ForwardToSyslog=no in /etc/systemd/journald.conf.d/ and a restart of systemd-journald.service".to_owned(),
        );
    }
    if daemon.reads_socket {
        steps.push(format!("systemctl stop syslog.socket {unit}"));
        steps.push(format!("systemctl disable {unit}"));
    } else {
        steps.push(format!("systemctl disable --now {unit}"));
    }
    let steps = steps.join(", ");
    if first.is_empty() {
        format!(
            "Nobody was seen to read its files. `node-steward fix syslog --apply` switches it off ({steps}); --dry-run shows it, --undo takes it back. All of it stays in `journalctl`."
        )
    } else {
        format!(
            "First: {}. Let that come from the journal; then `node-steward fix syslog --apply` ({steps}), which refuses until then.",
            first.join("; ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::status::Standing;
    use crate::model::watch::{LogFile, LogReader, LogWriter, Samples};

    fn logging(change: impl Fn(&mut Logging)) -> Logging {
        let file =
            |path: &str| LogFile { path: path.to_owned(), synced: false, from: "/etc/rsyslog.conf:60".to_owned() };
        let mut logging = Logging {
            daemons: vec![SyslogDaemon {
                unit: "rsyslog.service".to_owned(),
                alias: true,
                pid: 7,
                start_ticks: 100,
                inputs: vec!["imuxsock".to_owned(), "imklog".to_owned()],
                reads_socket: true,
                files: ["/var/log/syslog", "/var/log/auth.log", "/var/log/a", "/var/log/b", "/var/log/c"]
                    .map(file)
                    .to_vec(),
                ..SyslogDaemon::default()
            }],
            journal: JournalSetup {
                storage: "auto".to_owned(),
                persistent: true,
                forward_to_syslog: true,
                forward_from: "built in".to_owned(),
                ..JournalSetup::default()
            },
            readers: Vec::new(),
        };
        change(&mut logging);
        logging
    }

    fn look(memory: &mut Kept, seconds: u64, logging: Logging, write_bytes: u64) -> Look {
        let writer = |unit: &str, write_bytes, writes| LogWriter {
            unit: unit.to_owned(),
            pid: 7,
            start_ticks: 100,
            write_bytes,
            writes,
        };
        let writers = vec![
            writer("rsyslog.service", write_bytes, write_bytes / 100),
            writer("systemd-journald.service", write_bytes / 5 * 4, write_bytes / 160_000),
        ];
        let samples = Samples {
            logging: made::fresh(1, logging),
            log_writers: made::fresh(seconds, writers),
            ..Samples::default()
        };
        made::look::<SyslogActive>(memory, seconds, &samples, &Default::default())
    }

    #[test]
    fn only_what_is_kept_twice_is_found() {
        let found =
            |change: &dyn Fn(&mut Logging)| made::shown(&look(&mut Kept::default(), 100, logging(change), 0)).len();
        assert_eq!(found(&|_| {}), 1);
        assert_eq!(found(&|all| all.journal.persistent = false), 0, "then it is the only log");
        assert_eq!(found(&|all| all.journal.forward_to_syslog = false), 0, "nothing comes in");
        assert_eq!(found(&|all| all.daemons[0].files.clear()), 0, "it only sends");
        let imjournal = |all: &mut Logging| {
            all.journal.forward_to_syslog = false;
            (all.daemons[0].reads_journal, all.daemons[0].reads_socket) = (true, false);
        };
        assert_eq!(found(&imjournal), 1);
        let none = made::look::<SyslogActive>(&mut Kept::default(), 1, &Samples::default(), &Default::default());
        assert!(matches!(none.standing, Standing::Unknown { .. }));
    }

    #[test]
    fn the_words_have_this_hosts_units_and_numbers() {
        let mut memory = Kept::default();
        look(&mut memory, 100, logging(|_| {}), 0);
        let said = look(&mut memory, 110, logging(|_| {}), 500_000);
        let one = &said.findings[0];
        assert_eq!(
            one.summary,
            "rsyslog.service writes again to /var/log/syslog, /var/log/auth.log, /var/log/a and 2 more files what the journal keeps in /var/log/journal: 50.0 kB and 500.0 write calls a second; 500 kB since it was started"
        );
        assert!(
            one.advice.starts_with("Nobody was seen to read its files. `node-steward fix syslog --apply`"),
            "{}",
            one.advice
        );
        assert!(one.advice.contains("systemctl stop syslog.socket rsyslog.service, systemctl disable rsyslog.service"));
        assert!(
            one.advice.ends_with(
                " journald buffers what it writes, rsyslog.service does not: 500.0 write calls a second here for 50.0 kB, against journald's 0.3 for 40.0 kB."
            ),
            "{}",
            one.advice
        );
        let shipped = look(
            &mut Kept::default(),
            100,
            logging(|all| {
                all.readers = vec![LogReader {
                    who: "fluent-bit[81]".to_owned(),
                    path: "/var/log/syslog".to_owned(),
                    open: true,
                }];
                all.daemons[0].sends = vec!["@@10.0.0.1".to_owned()];
            }),
            0,
        );
        assert!(
            shipped.findings[0]
                .advice
                .starts_with("First: fluent-bit[81] reads /var/log/syslog; rsyslog.service sends to @@10.0.0.1. "),
            "{}",
            shipped.findings[0].advice
        );
    }
}
