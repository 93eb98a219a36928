//! `DiskStalled`: requests are in flight and none completes. await, IOPS and aqu-sz all read zero then, so it looks at nothing but the queue.
//! It refuses to call an idle disk stalled, or to be critical about requests that nobody waits for: some drivers forget to count one down.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::slot::{Detector, Look};
use super::window::DiskWindow;
use crate::model::problem::{Condition, Contributor, Entry, Evidence, Finding, Kind, Severity};
use crate::model::time::{Mono, Span};

/// The name of the problem.
pub const DISK_STALLED: Kind = Kind::new("DiskStalled");

/// More requests than any queue holds.
const MOST_IN_FLIGHT: u64 = 1 << 24;

/// Who used the disk is told where that was so shortly before the stall, ms; and so many of them.
const SHORTLY_MS: u64 = 60_000;
const USERS: usize = 3;

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
    /// Somebody was seen waiting while it stood, or the kernel does not tell.
    waited: bool,
    /// Who used it in the newest window in which it answered and somebody looked, the largest first; and when that was.
    users: Vec<String>,
    users_at: Mono,
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
        if let Some(why) = scene.blind() {
            return Look::unknown(why);
        }
        memory.retain(|name, _| scene.named(name).is_some());
        for window in &scene.disks {
            let kept = memory.entry(window.name.clone()).or_default();
            if stuck(window) {
                kept.stuck_ms = kept.stuck_ms.saturating_add(stuck_ms(window));
                kept.well = 0;
                kept.on |= kept.stuck_ms >= rules.warn_after.ms();
                kept.waited |= scene.io_pressure.is_none_or(|(some, _)| some > 0.0);
            } else {
                kept.well = kept.well.saturating_add(1);
                kept.on &= kept.well < rules.clear_samples.max(1);
                kept.stuck_ms = 0;
                kept.waited &= kept.on;
                kept.used(scene.now.mono, scene.blame.get(&window.dev));
            }
        }
        let findings = memory.iter().filter(|(_, kept)| kept.on).map(|(name, kept)| finding(rules, scene, name, kept));
        Look::at(findings.collect())
    }
}

impl Kept {
    /// Takes note of who used it. They are evidence and no contributors: who merely wrote last is not behind a disk that is dead, and must not be what
    /// keeps a node with one from being cordoned.
    fn used(&mut self, now: Mono, by: Option<&Vec<Contributor>>) {
        if let Some(list) = by {
            let line = |one: &Contributor| {
                let mark = if one.estimated { ", estimated" } else { "" };
                format!("{}, {:.0} % of its bytes{mark}", one.who, one.share_of_bytes * 100.0)
            };
            self.users = list.iter().take(USERS).map(line).collect();
            self.users_at = now;
        } else if now.since_ms(self.users_at) > SHORTLY_MS {
            self.users.clear();
        }
    }
}

/// In flight, and nothing done. A number beyond any queue is a counter that went below zero.
fn stuck(window: &DiskWindow) -> bool {
    (1..=MOST_IN_FLIGHT).contains(&window.in_flight) && window.completions == 0
}

/// How long of the window: all of it where requests were in flight at its start, for those are still there. Otherwise the disk was idle and the first
/// request came at some time in between; the disk's busy time tells when, or on kernels that count it at completion alone, nothing.
fn stuck_ms(window: &DiskWindow) -> u64 {
    if window.in_flight_before > 0 { window.length_ms() } else { window.busy_ms.min(window.length_ms()) }
}

