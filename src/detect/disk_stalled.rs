//! `DiskStalled`: requests are in flight and none completes. await, IOPS and aqu-sz all read zero then, so it looks at nothing but the queue.
//! It refuses to call an idle disk stalled.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::time::Span;

/// The name of the problem.
pub const DISK_STALLED: Kind = Kind::new("DiskStalled");

/// The detector.
pub struct DiskStalled;

/// `[detect.disk_stalled]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// In flight without any completion for so long: warning.
    pub warn_after: Span,
    /// The same: critical.
    pub critical_after: Span,
    /// Samples with completions, or with an empty queue, in a row after which it has ended.
    pub clear_samples: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { warn_after: Span::seconds(10), critical_after: Span::seconds(30), clear_samples: 2 }
    }
}

/// What is kept of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    /// For how long nothing has completed, ms.
    stuck_ms: u64,
    /// Well samples in a row.
    well: u32,
    /// The problem stands.
    on: bool,
}

impl Detector for DiskStalled {
    type Rules = Rules;
    type Memory = BTreeMap<String, Kept>;
    const NAME: &'static str = "disk_stalled";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: DISK_STALLED,
        severity: Severity::Critical,
        condition: Condition::DiskIO,
        may_cordon: true,
        meaning: "Requests wait at the disk and none is answered: every program that needs it hangs, and no error is logged for minutes, or ever.",
        advice: "Look at the volume's state at the cloud provider, or at the storage path. Where the disk does not come back, the node must be replaced: what hangs on it cannot be killed.",
    }];

    fn look(rules: &Rules, memory: &mut Self::Memory, scene: &Scene<'_>) -> Look {
        if scene.samples.counters.value().is_none() {
            return Look::unknown(format!("no disk counters: {}", scene.samples.counters.reading.origin()));
        }
        memory.retain(|name, _| scene.named(name).is_some());
        for window in &scene.disks {
            let kept = memory.entry(window.name.clone()).or_default();
            if window.in_flight > 0 && window.completions == 0 {
                kept.stuck_ms = kept.stuck_ms.saturating_add(window.length_ms());
                kept.well = 0;
                kept.on |= kept.stuck_ms >= rules.warn_after.ms();
            } else {
                kept.well = kept.well.saturating_add(1);
                kept.on &= kept.well < rules.clear_samples.max(1);
                if !kept.on || window.completions > 0 {
                    kept.stuck_ms = 0;
                }
            }
        }
        let findings = memory.iter().filter(|(_, kept)| kept.on).map(|(name, kept)| finding(rules, scene, name, kept));
        Look::at(findings.collect())
    }
}

fn finding(rules: &Rules, scene: &Scene<'_>, name: &str, kept: &Kept) -> Finding {
    let in_flight = scene.samples.counters.value().and_then(|all| all.iter().find(|line| line.name == name));
    let in_flight = in_flight.map_or(0, |line| line.in_flight);
    let severity = if kept.stuck_ms >= rules.critical_after.ms() { Severity::Critical } else { Severity::Warning };
    let seconds = kept.stuck_ms / 1000;
    let summary = if kept.stuck_ms > 0 {
        format!("{name}: {in_flight} requests in flight and none completed for {seconds} s")
    } else {
        format!("{name}: answers again after a stall")
    };
    let mut evidence = vec![
        Evidence::text("device", name),
        Evidence::count("in flight", in_flight, ""),
        Evidence::count("without completion", seconds, "s"),
    ];
    if let Some(tasks) = scene.samples.tasks.value() {
        evidence.extend(tasks.iter().take(5).map(|task| {
            Evidence::text(
                "task in D state",
                format!("{}[{}] in {} of {}", task.comm, task.tid, task.wchan, task.cgroup),
            )
        }));
    }
    Finding {
        kind: DISK_STALLED,
        subject: name.to_owned(),
        severity,
        summary,
        advice: String::new(),
        evidence,
        device: scene.named(name).map(|device| device.dev),
    }
}
