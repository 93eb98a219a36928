//! What the README shows must work: every settings block is understood by `config check`, every settings key and verb exists.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Reads the project's own tree.

use std::process::Command;

/// Indented blocks that begin with a section, such as `[reserve]`.
fn settings_blocks(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in text.lines() {
        match (line.strip_prefix("    "), line.is_empty()) {
            (Some(code), _) => *blocks.last_mut().unwrap() += &format!("{code}\n"),
            (None, true) => blocks.last_mut().unwrap().push('\n'),
            (None, false) => blocks.push(String::new()),
        }
    }
    blocks.into_iter().map(|block| block.trim().to_owned()).filter(|block| block.starts_with('[')).collect()
}

#[test]
fn settings_blocks_are_understood() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let blocks = settings_blocks(&readme);
    assert!(blocks.len() >= 2, "{blocks:?}");
    let dir = tempfile::tempdir().unwrap();
    for block in blocks {
        let file = dir.path().join("settings.toml");
        std::fs::write(&file, &block).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_node-steward"))
            .args(["config", "check", "--config"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn reserve_answers_as_documented() {
    // The example of the public interface, to the character.
    let output = Command::new(env!("CARGO_BIN_EXE_node-steward"))
        .args([
            "reserve",
            "--profile",
            "eks",
            "--cores",
            "4",
            "--memory",
            "16624140288",
            "--max-pods",
            "58",
            "-o",
            "json",
        ])
        .output()
        .unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |path: &str| answer.pointer(path).cloned().unwrap_or_default().to_string();
    assert_eq!(of("/profile"), r#""eks""#);
    assert_eq!(of("/machine/cores"), "4");
    assert_eq!(of("/machine/memoryBytes"), "16624140288");
    assert_eq!(of("/machine/maxPods"), "58");
    assert_eq!(of("/machine/maxPodsSource"), r#""flag""#);
    assert_eq!(of("/kubeReserved"), r#"{"cpu":"80m","memory":"893Mi","ephemeral-storage":"1Gi"}"#);
    assert_eq!(of("/systemReserved"), "{}");
    assert_eq!(of("/profileReserved/kubeReserved"), of("/kubeReserved"));
    assert_eq!(
        of("/evictionHard"),
        r#"{"memory.available":"100Mi","nodefs.available":"10%","nodefs.inodesFree":"5%"}"#
    );
    assert_eq!(of("/allocatable"), r#"{"cpu":"3920m","memory":"15217680Ki","pods":"58"}"#);
    assert_eq!(of("/warnings"), "[]");
}
