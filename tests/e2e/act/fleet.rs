//! A fleet in one process: each node's own conversation with the API server, as the daemon has it, and problems that are told line by line. One JSON object
//! answers each line. It refuses to decide: who cordons, and when, is the library's.
//!
//!     fleet DIRECTORY      with NAME.kubeconfig and NAME.toml for each node
//!
//!     begin NAME...            sick REASON OWNER|- NAME...  (# in REASON is the node's name)
//!     well NAME...             kill NAME...      show
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, clippy::disallowed_types)] // A test's tool.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use node_steward::agent::Settings;
use node_steward::agent::watch::member::Member;
use node_steward::cluster::{run, run_here};
use node_steward::host::{Host, clock};
use node_steward::model::problem::Kind;
use node_steward::policy::Want;
use node_steward::settings::Merged;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;

/// A turn of all nodes.
const TURN: Duration = Duration::from_millis(250);

#[derive(Default)]
struct Fleet {
    members: BTreeMap<String, (Rc<Member>, Option<Want>)>,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, listen());
}

async fn listen() {
    let directory = PathBuf::from(std::env::args().nth(1).expect("a directory"));
    let fleet = Rc::new(RefCell::new(Fleet::default()));
    tokio::task::spawn_local(turns(Rc::clone(&fleet)));
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let mut lines = BufReader::new(pipe::Receiver::from_owned_fd(stdin).expect("stdin must be a pipe")).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let words: Vec<&str> = line.split_whitespace().collect();
        println!("{}", fleet.borrow_mut().obey(&directory, &words));
    }
}

/// Shows each node its problem, and fetches what its connection needs.
async fn turns(fleet: Rc<RefCell<Fleet>>) {
    let host = Host::new(Path::new("/")).unwrap();
    loop {
        let members: Vec<_> = fleet.borrow().members.values().cloned().collect();
        for (member, wanted) in members {
            for errand in member.cluster().errands() {
                // Files of a test's own directory and addresses: they do not hang.
                let fetched = if errand.may_block() { run(&host, &errand) } else { run_here(&errand).await };
                member.cluster().learn(fetched);
            }
            member.show(clock::monotonic(), wanted);
        }
        tokio::time::sleep(TURN).await;
    }
}

impl Fleet {
    fn obey(&mut self, directory: &Path, words: &[&str]) -> Value {
        match *words {
            ["begin", ref names @ ..] => {
                for name in names {
                    let file = directory.join(format!("{name}.toml"));
                    let text = std::fs::read(&file).expect("settings");
                    let settings = Settings::of(Merged::of(&[(file, text)]).expect("TOML")).expect("settings");
                    let member = Rc::new(Member::begin(name, &settings));
                    self.members.insert((*name).to_owned(), (member, None));
                }
                json!({"members": self.members.len()})
            }
            ["sick", reason, owner, ref names @ ..] => {
                for name in names {
                    let want = Want {
                        kind: kind(&reason.replace('#', name)),
                        subject: "sda".to_owned(),
                        owner: if owner == "-" { String::new() } else { owner.to_owned() },
                    };
                    self.members.get_mut(*name).expect("a member").1 = Some(want);
                }
                json!({"sick": self.members.values().filter(|(_, want)| want.is_some()).count()})
            }
            ["well", ref names @ ..] => {
                for name in names {
                    self.members.get_mut(*name).expect("a member").1 = None;
                }
                json!({"sick": self.members.values().filter(|(_, want)| want.is_some()).count()})
            }
            ["kill", ref names @ ..] => {
                names.iter().for_each(|name| drop(self.members.remove(*name)));
                json!({"members": self.members.len()})
            }
            ["show"] => self.show(),
            _ => panic!("not a command: {words:?}"),
        }
    }

    fn show(&self) -> Value {
        let mut against: BTreeMap<&str, u64> = BTreeMap::new();
        let (mut connected, mut sent, mut cordoned) = (0, 0, Vec::new());
        for (name, (member, want)) in &self.members {
            sent += member.cluster().figures().sent();
            let Some(word) = member.against() else { continue };
            connected += 1;
            if member.hold().is_some_and(|hold| hold.state == "ours") {
                cordoned.push(name);
            }
            if want.is_some() {
                *against.entry(word.map_or("none", |(no, _)| no.name())).or_default() += 1;
            }
        }
        json!({"members": self.members.len(), "connected": connected, "cordoned": cordoned, "against": against, "sent": sent})
    }
}

fn kind(name: &str) -> Kind {
    serde_json::from_value(name.into()).expect("a name")
}
