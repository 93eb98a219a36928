//! Turns and what is published of them. It refuses clocks, files and sockets: moment and samples come in, status and turn go out.

use crate::agent::Settings;
use crate::agent::turn::{State, Stored, Turn};
use crate::detect;
use crate::model::problem::{Entry, Kind, Problem};
use crate::model::status::{Decision, Part, Standing, Status, Verdict};
use crate::model::time::{Mono, Now};
use crate::model::watch::{Samples, Wants};
use crate::policy;
use crate::settings::SettingsError;

use super::figures;

/// See the head of this file.
#[derive(Debug)]
pub struct Engine {
    state: State,
    rules: policy::Rules,
    status: Status,
    wants: Wants,
    /// When the newest window ended.
    looked: Mono,
    blind: Vec<(String, String)>,
}

/// What a turn is worth to others.
#[derive(Debug)]
pub struct Outcome {
    /// The turn.
    pub turn: Turn,
    /// Whether the state should be saved.
    pub matters: bool,
    /// Parts that became blind (why), or see again (none).
    pub sight: Vec<(String, Option<String>)>,
}

impl Default for Engine {
    /// With default settings.
    fn default() -> Self {
        let rules = policy::Rules::default();
        let status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: rules.mode.name().to_owned(),
            cluster: "local-only: this version does not speak to a cluster".to_owned(),
            turns: figures::fresh(),
            ..Status::default()
        };
        Self { state: State::new(), rules, status, wants: Wants::default(), blind: Vec::new(), looked: Mono(0) }
    }
}

impl Engine {
    /// A fresh engine.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let mut engine = Self::default();
        engine.configure(settings)?;
        Ok(engine)
    }

    /// New settings; the detectors' memory stays.
    pub fn configure(&mut self, settings: &Settings) -> Result<(), SettingsError> {
        settings.configure(&mut self.state)?;
        self.rules = settings.policy.clone();
        settings.policy.mode.name().clone_into(&mut self.status.mode);
        Ok(())
    }

    /// Takes up what an earlier run of this boot has saved: its status stands until the first turn. What does not fit is said.
    pub fn resume(&mut self, watch: Stored, status: Status, wants: Wants) -> Vec<String> {
        self.wants = wants;
        let own = std::mem::take(&mut self.status);
        self.status = Status {
            version: own.version,
            mode: own.mode,
            cluster: own.cluster,
            started_wall_ms: own.started_wall_ms,
            turns: own.turns,
            counters: own.counters,
            ..status
        };
        self.state.restore(watch)
    }

    /// Looks at samples, judges, publishes.
    pub fn turn(&mut self, now: &Now, samples: &Samples, sources: Vec<Part>) -> Outcome {
        let ground = policy::Ground { nodes_own: detect::nodes_own(samples), cluster: false };
        let turn = self.state.turn(&self.rules, &ground, now, samples);
        let changes = &turn.changes;
        let matters = !self.status.detectors.iter().map(kind_of).eq(turn.detectors.iter().map(kind_of))
            || !changes.began.is_empty()
            || !changes.changed.is_empty()
            || !changes.ended.is_empty()
            || !self.status.decisions.iter().map(core_of).eq(turn.decisions.iter().map(core_of));
        // A turn that only heard a stream has no window of its own: what the newest one showed stands.
        let looked = samples.counters.taken > self.looked;
        self.looked = samples.counters.taken;
        let status = &mut self.status;
        if looked {
            self.wants = turn.wants;
            status.pressure.clone_from(&turn.pressure);
            status.contributors.clone_from(&turn.contributors);
        } else {
            self.wants.contributors |= turn.wants.contributors;
            self.wants.blocked_tasks |= turn.wants.blocked_tasks;
        }
        now.boot_id.clone_into(&mut status.boot_id);
        status.now_mono_ms = now.mono;
        status.now_wall_ms = now.wall;
        status.sources = sources;
        status.detectors.clone_from(&turn.detectors);
        status.disks.clone_from(&turn.disks);
        status.log_writers.clone_from(&turn.log_writers);
        status.problems.clone_from(&turn.problems);
        status.decisions.clone_from(&turn.decisions);
        // The first turn comes before the first probes' answers: what it cannot see is no news.
        let sight = if self.status.turns.count == 0 { Vec::new() } else { self.sight() };
        Outcome { turn, matters, sight }
    }

    /// Parts that became blind since the last call, or see again.
    fn sight(&mut self) -> Vec<(String, Option<String>)> {
        let parts = self.status.sources.iter().chain(&self.status.detectors);
        let blind: Vec<(String, String)> = parts
            .filter_map(|part| match &part.standing {
                Standing::Unknown { why } => Some((part.name.clone(), why.clone())),
                _ => None,
            })
            .collect();
        let is_in = |list: &[(String, String)], name: &str| list.iter().any(|(other, _)| other == name);
        let newly = blind.iter().filter(|(name, _)| !is_in(&self.blind, name));
        let mut changed: Vec<_> = newly.map(|(name, why)| (name.clone(), Some(why.clone()))).collect();
        let again = self.blind.iter().filter(|(name, _)| !is_in(&blind, name));
        changed.extend(again.map(|(name, _)| (name.clone(), None)));
        self.blind = blind;
        changed
    }

    /// What the next samples should hold.
    pub fn wants(&self) -> Wants {
        self.wants
    }

    /// To be saved.
    pub fn store(&self, boot_id: &str) -> Stored {
        self.state.store(boot_id)
    }

    /// What is published.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// What is published, for the counters that are not the turns' own.
    pub fn status_mut(&mut self) -> &mut Status {
        &mut self.status
    }

    /// All problems now.
    pub fn problems(&self) -> &[Problem] {
        &self.status.problems
    }

    /// Every kind that is known.
    pub fn catalogue(&self) -> Vec<&'static Entry> {
        self.state.catalogue()
    }
}

/// A part without its reason, which may change with every turn.
fn kind_of(part: &Part) -> (&str, u8) {
    let kind = match part.standing {
        Standing::Working => 0,
        Standing::Learning { .. } => 1,
        Standing::Unknown { .. } => 2,
        Standing::Off => 3,
    };
    (&part.name, kind)
}

/// A decision without its sentence.
fn core_of(decision: &Decision) -> (&str, Verdict, &Kind, &str, &str) {
    (&decision.action, decision.verdict, &decision.kind, &decision.subject, &decision.reason)
}
