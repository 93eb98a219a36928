//! `FilesystemErrors`: a file system has met an error in this boot, by its own account: ext4's counters, the mount options `emergency_ro` and
//! `shutdown`, and an I/O error from a look at the mount point, which is all that a shut down XFS shows. It lasts until the file system is
//! repaired or the node restarts. It refuses errors of earlier boots, which ext4 keeps in its superblock.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mounted;
use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::Reading;
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::status::Standing;
use crate::model::time::{Now, Wall};
use crate::model::watch::{Answer, Dev, ExtErrors, Place};

/// The name of the problem.
pub const FILESYSTEM_ERRORS: Kind = Kind::new("FilesystemErrors");

/// The detector.
pub struct FilesystemErrors;

/// `[detect.filesystem_errors]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    /// Of each ext4 file system, its count at the first look, or at the last repair.
    baselines: BTreeMap<String, u64>,
    /// Directories at which the newest look that was answered met an error, and its words. A look that is not answered takes nothing back.
    refused: BTreeMap<String, String>,
}

impl Detector for FilesystemErrors {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "filesystem_errors";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: FILESYSTEM_ERRORS,
        severity: Severity::Critical,
        condition: Condition::DiskHealth,
        may_cordon: true,
        meaning: "A file system has found its data damaged, or has given up after an I/O error: then writes fail, or every access does, while /proc/mounts may still \
                  say rw.",
        advice: "Save what is needed, unmount, check it (e2fsck, xfs_repair) and find out why; the kernel's log usually names the disk. If it carries the node's own \
                 state, replace the node.",
    }];

    fn look(_: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        let samples = scene.samples;
        let Some(mounts) = samples.mounts.value() else {
            return Look::unknown(format!("no list of mounts: {}", samples.mounts.reading.origin()));
        };
        let mut standing = Standing::Working;
        let mut found: BTreeMap<String, Found> = BTreeMap::new();
        match &samples.ext.reading {
            Reading::Fresh { value, .. } => {
                memory.baselines.retain(|device, _| value.iter().any(|one| one.device == *device));
                for errors in value {
                    if let Some((subject, one)) = counted(&mut memory.baselines, scene, errors) {
                        found.insert(subject, one);
                    }
                }
            }
            // No ext4 here.
            Reading::Absent { .. } => memory.baselines.clear(),
            Reading::Failed { why } => standing = Standing::Unknown { why: format!("ext4's counters: {why}") },
        }
        for mount in mounts {
            for option in ["emergency_ro", "shutdown"].into_iter().filter(|option| mounted::has_option(mount, option)) {
                let subject = mounted::naming(samples, mount.dev).unwrap_or(mount).point.clone();
                let given_up =
                    if option == "shutdown" { "has shut down" } else { "writes nothing more (emergency_ro)" };
                let one = found.entry(subject).or_insert_with(|| Found::of(Some(mount.dev)));
                one.severity = Severity::Critical;
                one.say(given_up, Evidence::text("mount option", option));
            }
        }
        if let Some(places) = samples.places.value() {
            memory.looked(places);
        }
        for (path, why) in &memory.refused {
            let mount = mounted::holding(samples, path);
            let subject = mount.map_or_else(|| path.clone(), |mount| mount.point.clone());
            let one = found.entry(subject).or_insert_with(|| Found::of(mount.map(|mount| mount.dev)));
            one.severity = Severity::Critical;
            one.say(&format!("a look at {path} gives: {why}"), Evidence::text("answer", why.clone()));
        }
        let findings = found.into_iter().map(|(subject, one)| one.finding(scene, subject));
        Look { findings: findings.collect(), standing, disks: Vec::new() }
    }
}

/// EIO and EUCLEAN ("structure needs cleaning").
const SICK_ERRORS: [i32; 2] = [5, 117];

impl Kept {
    fn looked(&mut self, places: &[Place]) {
        let unanswered = |place: &&Place| matches!(place.answer, Answer::Stuck { .. } | Answer::NotAsked { .. });
        self.refused.retain(|path, _| places.iter().filter(unanswered).any(|place| place.path == *path));
        self.refused.extend(places.iter().filter_map(|place| match &place.answer {
            Answer::Refused { errno, why } if SICK_ERRORS.contains(errno) => Some((place.path.clone(), why.clone())),
            _ => None,
        }));
    }
}

