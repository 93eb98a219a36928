//! One turn: state, moment and samples in; findings, problems, decisions and the next deadline out. It refuses clocks and files: a turn can be
//! played again from a recording and gives the same bytes.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use super::usage::Usage;
use crate::detect::{self, Book, Changes, Companions, Look, Page, Past, Scene, Slot};
use crate::model::problem::{Condition, Contributor, Entry, Finding, Kind, Problem, Report, Severity, Source};
use crate::model::status::{Decision, DiskStatus, LogWriterStatus, Part, PressureStatus, Standing};
use crate::model::time::{Mono, Now};
use crate::model::usage::History;
use crate::model::watch::{Samples, Wants};
use crate::policy;
use crate::rules::{self, Reader};

/// What is kept from turn to turn. The detectors' memory is in their slots.
pub struct State {
    detectors: Vec<Box<dyn Slot>>,
    log_rules: Reader,
    past: Past,
    book: Book,
    companions: Companions,
    usage: Usage,
    noted: bool,
}

/// The state as it is stored: versioned, one boot, a section per owner.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// Of this layout.
    pub version: u32,
    /// A state of another boot is of no use.
    pub boot_id: String,
    past: Past,
    book: Book,
    detectors: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    log_rules: rules::Memory,
    #[serde(default)]
    companions: Companions,
    usage: Usage,
}

/// What came of a turn.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// When.
    #[serde(flatten)]
    pub now: Now,
    /// What began, changed and ended.
    pub changes: Changes,
    /// All problems after it.
    pub problems: Vec<Problem>,
    /// What is done, or why not.
    pub decisions: Vec<Decision>,
    /// How the detectors stand.
    pub detectors: Vec<Part>,
    /// What the disks did; those of earlier turns where nothing new was read.
    pub disks: Vec<DiskStatus>,
    /// I/O pressure.
    pub pressure: PressureStatus,
    /// Who did it, by disk.
    pub contributors: Vec<(String, Vec<Contributor>)>,
    /// What writing the host's logs costs.
    pub log_writers: Vec<LogWriterStatus>,
    /// What the next samples should hold.
    pub wants: Wants,
}

/// The part that reads the kernel's log.
const RULES: &str = "rules";

/// The version of [`Stored`].
pub const STORED_VERSION: u32 = 1;

impl State {
    /// A fresh state: all detectors with default settings.
    pub fn new() -> Self {
        Self {
            detectors: detect::ALL.iter().map(|make| make()).collect(),
            log_rules: Reader::default(),
            past: Past::default(),
            book: Book::default(),
            companions: Companions::default(),
            usage: Usage::default(),
            noted: false,
        }
    }

    /// Takes note of what another program reports; whether it is new, or why not.
    pub fn report(&mut self, now: Mono, report: Report) -> Result<bool, String> {
        self.companions.take(now, report)
    }

    /// The detectors, to be configured.
    pub fn detectors_mut(&mut self) -> &mut [Box<dyn Slot>] {
        &mut self.detectors
    }

    /// The rules over the kernel's log, to be configured.
    pub fn log_rules_mut(&mut self) -> &mut Reader {
        &mut self.log_rules
    }

