//! Walks `tests/watch/*`: each is a recording that is played turn by turn through the sources and the turn, as the daemon would, with what must be
//! wrong after each turn. It refuses a case without a word on why it is so, and one that is not the same when it is played again, or goes on from a
//! state that was stored. `BLESS=1` writes the problems that are expected anew.
//!
//! A case's `expect.json`: `problems` has, by turn, `Kind subject severity` of all that stand after it; they stand until the next turn named there.
//! `standing` has, by turn, a detector's state; `contributors` has, by turn and disk, who it is with the share of bytes in percent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Reads and blesses the project's own tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use node_steward::agent::replay::{Replay, ReplayError};
use node_steward::agent::turn::{State, Stored, Turn};
use node_steward::model::status::Standing;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    problems: BTreeMap<usize, Vec<String>>,
    #[serde(default)]
    standing: BTreeMap<usize, BTreeMap<String, String>>,
    #[serde(default)]
    contributors: BTreeMap<usize, BTreeMap<String, Vec<String>>>,
}

/// All turns. `restart` tells after which of them the state goes through its stored text into a new program.
fn play(dir: &Path, restart: impl Fn(usize) -> bool) -> Vec<Turn> {
    let mut replay = Replay::open(dir, None).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let settings = replay.settings().clone();
    let mut turns: Vec<Turn> = Vec::new();
    let played = replay.play(|turn, state| -> Result<(), ReplayError> {
        if restart(turns.len()) {
            let text = serde_json::to_string(&state.store(&turn.now.boot_id)).unwrap();
            let stored: Stored = serde_json::from_str(&text).unwrap();
            *state = State::new();
            settings.configure(state).unwrap();
            assert_eq!(state.restore(stored), Vec::<String>::new(), "{text}");
        }
        turns.push(turn);
        Ok(())
    });
    played.unwrap();
    assert_eq!(turns.len(), replay.turns());
    turns
}

fn bytes(turns: &[Turn]) -> Vec<String> {
    turns.iter().map(|turn| serde_json::to_string(turn).unwrap()).collect()
}

/// Whoever is told of a disk is told as well what is mounted from it. The two that are let off are in no recording but by a line or a controller.
fn names_its_mount_point(problem: &node_steward::model::problem::Problem) {
    let finding = &problem.finding;
    let says = |name: &str| finding.evidence.iter().any(|one| one.name == name);
    let is_of_a_disk = finding.device.is_some() || says("device") || says("disk");
    let unmounted = ["nvme2n1", "nvme9n1"].contains(&finding.subject.as_str());
    assert!(!is_of_a_disk || says("mount point") || unmounted, "a disk, and no mount point: {finding:?}");
}

/// `Kind subject severity`, sorted by kind.
fn problems(turn: &Turn) -> Vec<String> {
    let lacking = turn.problems.iter().find(|problem| problem.finding.advice.is_empty());
    assert!(lacking.is_none(), "without advice: {lacking:?}");
    turn.problems.iter().for_each(names_its_mount_point);
    let line = |problem: &node_steward::model::problem::Problem| {
        let finding = &problem.finding;
        format!("{} {} {}", finding.kind, finding.subject, finding.severity)
    };
    let mut lines: Vec<_> = turn.problems.iter().map(line).collect();
    lines.sort();
    lines
}

fn contributors(turn: &Turn) -> BTreeMap<String, Vec<String>> {
    let line = |one: &node_steward::model::problem::Contributor| {
        let mark = if one.estimated { " (estimated)" } else { "" };
        format!("{} {:.0} %{mark}", one.who, one.share_of_bytes * 100.0)
    };
    turn.contributors.iter().map(|(disk, list)| (disk.clone(), list.iter().map(line).collect())).collect()
}

fn standing(turn: &Turn, name: &str) -> String {
    let part = turn.detectors.iter().find(|part| part.name == name).unwrap_or_else(|| panic!("no detector {name}"));
    match &part.standing {
        Standing::Working => "working".to_owned(),
        Standing::Learning { why } => format!("learning: {why}"),
        Standing::Unknown { why } => format!("unknown: {why}"),
        Standing::Off => "off".to_owned(),
    }
}

