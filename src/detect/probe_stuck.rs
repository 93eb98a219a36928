//! `ProbeStuck`: a look at a directory has not been answered. It refuses to look itself: the probes do, and whoever waits for one waits in vain.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mounted;
use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::time::{Mono, Span};
use crate::model::watch::Answer;

/// The name of the problem.
pub const PROBE_STUCK: Kind = Kind::new("ProbeStuck");

/// The detector.
pub struct ProbeStuck;

/// While the disk answers others, a look is critical only after so many times as long.
const OVERLOADED_TIMES: u64 = 10;

/// `[detect.probe_stuck]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// No answer for so long: warning.
    pub warn_after: Span,
    /// The same: critical.
    pub critical_after: Span,
    /// Answered looks in a row after which it has ended.
    pub clear_looks: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { warn_after: Span::seconds(10), critical_after: Span::seconds(30), clear_looks: 2 }
    }
}

/// What is kept of a mount point that did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    /// The directory that was looked at, and what it is for.
    path: String,
    role: String,
    /// For how long there was no answer.
    for_ms: u64,
    /// Answered looks in a row, and when the newest was.
    answered: u32,
    seen: Mono,
}

impl Detector for ProbeStuck {
    type Rules = Rules;
    type Memory = BTreeMap<String, Kept>;
    const NAME: &'static str = "probe_stuck";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: PROBE_STUCK,
        severity: Severity::Critical,
        condition: Condition::DiskIO,
        may_cordon: true,
        meaning: "A look at a directory, or at the disk beneath one of the node's own, has not been answered: the disk, the network storage or the FUSE server behind it \
                  hangs, and so does every other program that touches it.",
        advice: "Find what is behind the mount point. A disk: see DiskStalled. A network or FUSE file system: its server. What hangs on it ends only when it answers, or with the node.",
    }];

    fn look(rules: &Rules, memory: &mut Self::Memory, scene: &Scene<'_>) -> Look {
        let Some(places) = scene.samples.places.value() else {
            return Look::unknown(format!("no probe has looked: {}", scene.samples.places.reading.origin()));
        };
        let taken = scene.samples.places.taken;
        let point = |path: &str| {
            mounted::holding(scene.samples, path).map_or_else(|| path.to_owned(), |mount| mount.point.clone())
        };
        // What is no longer asked about, or no longer mounted, is over.
        memory.retain(|subject, kept| {
            places.iter().any(|place| place.path == kept.path) && point(&kept.path) == *subject
        });
        for place in places {
            match &place.answer {
                Answer::Stuck { for_ms } if *for_ms >= rules.warn_after.ms() => {
                    let kept = memory.entry(point(&place.path)).or_default();
                    // Of several directories there, the one that waits longest.
                    if kept.seen != taken || *for_ms >= kept.for_ms {
                        *kept = Kept {
                            path: place.path.clone(),
                            role: place.role.clone(),
                            for_ms: *for_ms,
                            answered: 0,
                            seen: taken,
                        };
                    }
                }
                Answer::Stuck { .. } | Answer::NotAsked { .. } => {}
                Answer::Looked { .. } | Answer::Missing | Answer::Refused { .. } => {
                    let theirs = memory.values_mut().find(|kept| kept.path == place.path && kept.seen < taken);
                    if let Some(kept) = theirs {
                        kept.answered = kept.answered.saturating_add(1);
                        kept.seen = taken;
                    }
                }
            }
        }
        memory.retain(|_, kept| kept.answered < rules.clear_looks.max(1));
        Look::at(memory.iter().map(|(subject, kept)| finding(rules, scene, subject, kept)).collect())
    }
}