    /// Every kind of problem that this program knows.
    pub fn catalogue(&self) -> Vec<&'static Entry> {
        self.detectors.iter().flat_map(|detector| detector.entries()).chain(Reader::entries()).collect()
    }

    /// Who finds problems of this kind; none for the rules, whose problems end by time alone.
    pub fn detector_of(&self, kind: &str) -> Option<&'static str> {
        let finds = |slot: &dyn Slot| slot.entries().iter().any(|entry| entry.kind.as_str() == kind);
        self.detectors.iter().find(|slot| finds(slot.as_ref())).map(|slot| slot.name())
    }

    /// Who speaks for which condition of the Node, by the part's name. Who knows only advice does not.
    pub fn speakers(&self) -> Vec<(Condition, &'static str)> {
        let detectors = self.detectors.iter().flat_map(|slot| slot.entries().iter().map(|entry| (entry, slot.name())));
        let rules = self.log_rules.spoken().map(|entry| (entry, RULES));
        let mut speakers: Vec<_> = detectors
            .chain(rules)
            .filter(|(entry, _)| entry.severity > Severity::Advice)
            .map(|(entry, name)| (entry.condition, name))
            .collect();
        speakers.sort_unstable();
        speakers.dedup();
        speakers
    }

    /// To be stored.
    pub fn store(&self, boot_id: &str) -> Stored {
        Stored {
            version: STORED_VERSION,
            boot_id: boot_id.to_owned(),
            past: self.past.clone(),
            book: self.book.clone(),
            detectors: self.detectors.iter().map(|slot| (slot.name().to_owned(), slot.save())).collect(),
            log_rules: self.log_rules.save(),
            companions: self.companions.clone(),
            usage: self.usage.clone(),
        }
    }

    /// Takes what was stored in this boot; what does not fit is left out and said.
    pub fn restore(&mut self, mut stored: Stored) -> Vec<String> {
        self.past = stored.past;
        self.book = stored.book;
        self.usage = stored.usage;
        self.log_rules.load(stored.log_rules);
        self.companions = stored.companions;
        let memories = self.detectors.iter_mut().filter_map(|slot| {
            let memory = stored.detectors.remove(slot.name())?;
            slot.load(memory).err()
        });
        memories.collect()
    }

    /// What the node used.
    pub fn history(&self) -> &History {
        self.usage.history()
    }

    /// Puts an older history before it.
    pub fn remember(&mut self, older: History) {
        self.usage.remember(older);
    }

    /// Whether the newest turn began a new point of the history.
    pub fn noted(&self) -> bool {
        self.noted
    }

    /// One turn.
    pub fn turn(&mut self, rules: &policy::Rules, ground: &policy::Ground, now: &Now, samples: &Samples) -> Turn {
        self.noted = self.usage.take(now, samples);
        let active = self.book.active();
        let scene = Scene::new(now, samples, &active, &mut self.past);
        let mut parts = Vec::new();
        let mut pages = Vec::new();
        let mut disks = Vec::new();
        for slot in &mut self.detectors {
            if !slot.enabled() {
                parts.push(Part { name: slot.name().to_owned(), standing: Standing::Off });
                continue;
            }
            let look = contained(slot.as_mut(), &scene);
            let unknown = match &look.standing {
                Standing::Unknown { why } => Some(why.clone()),
                _ => None,
            };
            parts.push(Part { name: slot.name().to_owned(), standing: look.standing });
            disks.extend(look.disks);
            let kinds: Vec<&'static Kind> = slot.entries().iter().map(|entry| &entry.kind).collect();
            pages.push(Page { kinds, source: Source::Detector, findings: look.findings, unknown });
        }
        let (findings, standing) = self.log_rules.look(now, samples);
        let kinds = Reader::entries().map(|entry| &entry.kind).collect();
        // Even where the log can no longer be read, what it told ends by itself.
        pages.push(Page { kinds, source: Source::Rule, findings, unknown: None });
        parts.push(Part { name: RULES.to_owned(), standing });
        pages.iter_mut().flat_map(|page| &mut page.findings).for_each(|one| detect::name_whereabouts(&scene, one));
        // The words of others stay as they are.
        let findings = self.companions.look(now.mono);
        pages.push(Page { kinds: Vec::new(), source: Source::Companion, findings, unknown: None });
        let catalogue = self.catalogue();
        pages.iter_mut().flat_map(|page| &mut page.findings).for_each(|finding| advise(finding, &catalogue));
        let blame = &scene.blame;
        let changes = self.book.turn(now, pages, |finding| {
            finding.device.and_then(|device| blame.get(&device)).cloned().unwrap_or_default()
        });
        let problems = self.book.problems().to_vec();
        let decisions = policy::decide(rules, &catalogue, ground, now, &problems);
        let name_of = |dev| scene.device(dev).map(|device| device.name.clone()).unwrap_or_else(|| dev.to_string());
        let contributors = blame.iter().map(|(dev, list)| (name_of(*dev), list.clone())).collect();
        Turn {
            now: now.clone(),
            wants: detect::wants(&scene, &problems),
            changes,
            problems,
            decisions,
            detectors: parts,
            disks: if disks.is_empty() { windows(&scene) } else { disks },
            pressure: scene.pressure_status(),
            contributors,
            log_writers: scene.log_writers,
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("book", &self.book).finish_non_exhaustive()
    }
}

/// A detector that panics is unknown in that turn, and starts anew.
fn contained(slot: &mut dyn Slot, scene: &Scene<'_>) -> Look {
    match catch_unwind(AssertUnwindSafe(|| slot.look(scene))) {
        Ok(look) => look,
        Err(_) => {
            let _ = slot.load(serde_json::Value::Null);
            Look::unknown("the detector failed in this turn and starts anew; this is a bug of node-steward")
        }
    }
}

/// A finding that has no words of its own says what the catalogue says of its kind.
fn advise(finding: &mut Finding, catalogue: &[&Entry]) {
    if finding.advice.is_empty()
        && let Some(entry) = catalogue.iter().find(|entry| entry.kind == finding.kind)
    {
        entry.advice.clone_into(&mut finding.advice);
    }
}

fn windows(scene: &Scene<'_>) -> Vec<DiskStatus> {
    let status = |window: &detect::DiskWindow| DiskStatus {
        name: window.name.clone(),
        window: Some(window.status()),
        ..DiskStatus::default()
    };
    scene.disks.iter().map(status).collect()
}
