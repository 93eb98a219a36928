//! `DiskSaturated`: requests queue, make others wait several times as long as on the quiet disk, and programs wait for them, all three at once. Each
//! sign alone raises false alarms. It refuses to judge a disk that it does not know yet, or a kernel that does not tell who waits.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::baseline::{Baseline, Expected, Lesson};
use super::hold::{Hold, Patience, Sign};
use super::scene::Scene;
use super::slot::{Detector, Look};
use super::window::DiskWindow;
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::status::{DiskStatus, Standing};
use crate::model::time::Span;
use crate::model::watch::{BlockDevice, Dev};

/// The name of the problem.
pub const DISK_SATURATED: Kind = Kind::new("DiskSaturated");

/// The detector.
pub struct DiskSaturated;

/// `[detect.disk_saturated]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// A window is saturated with a mean queue of so many requests (one of more than 256 KiB counts as several, as volumes count)...
    pub queue: f64,
    /// ...behind which a small synced write takes so many times as long as on the quiet disk...
    pub latency_times: f64,
    /// ...while some task waits for I/O for such a share of the time, in percent.
    pub pressure_percent: f64,
    /// The problem begins with saturated windows of so long in all...
    pub enter_after: Span,
    /// ...among the newest ones of so long.
    pub enter_among: Span,
    /// A window is well below so many times the latency of the quiet disk...
    pub clear_latency_times: f64,
    /// ...or below this share of waiting, in percent.
    pub clear_pressure_percent: f64,
    /// The problem ends after well windows in a row of so long.
    pub clear_after: Span,
    /// A window teaches what the quiet disk needs if its mean queue is shorter...
    pub quiet_queue: f64,
    /// ...and it has so many reads and writes.
    pub quiet_operations: u64,
    /// So many such windows make a baseline (per disk and size of request).
    pub baseline_windows: u32,
    /// For how long they are kept, at least.
    pub baseline_keep: Span,
    /// What a small synced write needs besides the disk, in ms: it takes that much longer on any disk, and a fast disk may slow down more before it is felt.
    pub besides_ms: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            queue: 3.0,
            latency_times: 3.0,
            pressure_percent: 10.0,
            enter_after: Span::seconds(30),
            enter_among: Span::seconds(60),
            clear_latency_times: 2.0,
            clear_pressure_percent: 5.0,
            clear_after: Span::seconds(120),
            quiet_queue: 1.0,
            quiet_operations: 20,
            baseline_windows: 30,
            baseline_keep: Span::minutes(60),
            besides_ms: 0.8,
        }
    }
}

impl Rules {
    fn lesson(&self) -> Lesson {
        Lesson {
            quiet_aqu: self.quiet_queue,
            operations: self.quiet_operations,
            windows: self.baseline_windows,
            keep_ms: self.baseline_keep.ms(),
        }
    }

    /// The rule is about time; the hold counts samples of the length that they have: 3 of 6, and 12 in a row, at ten seconds.
    fn patience(&self, window: &DiskWindow) -> Patience {
        let samples = |span: Span| {
            let length = window.length_ms().max(1);
            u32::try_from((span.ms() + length / 2) / length).unwrap_or(u32::MAX).max(1)
        };
        let among = samples(self.enter_among).min(64);
        Patience { enter: samples(self.enter_after).min(among), among, clear: samples(self.clear_after) }
    }
}

/// What is kept of a disk.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    identity: Option<Identity>,
    /// Reads and writes at the last sample: they only go back in another device.
    done: u64,
    baseline: Baseline,
    hold: Hold,
    status: DiskStatus,
    /// The newest finding, for turns without a new window.
    finding: Option<Finding>,
}

/// What tells a disk from another of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    dev: Dev,
    bytes: u64,
    model: String,
}

impl From<&BlockDevice> for Identity {
    fn from(device: &BlockDevice) -> Self {
        Self { dev: device.dev, bytes: device.bytes, model: device.model.clone() }
    }
}

impl Detector for DiskSaturated {
    type Rules = Rules;
    type Memory = BTreeMap<String, Kept>;
    const NAME: &'static str = "disk_saturated";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: DISK_SATURATED,
        severity: Severity::Warning,
        condition: Condition::DiskIO,
        may_cordon: false,
        meaning: "More I/O is asked of the disk than it can do: requests queue, make each other wait several times as long as on the quiet disk, and programs wait for them. Container starts, image pulls, logs and kubelet's own writes slow down.",
        advice: "Look at who does the I/O: move or limit that workload, give the disk more IOPS and throughput, or move container state to another disk.",
    }];

    fn look(rules: &Rules, memory: &mut Self::Memory, scene: &Scene<'_>) -> Look {
        if let Some(why) = scene.blind() {
            return Look::unknown(why);
        }
        let judged = scene.judged();
        memory.retain(|name, _| judged.contains_key(name.as_str()));
        for (name, dev) in judged {
            let kept = memory.entry(name.to_owned()).or_default();
            kept.know(name, scene, dev);
            if let Some(window) = scene.disks.iter().find(|window| window.name == name) {
                kept.take(rules, window, scene.io_pressure.map(|(some, _)| some * 100.0));
            }
        }
        let disks = memory.values().map(|kept| kept.status.clone()).collect();
        if let Some(why) = no_pressure(scene) {
            return Look { findings: Vec::new(), standing: Standing::Unknown { why }, disks };
        }
        let on = memory.values().filter(|kept| kept.hold.is_on());
        let with_waiters = |mut finding: Finding| {
            finding.evidence.extend(scene.waiters());
            finding
        };
        Look {
            findings: on.filter_map(|kept| kept.finding.clone()).map(with_waiters).collect(),
            standing: standing(rules, memory),
            disks,
        }
    }
}