fn finding(rules: &Rules, scene: &Scene<'_>, subject: &str, kept: &Kept) -> Finding {
    let seconds = kept.for_ms / 1000;
    let mount = mounted::holding(scene.samples, &kept.path);
    let mut evidence = vec![
        Evidence::text("mount point", subject),
        Evidence::text("directory", kept.path.clone()),
        Evidence::text("for", kept.role.clone()),
        Evidence::count("without an answer", seconds, "s"),
    ];
    if let Some(mount) = mount {
        evidence.push(Evidence::text("file system", mount.kind.clone()));
        evidence.push(Evidence::text("source", mount.source.clone()));
    }
    let device = mount.and_then(|mount| scene.device(mount.dev));
    // A disk that answers others is overloaded rather than gone, unless it goes on for long.
    let answers = |disk: &String| scene.disks.iter().any(|window| window.name == *disk && window.completions > 0);
    let overloaded = device.is_some_and(|device| device.disks.iter().any(answers) || answers(&device.name));
    if overloaded {
        evidence.push(Evidence::text("the disk", "answers others"));
    }
    let critical_ms = rules.critical_after.ms().saturating_mul(if overloaded { OVERLOADED_TIMES } else { 1 });
    let summary = if kept.answered > 0 {
        format!("{subject}: answers again, after {seconds} s")
    } else {
        format!("{subject}: a look at {} has not been answered for {seconds} s", kept.path)
    };
    Finding {
        kind: PROBE_STUCK,
        subject: subject.to_owned(),
        severity: if kept.for_ms >= critical_ms { Severity::Critical } else { Severity::Warning },
        summary,
        advice: String::new(),
        evidence,
        device: device.map(|device| device.dev),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::made;
    use super::super::scene::Past;
    use super::*;
    use crate::model::watch::{Dev, DiskCounters, Place, Samples, Space};

    const NONE: [&str; 0] = [];
    const SPACE: Space = Space { total_bytes: 1, available_bytes: 1, inodes: 0, inodes_free: 0, read_only: false };

    fn samples(at: u64, answer: Answer) -> Samples {
        let dev = Dev { major: 0, minor: 50 };
        let places = vec![
            made::place("/", "root", made::ROOT, SPACE),
            Place { path: "/mnt/fuse/data".into(), role: "mount".into(), answer },
        ];
        let mounts =
            vec![made::mount(1, made::ROOT, "/", "ext4", "rw"), made::mount(2, dev, "/mnt/fuse", "fuse.x", "rw")];
        Samples { places: made::fresh(at, places), ..made::samples(at, mounts) }
    }

    #[test]
    fn no_answer_warns_gets_critical_and_ends_with_answers() {
        let mut memory = BTreeMap::new();
        let stuck = |ms| Answer::Stuck { for_ms: ms };
        let dev = Dev { major: 0, minor: 50 };
        let looked = || Answer::Looked { dev, space: SPACE };
        let mut play = |at: u64, answer| made::turn::<ProbeStuck>(&mut memory, at, &samples(at, answer));
        assert_eq!(play(10, stuck(9_900)), NONE);
        assert_eq!(play(20, stuck(19_900)), ["ProbeStuck /mnt/fuse warning"]);
        assert_eq!(play(30, stuck(30_000)), ["ProbeStuck /mnt/fuse critical"]);
        assert_eq!(play(40, looked()), ["ProbeStuck /mnt/fuse critical"]);
        assert_eq!(play(40, looked()), ["ProbeStuck /mnt/fuse critical"], "the same look does not count twice");
        assert_eq!(play(50, Answer::NotAsked { why: "x".into() }), ["ProbeStuck /mnt/fuse critical"]);
        assert_eq!(play(60, looked()), NONE);
    }

    #[test]
    fn a_disk_that_answers_others_is_given_more_time() {
        let play = |done: u64, for_ms: u64| {
            let (mut past, mut memory, mut severity) = (Past::default(), BTreeMap::new(), None);
            for (at, reads) in [(10, 100), (20, 100 + done)] {
                let place = Place { path: "/".into(), role: "root".into(), answer: Answer::Stuck { for_ms } };
                let whole = made::device("nvme0n1", Dev { major: 259, minor: 0 }, "nvme0n1");
                let counters = DiskCounters { name: "nvme0n1".into(), reads, in_flight: 9, ..Default::default() };
                let samples = Samples {
                    places: made::fresh(at, vec![place]),
                    devices: made::fresh(at, vec![whole, made::device("nvme0n1p1", made::ROOT, "nvme0n1")]),
                    counters: made::fresh(at, vec![counters]),
                    ..made::samples(at, vec![made::mount(1, made::ROOT, "/", "ext4", "rw")])
                };
                let (now, active) = (made::now(at), BTreeSet::new());
                let scene = Scene::new(&now, &samples, &active, &mut past);
                let look = ProbeStuck::look(&Rules::default(), &mut memory, &scene);
                severity = look.findings.first().map(|finding| finding.severity);
            }
            severity
        };
        assert_eq!(play(0, 60_000), Some(Severity::Critical));
        assert_eq!(play(50, 60_000), Some(Severity::Warning));
        assert_eq!(play(50, 300_000), Some(Severity::Critical));
    }

    #[test]
    fn what_is_gone_is_over() {
        let mut memory = BTreeMap::new();
        let stuck = samples(10, Answer::Stuck { for_ms: 60_000 });
        assert_eq!(made::turn::<ProbeStuck>(&mut memory, 10, &stuck).len(), 1);
        // Unmounted by force: the directory now lies on another mount.
        let mut gone = samples(20, Answer::Missing);
        gone.mounts = made::fresh(20, vec![made::mount(1, made::ROOT, "/", "ext4", "rw")]);
        assert_eq!(made::turn::<ProbeStuck>(&mut memory, 20, &gone), NONE);
    }
}