/// Writes the problems that there are into `expect.json`, and leaves the rest of it as it is.
fn bless(dir: &Path, turns: &[Turn]) {
    let file = dir.join("expect.json");
    let mut expected: serde_json::Value =
        fs::read_to_string(&file).map_or_else(|_| serde_json::json!({}), |text| serde_json::from_str(&text).unwrap());
    let mut seen = serde_json::Map::new();
    let mut last = None;
    for (index, turn) in turns.iter().enumerate() {
        let now = problems(turn);
        if last.as_ref() != Some(&now) {
            seen.insert(index.to_string(), serde_json::json!(now));
        }
        last = Some(now);
    }
    expected["problems"] = seen.into();
    fs::write(file, serde_json::to_string_pretty(&expected).unwrap() + "\n").unwrap();
}

fn check(dir: &Path) {
    let why = fs::read_to_string(dir.join("WHY.md")).expect("WHY.md");
    assert!(why.trim().len() > 40, "WHY.md says nothing");
    let turns = play(dir, |_| false);
    let first = bytes(&turns);
    assert_eq!(bytes(&play(dir, |_| false)), first, "played again, it is another");
    assert_eq!(bytes(&play(dir, |_| true)), first, "with a restart after every turn, it is another");
    let middle = turns.len() / 2;
    assert_eq!(bytes(&play(dir, |turn| turn == middle)), first, "with a restart in the middle, it is another");
    if std::env::var_os("BLESS").is_some() {
        bless(dir, &turns);
    }
    let expected: Expected = serde_json::from_str(&fs::read_to_string(dir.join("expect.json")).unwrap()).unwrap();
    assert!(expected.problems.contains_key(&0), "turn 0 is not named");
    assert!(expected.problems.keys().max() < Some(&turns.len()), "more turns are named than there are");
    let mut wanted = &Vec::new();
    for (index, turn) in turns.iter().enumerate() {
        wanted = expected.problems.get(&index).unwrap_or(wanted);
        assert_eq!(&problems(turn), wanted, "after turn {index}");
        for (name, start) in expected.standing.get(&index).into_iter().flatten() {
            let is = standing(turn, name);
            assert!(is.starts_with(start.as_str()), "after turn {index}, {name} is {is}");
        }
        for (disk, list) in expected.contributors.get(&index).into_iter().flatten() {
            assert_eq!(contributors(turn).get(disk), Some(list), "after turn {index}, of {disk}");
        }
    }
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/watch");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.is_dir());
    cases.sort();
    cases
}

#[test]
fn every_case() {
    let mut failed = Vec::new();
    for dir in cases() {
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        match std::panic::catch_unwind(|| check(&dir)) {
            Ok(()) => println!("case {name}"),
            Err(_) => failed.push(name),
        }
    }
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
    println!("cases: {0} of {0}", cases().len());
    assert!(cases().len() >= 25, "only {} cases found", cases().len());
}

#[test]
fn the_program_plays_as_the_library_does() {
    let dir = cases().into_iter().find(|dir| dir.ends_with("disk-stalled-sick")).unwrap();
    let run = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_node-steward"));
        command.args(["run", "--replay"]).arg(&dir).args(more).output().unwrap()
    };
    let output = run(&[]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(printed.lines().collect::<Vec<_>>(), bytes(&play(&dir, |_| false)));
    assert_eq!(run(&["--once"]).status.code(), Some(2));
}

#[test]
fn a_recording_without_turns_is_one_and_a_broken_one_is_said() {
    let scratch = tempfile::tempdir().unwrap();
    let error = Replay::open(scratch.path(), None).unwrap_err();
    assert!(error.to_string().contains("root"), "{error}");
    fs::create_dir_all(scratch.path().join("root")).unwrap();
    assert_eq!(play(scratch.path(), |_| false).len(), 1);
    fs::create_dir_all(scratch.path().join("turns/000/root")).unwrap();
    let error = Replay::open(scratch.path(), None).unwrap_err();
    assert!(error.to_string().contains("/turns/000/now"), "{error}");
    fs::write(scratch.path().join("turns/000/now"), "{\"monoMs\": 5, \"wallMs\": 6, \"bootId\": \"x\"}").unwrap();
    assert_eq!(play(scratch.path(), |_| false)[0].now.mono.0, 5);
}
