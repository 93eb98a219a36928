//! `rules test` as a user calls it. It refuses output that is not one object per match.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Runs the program.

use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_node-steward")).args(["rules", "test"]).args(args).output().unwrap()
}

#[test]
fn matches_are_objects_with_line_rule_reason_severity_and_captures() {
    let output = run(&["-o", "json", "tests/data/kernel/medium-error-6.1.kmsg"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let matches: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(matches.len(), 4, "{text}");
    assert_eq!(
        matches[0],
        serde_json::json!({
            "line": 44, "rule": "BlockIoError", "reason": "BlockIoError", "severity": "warning",
            "captures": {"what": "critical medium", "device": "sda", "sector": "4648", "operation": "READ"},
        })
    );
    // The same lines, each once, by the file's own numbering.
    let file = std::fs::read_to_string("tests/data/kernel/medium-error-6.1.kmsg").unwrap();
    for found in &matches {
        let number = usize::try_from(found["line"].as_u64().unwrap()).unwrap();
        assert!(file.lines().nth(number - 1).unwrap().contains("error"), "line {number}");
    }
}

#[test]
fn people_get_a_line_each() {
    let output = run(&["tests/data/kernel/captured-6.18.txt"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 10, "{text}");
    assert!(text.contains("captured-6.18.txt:8: XfsShutdown critical loop0: loop0: XFS has shut down: Filesystem has been shut down due to log error (0x2)."), "{text}");
}

#[test]
fn a_missing_file_is_an_error() {
    let output = run(&["/no/such.log"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read /no/such.log: there is no such file"));
}
