//! `OpenFilesNearlyFull`: the kernel's table of open files, or a daemon's own limit of them. It refuses to judge programs that the node can do without.

use std::collections::BTreeMap;

use super::fill::{Kept, Rules, percent};
use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::Reading;
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};

/// The name of the problem.
pub const OPEN_FILES_NEARLY_FULL: Kind = Kind::new("OpenFilesNearlyFull");

/// The detector.
pub struct OpenFilesNearlyFull;

impl Detector for OpenFilesNearlyFull {
    type Rules = Rules;
    type Memory = BTreeMap<String, Kept>;
    const NAME: &'static str = "open_files_nearly_full";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: OPEN_FILES_NEARLY_FULL,
        severity: Severity::Critical,
        condition: Condition::NodeResources,
        may_cordon: false,
        meaning: "Files, sockets and pipes that are open count against a limit of their process, and all together against the kernel's own. Past it nothing more can be \
                  opened: a daemon then takes no connections and starts no containers, and says `too many open files`.",
        advice: "Raise the limit of the unit (LimitNOFILE in a drop-in, then restart it) or fs.file-max, and see whether the number only grows: that is a leak.",
    }];

    fn look(rules: &Rules, memory: &mut Self::Memory, scene: &Scene<'_>) -> Look {
        let (table, daemons) = (&scene.samples.files, &scene.samples.daemons);
        let Some(files) = table.value() else { return Look::unknown(table.reading.origin()) };
        // Without cgroups of units there are no daemons to judge; ones that hide are another matter.
        if let Reading::Failed { why } = &daemons.reading {
            return Look::unknown(why);
        }
        let daemons_now = daemons.value().map_or(&[][..], Vec::as_slice);
        memory.retain(|subject, _| subject == "node" || daemons_now.iter().any(|daemon| daemon.unit == *subject));
        let mut findings = Vec::new();
        if let Some(severity) =
            memory.entry("node".to_owned()).or_default().judge(rules, table.taken, files.open, files.max)
        {
            let more = files.max.saturating_mul(2);
            let advice = format!(
                "sysctl -w fs.file-max={more} makes room at once; `lsof -n | awk '{{print $1}}' | sort | uniq -c | sort -n` shows who has them open."
            );
            findings.push(finding(
                severity,
                "node",
                ("of all processes", "fs.file-max"),
                (files.open, files.max),
                advice,
            ));
        }
        for daemon in daemons_now {
            let kept = memory.entry(daemon.unit.clone()).or_default();
            let Some(severity) = kept.judge(rules, daemons.taken, daemon.files, daemon.files_max) else { continue };
            let (unit, pid, more) = (&daemon.unit, daemon.pid, daemon.files_max.saturating_mul(4));
            let advice = format!(
                "prlimit --pid {pid} --nofile={more}: helps at once without a restart; for good, LimitNOFILE={more} in a drop-in of {unit}. `ls -l /proc/{pid}/fd` \
                 shows what it has open."
            );
            findings.push(finding(
                severity,
                unit,
                ("of its main process", "LimitNOFILE"),
                (daemon.files, daemon.files_max),
                advice,
            ));
        }
        Look::at(findings)
    }
}

fn finding(
    severity: Severity,
    subject: &str,
    (whose, limit): (&str, &str),
    (open, max): (u64, u64),
    advice: String,
) -> Finding {
    let used = percent(open, max);
    Finding {
        kind: OPEN_FILES_NEARLY_FULL,
        subject: subject.to_owned(),
        severity,
        summary: format!("{subject}: {open} of {max} open files {whose} ({used:.0} %, {limit})"),
        advice,
        evidence: vec![
            Evidence::count("open files", open, ""),
            Evidence::count("limit", max, ""),
            Evidence::number("used", used, "%"),
            Evidence::text("limit set by", limit),
        ],
        device: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::status::Standing;
    use crate::model::watch::{Daemon, FileTable, Samples};

    #[test]
    fn the_table_and_each_daemon_by_itself() {
        let samples = |at: u64, open: u64, files: u64| Samples {
            files: made::fresh(at, FileTable { open, max: 1000 }),
            daemons: made::fresh(
                at,
                vec![Daemon {
                    unit: "containerd.service".to_owned(),
                    pid: 71,
                    files,
                    files_max: 1024,
                    ..Daemon::default()
                }],
            ),
            ..Samples::default()
        };
        let mut kept = BTreeMap::new();
        assert!(made::turn::<OpenFilesNearlyFull>(&mut kept, 10, &samples(10, 799, 819)).is_empty());
        assert_eq!(
            made::turn::<OpenFilesNearlyFull>(&mut kept, 20, &samples(20, 960, 0)),
            ["OpenFilesNearlyFull node critical"]
        );
        let look = made::look::<OpenFilesNearlyFull>(&mut kept, 30, &samples(30, 1, 1000), &Default::default());
        assert_eq!(
            look.findings[1].summary,
            "containerd.service: 1000 of 1024 open files of its main process (98 %, LimitNOFILE)"
        );
        assert!(look.findings[1].advice.contains("--pid 71 --nofile=4096"));
        let mut hidden = samples(40, 1, 1);
        hidden.daemons.reading = Reading::failed("kubelet.service: no");
        let look = made::look::<OpenFilesNearlyFull>(&mut kept, 40, &hidden, &Default::default());
        assert_eq!(look.standing, Standing::Unknown { why: "kubelet.service: no".to_owned() });
        let none = Samples { files: made::fresh(50, FileTable { open: 1, max: u64::MAX }), ..Samples::default() };
        let mut anew = BTreeMap::new();
        assert!(made::turn::<OpenFilesNearlyFull>(&mut anew, 50, &none).is_empty(), "no units, no daemons");
    }
}
