//! Rooms against kubelet's thresholds and without them, and the time that is left.

use super::super::made;
use super::*;
use crate::model::watch::{Answer, Dev, Place, Samples, Space, Thresholds};

const NONE: [&str; 0] = [];
const GIB: u64 = 1 << 30;
const DATA: Dev = Dev { major: 259, minor: 5 };

fn space(left_gib: u64, inodes_free: u64) -> Space {
    let all = 100 * GIB;
    Space { total_bytes: all, available_bytes: left_gib * GIB, inodes: 1000, inodes_free, read_only: false }
}

fn samples(at: u64, kinds: [&str; 2], places: Vec<Place>) -> Samples {
    let mounts = vec![made::mount(1, made::ROOT, "/", kinds[0], "rw"), made::mount(2, DATA, "/data", kinds[1], "rw")];
    let hard = [
        ("nodefs.available", "10%"),
        ("nodefs.inodesFree", "5%"),
        ("imagefs.available", "15%"),
        ("imagefs.inodesFree", "5%"),
    ];
    let hard = hard.map(|(signal, text)| (signal.to_owned(), text.to_owned())).into();
    Samples {
        places: made::fresh(at, places),
        thresholds: made::fresh(1, Thresholds { hard, from: "made".into(), ..Thresholds::default() }),
        ..made::samples(at, mounts)
    }
}

fn on_root(at: u64, space: Space) -> Samples {
    let place = |path: &str, role: &str| made::place(path, role, made::ROOT, space);
    let places =
        vec![place("/", "root"), place("/var/lib/kubelet", "kubelet"), place("/var/lib/containerd", "runtime")];
    samples(at, ["ext4", "ext4"], places)
}

#[test]
fn the_strictest_of_kubelets_thresholds_counts() {
    let mut memory = BTreeMap::new();
    let mut play = |at: u64, gib| made::turn::<FilesystemFull>(&mut memory, at, &on_root(at, space(gib, 900)));
    assert_eq!(play(10, 18), NONE);
    assert_eq!(play(20, 16), NONE, "2 % above 15 %, but once");
    assert_eq!(play(30, 16), ["FilesystemFull / warning"]);
    assert_eq!(play(40, 14), ["FilesystemFull / critical"]);
    assert_eq!(play(50, 16), ["FilesystemFull / critical"]);
    assert_eq!(play(60, 16), ["FilesystemFull / critical"]);
    assert_eq!(play(70, 16), ["FilesystemFull / warning"]);
    let cleared: Vec<_> = (8..11).map(|at| play(at * 10, 19).len()).collect();
    assert_eq!(cleared, [1, 1, 0]);
}

#[test]
fn numbers_of_this_host_are_told() {
    let mut memory = BTreeMap::new();
    let look = made::look::<FilesystemFull>(&mut memory, 10, &on_root(10, space(14, 900)), &Default::default());
    let finding = &look.findings[0];
    assert_eq!(
        finding.summary,
        "/: 14 GiB of 100 GiB left (14.0 %); kubelet evicts below 15 GiB (imagefs.available 15%)"
    );
    let told: Vec<_> = finding.evidence.iter().map(ToString::to_string).collect();
    assert!(told.contains(&"for root, kubelet, runtime".to_owned()), "{told:?}");
}

#[test]
fn inodes_are_counted_like_bytes_but_not_where_they_are_made_up() {
    let mut memory = BTreeMap::new();
    let few = on_root(10, space(90, 49));
    assert_eq!(made::turn::<FilesystemFull>(&mut memory, 10, &few), ["InodesFull / critical"]);
    let places = |kind: &'static str, role: &str| {
        samples(10, ["ext4", kind], vec![made::place("/data", role, DATA, space(90, 10))])
    };
    for (kind, role, count) in
        [("ext4", "mount", 1), ("xfs", "mount", 0), ("btrfs", "kubelet", 0), ("xfs", "kubelet", 1)]
    {
        let mut memory = BTreeMap::new();
        made::turn::<FilesystemFull>(&mut memory, 10, &places(kind, role));
        let mut later = places(kind, role);
        later.places.taken = Mono(20_000);
        let found = made::turn::<FilesystemFull>(&mut memory, 20, &later);
        assert_eq!(found.len(), count, "{kind} {role}: {found:?}");
    }
}

