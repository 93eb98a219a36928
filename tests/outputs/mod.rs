//! What the tests of metrics, API and tables share: a published status, a catalogue of its kinds, and the real API on a temporary socket.
//! It refuses a server that outlives its test.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Serves a scratch directory.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use node_steward::api::{Act, Api, Code, Done, Gate, Order, Published};
use node_steward::host;
use node_steward::model::drain::DrainStatus;
use node_steward::model::problem::{Condition, Entry, Kind, Severity};
use node_steward::model::status::Status;
use node_steward::model::time::Mono;

pub static CATALOGUE: [Entry; 4] = [
    entry(
        "DiskStalled",
        Severity::Critical,
        Condition::DiskIO,
        true,
        "Ask after the volume; where it does not come back, replace the node.",
    ),
    entry(
        "DiskSaturated",
        Severity::Warning,
        Condition::DiskIO,
        false,
        "Give the disk more, or move the largest writer.",
    ),
    entry(
        "FilesystemFull",
        Severity::Warning,
        Condition::DiskHealth,
        false,
        "Free space, or make the file system larger.",
    ),
    entry("ProbeStuck", Severity::Critical, Condition::AgentHealth, false, "Look at the disk behind the directory."),
];

const fn entry(
    kind: &'static str,
    severity: Severity,
    condition: Condition,
    may_cordon: bool,
    advice: &'static str,
) -> Entry {
    Entry { kind: Kind::new(kind), severity, condition, may_cordon, meaning: "What it means.", advice }
}

pub fn catalogue() -> Vec<&'static Entry> {
    CATALOGUE.iter().collect()
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outputs")
}

pub fn status() -> Status {
    serde_json::from_str(&std::fs::read_to_string(folder().join("status.json")).unwrap()).unwrap()
}

/// Compares with a file of the folder, or writes it with BLESS=1.
pub fn golden(name: &str, is: &str) {
    let file = folder().join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, is).unwrap();
    }
    let wanted = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(wanted, is, "{name} is not as expected; BLESS=1 writes it anew");
}

/// The real API on a socket of its own and a port of its own, in a thread that ends with this value.
pub struct Served {
    pub socket: PathBuf,
    pub port: u16,
    dir: tempfile::TempDir,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// How it is served.
pub struct Setup {
    pub gate: Gate,
    pub published: fn() -> Published,
    pub mono: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self { gate: Gate { own: host::own_uid(), ..Gate::default() }, published, mono: 7_305_000 }
    }
}

pub fn published() -> Published {
    Published {
        status: status(),
        reservations: serde_json::json!({"profile": "eks"}),
        catalogue: catalogue(),
        ready: true,
        late_after_ms: 30_000,
    }
}

type Answer = std::pin::Pin<Box<dyn Future<Output = Result<Done, (Code, String)>>>>;

/// A cluster whose answer lies in the reason.
fn obey(order: Order) -> Answer {
    let no = |code| Err((code, format!("{} by {}", order.reason, order.by)));
    let answer = match order.reason.as_str() {
        "another" => no(Code::HeldByAnother),
        "at work" => no(Code::StandsDown),
        "alone" => no(Code::NoCluster),
        "down" => no(Code::ClusterFailed),
        "drains" => no(Code::DrainGoesOn),
        _ => match order.act {
            Act::Cordon => Ok(Done { node: order.by, changed: true, drain: None }),
            Act::Uncordon => Ok(Done { node: order.by, changed: false, drain: None }),
            Act::ShowDrain => no(Code::NoDrain),
            Act::Report(report) if report.subject == "one more" => no(Code::TooMany),
            Act::Report(report) => Ok(Done { node: String::new(), changed: report.ttl_ms == 10_000, drain: None }),
            // What was understood comes back.
            act => Ok(Done { node: format!("{act:?}"), changed: true, drain: Some(DrainStatus::default()) }),
        },
    };
    Box::pin(std::future::ready(answer))
}

impl Served {
    pub fn new(setup: Setup) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api.sock");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let path = socket.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, async move {
                let unix = tokio::net::UnixListener::bind(path).unwrap();
                let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                ready.send(tcp.local_addr().unwrap().port()).unwrap();
                let published = Rc::new(RefCell::new((setup.published)()));
                let reload = {
                    let published = Rc::clone(&published);
                    // As the daemon's: a first reload works, a second finds wrong settings.
                    Box::new(move || -> std::pin::Pin<Box<dyn Future<Output = Result<(), String>>>> {
                        let first = published.borrow().status.mode == "observe";
                        published.borrow_mut().status.mode = "cordon".to_owned();
                        Box::pin(async move {
                            if first { Ok(()) } else { Err("/etc/node-steward/config.toml:1:2: roon".to_owned()) }
                        })
                    })
                };
                let mono = setup.mono;
                let api = Api::new(published, setup.gate, move || Mono(mono), reload, Box::new(obey));
                tokio::select! {
                    () = Rc::clone(&api).serve(unix) => {}
                    () = api.serve_metrics(tcp) => {}
                    _ = stopped => {}
                }
            });
        });
        let port = is_ready.recv().unwrap();
        Self { socket, port, dir, stop: Some(stop), thread: Some(thread) }
    }

    /// Sends bytes and reads all that comes back.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // A server that has refused already may have closed its side.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Status, head and body of one request.
    pub fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        split(&self.raw(format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}{length}\r\n{body}").as_bytes()))
    }

    pub fn get(&self, path: &str) -> (u16, String, String) {
        self.ask("GET", path, "", "")
    }
}

pub fn split(answer: &str) -> (u16, String, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (code, head.to_lowercase(), body.to_owned())
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
