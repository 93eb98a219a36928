//! `status`, `problems` and `decisions` against the real API with a made-up status: at 80 and 120 columns, into a pipe, as JSON, again and again, and what
//! is said where nobody answers or may not be asked. It refuses lines wider than asked for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Runs the program.

mod outputs;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use node_steward::api::{Gate, Published};
use node_steward::model::status::Status;
use outputs::{Served, Setup, golden, published};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node-steward"));
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn run(served: &Served, args: &[&str]) -> Output {
    program().args(args).arg("--socket").arg(&served.socket).output().unwrap()
}

fn text(served: &Served, args: &[&str]) -> String {
    let output = run(served, args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tables_read_well() {
    let served = Served::new(Setup::default());
    for verb in ["status", "problems", "decisions"] {
        for columns in [80, 120] {
            let shown = text(&served, &[verb, "--width", &columns.to_string()]);
            let widest = shown.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= columns, "{verb} at {columns} is {widest} wide:\n{shown}");
            golden(&format!("{verb}.{columns}"), &shown);
        }
        golden(&format!("{verb}.piped"), &text(&served, &[verb]));
        golden(&format!("{verb}.verbose"), &text(&served, &[verb, "-v", "--width", "100"]));
    }
}

#[test]
fn a_node_that_nobody_sees_is_not_called_well() {
    let served = Served::new(Setup {
        published: || {
            let detectors =
                serde_json::json!([{"name": "disk_stalled", "state": "unknown", "why": "no disk counters"}]);
            let status = Status { detectors: serde_json::from_value(detectors).unwrap(), ..Status::default() };
            Published { status, ..published() }
        },
        ..Setup::default()
    });
    let shown = text(&served, &["problems"]);
    assert_eq!(shown, "no problems\n\nCannot judge yet, or at all:\n  disk_stalled: unknown: no disk counters\n");
    assert!(text(&served, &["status"]).contains("0 of 1 detectors work\n  disk_stalled: unknown: no disk counters\n"));
    assert!(text(&served, &["decisions"]).contains("no decisions"));
}

#[test]
fn json_is_the_api_s_own() {
    let served = Served::new(Setup::default());
    for verb in ["problems", "decisions"] {
        assert_eq!(text(&served, &[verb, "-o", "json"]), served.get(&format!("/v1/{verb}")).2);
    }
    let status: Status = serde_json::from_str(&text(&served, &["status", "-o", "json"])).unwrap();
    assert_eq!(status.turns, outputs::status().turns);
}

#[test]
fn watching_appends_where_nobody_can_redraw() {
    let served = Served::new(Setup::default());
    let mut child = program()
        .args(["problems", "--watch", "-o", "json", "--socket"])
        .arg(&served.socket)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (first, second) = (lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(first, second);
    assert!(first.starts_with('{') && !first.contains('\u{1b}'), "{first}");
}

#[test]
fn what_went_wrong_is_said_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("api.sock");
    let ask = |socket: &Path| {
        let output = program().args(["problems", "--socket"]).arg(socket).output().unwrap();
        assert!(output.stdout.is_empty());
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = ask(&nowhere);
    assert_eq!(code, 1);
    assert!(said.contains("the daemon is not running") && said.contains("systemctl status node-steward"), "{said}");
    drop(std::os::unix::net::UnixListener::bind(&nowhere).unwrap());
    let (code, said) = ask(&nowhere);
    assert_eq!(code, 1);
    assert!(said.contains("the daemon is not running") && said.contains("nobody answers"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");

    // By the settings of a root, and as JSON.
    std::fs::create_dir_all(dir.path().join("etc/node-steward")).unwrap();
    std::fs::write(dir.path().join("etc/node-steward/config.toml"), "[api]\nsocket = \"/run/other.sock\"\n").unwrap();
    let output = program().args(["status", "-o", "json", "--root"]).arg(dir.path()).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["error"]["code"], "failed");
    assert!(answer["error"]["message"].as_str().unwrap().contains("/run/other.sock"), "{answer}");
}

/// The program as another user, before a socket that only root may open, and before a gate that does not know it.
#[test]
fn who_may_not_ask_is_told_which_group_to_join() {
    if node_steward::host::own_uid() != 0 {
        println!("needs root to become another user");
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let served = Served::new(Setup { gate: Gate { own: 0, ..Gate::default() }, ..Setup::default() });
    let dir = served.socket.parent().unwrap();
    // The program itself may lie where another user cannot go.
    let copy = dir.join("node-steward");
    std::fs::copy(env!("CARGO_BIN_EXE_node-steward"), &copy).unwrap();
    let open = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    open(dir, 0o755);
    for (mode, words) in [(0o600, "join the group node-steward"), (0o666, "neither root nor in the group node-steward")]
    {
        open(&served.socket, mode);
        let output = Command::new(&copy)
            .args(["problems", "--socket"])
            .arg(&served.socket)
            .uid(60_001)
            .gid(60_001)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains(words), "{said}");
    }
}
