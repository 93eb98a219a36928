//! `DiskLatencyHigh`: the slowest hundredth of a volume's requests, from the latency histograms of Amazon's page 0xD0. It refuses windows with few
//! requests, and says no more than the histogram does: a bin's lower end.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hold::{Hold, Patience, Sign};
use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::Reading;
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::status::Standing;
use crate::model::time::{Mono, Span};
use crate::model::watch::{Bin, EbsPage, Histogram, NvmeController};

/// The name of the problem.
pub const DISK_LATENCY_HIGH: Kind = Kind::new("DiskLatencyHigh");

/// The detector.
pub struct DiskLatencyHigh;

/// `[detect.disk_latency_high]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Length of a window.
    pub window: Span,
    /// Windows with fewer reads (or writes) than this say nothing about them.
    pub least_requests: u64,
    /// A hundredth of the requests took so long or longer: advice.
    pub advice_p99: Span,
    /// The same: warning.
    pub warn_p99: Span,
    /// Windows among `among` to begin.
    pub windows: u32,
    /// See `windows`.
    pub among: u32,
    /// Windows in a row with less than half of `advice_p99` to end.
    pub clear_windows: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            window: Span::minutes(1),
            least_requests: 100,
            advice_p99: Span::millis(50),
            warn_p99: Span::millis(250),
            windows: 3,
            among: 5,
            clear_windows: 5,
        }
    }
}

/// What is kept of a volume.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    start: Option<(Mono, Histogram, Histogram)>,
    slow: Hold,
    very: Hold,
    newest: Option<Window>,
}

/// The newest window with enough requests.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Window {
    length_ms: u64,
    reads: Option<Tail>,
    writes: Option<Tail>,
}

/// Where the slowest hundredth of the requests begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tail {
    requests: u64,
    bin: Option<Bin>,
}

impl Tail {
    /// Of the requests between two histograms; nothing where they are not of one row, or with too few requests.
    fn between(before: &Histogram, after: &Histogram, least: u64) -> Result<Option<Self>, Reset> {
        if before.0.len() != after.0.len() {
            return Err(Reset);
        }
        let mut bins = Vec::with_capacity(after.0.len());
        for (old, new) in before.0.iter().zip(&after.0) {
            let count = new.count.checked_sub(old.count).ok_or(Reset)?;
            if (old.lower_us, old.upper_us) != (new.lower_us, new.upper_us) {
                return Err(Reset);
            }
            bins.push(Bin { count, ..*new });
        }
        let requests = bins.iter().fold(0, |sum: u64, bin| sum.saturating_add(bin.count));
        if requests < least.max(1) {
            return Ok(None);
        }
        let mut slower = requests / 100;
        let bin = bins.into_iter().rev().find(|bin| {
            let here = bin.count > slower;
            slower = slower.saturating_sub(bin.count);
            here
        });
        Ok(Some(Self { requests, bin }))
    }

    fn lower_us(self) -> u64 {
        self.bin.map_or(0, |bin| bin.lower_us)
    }
}

/// The counters began anew.
struct Reset;

impl Kept {
    fn take(&mut self, rules: &Rules, taken: Mono, page: &EbsPage) {
        let (reads, writes) = (&page.read_histogram, &page.write_histogram);
        let Some((start, old_reads, old_writes)) = &self.start else {
            self.start = Some((taken, reads.clone(), writes.clone()));
            return;
        };
        let length_ms = taken.since_ms(*start);
        let tails = Tail::between(old_reads, reads, rules.least_requests)
            .and_then(|of_reads| Ok((of_reads, Tail::between(old_writes, writes, rules.least_requests)?)));
        // Pages come at their own pace, a little early or late.
        if tails.is_ok() && length_ms + 2_000 < rules.window.ms() {
            return;
        }
        self.start = Some((taken, reads.clone(), writes.clone()));
        let Ok((reads, writes)) = tails else { return };
        let slowest_us = [reads, writes].iter().flatten().map(|tail| tail.lower_us()).max();
        let sign = |limit: Span| match slowest_us {
            Some(us) if us >= limit.ms().saturating_mul(1000) => Sign::Sick,
            // Half of it, in microseconds; without requests nobody waits.
            Some(us) if us >= limit.ms().saturating_mul(500) => Sign::Neither,
            Some(_) | None => Sign::Well,
        };
        let patience = Patience { enter: rules.windows, among: rules.among, clear: rules.clear_windows };
        self.slow.take(sign(rules.advice_p99), patience);
        self.very.take(sign(rules.warn_p99), patience);
        if slowest_us.is_some() || !self.slow.is_on() {
            self.newest = Some(Window { length_ms, reads, writes });
        }
    }
}

