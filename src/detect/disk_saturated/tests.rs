//! Windows in a row: what is learned, when it begins and when it ends, and what counts as saturated.

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
        'l' => play.window(ms, scaled(Load { us: 2700, ..FULL }), 60), // A synced write takes 2.5 times as long: neither.
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
    assert_eq!(now(11_500, 60), Some(false), "3.5 ms more: 2.25 times as long");
}

#[test]
fn a_storm_of_fsyncs_is_not_twice_as_fast_for_its_flushes() {
    let storm = Load { operations: 20_000, bytes: 2048, us: 3000, in_flight: 16, busy_ms: 10_000 };
    assert_eq!(saturated(600, storm), Some(false), "a disk that is not flushed was asked for so many writes");
    let mut play = learned();
    play.counters[0].flushes += 3000;
    let look = play.window(10_000, storm, 60);
    assert_eq!(look.disks.first().unwrap().saturated_now, Some(true));
    let window = look.disks[0].window.as_ref().unwrap();
    assert!((window.await_ms.unwrap() - 3.0).abs() < 0.01, "shown as iostat shows it: {window:?}");
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
    assert!((number("a small synced write takes") - (9.4 + 1.4) / 1.4).abs() < 0.1);
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
