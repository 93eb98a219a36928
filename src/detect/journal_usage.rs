//! `JournalUsage`: the journal takes a large part of the file system of `/`, whose room containers and kubelet's eviction count. Advice. It refuses to
//! complain of a journal that has a file system of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fill::percent;
use super::log_cost::size;
use super::scene::Scene;
use super::slot::{Detector, Look};
use super::window::ratio;
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::watch::{Answer, Dev, Samples, Space};

/// The name of the problem.
pub const JOURNAL_USAGE: Kind = Kind::new("JournalUsage");
/// journald's own default for SystemMaxUse= never exceeds this.
const MOST_MIB: u64 = 4096;
/// journald keeps so much whatever is asked of it.
const LEAST_MIB: u64 = 16;

/// The detector.
pub struct JournalUsage;

/// `[detect.journal_usage]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Of the file system of `/`; journald itself stops at 10 % or 4 GiB, whichever is less.
    pub percent: u32,
    /// Where less than this percentage of it is left...
    pub left_percent: u32,
    /// ...so many MB of journal are worth a word.
    pub left_megabytes: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { percent: 12, left_percent: 15, left_megabytes: 1000 }
    }
}

/// Whether it was found; what has begun ends at nine tenths of the limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    on: bool,
}

impl Detector for JournalUsage {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "journal_usage";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: JOURNAL_USAGE,
        severity: Severity::Advice,
        condition: Condition::Logging,
        may_cordon: false,
        meaning: "The journal takes much of the disk that / and, on most nodes, images and pods lie on. kubelet evicts pods when that disk runs full, and cannot know that old messages fill it.",
        advice: "Give the journal a limit: SystemMaxUse= in /etc/systemd/journald.conf.d/, with the value that the finding names; `journalctl --vacuum-size=` with the same value frees the room now.",
    }];

    fn look(rules: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        let Some(journal) = scene.samples.journal.value() else {
            return Look::unknown(format!(
                "nobody has looked at the journal's files: {}",
                scene.samples.journal.reading.origin()
            ));
        };
        if !journal.persistent {
            memory.on = false;
            return Look::at(Vec::new());
        }
        let (root, logs) = match (looked(scene.samples, "root"), looked(scene.samples, "logs")) {
            (Some(root), Some(logs)) => (root, logs),
            _ => return Look::unknown("/ or /var/log was not looked at"),
        };
        // A journal with a mount of its own is nobody's trouble; one beneath /var/log lies where that does.
        let own = super::mounted::holding(scene.samples, "/var/log/journal").is_some_and(|mount| mount.dev != root.0);
        let space = root.1;
        let used = journal.disk_bytes;
        let relief = |limit: f64| if memory.on { limit * 0.9 } else { limit };
        let much = percent(used, space.total_bytes) >= relief(f64::from(rules.percent));
        let narrow = percent(space.available_bytes, space.total_bytes) < f64::from(rules.left_percent)
            && ratio(used, 1_000_000) >= relief(f64::from(rules.left_megabytes));
        memory.on = logs.0 == root.0 && !own && (much || narrow);
        if !memory.on {
            return Look::at(Vec::new());
        }
        let limit =
            scene.samples.logging.value().map(|logging| logging.journal.system_max_use.clone()).unwrap_or_default();
        let limit = if limit.is_empty() { "10 % of the file system, at most 4G (default)".to_owned() } else { limit };
        let of = percent(used, space.total_bytes);
        let ends_below = rules.ends_below(space.total_bytes, narrow);
        let advice = advice(used, ends_below);
        Look::at(vec![Finding {
            kind: JOURNAL_USAGE,
            subject: "/var/log/journal".to_owned(),
            severity: Severity::Advice,
            summary: format!(
                "the journal takes {} in {} files, {of:.0} % of the file system of /, of which {:.0} % are left",
                size(ratio(used, 1)),
                journal.count,
                percent(space.available_bytes, space.total_bytes)
            ),
            advice,
            evidence: vec![
                Evidence::count("journal", used, "bytes"),
                Evidence::count("files", journal.count, ""),
                Evidence::number("of the file system", of, "%"),
                Evidence::count("left there", space.available_bytes, "bytes"),
                Evidence::text("SystemMaxUse", limit),
            ],
            device: None,
        }])
    }
}

impl Rules {
    /// Below so many bytes of journal what was found ends, however little is left: by the part of the file system, and where little is left by that too.
    fn ends_below(&self, total_bytes: u64, narrow: bool) -> u64 {
        let by_part = (total_bytes / 1000).saturating_mul(u64::from(self.percent).saturating_mul(9));
        let by_room = u64::from(self.left_megabytes).saturating_mul(900_000);
        if narrow { by_part.min(by_room) } else { by_part }
    }
}

