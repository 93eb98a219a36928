//! The local API as a client meets it: every endpoint, every refusal, and that idle, slow and broken clients delay nobody. It refuses to hold an answer to
//! milliseconds: it prints them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Talks to its own server, and measures.

mod outputs;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use node_steward::api::{Code, ENDPOINTS, Gate, Published};
use outputs::{Served, Setup, published, split};
use serde_json::Value;

fn code(body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body:?}"));
    assert!(value["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    value["code"].as_str().unwrap().to_owned()
}

#[test]
fn reads_show_what_was_published() {
    let served = Served::new(Setup::default());
    let (status, head, body) = served.get("/v1/status");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json") && head.contains("cache-control: no-store"), "{head}");
    let mut value: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(value["counters"]["apiRequests"], 1);
    for own in ["apiRequests", "apiRefused"] {
        value["counters"].as_object_mut().unwrap().remove(own);
    }
    assert_eq!(value, serde_json::to_value(outputs::status()).unwrap());

    let problems: Value = serde_json::from_str(&served.get("/v1/problems").2).unwrap();
    let list = problems["problems"].as_array().unwrap();
    assert_eq!(list.len(), 4);
    assert!(list[1]["advice"].as_str().unwrap().starts_with("The volume gives 3000"), "a finding's own advice stays");
    assert_eq!((&list[0]["condition"], &list[0]["mayCordon"]), (&Value::from("DiskIO"), &Value::from(true)));
    let decisions: Value = serde_json::from_str(&served.get("/v1/decisions").2).unwrap();
    assert_eq!(decisions["decisions"][0]["reason"], "NotTheNodesDevice");
    assert_eq!(serde_json::from_str::<Value>(&served.get("/v1/reservations?x=y").2).unwrap()["profile"], "eks");
    assert_eq!((served.get("/healthz").0, served.get("/readyz").0), (200, 200));
    let (status, head, body) = served.ask("HEAD", "/v1/status", "", "");
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("content-length: "), "{head}");
}

#[test]
fn metrics_come_in_the_asked_format_on_both_addresses() {
    let served = Served::new(Setup::default());
    let (_, head, body) = served.get("/metrics");
    assert!(head.contains("text/plain; version=0.0.4") && !body.contains("# EOF"), "{head}");
    let open = "accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let (_, head, body) = served.ask("GET", "/metrics", open, "");
    assert!(head.contains("openmetrics-text; version=1.0.0") && body.ends_with("# EOF\n"), "{head}");
    assert!(body.contains("node_steward_api_requests_total 2\n"), "{body}");

    let tcp = |path: &str, method: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", served.port)).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        split(&answer)
    };
    assert!(tcp("/metrics", "GET").2.contains("node_steward_turns_total 731\n"));
    for other in ENDPOINTS.iter().filter(|one| one.path != "/metrics") {
        let (status, _, body) = tcp(other.path, other.method.as_str());
        assert_eq!((status, code(&body).as_str()), (404, "unknown_path"), "{other:?}");
    }
    assert_eq!(tcp("/metrics", "POST").0, 405);
}

