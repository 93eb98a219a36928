//! `EbsVolumeIopsExceeded` and its kin: Amazon's page 0xD0 counts the time in which more was asked for than a volume, or the instance, is allowed.
//! It refuses the first page of a volume (a baseline), counters that went back (a reset), and to call it critical before a disk is saturated too.

mod page;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::disk_saturated::DISK_SATURATED;
use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::Reading;
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::status::Standing;
use crate::model::time::Span;
use crate::model::watch::{NvmeController, NvmeModel};
use page::Kept;

/// The detector.
pub struct Ebs;

/// `[detect.ebs]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Length of a window.
    pub window: Span,
    /// Percent of a window over the limit: advice, after `advice_windows` of them in a row.
    pub advice_percent: u32,
    /// See `advice_percent`.
    pub advice_windows: u32,
    /// Percent of a window over the limit: warning, after `warn_windows` of `warn_among`.
    pub warn_percent: u32,
    /// See `warn_percent`.
    pub warn_windows: u32,
    /// See `warn_percent`.
    pub warn_among: u32,
    /// Percent of a window below which it is well; ends after `clear_windows` in a row.
    pub clear_percent: u32,
    /// See `clear_percent`.
    pub clear_windows: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            window: Span::minutes(1),
            advice_percent: 10,
            advice_windows: 5,
            warn_percent: 50,
            warn_windows: 3,
            warn_among: 5,
            clear_percent: 5,
            clear_windows: 5,
        }
    }
}

/// A limit that the page tells about.
struct Limit {
    kind: Kind,
    /// Its counter's place in [`page::Counters::exceeded`].
    counter: usize,
    /// On which kind of controller.
    model: NvmeModel,
    /// What was asked too much of.
    what: &'static str,
    iops: bool,
    advice: &'static str,
}

static LIMITS: [Limit; 6] = [
    Limit {
        kind: Kind::new("EbsVolumeIopsExceeded"),
        counter: 0,
        model: NvmeModel::Ebs,
        what: "more IOPS than the volume has",
        iops: true,
        advice: "Provision more IOPS for the volume, or move what uses it (see who is behind it) to another one",
    },
    Limit {
        kind: Kind::new("EbsVolumeThroughputExceeded"),
        counter: 1,
        model: NvmeModel::Ebs,
        what: "more throughput than the volume has",
        iops: false,
        advice: "Provision more throughput for the volume, or move what uses it (see who is behind it) to another one",
    },
    Limit {
        kind: Kind::new("EbsInstanceIopsExceeded"),
        counter: 2,
        model: NvmeModel::Ebs,
        what: "more EBS IOPS than the instance has",
        iops: true,
        advice: "More IOPS for the volume do not help: take an instance type with more EBS bandwidth, or an instance store for what can be lost",
    },
    Limit {
        kind: Kind::new("EbsInstanceThroughputExceeded"),
        counter: 3,
        model: NvmeModel::Ebs,
        what: "more EBS throughput than the instance has",
        iops: false,
        advice: "More throughput for the volume does not help: take an instance type with more EBS bandwidth, or an instance store for what can be lost",
    },
    Limit {
        kind: Kind::new("InstanceStoreIopsExceeded"),
        counter: 2,
        model: NvmeModel::InstanceStore,
        what: "more IOPS than the instance store has",
        iops: true,
        advice: "Take an instance type with a larger instance store, or spread the work over more disks",
    },
    Limit {
        kind: Kind::new("InstanceStoreThroughputExceeded"),
        counter: 3,
        model: NvmeModel::InstanceStore,
        what: "more throughput than the instance store has",
        iops: false,
        advice: "Take an instance type with a larger instance store, or spread the work over more disks",
    },
];

const fn entry(kind: &'static str, meaning: &'static str, advice: &'static str) -> Entry {
    Entry {
        kind: Kind::new(kind),
        severity: Severity::Critical,
        condition: Condition::DiskIO,
        may_cordon: false,
        meaning,
        advice,
    }
}

