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
            queue: 4.0,
            latency_times: 2.7,
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
            besides_ms: 1.0,
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
        Look {
            findings: on.filter_map(|kept| kept.finding.clone()).collect(),
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
            let newest = known.zip(window.await_ms());
            self.finding = newest.map(|(known, ms)| finding(rules, window, some, known, ms)).or(self.finding.take());
        }
    }
}

/// What one window says; none where it cannot be judged.
fn sign(rules: &Rules, window: &DiskWindow, some_percent: f64, known: Option<Expected>) -> Option<Sign> {
    if some_percent < rules.clear_pressure_percent {
        return (known.is_some() || window.operations() == 0).then_some(Sign::Well);
    }
    let Some(ms) = window.await_ms() else {
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
        Evidence::number("await", ms, "ms"),
        Evidence::number("await when quiet", known.ms, "ms"),
        Evidence::number("a small synced write takes", delay(rules, ms, known), "times as long"),
        Evidence::number("queue", window.aqu(), "requests"),
        Evidence::number("waiting for I/O", some_percent, "%"),
        Evidence::number("reads", reads, "/s"),
        Evidence::number("writes", writes, "/s"),
        Evidence::number("throughput", window.per_s(window.bytes()) / mib, "MiB/s"),
        Evidence::count("mean request", window.mean_bytes().unwrap_or(0), "bytes"),
    ];
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
mod tests {
    use super::*;
    use crate::detect::play::{Load, Play};

    const QUIET: Load = Load { operations: 200, bytes: 8192, us: 600, in_flight: 0, busy_ms: 120 };
    const FULL: Load = Load { operations: 30_000, bytes: 8192, us: 10_000, in_flight: 32, busy_ms: 10_000 };

    fn learned() -> Play<DiskSaturated> {
        let mut play = Play::new(&["nvme0n1"]);
        for n in 0..30 {
            assert_eq!(play.window(10_000, QUIET, 3).standing == Standing::Working, n == 29);
        }
        play
    }

    /// One sign a window: s(aturated), w(ell), and whether it stood after each.
    fn signs(play: &mut Play<DiskSaturated>, ms: u64, signs: &str) -> String {
        let scaled = |load: Load| Load { operations: load.operations * ms / 10_000, ..load };
        let turn = |sign| match sign {
            's' => play.window(ms, scaled(FULL), 60),
            'p' => play.window(ms, scaled(FULL), 7), // Queues, but few wait.
            'l' => play.window(ms, scaled(Load { us: 2700, ..FULL }), 60), // A synced write takes 2.3 times as long: neither.
            'q' => play.window(ms, scaled(Load { operations: 2000, ..FULL }), 60), // A queue of two.
            _ => play.window(ms, scaled(QUIET), 3),
        };
        signs.chars().map(turn).map(|look| if look.findings.is_empty() { '.' } else { '#' }).collect()
    }

    #[test]
    fn three_of_six_begin_and_two_minutes_end_at_any_period() {
        assert_eq!(signs(&mut learned(), 10_000, "swswswwwwwwwwwwwwww"), "....############...");
        assert_eq!(signs(&mut learned(), 10_000, "sswwwwwsswwwwwpppplllqqq"), "........................");
        assert_eq!(signs(&mut learned(), 10_000, "ssslwwwwwwwwwwwlwwwwwwwwwwwww"), "..#########################..");
        assert_eq!(signs(&mut learned(), 5000, "ssssssw"), ".....##");
        assert_eq!(signs(&mut learned(), 30_000, "swwwww"), "####..");
    }

    /// Of a disk that needs `quiet_us` when it is quiet, whether a flood of `load` counts as saturated.
    fn saturated(quiet_us: u64, load: Load) -> Option<bool> {
        let mut play: Play<DiskSaturated> = Play::new(&["nvme0n1"]);
        (0..=30).for_each(|_| drop(play.window(10_000, Load { us: quiet_us, bytes: load.bytes, ..QUIET }, 3)));
        play.window(10_000, load, 60).disks.first()?.saturated_now
    }

    #[test]
    fn few_large_requests_are_many_operations_and_little_is_not_several_times_less() {
        // Two in the queue: of 1 MiB they are eight operations of a volume, of 8 KiB they are two.
        let large = Load { operations: 1000, bytes: 1 << 20, us: 20_000, in_flight: 2, busy_ms: 10_000 };
        assert_eq!(saturated(5000, large), Some(true));
        assert_eq!(saturated(5000, Load { bytes: 8192, ..large }), Some(false));
        let fast = Load { operations: 100_000, us: 2200, ..FULL };
        assert_eq!(saturated(300, fast), Some(false), "seven times as long, and hardly felt");
        assert_eq!(saturated(300, Load { us: 4600, ..fast }), Some(true));
    }

    #[test]
    fn large_requests_that_are_hardly_slower_make_small_ones_wait() {
        let mut play: Play<DiskSaturated> = Play::new(&["nvme0n1"]);
        (0..30).for_each(|_| drop(play.window(10_000, Load { us: 2000, ..QUIET }, 3)));
        let large = Load { operations: 60, bytes: 400 << 10, us: 8000, in_flight: 0, busy_ms: 480 };
        (0..31).for_each(|_| drop(play.window(10_000, large, 3)));
        let mut now = |us, some| {
            let load = Load { operations: 1500, us, in_flight: 3, busy_ms: 10_000, ..large };
            play.window(10_000, load, some).disks.first().and_then(|disk| disk.saturated_now)
        };
        // 2.5 times as long as it takes itself, and 12 ms in which a write of 2 ms waits.
        assert_eq!(now(20_000, 60), Some(true));
        assert_eq!(now(20_000, 5), Some(false), "and nobody waits");
        assert_eq!(now(11_500, 60), Some(false), "3.5 ms more: 2.2 times as long");
    }

    #[test]
    fn it_is_silent_before_it_knows_the_disk() {
        let mut play: Play<DiskSaturated> = Play::new(&["nvme0n1", "nvme1n1"]);
        assert_eq!(signs(&mut play, 10_000, "ssssssssss"), "..........");
        let look = play.window(10_000, FULL, 60);
        let Standing::Learning { why } = look.standing else { panic!("{:?}", look.standing) };
        assert_eq!(why, "no baseline yet: nvme0n1 (0 of 30 quiet windows), nvme1n1 (0 of 30 quiet windows)");
        let [first, second] = look.disks.as_slice() else { panic!("{:?}", look.disks) };
        assert_eq!((first.saturated_now, first.baseline.windows), (None, 0));
        assert!(first.window.as_ref().is_some_and(|window| window.aqu > 4.0) && second.name == "nvme1n1");
    }

    #[test]
    fn what_is_said_rests_on_numbers() {
        let mut play = learned();
        signs(&mut play, 10_000, "ss");
        let look = play.window(10_000, FULL, 60);
        let [finding] = look.findings.as_slice() else { panic!("{look:?}") };
        let number = |name: &str| finding.evidence.iter().find(|one| one.name == name).unwrap().value.as_f64().unwrap();
        assert_eq!((finding.subject.as_str(), number("await"), number("queue")), ("nvme0n1", 10.0, 30.0));
        assert!((number("a small synced write takes") - (9.4 + 1.6) / 1.6).abs() < 0.1);
        assert!((number("await when quiet") - 0.6).abs() < 0.02 && (number("waiting for I/O") - 60.0).abs() < 1e-9);
        assert_eq!(look.disks.first().unwrap().saturated_now, Some(true));
        // A turn that brings nothing new says the same again.
        let again = play.look_as_it_is();
        assert_eq!((&again.findings, &again.disks), (&look.findings, &look.disks));
    }

    #[test]
    fn another_disk_of_the_name_is_learned_anew() {
        let mut play = learned();
        signs(&mut play, 10_000, "sss");
        play.devices[0].bytes *= 2;
        let look = play.window(10_000, FULL, 60);
        assert!(look.findings.is_empty() && matches!(look.standing, Standing::Learning { .. }), "{look:?}");
        let mut play = learned();
        play.counters[0].reads = 5;
        assert!(matches!(play.window(10_000, QUIET, 3).standing, Standing::Learning { .. }));
        assert_eq!(play.memory.values().next().unwrap().baseline.most(), 0);
    }

    #[test]
    fn without_pressure_it_is_unknown_and_still_learns() {
        let mut play: Play<DiskSaturated> = Play::new(&["nvme0n1"]);
        play.io = None;
        (0..40).for_each(|_| drop(play.window(10_000, QUIET, 0)));
        let look = play.window(10_000, FULL, 0);
        let Standing::Unknown { why } = &look.standing else { panic!("{look:?}") };
        assert!(why.contains("/proc/pressure/io"), "{why}");
        assert!(look.disks.iter().all(|disk| disk.baseline.small.is_some() && disk.saturated_now.is_none()));
    }

    #[test]
    fn a_list_that_fails_once_forgets_nothing() {
        let mut play = learned();
        signs(&mut play, 10_000, "sss");
        play.samples.devices.reading = crate::model::Reading::failed("EIO");
        assert!(matches!(play.look_as_it_is().standing, Standing::Unknown { .. }));
        assert_eq!(play.window(10_000, FULL, 60).findings.len(), 1);
    }

    #[test]
    fn disks_come_and_go_without_growth() {
        let mut play: Play<DiskSaturated> = Play::new(&[]);
        for n in 0..1000_u32 {
            play.devices = (0..3).map(|k| crate::detect::play::disk(&format!("sd{n}-{k}"), 3 * n + k)).collect();
            let line = |device: &BlockDevice| crate::model::watch::DiskCounters {
                name: device.name.clone(),
                ..Default::default()
            };
            play.counters = play.devices.iter().map(line).collect();
            play.window(10_000, QUIET, 0);
            play.window(10_000, QUIET, 0);
        }
        assert_eq!(play.memory.len(), 3);
        assert!(serde_json::to_string(&play.memory).unwrap().len() < 4000);
        let past = serde_json::to_string(&play.past).unwrap();
        assert!(past.len() < 3000, "{past}");
    }
}