fn finding(rules: &Rules, scene: &Scene<'_>, name: &str, kept: &Kept) -> Finding {
    let in_flight = scene.samples.counters.value().and_then(|all| all.iter().find(|line| line.name == name));
    let in_flight = in_flight.map_or(0, |line| line.in_flight);
    let long = kept.stuck_ms >= rules.critical_after.ms();
    let severity = if long && kept.waited { Severity::Critical } else { Severity::Warning };
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
    if let Some((some, full)) = scene.io_pressure {
        evidence.push(Evidence::number("waiting for I/O", some * 100.0, "%"));
        evidence.push(Evidence::number("all waiting for I/O", full * 100.0, "%"));
    }
    evidence.extend(scene.waiters());
    if long && !kept.waited {
        evidence.push(Evidence::text("not critical", "nobody waits for it"));
    }
    match kept.users.as_slice() {
        [] => {
            evidence.push(Evidence::text("used it before", "unattributed: nobody was looked at in the minute before"))
        }
        users => evidence.extend(users.iter().map(|user| Evidence::text("used it before", user.clone()))),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::play::{Load, Play};
    use crate::model::problem::Who;
    use crate::model::status::Standing;

    const BUSY: Load = Load { operations: 1000, bytes: 4096, us: 500, in_flight: 3, busy_ms: 500 };
    const HUNG: Load = Load { operations: 0, bytes: 0, us: 0, in_flight: 3, busy_ms: 10_000 };
    const IDLE: Load = Load { operations: 0, bytes: 0, us: 0, in_flight: 0, busy_ms: 0 };

    /// Of each window: nothing, a warning, or critical.
    fn severities(play: &mut Play<DiskStalled>, windows: &[(Load, u64)]) -> String {
        let turn = |(load, some): &(Load, u64)| match play.window(10_000, *load, *some).findings.as_slice() {
            [] => '.',
            [finding] if finding.severity == Severity::Critical => 'c',
            [_] => 'w',
            more => panic!("{more:?}"),
        };
        windows.iter().map(turn).collect()
    }

    #[test]
    fn ten_seconds_warn_thirty_are_critical_and_two_answers_end_it() {
        let mut play = Play::new(&["nvme0n1"]);
        let hang =
            [(BUSY, 9), (HUNG, 80), (HUNG, 80), (HUNG, 80), (HUNG, 80), (BUSY, 9), (HUNG, 80), (BUSY, 9), (BUSY, 9)];
        assert_eq!(severities(&mut play, &hang), ".wwccwww.");
        let mut play = Play::new(&["nvme0n1"]);
        assert_eq!(severities(&mut play, &[(BUSY, 9), (HUNG, 80), (IDLE, 0), (IDLE, 0), (IDLE, 0)]), ".ww..");
    }

    #[test]
    fn a_request_at_the_end_of_an_idle_window_is_not_stuck_since_its_start() {
        let mut play = Play::new(&["nvme0n1"]);
        let edge = Load { in_flight: 1, busy_ms: 4, ..IDLE };
        assert_eq!(severities(&mut play, &[(IDLE, 0), (edge, 0), (IDLE, 0), (edge, 0), (BUSY, 0)]), ".....");
        // The hang began three seconds before the end: the warning comes with the next window, not this one.
        let begun = Load { in_flight: 1, busy_ms: 3000, ..IDLE };
        assert_eq!(severities(&mut play, &[(IDLE, 0), (begun, 20), (HUNG, 80), (HUNG, 80), (HUNG, 80)]), "..wwc");
        // A kernel that counts the busy time at completion alone.
        let silent = Load { busy_ms: 0, ..HUNG };
        let mut play = Play::new(&["nvme0n1"]);
        assert_eq!(severities(&mut play, &[(IDLE, 0), (silent, 80), (silent, 80)]), "..w");
    }

    #[test]
    fn a_forgotten_count_is_never_critical_and_a_negative_one_nothing() {
        let leak = Load { in_flight: 1, busy_ms: 10_000, ..IDLE };
        let mut play = Play::new(&["nvme0n1"]);
        assert_eq!(severities(&mut play, &[(leak, 0); 9]), "wwwwwwwww");
        let below = Load { in_flight: u64::from(u32::MAX), busy_ms: 10_000, ..IDLE };
        let mut play = Play::new(&["nvme0n1"]);
        assert_eq!(severities(&mut play, &[(below, 0); 9]), ".........");
    }

    #[test]
    fn a_stall_outlives_a_turn_that_cannot_look_and_a_restart() {
        let mut play = Play::new(&["nvme0n1"]);
        assert_eq!(severities(&mut play, &[(BUSY, 9), (HUNG, 80)]), ".w");
        play.samples.devices.reading = crate::model::Reading::failed("EIO");
        assert!(matches!(play.look_as_it_is().standing, Standing::Unknown { .. }));
        play.memory = serde_json::from_value(serde_json::to_value(&play.memory).unwrap()).unwrap();
        assert_eq!(severities(&mut play, &[(HUNG, 80), (HUNG, 80)]), "wc");
        play.devices.clear();
        play.counters.clear();
        assert!(play.look().findings.is_empty() && play.memory.is_empty());
    }
    #[test]
    fn who_used_it_before_is_evidence_and_forgotten_after_a_minute() {
        let (mut memory, play) = (Kept::default(), Play::<DiskStalled>::new(&["nvme0n1"]));
        let by = |who: Who, share_of_bytes| Contributor {
            who,
            share_of_bytes,
            share_of_operations: None,
            read_bytes_per_s: 0.0,
            write_bytes_per_s: 0.0,
            estimated: share_of_bytes < 0.5,
        };
        let list = vec![by(Who::Unit { unit: "backup.service".to_owned() }, 0.75), by(Who::Unattributed, 0.25)];
        memory.used(Mono(1_000_000), Some(&list));
        memory.used(Mono(1_060_000), None);
        memory.stuck_ms = 10_000;
        let said = |play: &Play<DiskStalled>, kept: &Kept| {
            let mut past = play.past.clone();
            let scene = Scene::new(&play.now, &play.samples, &play.active, &mut past);
            let evidence = finding(&play.rules, &scene, "nvme0n1", kept).evidence;
            let used = evidence.into_iter().filter(|one| one.name == "used it before");
            used.map(|one| one.value.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            said(&play, &memory),
            ["unit backup.service, 75 % of its bytes", "unattributed, 25 % of its bytes, estimated"]
        );
        memory.used(Mono(1_060_001), None);
        assert_eq!(said(&play, &memory), ["unattributed: nobody was looked at in the minute before"]);
    }
}
