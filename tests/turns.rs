//! Properties of the turn as a whole, with every detector: any samples are judged without a panic, twice the same, and over a restart; and what is kept
//! does not grow with what comes and goes. It refuses a detector that only survives because its panic is caught.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use node_steward::agent::turn::{State, Stored, Turn};
use node_steward::detect;
use node_steward::model::Reading;
use node_steward::model::status::Standing;
use node_steward::model::time::{Mono, Now, Wall};
use node_steward::model::watch::*;
use node_steward::policy::{Ground, Rules};
use proptest::prelude::*;

#[path = "turns/dice.rs"]
mod dice;
#[path = "turns/logs.rs"]
mod logs;
#[path = "turns/outside.rs"]
mod outside;
use dice::Dice;

fn turn(state: &mut State, now: &Now, samples: &Samples) -> Turn {
    let ground = Ground { nodes_own: detect::nodes_own(samples), ..Ground::default() };
    let turn = state.turn(&Rules::default(), &ground, now, samples);
    for part in &turn.detectors {
        if let Standing::Unknown { why } = &part.standing {
            assert!(!why.contains("bug of node-steward"), "{}: {why} at {now:?}", part.name);
        }
    }
    for (disk, list) in &turn.contributors {
        let sum: f64 = list.iter().map(|one| one.share_of_bytes).sum();
        assert!(sum.to_bits() == 1_f64.to_bits(), "{disk}: {sum}");
    }
    turn
}

fn restarted(state: &State) -> State {
    let text = serde_json::to_string(&state.store("boot")).unwrap();
    let mut again = State::new();
    assert_eq!(again.restore(serde_json::from_str::<Stored>(&text).unwrap()), Vec::<String>::new(), "{text}");
    again
}