#[test]
fn every_refusal_has_its_code() {
    let served = Served::new(Setup::default());
    let mut seen = BTreeSet::new();
    let mut expect = |answer: (u16, String, String), status: u16, word: &str| {
        assert_eq!((answer.0, code(&answer.2).as_str()), (status, word), "{answer:?}");
        seen.insert(word.to_owned());
    };
    expect(served.get("/v2/status"), 404, "unknown_path");
    expect(served.get("/v1/status/"), 404, "unknown_path");
    let wrong = served.ask("DELETE", "/v1/status", "", "");
    assert!(wrong.1.contains("allow: get, head"), "{wrong:?}");
    expect(wrong, 405, "wrong_method");
    let wrong = served.get("/v1/reload");
    assert!(wrong.1.contains("allow: post"), "{wrong:?}");
    expect(wrong, 405, "wrong_method");
    expect(served.ask("POST", "/v1/reload", "", "{\"x\": "), 400, "bad_json");
    expect(served.ask("POST", "/v1/reload", "", "[1]"), 400, "bad_json");
    expect(served.ask("POST", "/v1/reload", "", &format!("\"{}\"", "x".repeat(65 << 10))), 413, "body_too_large");
    let chunks = "4000\r\n".to_owned() + &"x".repeat(0x4000) + "\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    let endless = format!("POST /v1/reload HTTP/1.1\r\nhost: x\r\n{chunked}\r\n{}0\r\n\r\n", chunks.repeat(5));
    expect(split(&served.raw(endless.as_bytes())), 413, "body_too_large");
    let ended = served.raw(b"POST /v1/reload HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{");
    assert!(ended.is_empty() || ended.contains("bad_json"), "{ended}");
    assert_eq!(served.ask("POST", "/v1/reload", "", "").0, 200);
    expect(served.ask("POST", "/v1/reload", "", "{}"), 422, "settings_refused");

    for (reason, status, word) in [
        ("another", 409, "held_by_another"),
        ("at work", 409, "stands_down"),
        ("alone", 503, "no_cluster"),
        ("down", 503, "cluster_failed"),
        ("drains", 409, "drain_goes_on"),
    ] {
        expect(served.ask("POST", "/v1/cordon", "", &format!("{{\"reason\": {reason:?}}}")), status, word);
    }

    expect(served.get("/v1/drain"), 404, "no_drain");
    let more = r#"{"name": "GpuLost", "subject": "one more", "severity": "warning", "ttl": "1m"}"#;
    expect(served.ask("POST", "/v1/problems", "", more), 429, "too_many");

    let late = Served::new(Setup { mono: 7_330_001, ..Setup::default() });
    expect(late.get("/healthz"), 503, "turns_late");
    assert_eq!(late.get("/readyz").0, 200);
    let fresh = Served::new(Setup { published: || Published { ready: false, ..published() }, ..Setup::default() });
    expect(fresh.get("/readyz"), 503, "not_ready");

    // In a body that comes too slowly.
    let mut slow = served.connect();
    slow.write_all(b"POST /v1/reload HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{").unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    expect(split(&answer), 408, "body_too_slow");

    // A gate that knows neither us nor our groups. Root passes every gate, so that this needs another user: see below.
    if node_steward::host::own_uid() != 0 {
        let closed = Served::new(Setup { gate: Gate { own: u32::MAX, ..Gate::default() }, ..Setup::default() });
        expect(closed.get("/v1/status"), 403, "forbidden");
    } else {
        seen.insert("forbidden".to_owned());
    }
    seen.insert("internal".to_owned()); // Nothing that can be asked leads there.
    let all: BTreeSet<String> = Code::ALL.iter().map(|code| code.word().to_owned()).collect();
    assert_eq!(seen, all);
}

