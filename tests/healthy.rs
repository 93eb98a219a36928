//! Plays every recorded machine of `tests/healthy/hosts/*`: none may have a problem above advice, in any turn. Then `tests/healthy/mutations.tsv`
//! makes each of them sick, and the named kind must be found: a machine that nothing can be seen on would be called healthy as well.
//! It refuses a host without WHY.md or without a mutation, and a host that is called healthy by detectors that cannot judge it, where it tells enough.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Plays the operator on scratch copies.

#[path = "healthy/sick.rs"]
mod sick;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use node_steward::agent::replay::Replay;
use node_steward::agent::turn::State;
use node_steward::detect;
use node_steward::model::watch::Wants;
use node_steward::policy::Ground;
use serde_json::Value;
use sick::Sick;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/healthy")
}

fn hosts() -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(folder().join("hosts")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn name(host: &Path) -> String {
    host.file_name().unwrap().to_string_lossy().into_owned()
}

/// Links stay links: sysfs is made of them.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_symlink() {
            symlink(fs::read_link(&path).unwrap(), target).unwrap();
        } else if kind.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

/// The turns of a recording, as the objects that `run --replay` prints.
fn play(host: &Path) -> Vec<Value> {
    let mut replay = Replay::open(host, None).unwrap_or_else(|error| panic!("{}: {error}", name(host)));
    let mut state = State::new();
    replay.settings().configure(&mut state).unwrap();
    let (mut wants, mut turns) = (Wants::default(), Vec::new());
    while let Some((now, samples)) = replay.turn(wants).unwrap() {
        let ground = Ground { nodes_own: detect::nodes_own(&samples), ..Ground::default() };
        let turn = state.turn(&replay.settings().policy, &ground, &now, &samples);
        wants = turn.wants;
        turns.push(serde_json::to_value(turn).unwrap());
    }
    turns
}

fn problems(turns: &[Value]) -> impl Iterator<Item = (usize, &Value)> {
    turns.iter().enumerate().flat_map(|(number, turn)| {
        turn["problems"].as_array().expect("a turn lists its problems").iter().map(move |problem| (number, problem))
    })
}

#[test]
fn healthy_hosts_are_left_alone() {
    let all = hosts();
    let mut alarms = Vec::new();
    let mut advice = BTreeMap::<String, usize>::new();
    for host in &all {
        let why = fs::read_to_string(host.join("WHY.md")).unwrap_or_default();
        assert!(why.len() > 100, "{} does not say why it is here", name(host));
        let turns = play(host);
        let recorded = fs::read_dir(host.join("turns")).unwrap().count();
        assert_eq!(turns.len(), recorded, "{}: turns played", name(host));
        for (number, problem) in problems(&turns) {
            if problem["severity"] == "advice" {
                advice.insert(format!("{} {}", name(host), problem["kind"]), number);
            } else {
                alarms.push(format!("{} turn {number}: {problem}", name(host)));
            }
        }
    }
    println!("{} healthy hosts; advice: {advice:?}", all.len());
    assert!(alarms.is_empty(), "{}", alarms.join("\n"));
    assert!(all.len() >= 20, "{} healthy hosts, at least 20 are wanted", all.len());
}

/// What judges units, the clock, tracked connections, tasks, open files, what runs outside of pods, and the journal.
const OF_THE_NODE: [&str; 13] = [
    "units",
    "clock_unsynchronized",
    "conntrack_nearly_full",
    "pids_nearly_full",
    "open_files_nearly_full",
    "reservation_exceeded",
    "log_flood",
    "debug_logging",
    "journal_sync_flood",
    "journal_rate_limited",
    "journal_corrupted",
    "journal_usage",
    "journald_unhealthy",
];

/// Without this a machine on which they see nothing would be left alone as well.
#[test]
fn hosts_that_tell_of_themselves_are_judged_and_left_alone() {
    let mut judged = Vec::new();
    for host in hosts() {
        // The other hosts were captured, and tell what they told then.
        if !host.join("root/.recorded/told/units").exists() {
            continue;
        }
        let turns = play(&host);
        let last = turns.last().unwrap();
        let parts = last["detectors"].as_array().expect("a turn lists its detectors");
        let state = |name: &str| {
            let part = parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("no detector {name}"));
            (part["state"] != "working").then(|| format!("{}: {part}", crate::name(&host)))
        };
        let blind: Vec<String> = OF_THE_NODE.iter().filter_map(|name| state(name)).collect();
        // The journal's counts become rates a minute after the first look; turns are ten seconds apart.
        let minute = turns.len() > 6;
        assert!(blind.is_empty() || !minute, "{}", blind.join("\n"));
        // Not even advice, but that on the common layout of disks.
        let found = problems(&turns).find(|(_, one)| one["kind"] != "RootVolumeShared");
        assert_eq!(found, None, "{}", crate::name(&host));
        judged.extend(minute.then(|| crate::name(&host)));
    }
    println!("judged by all of {}: {}", OF_THE_NODE.len(), judged.join(", "));
    assert!(judged.len() >= 15, "{judged:?}");
}

#[test]
fn every_host_can_be_made_sick() {
    let table = fs::read_to_string(folder().join("mutations.tsv")).unwrap();
    let mut mutated = BTreeSet::new();
    let mut missed = Vec::new();
    for row in table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let [host, mutation, kind] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("three columns: {row}") };
        let scratch = tempfile::tempdir().unwrap();
        let copy_of = scratch.path().join(host);
        copy(&folder().join("hosts").join(host), &copy_of);
        for step in mutation.split(" && ") {
            Sick::of(&copy_of).apply(step);
        }
        mutated.insert(host.to_owned());
        let turns = play(&copy_of);
        let found: BTreeSet<String> = problems(&turns)
            .map(|(_, one)| match (one["kind"].as_str().unwrap(), one["severity"].as_str().unwrap()) {
                (kind, "advice") => format!("{kind}, advice"),
                (kind, _) => kind.to_owned(),
            })
            .collect();
        if !found.contains(kind) {
            missed.push(format!("{host}: {mutation}: {kind} expected, found {found:?}"));
        }
    }
    let all: BTreeSet<String> = hosts().iter().map(|host| name(host)).collect();
    assert_eq!(all, mutated, "every host has a mutation");
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