impl Detector for DiskLatencyHigh {
    type Rules = Rules;
    type Memory = BTreeMap<String, Kept>;
    const NAME: &'static str = "disk_latency_high";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: DISK_LATENCY_HIGH,
        severity: Severity::Warning,
        condition: Condition::DiskIO,
        may_cordon: false,
        meaning: "The volume itself reports that one request in a hundred takes very long: who writes with fsync (etcd, databases, kubelet, the container \
                  runtime) feels it.",
        advice: "Where a limit is exceeded at the same time, raise it. Where none is, see who is behind the load: large requests of a bulk writer make others wait.",
    }];

    fn look(rules: &Rules, memory: &mut Self::Memory, scene: &Scene<'_>) -> Look {
        let Some(controllers) = scene.samples.nvme.value() else {
            return Look::unknown(scene.samples.nvme.reading.origin());
        };
        let key = |one: &NvmeController| format!("{} {}", one.name, one.volume);
        memory.retain(|name, _| controllers.iter().any(|one| key(one) == *name));
        let (mut findings, mut blind) = (Vec::new(), Vec::new());
        for controller in controllers {
            match &controller.ebs {
                Reading::Fresh { value, .. } => {
                    let kept = memory.entry(key(controller)).or_default();
                    kept.take(rules, controller.pages_taken, value);
                    findings.extend(
                        kept.newest.as_ref().and_then(|window| finding(rules, scene, controller, kept, window)),
                    );
                }
                Reading::Failed { why } => blind.push(format!("{}: {why}", controller.name)),
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
    window: &Window,
) -> Option<Finding> {
    if !kept.slow.is_on() && !kept.very.is_on() {
        return None;
    }
    let disk = controller.disks.first().unwrap_or(&controller.name);
    let mut evidence = vec![Evidence::text("device", disk.clone())];
    if !controller.volume.is_empty() {
        evidence.push(Evidence::text("volume", controller.volume.clone()));
    }
    let mut told = Vec::new();
    let of_reads = ["reads", "p99 of reads, at least", "p99 of reads, at most"];
    let of_writes = ["writes", "p99 of writes, at least", "p99 of writes, at most"];
    for ([requests, lower, upper], tail) in [(of_reads, window.reads), (of_writes, window.writes)] {
        let Some((tail, bin)) = tail.and_then(|tail| Some((tail, tail.bin?))) else { continue };
        let ms = |us: u64| super::window::ratio(us, 1000);
        told.push(format!("{requests} {:.0} ms", ms(bin.lower_us)));
        evidence.push(Evidence::count(requests, tail.requests, ""));
        evidence.push(Evidence::number(lower, ms(bin.lower_us), "ms"));
        // The last bin has no end.
        if bin.upper_us < u64::MAX {
            evidence.push(Evidence::number(upper, ms(bin.upper_us), "ms"));
        }
    }
    evidence.push(Evidence::count("window", window.length_ms / 1000, "s"));
    evidence.push(Evidence::count("advice from", rules.advice_p99.ms(), "ms"));
    evidence.push(Evidence::count("warning from", rules.warn_p99.ms(), "ms"));
    let told = if told.is_empty() { "no requests".to_owned() } else { told.join(", ") };
    Some(Finding {
        kind: DISK_LATENCY_HIGH,
        subject: disk.clone(),
        severity: if kept.very.is_on() { Severity::Warning } else { Severity::Advice },
        summary: format!("{disk}: one request in a hundred takes at least so long: {told}"),
        advice: String::new(),
        evidence,
        device: scene.named(disk).map(|device| device.dev),
    })
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::{NvmeModel, Samples};

    const BOUNDS: [(u64, u64); 5] =
        [(0, 1024), (1024, 65_536), (65_536, 131_072), (131_072, 524_288), (524_288, u64::MAX)];

    fn histogram(counts: [u64; 5]) -> Histogram {
        let bin = |((lower_us, upper_us), count)| Bin { lower_us, upper_us, count };
        Histogram(BOUNDS.into_iter().zip(counts).map(bin).collect())
    }

    fn minute(memory: &mut BTreeMap<String, Kept>, at: u64, reads: [u64; 5], writes: [u64; 5]) -> Look {
        let page =
            EbsPage { read_histogram: histogram(reads), write_histogram: histogram(writes), ..EbsPage::default() };
        let nvme = made::fresh(at, vec![made::controller(at, NvmeModel::Ebs, page)]);
        let samples = Samples { nvme, ..Samples::default() };
        made::look::<DiskLatencyHigh>(memory, at, &samples, &std::collections::BTreeSet::new())
    }

    #[test]
    fn slow_tails_in_three_of_five_minutes() {
        let mut memory = BTreeMap::new();
        let mut writes = [1000, 0, 0, 0, 0];
        let mut play = |at: u64, more: [u64; 5]| {
            for (all, more) in writes.iter_mut().zip(more) {
                *all += more;
            }
            made::shown(&minute(&mut memory, at * 60, [0; 5], writes))
        };
        let none: [&str; 0] = [];
        assert_eq!(play(10, [0, 0, 0, 500, 0]), none, "a baseline");
        let slow = [980, 0, 20, 0, 0];
        let fast = [1000, 20, 5, 0, 0];
        assert_eq!(play(11, slow), none);
        assert_eq!(play(12, fast), none);
        assert_eq!(play(13, slow), none);
        assert_eq!(play(14, slow), ["DiskLatencyHigh nvme1n1 advice"]);
        for at in 15..17 {
            assert_eq!(play(at, [900, 0, 0, 0, 100]), ["DiskLatencyHigh nvme1n1 advice"]);
        }
        assert_eq!(play(17, [900, 0, 0, 0, 100]), ["DiskLatencyHigh nvme1n1 warning"]);
        // Too few requests say nothing bad.
        let ended: Vec<_> = (18..23).map(|at| play(at, [0, 0, 0, 0, 9]).len()).collect();
        assert_eq!(ended, [1, 1, 1, 1, 0]);
    }

    #[test]
    fn the_tail_is_that_of_the_slowest_hundredth() {
        let tail =
            |counts| Tail::between(&histogram([0; 5]), &histogram(counts), 100).ok().flatten().unwrap().lower_us();
        assert_eq!(tail([990, 0, 10, 0, 0]), 0, "exactly one in a hundred is not more than that");
        assert_eq!(tail([989, 0, 11, 0, 0]), 65_536);
        assert_eq!(tail([0, 980, 10, 5, 5]), 65_536);
        assert_eq!(tail([0, 0, 0, 0, 100]), 524_288);
        assert!(Tail::between(&histogram([5; 5]), &histogram([4; 5]), 1).is_err(), "counts that went back");
        assert!(Tail::between(&histogram([5; 5]), &Histogram::default(), 1).is_err());
    }

    #[test]
    fn a_reset_begins_anew_and_evidence_has_units() {
        let mut memory = BTreeMap::new();
        for at in 0..9 {
            let total = at * 1000;
            let reads = if at == 4 { [0; 5] } else { [0, 0, total, 0, 0] };
            let look = minute(&mut memory, 60 * (at + 1), reads, [0; 5]);
            // Three windows before the reset begin it; the reset itself is no window.
            assert_eq!(look.findings.len(), usize::from(at >= 3), "{at}");
            if at == 8 {
                let finding = &look.findings[0];
                assert_eq!(finding.summary, "nvme1n1: one request in a hundred takes at least so long: reads 66 ms");
                let told: Vec<_> = finding.evidence.iter().map(ToString::to_string).collect();
                assert!(told.contains(&"p99 of reads, at most 131.072 ms".to_owned()), "{told:?}");
            }
        }
    }
}