impl Detector for Ebs {
    type Rules = Rules;
    type Memory = BTreeMap<String, Kept>;
    const NAME: &'static str = "ebs";
    const ENTRIES: &'static [Entry] = &[
        entry(
            "EbsVolumeIopsExceeded",
            "The volume itself reports that more IOPS were asked for than are provisioned for it: requests wait until their turn.",
            LIMITS[0].advice,
        ),
        entry(
            "EbsVolumeThroughputExceeded",
            "The volume itself reports that more bytes per second were asked for than are provisioned for it: requests wait until their turn.",
            LIMITS[1].advice,
        ),
        entry(
            "EbsInstanceIopsExceeded",
            "The volume reports that all EBS volumes of this instance together were asked for more IOPS than the instance type has.",
            LIMITS[2].advice,
        ),
        entry(
            "EbsInstanceThroughputExceeded",
            "The volume reports that all EBS volumes of this instance together were asked for more bytes per second than the instance type has.",
            LIMITS[3].advice,
        ),
        entry(
            "InstanceStoreIopsExceeded",
            "The instance store reports that more IOPS were asked for than it has.",
            LIMITS[4].advice,
        ),
        entry(
            "InstanceStoreThroughputExceeded",
            "The instance store reports that more bytes per second were asked for than it has.",
            LIMITS[5].advice,
        ),
    ];

    fn look(rules: &Rules, memory: &mut Self::Memory, scene: &Scene<'_>) -> Look {
        let Some(controllers) = scene.samples.nvme.value() else {
            return Look::unknown(scene.samples.nvme.reading.origin());
        };
        let ours = |one: &&NvmeController| one.model != NvmeModel::Other;
        let key = |one: &NvmeController| format!("{} {}", one.name, one.volume);
        memory.retain(|name, _| controllers.iter().any(|one| key(one) == *name));
        let (mut findings, mut blind) = (Vec::new(), Vec::new());
        for controller in controllers.iter().filter(ours) {
            match &controller.ebs {
                Reading::Fresh { value, .. } => {
                    let kept = memory.entry(key(controller)).or_default();
                    kept.take(rules, controller.pages_taken, value);
                    let limits = LIMITS.iter().filter(|limit| limit.model == controller.model);
                    findings.extend(limits.filter_map(|limit| finding(rules, scene, controller, kept, limit)));
                }
                Reading::Failed { why } => blind.push(format!("{}: {why}", controller.name)),
                // Old instance types have none.
                Reading::Absent { .. } => {}
            }
        }
        let standing = if blind.is_empty() { Standing::Working } else { Standing::Unknown { why: blind.join("; ") } };
        Look { findings, standing, disks: Vec::new() }
    }
}

fn finding(
    rules: &Rules,
    scene: &Scene<'_>,
    controller: &NvmeController,
    kept: &Kept,
    limit: &Limit,
) -> Option<Finding> {
    let quota = kept.quotas.get(limit.counter).filter(|quota| quota.is_on())?;
    let disk = controller.disks.first().unwrap_or(&controller.name);
    let saturated = scene.active.contains(&(DISK_SATURATED, disk.clone()));
    let severity = match (quota.is_heavy(), saturated) {
        (true, true) => Severity::Critical,
        (true, false) => Severity::Warning,
        (false, _) => Severity::Advice,
    };
    let named = if controller.volume.is_empty() { disk.clone() } else { format!("{disk} ({})", controller.volume) };
    let percent = quota.share * 100.0;
    let mibs = quota.bytes_per_s / f64::from(1 << 20);
    let reached = if limit.iops { format!("{:.0} IOPS", quota.iops) } else { format!("{mibs:.1} MiB/s") };
    let mut evidence = vec![
        Evidence::text("device", disk.clone()),
        Evidence::number("time over the limit", percent, "% of the window"),
        Evidence::count("window", kept.window_ms / 1000, "s"),
        Evidence::number("IOPS while over the limit", quota.iops, "IOPS"),
        Evidence::number("throughput while over the limit", mibs, "MiB/s"),
        Evidence::count("requests waiting", kept.queue_length, ""),
        Evidence::count("warning from", u64::from(rules.warn_percent), "% of the window"),
    ];
    if !controller.volume.is_empty() {
        evidence.insert(1, Evidence::text("volume", controller.volume.clone()));
    }
    Some(Finding {
        kind: limit.kind.clone(),
        subject: disk.clone(),
        severity,
        summary: format!(
            "{named}: {} was asked for during {percent:.0} % of the last {} s",
            limit.what,
            kept.window_ms / 1000
        ),
        advice: format!("{}. The limit is near {reached}, the most that was done while it was exceeded.", limit.advice),
        evidence,
        device: scene.named(disk).map(|device| device.dev),
    })
}

#[cfg(test)]
mod tests;