/// What is wrong with one file system.
struct Found {
    dev: Option<Dev>,
    severity: Severity,
    words: Vec<String>,
    evidence: Vec<Evidence>,
}

impl Found {
    fn of(dev: Option<Dev>) -> Self {
        Self { dev, severity: Severity::Warning, words: Vec::new(), evidence: Vec::new() }
    }

    /// Says it once, however many mounts show it.
    fn say(&mut self, words: &str, evidence: Evidence) {
        if !self.words.iter().any(|said| said == words) {
            self.words.push(words.to_owned());
            self.evidence.push(evidence);
        }
    }

    fn finding(self, scene: &Scene<'_>, subject: String) -> Finding {
        let mut evidence = vec![Evidence::text("mount point", subject.clone())];
        if let Some(device) = self.dev.and_then(|dev| scene.device(dev)) {
            evidence.push(Evidence::text("device", device.name.clone()));
            evidence.extend(device.disks.iter().map(|disk| Evidence::text("disk", disk.clone())));
        }
        evidence.extend(self.evidence);
        Finding {
            kind: FILESYSTEM_ERRORS,
            summary: format!("{subject}: {}", self.words.join("; ")),
            subject,
            severity: self.severity,
            advice: String::new(),
            evidence,
            // Errors are nobody's doing: whoever reads and writes is not to blame.
            device: None,
        }
    }
}

/// What ext4 counts: an error whose time is in this boot, or more errors than at the first look.
fn counted(baselines: &mut BTreeMap<String, u64>, scene: &Scene<'_>, errors: &ExtErrors) -> Option<(String, Found)> {
    let baseline = baselines.entry(errors.device.clone()).or_insert(errors.errors);
    // A repair sets the count to 0.
    *baseline = errors.errors.min(*baseline);
    let in_this_boot = errors.errors > 0 && errors.last_error_time >= boot_s(scene.now);
    if !in_this_boot && errors.errors <= *baseline {
        return None;
    }
    let dev = scene.named(&errors.device).map(|device| device.dev);
    let mount = dev.and_then(|dev| mounted::naming(scene.samples, dev));
    let subject = mount.map_or_else(|| errors.device.clone(), |mount| mount.point.clone());
    let mut found = Found::of(dev);
    let at = Wall(errors.last_error_time.saturating_mul(1000));
    let count = match errors.errors {
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    };
    let place =
        if errors.last_error_func.is_empty() { String::new() } else { format!(" in {}", errors.last_error_func) };
    found.say(
        &format!("ext4 has counted {count}, the last at {at}{place}"),
        Evidence::count("errors counted by ext4", errors.errors, ""),
    );
    found.evidence.push(Evidence::count("of them at the first look", *baseline, ""));
    found.evidence.push(Evidence::text("last error", at.to_string()));
    if !errors.last_error_func.is_empty() {
        found.evidence.push(Evidence::text("last error in", errors.last_error_func.clone()));
    }
    if errors.last_error_code > 0 {
        found.evidence.push(Evidence::count("last error code of ext4 (2 is an I/O error)", errors.last_error_code, ""));
    }
    Some((subject, found))
}

