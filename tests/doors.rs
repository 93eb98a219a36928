//! The daemon's doors, on the real daemon: socket, TCP metrics, textfile, reload; and that 200 idle connections, garbage and slow clients make no turn
//! late. It refuses to hold anything to milliseconds: gaps and answers are printed, and held to two periods and a second.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, clippy::disallowed_types)] // Runs the daemon, and measures.

mod outputs;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use node_steward::metrics::{COUNTERS, GAUGES};
use outputs::split;
use serde_json::Value;

const PERIOD_MS: u64 = 1000;

/// A daemon with a directory of its own; it is told to stop when this value goes.
struct Daemon {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
}

impl Daemon {
    fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// With further arguments, made of its directory.
    fn start_with(arguments: impl Fn(&Path) -> Vec<OsString>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let daemon = |dir: &Path| {
            Command::new(env!("CARGO_BIN_EXE_node-steward"))
                .args(["run", "--config"])
                .arg(dir.join("config.toml"))
                .args(arguments(dir))
                .env("RUNTIME_DIRECTORY", dir)
                .env_remove("NOTIFY_SOCKET")
                .stdin(Stdio::null())
                .stderr(std::fs::File::create(dir.join("log")).unwrap())
                .spawn()
                .unwrap()
        };
        let path = dir.path().to_owned();
        settings(&path, port, "20s");
        let mut started = Self { child: daemon(&path), dir, port };
        let until = Instant::now() + Duration::from_secs(30);
        while started.try_get("/readyz").is_none_or(|answer| answer.0 != 200) {
            assert!(started.child.try_wait().unwrap().is_none(), "it ended: {}", started.log());
            assert!(Instant::now() < until, "it is not ready after 30 s: {}", started.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        started
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("api.sock")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn try_get(&self, path: &str) -> Option<(u16, String, String)> {
        self.ask("GET", path)
    }

    fn ask(&self, method: &str, path: &str) -> Option<(u16, String, String)> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(split(&answer))
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.try_get("/v1/status").unwrap().2).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(dir: &Path, port: u16, cordon_after: &str) {
    let text = format!(
        "[watch]\nperiod = \"{PERIOD_MS}ms\"\n[metrics]\nlisten = \"127.0.0.1:{port}\"\ntextfile = \"{}\"\n\
         [api]\nsocket = \"{}\"\n[policy]\ncordon_after = \"{cordon_after}\"\n",
        dir.join("out.prom").display(),
        dir.join("api.sock").display()
    );
    std::fs::write(dir.join("config.toml"), text).unwrap();
}

#[test]
fn every_door_opens_and_closes() {
    let mut daemon = Daemon::start();
    assert_eq!(daemon.try_get("/healthz").unwrap().0, 200);
    let reservations: Value = serde_json::from_str(&daemon.try_get("/v1/reservations").unwrap().2).unwrap();
    assert!(reservations["allocatable"]["memory"].is_string(), "{reservations}");
    let status = daemon.status();
    for part in ["sources", "detectors"] {
        assert!(status[part].as_array().is_some_and(|list| list.len() > 2), "{part}: {status}");
    }

    let known: Vec<&str> = COUNTERS.iter().chain(&GAUGES).map(|(key, ..)| *key).collect();
    let nameless: Vec<_> =
        status["counters"].as_object().unwrap().keys().filter(|key| !known.contains(&key.as_str())).collect();
    assert!(nameless.is_empty(), "counters without a metric: {nameless:?}");

    // The same families on all three ways out.
    let families = |text: &str| -> Vec<String> {
        let mut names: Vec<String> =
            text.lines().filter(|line| line.starts_with("# TYPE ")).map(str::to_owned).collect();
        // Who does I/O, and what is wrong, comes and goes.
        names.retain(|line| !line.contains("contributor") && !line.contains("_problem") && !line.contains("_await_"));
        names.sort();
        names
    };
    let mut tcp = TcpStream::connect(("127.0.0.1", daemon.port)).unwrap();
    write!(tcp, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    let over_tcp = families(&split(&answer).2);
    assert_eq!(over_tcp, families(&daemon.try_get("/metrics").unwrap().2));
    assert!(over_tcp.len() > 15, "{over_tcp:?}");
    let file = daemon.dir.path().join("out.prom");
    let until = Instant::now() + Duration::from_secs(10);
    while !file.exists() {
        assert!(Instant::now() < until, "no textfile: {}", daemon.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.ends_with('\n') && families(&text).len() > 15, "{text}");

    // New settings, then wrong ones, which change nothing.
    settings(daemon.dir.path(), daemon.port, "7m");
    assert_eq!(daemon.ask("POST", "/v1/reload").unwrap().0, 200);
    settings(daemon.dir.path(), daemon.port, "7 apples");
    let (code, _, body) = daemon.ask("POST", "/v1/reload").unwrap();
    let refused: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &refused["code"]), (422, &Value::from("settings_refused")));
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("config.toml:9:1: policy.cordon_after"), "{message}");
    assert_eq!(daemon.try_get("/healthz").unwrap().0, 200);

    let start = Instant::now();
    kill(Pid::from_raw(i32::try_from(daemon.child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let ended = daemon.child.wait().unwrap();
    println!("ended {:?} after SIGTERM", start.elapsed());
    assert!(ended.success() && start.elapsed() < Duration::from_secs(2), "{ended}: {}", daemon.log());
}

#[test]
fn the_kubeconfig_of_the_flag_goes_before_that_of_the_settings() {
    let kubeconfig = |dir: &Path, name: &str| {
        let path = dir.join(name);
        // Nobody listens there.
        let text = "clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1', certificate-authority-data: aGk=}}]\nusers: [{name: b, user: {token: t}}]";
        std::fs::write(&path, text).unwrap();
        path
    };
    let daemon = Daemon::start_with(|dir| vec!["--kubeconfig".into(), kubeconfig(dir, "of-the-flag").into()]);
    let named = kubeconfig(daemon.dir.path(), "of-the-settings");
    let known = |round: &str| {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let status = daemon.status();
            let path = status["apiServer"]["kubeconfig"].as_str().unwrap_or_default().to_owned();
            if !path.is_empty() {
                assert!(path.ends_with("/of-the-flag"), "{round}: {path}");
                return;
            }
            assert!(Instant::now() < until, "{round}: no kubeconfig: {}", status["cluster"]);
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    known("at the start");
    let file = daemon.dir.path().join("config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}[cluster]\nkubeconfig = \"{}\"\nnode_name = \"n\"\n", named.display()))
        .unwrap();
    assert_eq!(daemon.ask("POST", "/v1/reload").unwrap().0, 200);
    // The other name of the Node begins the connection anew; four turns are time enough to look for a kubeconfig.
    let turns = || daemon.status()["turns"]["count"].as_u64().unwrap();
    let (from, until) = (turns(), Instant::now() + Duration::from_secs(30));
    while turns() < from + 4 {
        assert!(Instant::now() < until, "no turns: {}", daemon.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    known("after a reload");
}

#[test]
fn crowds_at_the_door_make_no_turn_late() {
    let daemon = Daemon::start();
    let quiet = measure(&daemon, Duration::from_secs(4), || {});
    let mut idle: Vec<UnixStream> = Vec::new();
    let socket = daemon.socket();
    let crowd = measure(&daemon, Duration::from_secs(12), || {
        // The server lets go of them after a while; there are 200 all the time.
        idle.retain_mut(|one| {
            let _ = one.set_nonblocking(true);
            !matches!(one.read(&mut [0; 16]), Ok(0))
        });
        while idle.len() < 200 {
            let mut one = UnixStream::connect(&socket).unwrap();
            if idle.len().is_multiple_of(10) {
                let _ = one.write_all(b"GET /v1/status HTTP/1.1\r\nslow");
            }
            idle.push(one);
        }
        if let Ok(mut garbage) = UnixStream::connect(&socket) {
            let _ = garbage.write_all(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 not http at all\r\n\r\n");
        }
    });
    for (who, seen) in [("alone", &quiet), ("beside 200 idle connections and garbage", &crowd)] {
        println!(
            "{who}: {} turns, longest gap {} ms of {PERIOD_MS}; {} answers, median {:?}, longest {:?}",
            seen.turns,
            seen.gap_ms,
            seen.answers.len(),
            seen.answers[seen.answers.len() / 2],
            seen.answers[seen.answers.len() - 1]
        );
    }
    assert!(crowd.turns >= 10, "only {} turns in 12 s", crowd.turns);
    assert!(crowd.gap_ms <= 2 * PERIOD_MS, "a gap of {} ms", crowd.gap_ms);
    assert!(
        crowd.answers.last().is_some_and(|longest| *longest < Duration::from_secs(1)),
        "{:?}",
        crowd.answers.last()
    );
}

/// What was seen in a while.
struct Seen {
    turns: u64,
    gap_ms: u64,
    answers: Vec<Duration>,
}

/// Asks all the time, does `beside` between, and looks at the turns.
fn measure(daemon: &Daemon, time: Duration, mut beside: impl FnMut()) -> Seen {
    let end = Instant::now() + time;
    let (mut answers, mut moments) = (Vec::new(), Vec::new());
    let count = |status: &Value| status["turns"]["count"].as_u64().unwrap();
    let first = count(&daemon.status());
    let mut last = first;
    while Instant::now() < end {
        beside();
        let start = Instant::now();
        let status = daemon.status();
        answers.push(start.elapsed());
        moments.push(status["turns"]["lastMs"].as_u64().unwrap());
        last = count(&status);
        std::thread::sleep(Duration::from_millis(20));
    }
    answers.sort();
    moments.dedup();
    let gap_ms = moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    Seen { turns: last - first, gap_ms, answers }
}