fn advice(used_bytes: u64, ends_below: u64) -> String {
    let mib = max_use_mib(ends_below);
    let keeps = match mib << 20 < ends_below {
        true => format!("keep it below the {} at which this ends", size(ratio(ends_below, 1))),
        false => "keep it as small as journald can".to_owned(),
    };
    let now = match used_bytes.saturating_sub(mib << 20) {
        0 => String::new(),
        freed => format!(
            "; `journalctl --vacuum-size={mib}M` frees about {} now, for images and pods",
            size(ratio(freed, 1))
        ),
    };
    format!(
        "SystemMaxUse={mib}M under [Journal] in /etc/systemd/journald.conf.d/90-size.conf and `systemctl restart systemd-journald` {keeps}{now}."
    )
}

/// The SystemMaxUse= that keeps the journal below so many bytes. journald holds archived files to it, beside which the open one has up to an eighth of it.
fn max_use_mib(below_bytes: u64) -> u64 {
    let mib = (below_bytes / 10 * 8) >> 20;
    // Easier to read where nothing depends on it.
    let even = mib - mib % if mib >= 500 { 50 } else { 1 };
    even.clamp(LEAST_MIB, MOST_MIB)
}

fn looked(samples: &Samples, role: &str) -> Option<(Dev, Space)> {
    let place = samples.places.value()?.iter().find(|place| place.role == role)?;
    match &place.answer {
        Answer::Looked { dev, space } => Some((*dev, *space)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::made::{self, ROOT};
    use super::*;
    use crate::model::watch::Journal;

    #[test]
    fn only_on_the_disk_of_root_and_not_for_a_little() {
        let other = Dev { major: 259, minor: 7 };
        let mut memory = Kept::default();
        let mut look = |journal_gb: u64, total_gb: u64, left_gb: u64, logs: Dev| {
            let space = Space {
                total_bytes: total_gb << 30,
                available_bytes: left_gb << 30,
                inodes: 9,
                inodes_free: 8,
                read_only: false,
            };
            let places = vec![made::place("/", "root", ROOT, space), made::place("/var/log", "logs", logs, space)];
            let journal = Journal { disk_bytes: journal_gb << 30, count: 31, persistent: true, ..Journal::default() };
            let mounts = vec![made::mount(1, ROOT, "/", "xfs", "rw"), made::mount(2, other, "/other", "xfs", "rw")];
            let samples = Samples {
                places: made::fresh(1, places),
                journal: made::fresh(1, journal),
                ..made::samples(1, mounts)
            };
            made::shown(&made::look::<JournalUsage>(&mut memory, 1, &samples, &Default::default())).len()
        };
        assert_eq!(look(4, 100, 50, ROOT), 0);
        assert_eq!(look(4, 20, 15, ROOT), 1);
        assert_eq!(look(4, 35, 15, ROOT), 1, "it does not flicker");
        assert_eq!(look(4, 40, 15, ROOT), 0);
        assert_eq!(look(4, 20, 15, other), 0);
        assert_eq!(look(2, 100, 14, ROOT), 1, "little is left");
        assert_eq!(look(0, 100, 14, ROOT), 0);
    }

    #[test]
    fn the_advised_limit_ends_it_on_every_disk() {
        let rules = Rules::default();
        for total_gb in [1, 2, 4, 8, 10, 16, 20, 30, 50, 80, 100, 200, 500, 1000, 16_000] {
            for (left_percent, total) in [(3, total_gb << 30), (14, total_gb * 1_000_000_000), (60, total_gb << 30)] {
                let space = Space {
                    total_bytes: total,
                    available_bytes: total / 100 * left_percent,
                    inodes: 9,
                    inodes_free: 8,
                    read_only: false,
                };
                let mut memory = Kept::default();
                let mut look = |disk_bytes: u64| {
                    let places =
                        vec![made::place("/", "root", ROOT, space), made::place("/var/log", "logs", ROOT, space)];
                    let journal = Journal { disk_bytes, count: 31, persistent: true, ..Journal::default() };
                    let samples = Samples {
                        places: made::fresh(1, places),
                        journal: made::fresh(1, journal),
                        ..made::samples(1, vec![made::mount(1, ROOT, "/", "xfs", "rw")])
                    };
                    made::look::<JournalUsage>(&mut memory, 1, &samples, &Default::default()).findings
                };
                let advice = look(total / 5).pop().expect("a fifth is much").advice;
                let value = advice.split("SystemMaxUse=").nth(1).and_then(|rest| rest.split_once("M ")).unwrap().0;
                let mib: u64 = value.parse().unwrap();
                assert!((LEAST_MIB..=MOST_MIB).contains(&mib), "{total_gb} GB: {advice}");
                // With an open file beside the archived ones.
                let held = (mib << 20) / 8 * 9;
                assert!(held < rules.ends_below(total, left_percent < 15), "{total_gb} GB: {advice}");
                assert_eq!(look(held), [], "{total_gb} GB, {left_percent} % left: {advice}");
                assert!(advice.contains(&format!("--vacuum-size={mib}M` ")), "{advice}");
            }
        }
        let least = advice(17 << 20, 4_500_000);
        assert!(least.contains("SystemMaxUse=16M") && least.contains("keep it as small as journald can;"), "{least}");
        assert!(!advice(5_000_000, 4_500_000).contains("frees"));
    }
}