impl Kept {
    /// Starts anew where the name is another disk's now.
    fn know(&mut self, name: &str, scene: &Scene<'_>, dev: Dev) {
        let identity = scene.device(dev).map(Identity::from);
        let line = scene.samples.counters.value().and_then(|all| all.iter().find(|line| line.name == name));
        let done = line.map_or(0, |line| line.reads.saturating_add(line.writes));
        if self.identity != identity || done < self.done {
            *self = Self { identity, ..Self::default() };
            name.clone_into(&mut self.status.name);
        }
        self.done = done;
    }

    fn take(&mut self, rules: &Rules, window: &DiskWindow, some_percent: Option<f64>) {
        let lesson = rules.lesson();
        self.baseline.learn(window, &lesson);
        let known = window.mean_bytes().and_then(|mean| self.baseline.expected(mean, &lesson));
        let sign = some_percent.and_then(|some| sign(rules, window, some, known));
        self.status.window = Some(window.status());
        self.status.baseline = self.baseline.status(&lesson);
        self.status.saturated_now = sign.map(|sign| sign == Sign::Sick);
        if let Some((sign, some)) = sign.zip(some_percent)
            && self.hold.take(sign, rules.patience(window))
        {
            // An idle window inside a problem has no latency of its own: what was seen last stands.
            let newest = known.zip(window.request_ms());
            self.finding = newest.map(|(known, ms)| finding(rules, window, some, known, ms)).or(self.finding.take());
        }
    }
}

/// What one window says; none where it cannot be judged.
fn sign(rules: &Rules, window: &DiskWindow, some_percent: f64, known: Option<Expected>) -> Option<Sign> {
    if some_percent < rules.clear_pressure_percent {
        return (known.is_some() || window.operations() == 0).then_some(Sign::Well);
    }
    let Some(ms) = window.request_ms() else {
        // Nothing came through: either nothing was asked for, or all of it hangs.
        return Some(if window.in_flight == 0 { Sign::Well } else { Sign::Neither });
    };
    let times = delay(rules, ms, known?);
    let sick = window.depth() >= rules.queue && times >= rules.latency_times && some_percent >= rules.pressure_percent;
    Some(match sick {
        true => Sign::Sick,
        false if times < rules.clear_latency_times => Sign::Well,
        false => Sign::Neither,
    })
}

/// How many times as long as on the quiet disk a small synced write takes now: what this window's requests waited beyond their own time, it waits as
/// well. Large requests are slow by themselves, and a few of them make everybody else wait long before they are several times as slow.
fn delay(rules: &Rules, ms: f64, known: Expected) -> f64 {
    let quiet = known.small_ms + rules.besides_ms;
    ((ms - known.ms).max(0.0) + quiet) / quiet
}

fn no_pressure(scene: &Scene<'_>) -> Option<String> {
    match scene.samples.pressure.value() {
        None => {
            Some(format!("no I/O pressure, so nobody is seen waiting: {}", scene.samples.pressure.reading.origin()))
        }
        Some(pressure) if pressure.node.io.is_none() => {
            Some("the kernel does not tell I/O pressure (/proc/pressure/io), so nobody is seen waiting".to_owned())
        }
        Some(_) => None,
    }
}

fn standing(rules: &Rules, memory: &BTreeMap<String, Kept>) -> Standing {
    let lesson = rules.lesson();
    let lacking: Vec<_> = memory.iter().filter(|(_, kept)| !kept.baseline.is_learned(&lesson)).collect();
    if lacking.is_empty() {
        return Standing::Working;
    }
    let shown = lacking
        .iter()
        .take(5)
        .map(|(name, kept)| format!("{name} ({} of {} quiet windows)", kept.baseline.most(), rules.baseline_windows));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let more = lacking.len().saturating_sub(5);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Standing::Learning { why: format!("no baseline yet: {shown}{more}") }
}

fn finding(rules: &Rules, window: &DiskWindow, some_percent: f64, known: Expected, ms: f64) -> Finding {
    let name = &window.name;
    let (reads, writes) = (window.per_s(window.done.reads), window.per_s(window.done.writes));
    let mib = 1024.0 * 1024.0;
    let mut evidence = vec![
        Evidence::text("device", name),
        Evidence::number("await", window.await_ms().unwrap_or(ms), "ms"),
        Evidence::number("await when quiet", known.ms, "ms"),
        Evidence::number("a small synced write takes", delay(rules, ms, known), "times as long"),
        Evidence::number("queue", window.aqu(), "requests"),
        Evidence::number("waiting for I/O", some_percent, "%"),
        Evidence::number("reads", reads, "/s"),
        Evidence::number("writes", writes, "/s"),
        Evidence::number("throughput", window.per_s(window.bytes()) / mib, "MiB/s"),
        Evidence::count("mean request", window.mean_bytes().unwrap_or(0), "bytes"),
    ];
    if window.requests() < window.operations() {
        evidence.push(Evidence::number("time of a request with data", ms, "ms"));
    }
    if window.depth() > window.aqu() {
        evidence.push(Evidence::number("queue in operations of 256 KiB", window.depth(), "operations"));
    }
    if known.borrowed {
        evidence.push(Evidence::text("baseline", "of another size of request, as an upper bound"));
    }
    Finding {
        kind: DISK_SATURATED,
        subject: name.clone(),
        severity: Severity::Warning,
        summary: format!(
            "{name}: a request takes {ms:.1} ms ({:.1} ms on the quiet disk), {:.0} are queued, and programs wait {some_percent:.0} % of the time",
            known.ms,
            window.aqu()
        ),
        advice: String::new(),
        evidence,
        device: Some(window.dev),
    }
}

#[cfg(test)]
mod tests;
