//! `FilesystemFull` and `InodesFull`: how near a file system is to kubelet's own eviction thresholds, and when it will be there at the present rate.
//! It refuses thresholds of its own where kubelet has some, and refuses to alarm about file systems that kubelet does not watch: those are advice.

mod room;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hold::{Hold, Patience, Sign};
use super::mounted;
use super::scene::Scene;
use super::slot::{Detector, Look};
use super::window::ratio;
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::time::{Mono, Span};
use crate::model::{Bytes, Reading, Threshold};
use room::{Room, Trend, rooms, unanswered};

/// Bytes run out.
pub const FILESYSTEM_FULL: Kind = Kind::new("FilesystemFull");
/// Inodes run out.
pub const INODES_FULL: Kind = Kind::new("InodesFull");

/// The detector.
pub struct FilesystemFull;

/// `[detect.filesystem_full]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Warning when kubelet would evict in less than this at the present rate...
    pub time_left: Span,
    /// ...which is the slower of the two halves of this time.
    pub rate_over: Span,
    /// Warning when no more than this percentage of the file system is left above kubelet's threshold.
    pub margin_percent: u32,
    /// Where kubelet has no threshold: advice below this percentage.
    pub other_percent: u32,
    /// Looks in a row to begin.
    pub enter_looks: u32,
    /// Looks in a row with half as much room again, or more, to end.
    pub clear_looks: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            time_left: Span::minutes(15),
            rate_over: Span::minutes(10),
            margin_percent: 2,
            other_percent: 5,
            enter_looks: 2,
            clear_looks: 3,
        }
    }
}

/// What is kept of one number of one file system.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    trend: Trend,
    near: Hold,
    past: Hold,
    taken: Mono,
    /// kubelet's, as it was last known.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<(u64, String)>,
    /// What was found last: it stands while nobody answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    finding: Option<Finding>,
}

const MEANING: &str = "kubelet evicts pods and takes no new ones once less than its own threshold is left, and at nothing left everything that writes \
                       there fails.";

impl Detector for FilesystemFull {
    type Rules = Rules;
    type Memory = BTreeMap<String, Kept>;
    const NAME: &'static str = "filesystem_full";
    const ENTRIES: &'static [Entry] = &[
        Entry {
            kind: FILESYSTEM_FULL,
            severity: Severity::Critical,
            condition: Condition::NodeResources,
            may_cordon: false,
            meaning: MEANING,
            advice: "Find what grows (du -x, the contributors of this disk), remove images and logs that nobody needs, or enlarge the volume.",
        },
        Entry {
            kind: INODES_FULL,
            severity: Severity::Critical,
            condition: Condition::NodeResources,
            may_cordon: false,
            meaning: "A file system runs out of inodes: no more files can be made although there is room for data. kubelet evicts pods before that.",
            advice: "Find who makes so many small files (du --inodes -x), remove them, or make the file system anew with more inodes.",
        },
    ];

    fn look(rules: &Rules, memory: &mut Self::Memory, scene: &Scene<'_>) -> Look {
        let places = &scene.samples.places;
        if places.value().is_none() {
            return Look::unknown(format!("no probe has looked: {}", places.reading.origin()));
        }
        let rooms = rooms(scene.samples);
        let unanswered = unanswered(scene.samples);
        let waits =
            |key: &str| unanswered.iter().any(|subject| key.split_once(' ').is_some_and(|(_, of)| of == *subject));
        memory.retain(|key, _| rooms.contains_key(key) || waits(key));
        let thresholds = &scene.samples.thresholds;
        let untold = thresholds.taken == Mono(0) || matches!(thresholds.reading, Reading::Failed { .. });
        let mut findings: Vec<Finding> = memory
            .iter()
            .filter(|(key, _)| !rooms.contains_key(*key))
            .filter_map(|(_, kept)| kept.finding.clone())
            .collect();
        for (key, mut room) in rooms {
            let waits = waits(&key);
            let kept = memory.entry(key).or_default();
            // That nobody could read kubelet's thresholds does not mean that it has none.
            match room.threshold.is_none() && (untold || waits) {
                true => room.threshold.clone_from(&kept.threshold),
                false => kept.threshold.clone_from(&room.threshold),
            }
            if places.taken > kept.taken || kept.taken == Mono(0) {
                kept.taken = places.taken;
                kept.trend.take(places.taken, room.left, rules.rate_over);
                kept.judge(rules, &room);
            }
            kept.finding = finding(rules, scene, kept, &room);
            findings.extend(kept.finding.clone());
        }
        Look::at(findings)
    }
}

