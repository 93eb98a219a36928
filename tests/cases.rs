//! Walks `tests/cases/*`: each is a machine, what lies on it, and a script of runs; afterwards named files must be as expected, to the byte.
//! It refuses a case without a check. `BLESS=1` writes the expected files anew.
//!
//! A case's `script`, line by line: `machine NAME` lays `tests/machines/NAME` over the root; `run CODE ARGS...` runs the program and
//! wants that exit code; `says TEXT` and `silent TEXT` look at what it printed; `put PATH FILE` writes what another program would, and
//! `paste PATH LINE` what it printed last, from that line on;
//! `remove PATH`; `reboot` changes the boot id and empties /run; `file PATH EXPECTED` compares; `absent PATH`; `untouched PATH` wants
//! the file as it was before the last run, with its mtime.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Plays the operator on a scratch root.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Content and mtime of every file.
fn snapshot(dir: &Path, into: &mut BTreeMap<PathBuf, (Vec<u8>, i64, i64)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            snapshot(&path, into);
        } else {
            let facts = fs::metadata(&path).unwrap();
            into.insert(path.clone(), (fs::read(&path).unwrap(), facts.mtime(), facts.mtime_nsec()));
        }
    }
}

struct Case {
    dir: PathBuf,
    root: tempfile::TempDir,
    said: String,
    before: BTreeMap<PathBuf, (Vec<u8>, i64, i64)>,
    boots: u32,
    checks: u32,
}

impl Case {
    fn inside(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    fn step(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "machine" => copy(&folder("machines").join(rest), self.root.path()),
            "run" => self.run(rest),
            "says" => {
                assert!(self.said.contains(rest), "{line}\nbut it printed:\n{}", self.said);
                self.checks += 1;
            }
            "silent" => {
                assert!(!self.said.contains(rest), "{line}\nbut it printed:\n{}", self.said);
                self.checks += 1;
            }
            "put" => {
                let (path, file) = rest.split_once(' ').unwrap();
                let target = self.inside(path);
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                fs::copy(self.dir.join(file), target).unwrap();
            }
            "paste" => {
                let (path, line) = rest.split_once(' ').unwrap();
                let target = self.inside(path);
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                let from = self.said.find(&format!("\n{line}\n"));
                let from = from.unwrap_or_else(|| panic!("no line {line}\nit printed:\n{}", self.said));
                fs::write(target, &self.said[from + 1..]).unwrap();
            }
            "remove" => fs::remove_file(self.inside(rest)).unwrap(),
            "reboot" => {
                self.boots += 1;
                let _ = fs::remove_dir_all(self.inside("/run"));
                fs::write(self.inside("/proc/sys/kernel/random/boot_id"), format!("boot-{}\n", self.boots)).unwrap();
            }
            "file" => {
                let (path, file) = rest.split_once(' ').unwrap();
                let (now, expected) = (fs::read_to_string(self.inside(path)), self.dir.join(file));
                let now = now.unwrap_or_else(|error| panic!("{line}: {error}; it printed:\n{}", self.said));
                if std::env::var_os("BLESS").is_some() {
                    fs::write(&expected, &now).unwrap();
                }
                let wanted =
                    fs::read_to_string(&expected).unwrap_or_else(|error| panic!("{}: {error}", expected.display()));
                assert_eq!(now, wanted, "{line}");
                self.checks += 1;
            }
            "absent" => {
                assert!(!self.inside(rest).exists(), "{line}; it printed:\n{}", self.said);
                self.checks += 1;
            }
            "untouched" => {
                let path = self.inside(rest);
                let mut now = BTreeMap::new();
                snapshot(path.parent().unwrap(), &mut now);
                assert_eq!(now.get(&path), self.before.get(&path), "{line}");
                self.checks += 1;
            }
            other => panic!("unknown step {other:?}"),
        }
    }

    fn run(&mut self, rest: &str) {
        let mut words = rest.split(' ').filter(|word| !word.is_empty());
        let code: i32 = words.next().unwrap().parse().unwrap();
        self.before.clear();
        snapshot(self.root.path(), &mut self.before);
        let output = Command::new(env!("CARGO_BIN_EXE_node-steward"))
            .args(words)
            .arg("--root")
            .arg(self.root.path())
            .env("NO_COLOR", "1")
            .output()
            .unwrap();
        self.said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "run {rest}\nit printed:\n{}", self.said);
        assert!(!self.said.contains("panicked"), "{}", self.said);
        self.checks += 1;
    }
}

#[test]
fn every_case() {
    let mut cases: Vec<_> = fs::read_dir(folder("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let mut failed = Vec::new();
    for dir in &cases {
        let script =
            fs::read_to_string(dir.join("script")).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let root = tempfile::tempdir().unwrap();
        let mut case =
            Case { dir: dir.clone(), root, said: String::new(), before: BTreeMap::new(), boots: 1, checks: 0 };
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            if dir.join("root").is_dir() {
                copy(&dir.join("root"), case.root.path());
            }
            for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                case.step(line);
            }
        }));
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        println!("case {name}: {} checks", case.checks);
        if played.is_err() || case.checks == 0 {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
    println!("cases: {} of {}", cases.len(), cases.len());
    assert!(cases.len() >= 15, "only {} cases found", cases.len());
}
