//! Turns and what is published of them. It refuses clocks, files and sockets: moment and samples come in, status and turn go out.

use crate::agent::Settings;
use crate::agent::turn::{State, Stored, Turn};
use crate::detect;
use crate::model::problem::{Condition, Entry, Finding, Kind, Problem, Report};
use crate::model::status::{Decision, Part, Standing, Status, Verdict};
use crate::model::time::{Mono, Now};
use crate::model::usage::History;
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

/// What speaks against acting, in a sentence as well.
pub type Against = Option<(policy::Withheld, String)>;

/// What a turn is worth to others.
#[derive(Debug)]
pub struct Outcome {
    /// The turn.
    pub turn: Turn,
    /// Whether the state should be saved.
    pub matters: bool,
    /// What would cordon as far as this node is concerned.
    pub wanted: Option<policy::Want>,
    /// What of the node's own is wrong.
    pub bears: policy::Bears,
    /// What is grave, by kind and subject.
    pub grave: Vec<(Kind, String)>,
    /// Whether the history has a new point.
    pub noted: bool,
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
            cluster: "local-only: the kubeconfig has not been looked for yet".to_owned(),
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
            api_server: None,
            started_wall_ms: own.started_wall_ms,
            turns: own.turns,
            counters: own.counters,
            ..status
        };
        self.state.restore(watch)
    }

    /// The mode may have been switched on or off: what was there until then does not act. What is found within the first time was there.
    pub fn arm(&mut self, now: Mono) {
        let from = self.status.acting_from_mono_ms.unwrap_or(now.plus_ms(self.rules.settle_in.ms()));
        self.status.acting_from_mono_ms = (self.rules.mode > policy::Mode::Observe).then_some(from);
    }

    /// Looks at samples, judges, publishes. `fleet` is what speaks against acting beyond this node's problems; none where there is no cluster.
    pub fn turn(&mut self, now: &Now, samples: &Samples, sources: Vec<Part>, fleet: Option<Against>) -> Outcome {
        let ground = policy::Ground {
            nodes_own: detect::nodes_own(samples),
            cluster: fleet.is_some(),
            armed: self.status.acting_from_mono_ms.unwrap_or_default(),
            against: fleet.flatten(),
        };
        let turn = self.state.turn(&self.rules, &ground, now, samples);
        let changes = &turn.changes;
        let matters = !self.status.detectors.iter().map(kind_of).eq(turn.detectors.iter().map(kind_of))
            || self.state.noted()
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
        let catalogue = self.state.catalogue();
        let wanted = policy::want(&self.rules, &catalogue, &ground, now, &turn.problems);
        let bears = policy::bears(&self.rules, &catalogue, &ground, &turn.problems);
        let grave = policy::grave(&self.rules, &catalogue, &ground, now, &turn.problems);
        Outcome { turn, matters, wanted, bears, grave, noted: self.state.noted(), sight }
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

    /// Whether the end of such a problem can be seen and trusted, and it is over. Whether it is the node's own may not be known any more.
    pub fn sees_the_end_of(&self, kind: &str, subject: &str) -> bool {
        let is_it = |finding: &Finding| finding.kind.as_str() == kind && finding.subject == subject;
        if self.status.problems.iter().any(|problem| is_it(&problem.finding)) {
            return false;
        }
        let Some(name) = self.state.detector_of(kind) else { return false };
        let looks = self.status.detectors.iter().any(|part| part.name == name && part.standing == Standing::Working);
        looks && policy::ends_by_itself(&self.state.catalogue(), kind)
    }

    /// What the next samples should hold.
    pub fn wants(&self) -> Wants {
        self.wants
    }

    /// Takes note of what another program reports; whether it is new, or why not.
    pub fn report(&mut self, now: Mono, report: Report) -> Result<bool, String> {
        self.state.report(now, report)
    }

    /// What the node used.
    pub fn history(&self) -> &History {
        self.state.history()
    }

    /// Puts what was kept over a boot before it.
    pub fn remember(&mut self, older: History) {
        self.state.remember(older);
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

    /// Who speaks for which condition of the Node.
    pub fn speakers(&self) -> Vec<(Condition, &'static str)> {
        self.state.speakers()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::problem::{Severity, Source};
    use crate::model::time::Wall;

    #[test]
    fn what_we_cordoned_for_is_not_over_while_it_stands_whoevers_it_is() {
        let mut engine = Engine::default();
        let status = engine.status_mut();
        status.detectors = vec![Part { name: "disk_stalled".to_owned(), standing: Standing::Working }];
        let finding = Finding {
            kind: Kind::new("DiskStalled"),
            subject: "nvme1n1".to_owned(),
            severity: Severity::Critical,
            summary: String::new(),
            advice: String::new(),
            evidence: Vec::new(),
            device: None,
        };
        status.problems = vec![Problem {
            finding,
            source: Source::Detector,
            since: Mono(0),
            since_wall: Wall(0),
            last_seen: Mono(0),
            samples: 1,
            unknown: None,
            contributors: Vec::new(),
        }];
        assert!(!engine.sees_the_end_of("DiskStalled", "nvme1n1"));
        assert!(engine.sees_the_end_of("DiskStalled", "nvme0n1"), "another's is another's");
        assert!(!engine.sees_the_end_of("FilesystemErrors", "/"), "hardware");
        engine.status_mut().detectors.clear();
        assert!(!engine.sees_the_end_of("DiskStalled", "nvme0n1"), "nobody looks");
    }
}