#[test]
fn other_file_systems_are_advice_at_a_fixed_percentage() {
    let mut memory = BTreeMap::new();
    let mut play = |at: u64, gib| {
        let place = made::place("/data", "mount", DATA, space(gib, 900));
        made::turn::<FilesystemFull>(&mut memory, at, &samples(at, ["ext4", "ext4"], vec![place]))
    };
    assert_eq!(play(10, 5), NONE);
    assert_eq!(play(20, 4), NONE);
    assert_eq!(play(30, 4), ["FilesystemFull /data advice"]);
    assert_eq!(play(40, 0), ["FilesystemFull /data advice"]);
    assert_eq!((5..8).map(|at| play(at * 10, 8).len()).collect::<Vec<_>>(), [1, 1, 0]);
    let mut image = BTreeMap::new();
    let full = made::place("/data", "mount", DATA, space(0, 0));
    for at in [10, 20, 30] {
        assert_eq!(
            made::turn::<FilesystemFull>(&mut image, at, &samples(at, ["ext4", "squashfs"], vec![full.clone()])),
            NONE
        );
    }
}

#[test]
fn what_goes_on_warns_in_time_and_a_burst_does_not() {
    let play = |memory: &mut BTreeMap<String, Kept>, at: u64, mib: u64| {
        let room = Space { available_bytes: mib << 20, ..space(0, 900) };
        made::look::<FilesystemFull>(memory, at, &on_root(at, room), &Default::default())
    };
    // 40 GiB left; in the middle an image of 8 GiB is unpacked.
    let mut memory = BTreeMap::new();
    for turn in 0..120 {
        let used = u64::saturating_sub(turn, 50).min(8) * 1024;
        let look = play(&mut memory, 10 + turn * 10, 40 * 1024 - used);
        assert_eq!(made::shown(&look), NONE, "turn {turn}");
    }
    // 30 MiB/s without end: 25 GiB above the threshold last 14 min.
    let mut memory = BTreeMap::new();
    let looks: Vec<Look> = (0..80).map(|turn| play(&mut memory, 10 + turn * 10, 40 * 1024 - turn * 300)).collect();
    let first = looks.iter().position(|look| !look.findings.is_empty()).unwrap();
    assert!((54..60).contains(&first), "warned in turn {first}");
    let finding = &looks[first].findings[0];
    assert_eq!(finding.severity, Severity::Warning);
    assert!(finding.summary.ends_with(" min at this rate"), "{}", finding.summary);
}

#[test]
fn what_nobody_answers_or_could_read_ends_nothing() {
    let mut memory = BTreeMap::new();
    let mut play = |at: u64, samples: Samples| made::turn::<FilesystemFull>(&mut memory, at, &samples);
    let late = |at: u64, how_many: usize| {
        let mut samples = on_root(at, space(10, 900));
        if let Reading::Fresh { value, .. } = &mut samples.places.reading {
            let answers = value.iter_mut().rev().take(how_many).map(|place| &mut place.answer);
            answers.for_each(|answer| *answer = Answer::NotAsked { why: "a probe of / is stuck".into() });
        }
        samples
    };
    let full = ["FilesystemFull / critical"];
    assert_eq!(play(10, late(10, 0)), full);
    assert_eq!(play(20, late(20, 3)), full, "nobody has answered");
    assert_eq!(play(30, late(30, 2)), full, "nobody has answered where kubelet has a threshold");
    let mut unread = on_root(40, space(10, 900));
    unread.thresholds.reading = Reading::failed("no answer for 10 s");
    assert_eq!(play(40, unread), full, "its thresholds could not be read");
    let unasked = Samples { thresholds: Default::default(), ..on_root(45, space(10, 900)) };
    assert_eq!(play(45, unasked), full, "started anew, nobody has asked yet");
    let mut none = on_root(50, space(10, 900));
    none.thresholds.reading = Reading::absent("no kubelet is set up here");
    assert_eq!(play(50, none), ["FilesystemFull / advice"], "no kubelet: the room is judged without it");
}

#[test]
fn no_probe_is_unknown() {
    let look = made::look::<FilesystemFull>(&mut BTreeMap::new(), 10, &Samples::default(), &Default::default());
    assert!(matches!(look.standing, crate::model::status::Standing::Unknown { .. }));
}
