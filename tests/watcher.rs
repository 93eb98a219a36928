//! The watcher on the machine that it runs on: what one look without wishes costs, and what it must see anywhere. It refuses a look that costs
//! a millisecond of CPU. `cargo test --release --test watcher -- --nocapture` prints the figures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Reads the machine's own tables to compare.

use std::path::Path;

use nix::time::{ClockId, clock_gettime};
use node_steward::host::Host;
use node_steward::model::Reading;
use node_steward::model::time::Mono;
use node_steward::model::watch::{Answer, KernelLog, Wants};
use node_steward::sample::guarded::{Pending, Request};
use node_steward::sample::{Guarded, Watcher, guarded, sources};

const LOOKS: u32 = 200;

fn cpu_us() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    u64::try_from(time.tv_sec() * 1_000_000 + time.tv_nsec() / 1000).unwrap()
}

/// The least of several rounds: others use this machine too.
fn cost(mut look: impl FnMut(u64), looks: u32) -> u64 {
    (0..5u64)
        .map(|round| {
            let start = cpu_us();
            (0..u64::from(looks)).for_each(|turn| look((round * u64::from(looks) + turn + 2) * 10_000));
            (cpu_us() - start) / u64::from(looks)
        })
        .min()
        .unwrap()
}

#[test]
fn a_look_sees_this_machine_and_costs_little() {
    let host = Host::new(Path::new("/")).unwrap();
    let mut watcher = Watcher::new();
    watcher.look(&host, Mono(1), Wants::default(), Guarded::default());
    let samples = watcher.samples();
    let names =
        |text: &str| text.lines().map(|line| line.split_whitespace().nth(2).unwrap().to_owned()).collect::<Vec<_>>();
    let table = std::fs::read_to_string("/proc/diskstats").unwrap();
    let seen: Vec<_> = samples.counters.value().unwrap().iter().map(|line| line.name.clone()).collect();
    assert_eq!(seen, names(&table));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert_eq!(samples.mounts.value().unwrap().len(), mounts.lines().count());
    let devices = samples.devices.value().unwrap();
    for mount in samples.mounts.value().unwrap().iter().filter(|mount| mount.source.starts_with("/dev/")) {
        assert!(devices.iter().any(|device| device.dev == mount.dev), "{mount:?} has no device");
    }
    assert!(samples.cpu.value().unwrap().total > 0);
    for part in sources(samples) {
        println!("{:20} {:?}", part.name, part.standing);
    }

    let us = cost(|at| _ = watcher.look(&host, Mono(at), Wants::default(), Guarded::default()), LOOKS);
    println!("one look without wishes: {us} us of CPU");
    assert!(cfg!(debug_assertions) || us < 1000, "{us} us");
    for (what, wants) in [
        ("contributors", Wants { contributors: true, ..Wants::default() }),
        ("waiting tasks", Wants { blocked_tasks: true, ..Wants::default() }),
    ] {
        let us = cost(|at| _ = watcher.look(&host, Mono(at), wants, Guarded::default()), 4);
        for failed in [
            &watcher.samples().groups.reading.clone().map(drop),
            &watcher.samples().processes.reading.clone().map(drop),
        ] {
            assert!(!matches!(failed, Reading::Failed { .. }), "{failed:?}");
        }
        let groups = watcher.samples().groups.value().map_or(0, Vec::len);
        println!("one look that asks for {what}: {us} us of CPU ({groups} cgroups that have done I/O)");
    }
}

#[test]
fn a_whole_look_asks_what_a_daemon_would_ask_through_its_probes() {
    let host = Host::new(Path::new("/")).unwrap();
    let wants = Wants { contributors: true, blocked_tasks: true };
    let mut watcher = Watcher::new();
    let mut pending = Pending::new("/var/lib/kubelet");
    watcher.look_whole(&host, Mono(1), wants, &mut pending, KernelLog::default(), |_| Reading::absent("not here"));
    let whole = watcher.samples().places.value().unwrap().clone();
    let root = whole.iter().find(|place| place.path == "/").expect("the root is a place");
    let Answer::Looked { space, .. } = &root.answer else { panic!("{root:?}") };
    assert!(space.total_bytes > 0 && space.available_bytes <= space.total_bytes);

    let mut watcher = Watcher::new();
    let mut pending = Pending::new("/var/lib/kubelet");
    watcher.look(&host, Mono(1), wants, Guarded::default());
    for request in pending.due(watcher.samples(), Mono(1), wants) {
        // As through a pipe.
        let request: Request = serde_json::from_str(&serde_json::to_string(&request).unwrap()).unwrap();
        let response =
            guarded::answer(&host, std::slice::from_ref(&request), |_| Reading::absent("not here")).remove(0);
        let response = serde_json::from_str(&serde_json::to_string(&response).unwrap()).unwrap();
        pending.answered(&request, response);
    }
    let probed = watcher.look(&host, Mono(2), wants, pending.take(KernelLog::default())).places.value().unwrap();
    let what = |places: &[node_steward::model::watch::Place]| {
        places.iter().map(|place| (place.path.clone(), place.role.clone())).collect::<Vec<_>>()
    };
    assert_eq!(what(probed), what(&whole));
    assert!(watcher.samples().thresholds.taken > Mono(0));
}

#[test]
fn an_nvme_controller_answers_here_or_there_is_none() {
    let host = Host::new(Path::new("/")).unwrap();
    let mut watcher = Watcher::new();
    let mut pending = Pending::new("/var/lib/kubelet");
    let none = |_: &Host| Reading::absent("not here");
    let samples = watcher.look_whole(&host, Mono(1), Wants::default(), &mut pending, KernelLog::default(), none);
    let listed = std::fs::read_dir("/sys/class/nvme").map_or(0, Iterator::count);
    let controllers = samples.nvme.value().map_or(&[][..], Vec::as_slice);
    assert_eq!(controllers.len(), listed);
    for one in controllers {
        println!("nvme: {one:?}");
        assert_eq!((one.state.as_str(), one.pages_taken), ("live", Mono(1)));
        match &one.smart {
            // Between freezing and boiling.
            Reading::Fresh { value, .. } => assert!((273..=373).contains(&value.temperature_k), "{value:?}"),
            Reading::Absent { why } | Reading::Failed { why } => assert!(!why.is_empty()),
        }
    }
}