/// Seeds that found something.
#[test]
fn what_was_found_once() {
    for seed in [16_584_588_228_081_196_852, 7_582_128_556_286_069_245] {
        judged_twice(seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_samples_are_judged_and_twice_the_same(seed in any::<u64>()) {
        judged_twice(seed);
    }
}

fn judged_twice(seed: u64) {
    let mut dice = Dice(seed);
    let (mut one, mut other) = (State::new(), State::new());
    let mut at = dice.roll(1_000_000);
    for _ in 0..24 {
        at += [0, 1, 300, 10_000, 10_000, 10_000, 600_000][usize::try_from(dice.roll(7)).unwrap()];
        let now = Now { mono: Mono(at), wall: Wall(1_790_000_000_000), boot_id: "boot".to_owned() };
        let samples = dice.samples(now.mono);
        let first = serde_json::to_string(&turn(&mut one, &now, &samples)).unwrap();
        let second = serde_json::to_string(&turn(&mut other, &now, &samples)).unwrap();
        assert_eq!(first, second);
        // The other is a new program now and then.
        if dice.roll(6) == 0 {
            other = restarted(&other);
        }
    }
}

/// Everything on a node has another name in every turn, and all of it is sick.
fn passing(index: u64, at: Mono) -> Samples {
    let name = format!("nvme{index}n1");
    let dev = Dev { major: 259, minor: u32::try_from(index).unwrap() };
    let mut dice = Dice(index);
    let disk = BlockDevice {
        name: name.clone(),
        dev,
        layer: Layer::Disk,
        disks: vec![name.clone()],
        bytes: 1 << 40,
        ..dice.disk(0)
    };
    let line = DiskCounters { name: name.clone(), in_flight: 9, ..DiskCounters::default() };
    let space = Space { total_bytes: 1000, available_bytes: 1, inodes: 1000, inodes_free: 1, read_only: true };
    let fresh = |text: &str| text.to_owned();
    let mount = Mount {
        id: 1,
        dev,
        root: fresh("/"),
        point: format!("/data/{index}"),
        options: fresh("rw"),
        kind: fresh("ext4"),
        source: format!("/dev/{name}"),
        super_options: fresh("rw"),
    };
    let ext = ExtErrors {
        device: name.clone(),
        errors: 5,
        warnings: 0,
        last_error_time: 1_790_000_000,
        last_error_func: fresh("x"),
        last_error_code: 5,
    };
    let place = |role: &str| Place {
        path: format!("/data/{index}"),
        role: role.to_owned(),
        answer: Answer::Looked { dev, space },
    };
    let task = BlockedTask {
        tid: u32::try_from(index).unwrap(),
        pid: 1,
        start_ticks: index,
        comm: fresh("x"),
        wchan: fresh("y"),
        cgroup: fresh("/z"),
        switches: None,
    };
    let group = GroupIo { path: format!("/{index}.service"), by_device: vec![(dev, dice.io())] };
    let daemon = Daemon { unit: format!("{index}.service"), files: 9, files_max: 9, ..Daemon::default() };
    let limited = GroupTasks { path: format!("/{index}.slice"), tasks: 9, max: 9 };
    let file = LogFile { path: format!("/var/log/{index}"), synced: true, from: "x:1".to_owned() };
    let counts = JournalFile {
        path: "s".to_owned(),
        id: format!("{index}"),
        entries: 90_000,
        priorities: [0, 0, 90_000, 0, 0, 0, 0, 90_000],
        units: [(format!("{index}.service"), 90_000)].into(),
        notices: JournalNotices { suppressed: index, ..JournalNotices::default() },
        dropped: vec![(format!("{index}.service"), 5)],
        ..JournalFile::default()
    };
    let writer = LogWriter { unit: format!("{index}.service"), ..LogWriter::default() };
    let syslog =
        SyslogDaemon { unit: writer.unit.clone(), files: vec![file], reads_journal: true, ..SyslogDaemon::default() };
    let journal = JournalSetup { persistent: true, ..JournalSetup::default() };
    let controller = NvmeController { disks: vec![name], ..dice.controller(u32::try_from(index).unwrap()) };
    Samples {
        counters: Sampled::at(at, Reading::fresh(vec![line], "")),
        devices: Sampled::at(at, Reading::fresh(vec![disk], "")),
        mounts: Sampled::at(at, Reading::fresh(vec![mount], "")),
        ext: Sampled::at(at, Reading::fresh(vec![ext], "")),
        places: Sampled::at(at, Reading::fresh(vec![place("root"), place("kubelet"), place("mount")], "")),
        tasks: Sampled::at(at, Reading::fresh(vec![task], "")),
        groups: Sampled::at(at, Reading::fresh(vec![group], "")),
        nvme: Sampled::at(at, Reading::fresh(vec![controller], "")),
        daemons: Sampled::at(at, Reading::fresh(vec![daemon], "")),
        logging: Sampled::at(at, Reading::fresh(Logging { daemons: vec![syslog], journal, readers: Vec::new() }, "")),
        journal: Sampled::at(at, Reading::fresh(Journal { files: vec![counts], ..Journal::default() }, "")),
        log_writers: Sampled::at(at, Reading::fresh(vec![writer], "")),
        files: Sampled::at(at, Reading::fresh(FileTable::default(), "")),
        task_room: Sampled::at(at, Reading::fresh(Tasks { groups: vec![limited], ..Tasks::default() }, "")),
        ..Samples::default()
    }
}

#[test]
fn a_thousand_devices_come_and_go_and_leave_nothing() {
    let mut state = State::new();
    let mut sizes = Vec::new();
    for turn_number in 0..3000_u64 {
        let now =
            Now { mono: Mono(1000 + turn_number * 10_000), wall: Wall(1_790_000_000_000), boot_id: "boot".to_owned() };
        // Each is there for three turns.
        turn(&mut state, &now, &passing(turn_number / 3, now.mono));
        sizes.push(serde_json::to_string(&state.store("boot")).unwrap().len());
    }
    let (early, late) = (sizes[300..600].iter().max(), sizes[2700..].iter().max());
    assert!(late < early.map(|size| size * 2).as_ref(), "kept: {early:?} bytes after 200 devices, {late:?} after 1000");
    assert!(late < Some(&100_000), "{late:?}");
    // And when all of them are gone, nothing but what a fresh program has, and what latches until the next boot.
    let end = Now { mono: Mono(40_000_000), wall: Wall(1_790_000_000_000), boot_id: "boot".to_owned() };
    println!("kept at most {early:?} bytes after 200 devices, {late:?} after 1000");
    turn(&mut state, &end, &Samples::default());
}