#[test]
fn orders_go_through_as_they_are_and_what_is_no_order_does_not() {
    let served = Served::new(Setup::default());
    for (path, changed) in [("/v1/cordon", true), ("/v1/uncordon", false)] {
        let order = |body: &str| served.ask("POST", path, "", body);
        let (status, _, body) = order("{\"reason\": \"a new disk\", \"by\": \"alice\"}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, answer), (200, serde_json::json!({"ok": true, "node": "alice", "changed": changed})));
        let unnamed: Value = serde_json::from_str(&order("{\"reason\": \"a new disk\"}").2).unwrap();
        assert_eq!(unnamed["node"], format!("uid {}", node_steward::host::own_uid()), "the kernel's word");
        for wrong in [
            "",
            "{}",
            "[]",
            "{\"reason\": 3}",
            "{\"reason\": \" \"}",
            "{\"reason\": \"a\\u001b[2J\"}",
            "{\"reason\": \"a\", \"by\": \"\"}",
            "{\"reason\": \"a\", \"node\": \"other\"}",
            &format!("{{\"reason\": {:?}}}", "x".repeat(201)),
        ] {
            let (status, _, body) = order(wrong);
            assert_eq!((status, code(&body).as_str()), (400, "bad_json"), "{wrong}");
        }
        let get = served.get(path);
        assert!(get.0 == 405 && get.1.contains("allow: post"), "{get:?}");
    }
}

#[test]
fn a_drain_is_asked_for_in_one_way_and_in_no_other() {
    let served = Served::new(Setup::default());
    for (body, understood) in [
        (r#"{"reason": "r"}"#, "Drain { allow: [], deadline: None }"),
        (
            r#"{"reason": "r", "what": "begin", "allow": ["jobs", "empty-dir"], "deadline": "90s"}"#,
            "Drain { allow: [Jobs, EmptyDir], deadline: Some(Span { ms: 90000 }) }",
        ),
        (r#"{"reason": "r", "what": "plan", "allow": ["unmanaged"]}"#, "Plan { allow: [Unmanaged] }"),
        (r#"{"reason": "r", "what": "cancel"}"#, "CancelDrain"),
    ] {
        let (status, _, answer) = served.ask("POST", "/v1/drain", "", body);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, answer["node"].as_str().unwrap()), (200, understood), "{body}");
    }
    for wrong in [
        "",
        "{}",
        r#"{"reason": ""}"#,
        r#"{"reason": "r", "what": "delete"}"#,
        r#"{"reason": "r", "allow": ["all"]}"#,
        r#"{"reason": "r", "allow": "jobs"}"#,
        r#"{"reason": "r", "deadline": "25h"}"#,
        r#"{"reason": "r", "deadline": "0s"}"#,
        r#"{"reason": "r", "deadline": 30}"#,
        r#"{"reason": "r", "what": "plan", "deadline": "30m"}"#,
        r#"{"reason": "r", "what": "cancel", "allow": ["jobs"]}"#,
        r#"{"reason": "r", "force": true}"#,
    ] {
        let (status, _, body) = served.ask("POST", "/v1/drain", "", wrong);
        assert_eq!((status, code(&body).as_str()), (400, "bad_json"), "{wrong}");
    }
}

#[test]
fn a_report_has_a_name_of_its_own_and_an_end() {
    let served = Served::new(Setup::default());
    let of = |change: &str| {
        let mut body: Value =
            serde_json::from_str(r#"{"name": "GpuLost", "subject": "gpu0", "severity": "critical", "ttl": "10s"}"#)
                .unwrap();
        let change: Value = serde_json::from_str(change).unwrap();
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        served.ask("POST", "/v1/problems", "", &body.to_string())
    };
    for (change, new) in [("{}", true), (r#"{"ttl": "24h", "summary": "it fell off the bus"}"#, false)] {
        let (status, _, body) = of(change);
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, answer), (200, serde_json::json!({"ok": true, "new": new})), "{change}");
    }
    for wrong in [
        r#"{"name": "DiskStalled"}"#,
        r#"{"name": "gpuLost"}"#,
        r#"{"name": "Gpu Lost"}"#,
        r#"{"name": "GL"}"#,
        r#"{"subject": ""}"#,
        r#"{"subject": "a\u001b[2J"}"#,
        r#"{"summary": " "}"#,
        r#"{"severity": "fatal"}"#,
        r#"{"ttl": "9s"}"#,
        r#"{"ttl": "25h"}"#,
        r#"{"ttl": null}"#,
        r#"{"mayCordon": true}"#,
    ] {
        let (status, _, body) = of(wrong);
        assert_eq!((status, code(&body).as_str()), (400, "bad_json"), "{wrong}");
    }
}

/// Readers by a supplementary group, writers by the named one, nobody else: each asks as another user, in a process of its own.
#[test]
fn groups_open_the_gate() {
    if node_steward::host::own_uid() != 0 {
        println!("needs root to become other users");
        return;
    }
    let gate = Gate { readers: Some(60_990), writers: Some(60_050), own: 0 };
    let served = Served::new(Setup { gate, ..Setup::default() });
    use std::os::unix::fs::PermissionsExt;
    for path in [served.socket.parent().unwrap(), &served.socket] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    for (groups, read, write) in
        [(&[60_001][..], 403, 403), (&[60_001, 60_990], 200, 403), (&[60_001, 60_050], 200, 200), (&[0], 403, 403)]
    {
        let ask = |request: &str| as_user(60_001, groups, &served.socket, request);
        assert_eq!(ask("GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n"), read, "{groups:?} reads");
        assert_eq!(ask("POST /v1/reload HTTP/1.1\r\nhost: x\r\n\r\n"), write, "{groups:?} writes");
    }
}

/// The HTTP status that a process of another user gets.
fn as_user(uid: u32, groups: &[u32], socket: &std::path::Path, request: &str) -> u16 {
    let script = "import os, socket, sys\n\
                  uid, groups, path, request = int(sys.argv[1]), [int(g) for g in sys.argv[2].split(',')], sys.argv[3], sys.argv[4]\n\
                  os.setgroups(groups); os.setgid(groups[0]); os.setuid(uid)\n\
                  s = socket.socket(socket.AF_UNIX); s.connect(path); s.sendall(request.encode())\n\
                  data = b''\n\
                  while True:\n    more = s.recv(65536)\n    if not more: break\n    data += more\n\
                  print(data.split(b' ')[1].decode())";
    let list = groups.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let output = std::process::Command::new("python3")
        .args(["-c", script, &uid.to_string(), &list, socket.to_str().unwrap(), request])
        .output()
        .expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// Bytes that are no HTTP, from a generator with a fixed seed: the server answers 400 or nothing, and goes on.
#[test]
fn garbage_does_no_harm() {
    let served = Served::new(Setup::default());
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        u8::try_from(seed >> 56).unwrap()
    };
    for round in 0..300 {
        let length = usize::from(random()) * if round % 10 == 0 { 200 } else { 1 };
        let mut bytes: Vec<u8> = (0..length).map(|_| random()).filter(|byte| *byte != b'\n').collect();
        if round % 3 == 0 {
            bytes.splice(0..0, b"GET /v1/status HTTP/1.1\r\n".iter().copied());
        }
        let asked = &bytes;
        let answer = served.raw(asked);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{:?}: {answer}",
            String::from_utf8_lossy(asked)
        );
    }
    for odd in [
        "GET /v1/status HTTP/9.9\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(20_000)),
        format!("GET /v1/status HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(500)),
        format!("GET /v1/status HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(9_000)),
        "POST /v1/reload HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        "POST /v1/reload HTTP/1.1\r\ntransfer-encoding: x\r\n\r\n".to_owned(),
    ] {
        let asked = odd.as_bytes();
        let answer = served.raw(asked);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{:?}: {answer}",
            String::from_utf8_lossy(asked)
        );
    }
    assert_eq!(served.get("/v1/status").0, 200);
}

/// 200 connections that say nothing, twenty that say half a request, and garbage between: answers come as before.
#[test]
fn idle_connections_delay_nobody() {
    let served = Served::new(Setup::default());
    let times = |served: &Served| {
        let mut times: Vec<Duration> = (0..200)
            .map(|_| {
                let start = Instant::now();
                assert_eq!(served.get("/v1/problems").0, 200);
                start.elapsed()
            })
            .collect();
        times.sort();
        (times[100], times[199])
    };
    let alone = times(&served);
    let mut idle: Vec<UnixStream> = (0..200).map(|_| served.connect()).collect();
    for half in idle.iter_mut().rev().take(20) {
        let _ = half.write_all(b"GET /v1/status HTTP/1.1\r\nx");
    }
    for _ in 0..50 {
        served.raw(b"\0\xff not http\r\n\r\n");
    }
    let beside = times(&served);
    println!(
        "answers alone: median {:?}, longest {:?}; beside 200 idle connections and garbage: median {:?}, longest {:?}",
        alone.0, alone.1, beside.0, beside.1
    );
    assert!(beside.1 < Duration::from_secs(1), "an answer took {:?}", beside.1);

    // They are closed by the server's own patience, not by ours.
    let start = Instant::now();
    for one in &mut idle {
        let mut rest = Vec::new();
        let _ = one.read_to_end(&mut rest);
    }
    println!("all 200 closed by the server after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(20), "idle connections stay for {:?}", start.elapsed());
}
