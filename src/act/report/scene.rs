//! A node, its API server and a reporter between them, made of values. It refuses clocks: time passes when it is told to.

use super::*;
use crate::act::View;
use crate::model::problem::{Condition, Entry, Finding, Kind, Source};
use crate::model::status::{Part, Standing};

const STALLED: Entry = entry("DiskStalled", Condition::DiskIO);
const FULL: Entry = entry("FilesystemFull", Condition::NodeResources);
static CATALOGUE: [Entry; 2] = [STALLED, FULL];
const SPEAKERS: [(Condition, &str); 2] =
    [(Condition::DiskIO, "disk_stalled"), (Condition::NodeResources, "filesystem_full")];
const START: i64 = 1_700_000_000_000;

const fn entry(kind: &'static str, condition: Condition) -> Entry {
    Entry { kind: Kind::new(kind), severity: Severity::Critical, condition, may_cordon: false, meaning: "", advice: "" }
}

/// A node, its API server and a reporter between them.
pub(in crate::act) struct Scene {
    pub(in crate::act) reporter: Reporter,
    pub(in crate::act) now: u64,
    pub(in crate::act) looked: bool,
    pub(in crate::act) parts: Vec<Part>,
    pub(in crate::act) problems: Vec<Problem>,
    pub(in crate::act) grave: Vec<(Kind, String)>,
    pub(in crate::act) server: BTreeMap<String, NodeCondition>,
    pub(in crate::act) patches: Vec<(u64, Vec<NodeCondition>, Vec<String>)>,
    pub(in crate::act) events: Vec<(u64, bool, String, u64, String, String)>,
    pub(in crate::act) down: bool,
}

impl Scene {
    pub(in crate::act) fn new() -> Self {
        Self::with(Kept::default(), Rules { settle: crate::model::time::Span::millis(0), ..Rules::default() })
    }

    pub(in crate::act) fn with(kept: Kept, rules: Rules) -> Self {
        let part = |name: &str| Part { name: name.to_owned(), standing: Standing::Working };
        Self {
            reporter: Reporter::new(rules, kept),
            now: 1_000,
            looked: true,
            parts: vec![part("disk_stalled"), part("filesystem_full")],
            problems: Vec::new(),
            grave: Vec::new(),
            server: BTreeMap::new(),
            patches: Vec::new(),
            events: Vec::new(),
            down: false,
        }
    }

    pub(in crate::act) fn moment(&self) -> Now {
        Now { mono: Mono(self.now), wall: wall(self.now), boot_id: String::new() }
    }

    pub(in crate::act) fn node(&self) -> Node {
        let mut node = Node::default();
        node.metadata.name = "n".to_owned();
        let ready = NodeCondition { kind: "Ready".to_owned(), status: "True".to_owned(), ..NodeCondition::default() };
        node.status.conditions = self.server.values().cloned().chain([ready]).collect();
        node
    }

    pub(in crate::act) fn connect(&mut self) {
        self.reporter.saw(Mono(self.now), &self.node());
    }

    pub(in crate::act) fn turn(&mut self, changes: Changes) {
        let catalogue: Vec<&'static Entry> = CATALOGUE.iter().collect();
        let view = View {
            looked: self.looked,
            parts: &self.parts,
            speakers: &SPEAKERS,
            catalogue: &catalogue,
            problems: &self.problems,
            grave: &self.grave,
        };
        let now = self.moment();
        self.reporter.observe(&now, &view, &changes);
    }

    pub(in crate::act) fn begin(&mut self, kind: &'static str, subject: &str, severity: Severity) {
        let finding = Finding {
            kind: Kind::new(kind),
            subject: subject.to_owned(),
            severity,
            summary: "it is so".to_owned(),
            advice: String::new(),
            evidence: Vec::new(),
            device: None,
        };
        let problem = Problem {
            finding,
            source: Source::Detector,
            since: Mono(self.now),
            since_wall: wall(self.now),
            last_seen: Mono(self.now),
            samples: 1,
            unknown: None,
            contributors: Vec::new(),
        };
        self.problems.push(problem.clone());
        self.turn(Changes { began: vec![problem], ..Changes::default() });
    }

    pub(in crate::act) fn end(&mut self, subject: &str) {
        let (ended, rest) =
            std::mem::take(&mut self.problems).into_iter().partition(|one| one.finding.subject == subject);
        self.problems = rest;
        self.turn(Changes { ended, ..Changes::default() });
    }

    /// So long, in steps of 100 ms; the server takes what comes.
    pub(in crate::act) fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 100 {
            self.now += 100;
            while self.reporter.next().is_some_and(|next| next.0 <= self.now) {
                let Some(sent) = self.reporter.take(&self.moment()) else { break };
                let error = self.down.then(|| Error::Unavailable { code: None, message: "gone".to_owned() });
                if error.is_none() {
                    self.serve(&sent.request);
                }
                self.reporter.answered(Mono(self.now), &sent, error.as_ref());
                if error.is_some() {
                    self.reporter.lost();
                }
            }
        }
    }

    pub(in crate::act) fn serve(&mut self, request: &Request) {
        match request {
            Request::PatchConditions { set, remove, .. } => {
                self.server.retain(|kind, _| !remove.contains(kind));
                self.server.extend(set.iter().map(|one| (one.kind.clone(), one.clone())));
                self.patches.push((self.now, set.clone(), remove.clone()));
                self.reporter.saw(Mono(self.now), &self.node());
            }
            Request::CreateEvent(event) | Request::PatchEvent(event) => {
                let new = matches!(request, Request::CreateEvent(_));
                let (first, last) = (event.first_timestamp.clone(), event.last_timestamp.clone());
                self.events.push((self.now, new, event.reason.clone(), event.count, first, last));
            }
            other => panic!("{other:?}"),
        }
    }

    pub(in crate::act) fn has(&self, condition: Condition) -> (&str, &str, &str) {
        let one = &self.server[&name(condition)];
        (&one.status, &one.reason, one.last_transition_time.as_deref().unwrap())
    }
}

pub(in crate::act) fn wall(now: u64) -> Wall {
    Wall(START + i64::try_from(now).unwrap())
}

pub(in crate::act) fn at(now: u64) -> String {
    wall(now).to_string()
}