impl Kept {
    fn judge(&mut self, rules: &Rules, room: &Room) {
        let clear = rules.clear_looks;
        let patience = Patience { enter: rules.enter_looks, among: rules.enter_looks, clear };
        let of_all = |percent: u32| (room.all / 100).saturating_mul(u64::from(percent));
        let Some((threshold, _)) = room.threshold else {
            let limit = of_all(rules.other_percent);
            let sign = sign(room.left < limit, room.left >= limit.saturating_add(limit / 2));
            self.near.take(sign, patience);
            self.past = Hold::default();
            return;
        };
        let margin = of_all(rules.margin_percent);
        let left_ms = self.trend.left_ms(room.left.saturating_sub(threshold), rules.rate_over);
        let soon = |limit: u64| left_ms.is_some_and(|left| left < limit);
        let near = room.left < threshold.saturating_add(margin) || soon(rules.time_left.ms());
        let far = room.left >= threshold.saturating_add(margin).saturating_add(margin / 2)
            && !soon(rules.time_left.ms().saturating_mul(3) / 2);
        self.near.take(sign(near, far), patience);
        // kubelet itself acts at once; so does this.
        let at_once = Patience { enter: 1, among: 1, clear };
        self.past.take(sign(room.left < threshold, room.left >= threshold), at_once);
    }
}

fn sign(sick: bool, well: bool) -> Sign {
    match (sick, well) {
        (true, _) => Sign::Sick,
        (false, true) => Sign::Well,
        (false, false) => Sign::Neither,
    }
}

fn finding(rules: &Rules, scene: &Scene<'_>, kept: &Kept, room: &Room) -> Option<Finding> {
    let (kind, unit) = if room.inodes { (INODES_FULL, "inodes") } else { (FILESYSTEM_FULL, "B") };
    let severity = match (kept.past.is_on(), kept.near.is_on(), room.threshold.is_some()) {
        (true, _, _) => Severity::Critical,
        (_, true, true) => Severity::Warning,
        (_, true, false) => Severity::Advice,
        _ => return None,
    };
    let subject = room.subject.clone();
    let amount = |number: u64| if room.inodes { format!("{number} inodes") } else { bytes(number) };
    let percent = ratio(room.left, room.all) * 100.0;
    let mut evidence = vec![
        Evidence::text("mount point", subject.clone()),
        Evidence::text("for", room.roles.join(", ")),
        Evidence::count("left", room.left, unit),
        Evidence::count("of", room.all, unit),
        Evidence::number("left", percent, "%"),
    ];
    let mut summary = format!("{subject}: {} of {} left ({percent:.1} %)", amount(room.left), amount(room.all));
    let rate = kept.trend.per_s(rules.rate_over);
    match &room.threshold {
        Some((threshold, signal)) => {
            evidence.push(Evidence::count("kubelet's threshold", *threshold, unit));
            evidence.push(Evidence::text("kubelet's signal", signal.clone()));
            let above = room.left.saturating_sub(*threshold);
            if room.left < *threshold {
                summary.push_str(&format!("; kubelet evicts below {} ({signal})", amount(*threshold)));
            } else {
                summary.push_str(&format!("; kubelet evicts in another {} ({signal})", amount(above)));
            }
            if let Some(minutes) =
                kept.trend.left_ms(above, rules.rate_over).map(|ms| ms / 60_000).filter(|_| above > 0)
            {
                evidence.push(Evidence::count("time left at this rate", minutes, "min"));
                if minutes < 24 * 60 {
                    summary.push_str(&format!(", {minutes} min at this rate"));
                }
            }
        }
        None => evidence.push(Evidence::count("advice below", u64::from(rules.other_percent), "%")),
    }
    if let Some(rate) = rate {
        evidence.push(Evidence::number("used per second", rate, unit));
    }
    let device = mounted::holding(scene.samples, &subject).and_then(|mount| scene.device(mount.dev));
    evidence.extend(device.map(|device| Evidence::text("device", device.name.clone())));
    Some(Finding { kind, subject, severity, summary, advice: String::new(), evidence, device: None })
}

fn bytes(number: u64) -> String {
    match number {
        gib if gib >= 10 << 30 => format!("{} GiB", gib >> 30),
        mib if mib >= 1 << 20 => format!("{} MiB", Bytes(mib).mib()),
        few => format!("{few} B"),
    }
}

#[cfg(test)]
mod tests;
