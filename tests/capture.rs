//! A recording of the machine that this runs on, played again, gives turn by turn the samples that were seen; and serial numbers are not in it.
//! It refuses to compare less than everything: each turn's samples as JSON.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Reads the recording as a person would.

use std::path::{Path, PathBuf};
use std::time::Duration;

use node_steward::agent::capture::{Options, capture};
use node_steward::agent::{Settings, eviction};
use node_steward::host::{Host, Kmsg};
use node_steward::model::time::Now;
use node_steward::model::watch::Wants;
use node_steward::sample::Watcher;
use node_steward::sample::guarded::Pending;

const TURNS: u32 = 4;

fn names_in(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(names_in(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn what_is_played_is_what_was_seen() {
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("recording");
    let host = Host::new(Path::new("/")).unwrap();
    let settings = Settings::load(&host, None).unwrap();
    let mut seen = Vec::new();
    // This process writes between turns.
    let file = dir.path().join("written");
    let options = Options { turns: TURNS, period: Duration::from_millis(300) };
    let captured = capture(host, &settings, &into, options, |now, samples| {
        std::fs::write(&file, vec![b'x'; 1 << 20]).unwrap();
        // Comes and goes: the next turn's recording must say that it is gone.
        assert!(std::process::Command::new("true").status().unwrap().success());
        seen.push((now.clone(), serde_json::to_value(samples).unwrap()));
    })
    .unwrap();
    assert_eq!((captured.turns, seen.len()), (TURNS, TURNS as usize));
    println!("{TURNS} turns: {} files", captured.files);

    let wants = Wants { contributors: true, blocked_tasks: true };
    let mut watcher = Watcher::new();
    let mut kmsg: Option<Kmsg> = None;
    let mut layers = vec![into.join("root")];
    let mut pending = None;
    for (turn, (now, expected)) in seen.iter().enumerate() {
        let place = into.join(format!("turns/{turn:03}"));
        let told: Now = serde_json::from_slice(&std::fs::read(place.join("now")).unwrap()).unwrap();
        assert_eq!(told, *now);
        layers.push(place.join("root"));
        let host = Host::layered(&layers).unwrap();
        let rules = &settings.kubelet;
        let pending =
            pending.get_or_insert_with(|| Pending::new(&eviction::kubelet_root(&host, rules).display().to_string()));
        let opened = Kmsg::open(&host).ok().map(|new| match &kmsg {
            Some(old) => new.after(old),
            None => new,
        });
        kmsg = opened;
        let log = kmsg.as_mut().map(Kmsg::drain).unwrap_or_default();
        let played =
            watcher.look_whole(&host, told.mono, wants, pending, log, |host| eviction::thresholds(host, rules));
        let mut played = serde_json::to_value(played).unwrap();
        let mut expected = expected.clone();
        // The one thing that differs on purpose: texts of the kernel's log that programs wrote or that name serial numbers.
        let seqs = |value: &serde_json::Value| {
            let records = value["kernelLog"]["records"].as_array().unwrap();
            records.iter().map(|record| record["seq"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(seqs(&played), seqs(&expected), "turn {turn}: kernel log");
        for value in [&mut played, &mut expected] {
            value.as_object_mut().unwrap().remove("kernelLog");
        }
        for (source, seen) in expected.as_object().unwrap() {
            assert_eq!(&played[source], seen, "turn {turn}: {source}");
        }
    }
    let names = names_in(&into);
    assert!(names.iter().all(|name| !name.ends_with("cmdline") && !name.ends_with("environ")));
    assert!(names.iter().any(|name| name.ends_with("proc/diskstats")));
}

#[test]
fn a_directory_with_something_in_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x"), "").unwrap();
    let host = Host::new(Path::new("/")).unwrap();
    let settings = Settings::load(&host, None).unwrap();
    let options = Options { turns: 1, period: Duration::ZERO };
    let error = capture(host, &settings, dir.path(), options, |_, _| ()).unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
}