/// When this boot began, seconds since 1970, by the clock as it is now.
fn boot_s(now: &Now) -> i64 {
    now.wall.0.saturating_sub(i64::try_from(now.mono.0).unwrap_or(i64::MAX)).div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::Samples;

    const NONE: [&str; 0] = [];
    const DATA: Dev = Dev { major: 7, minor: 0 };

    /// Boot is at 1,700,000,000.
    fn ext(errors: u64, last_error_time: i64) -> ExtErrors {
        let last_error_func = "ext4_validate_block_bitmap".to_owned();
        ExtErrors { device: "loop0".into(), errors, warnings: 0, last_error_time, last_error_func, last_error_code: 2 }
    }

    fn samples(at: u64, ext: Option<ExtErrors>, options: &str, answer: Option<i32>) -> Samples {
        let mut bind = made::mount(3, DATA, "/d", "ext4", options);
        bind.root = "/sub".to_owned();
        let mounts =
            vec![made::mount(1, made::ROOT, "/", "ext4", "rw"), made::mount(2, DATA, "/data", "ext4", options), bind];
        let places = answer.map(|errno| Place {
            path: "/data".into(),
            role: "mount".into(),
            answer: Answer::Refused { errno, why: "Input/output error".into() },
        });
        Samples {
            devices: made::fresh(at, vec![made::device("loop0", DATA, "loop0")]),
            ext: ext.map_or_else(Default::default, |one| made::fresh(at, vec![one])),
            places: made::fresh(at, places.into_iter().collect()),
            ..made::samples(at, mounts)
        }
    }

    #[test]
    fn errors_of_this_boot_last_and_those_of_earlier_ones_do_not_count() {
        let mut memory = Kept::default();
        let mut play = |at, ext| made::turn::<FilesystemErrors>(&mut memory, at, &samples(at, Some(ext), "rw", None));
        assert_eq!(play(100, ext(0, 0)), NONE);
        assert_eq!(play(110, ext(3, 1_699_999_000)).len(), 1, "more than at the first look, whatever its time");
        let mut fresh = Kept::default();
        let mut play = |at, ext| made::turn::<FilesystemErrors>(&mut fresh, at, &samples(at, Some(ext), "rw", None));
        assert_eq!(play(100, ext(3, 1_699_999_000)), NONE, "a day before");
        assert_eq!(play(110, ext(4, 1_700_000_105)), ["FilesystemErrors /data warning"]);
        assert_eq!(play(9_000, ext(4, 1_700_000_105)), ["FilesystemErrors /data warning"], "until it is repaired");
        assert_eq!(play(9_010, ext(0, 0)), NONE);
        let mut late = Kept::default();
        let of_this_boot = samples(500, Some(ext(1, 1_700_000_000)), "rw", None);
        let look = made::look::<FilesystemErrors>(&mut late, 500, &of_this_boot, &Default::default());
        assert_eq!(
            look.findings[0].summary,
            "/data: ext4 has counted 1 error, the last at 2023-11-14T22:13:20Z in ext4_validate_block_bitmap"
        );
    }

    #[test]
    fn what_has_given_up_is_critical() {
        let mut memory = Kept::default();
        for options in ["rw,emergency_ro", "rw,shutdown"] {
            let found = made::turn::<FilesystemErrors>(&mut memory, 10, &samples(10, None, options, None));
            assert_eq!(found, ["FilesystemErrors /data critical"]);
        }
        let all = samples(20, Some(ext(1, 1_700_000_015)), "rw,emergency_ro", Some(5));
        let look = made::look::<FilesystemErrors>(&mut memory, 20, &all, &Default::default());
        assert_eq!(made::shown(&look), ["FilesystemErrors /data critical"], "one finding for all signs");
        assert!(
            look.findings[0]
                .summary
                .ends_with("writes nothing more (emergency_ro); a look at /data gives: Input/output error")
        );
    }

    #[test]
    fn an_xfs_that_shut_down_shows_by_its_answer_alone() {
        let mut memory = Kept::default();
        let found = made::turn::<FilesystemErrors>(&mut memory, 10, &samples(10, None, "rw", Some(5)));
        assert_eq!(found, ["FilesystemErrors /data critical"]);
        let found = made::turn::<FilesystemErrors>(&mut memory, 10, &samples(10, None, "rw", Some(13)));
        assert_eq!(found, NONE, "no right to look is no error");
    }

    #[test]
    fn a_look_that_is_not_answered_takes_no_error_back() {
        let mut memory = Kept::default();
        let mut play = |at: u64, looked: Option<Vec<Answer>>| {
            let place = |answer| Place { path: "/data".into(), role: "mount".into(), answer };
            let places = looked.map(|answers| made::fresh(at, answers.into_iter().map(place).collect()));
            let samples = Samples { places: places.unwrap_or_default(), ..samples(at, None, "rw", None) };
            made::turn::<FilesystemErrors>(&mut memory, at, &samples)
        };
        let sick = ["FilesystemErrors /data critical"];
        let not_asked = || Some(vec![Answer::NotAsked { why: "a probe is stuck".into() }]);
        assert_eq!(play(10, Some(vec![Answer::Refused { errno: 5, why: "Input/output error".into() }])), sick);
        assert_eq!(play(20, Some(vec![Answer::Stuck { for_ms: 5000 }])), sick);
        assert_eq!(play(30, not_asked()), sick);
        assert_eq!(play(40, None), sick, "started anew");
        assert_eq!(play(50, Some(Vec::new())), NONE, "no longer mounted");
        assert_eq!(play(60, not_asked()), NONE);
    }
}
