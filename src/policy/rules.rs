//! The settings of the policy, and the judgement. It refuses to look at anything but its arguments.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reasons::Withheld;
use crate::model::problem::{Condition, Entry, Kind, Problem, Severity, Source, Who};
use crate::model::status::{Decision, Verdict};
use crate::model::time::{Mono, Now, Span, Wall};

/// Before the names of problems that other programs report, where they are allowed to cordon.
pub const COMPANION: &str = "companion:";

/// What may be done without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing.
    #[default]
    Observe,
    /// Cordon.
    Cordon,
    /// Cordon and drain.
    Drain,
}

impl Mode {
    /// As in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Cordon => "cordon",
            Self::Drain => "drain",
        }
    }
}

/// What keeps a fleet from being cordoned at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// The ConfigMaps node-steward-ledger and node-steward-limits in kube-system: without them nothing cordons.
    #[default]
    Ledger,
    /// Nothing: each node for itself.
    None,
}

/// `[policy]`: what may be done about problems without being asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// What may be done without being asked: "observe", "cordon" or "drain".
    pub mode: Mode,
    /// How long a problem must last before it cordons.
    pub cordon_after: Span,
    /// How long all must be well before a cordon of our own is taken off. Never after errors of the disk or of a file system.
    pub uncordon_after: Span,
    /// Further kinds of problems that may cordon, by name, of those that can be critical; what another program reports as `companion:NAME`. What is about a disk or a
    /// directory must be about one of the node's own, and no pod behind it, all the same.
    pub cordon_for: Vec<String>,
    /// Problems that are found within this time after the mode was switched on were there before: they do not cordon.
    pub settle_in: Span,
    /// Nothing is cordoned until the machine has run for so long.
    pub after_boot: Span,
    /// From one cordon of a Node by itself to its next.
    pub apart: Span,
    /// "ledger": the fleet's ledger is asked before each cordon; "none": each node for itself.
    pub budget: Budget,
    /// Nodes that may be cordoned by themselves at a time, of the cluster or of the group.
    pub max_held: u32,
    /// Cordons that may begin in 24 hours, of the cluster or of the group.
    pub max_started_per_day: u32,
    /// Nodes with the same value of this label share a budget; all nodes where it is not set.
    pub group_label: Option<String>,
    /// Before the ledger is asked a node waits from this to four times this, at random.
    pub ledger_wait: Span,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            cordon_after: Span::minutes(10),
            uncordon_after: Span::minutes(30),
            cordon_for: Vec::new(),
            settle_in: Span::minutes(2),
            after_boot: Span::minutes(10),
            apart: Span::minutes(360),
            budget: Budget::Ledger,
            max_held: 1,
            max_started_per_day: 3,
            group_label: None,
            ledger_wait: Span::seconds(30),
        }
    }
}

/// What the policy knows of the node.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ground {
    /// Disks, controllers, block devices and mount points behind /, kubelet's and the container runtime's state.
    pub nodes_own: BTreeSet<String>,
    /// Whether there is a cluster to act in.
    pub cluster: bool,
    /// What was there until then was there before the mode was switched on.
    pub armed: Mono,
    /// What is against it beyond this node's problems, and the sentence.
    pub against: Option<(Withheld, String)>,
}

/// A problem that would cordon as far as this node is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The problem's kind.
    pub kind: Kind,
    /// Its subject.
    pub subject: String,
    /// Who is behind it; empty where nobody is known.
    pub owner: String,
}

/// One decision per problem that is worse than advice. The first reason against it, from the lasting to the passing ones, is the one that is shown.
pub fn decide(rules: &Rules, catalogue: &[&Entry], ground: &Ground, now: &Now, problems: &[Problem]) -> Vec<Decision> {
    problems
        .iter()
        .filter(|problem| problem.finding.severity > Severity::Advice)
        .map(|problem| {
            let no = withheld(rules, catalogue, ground, now, problem).map(|no| (no, no.to_string()));
            let no = no.or_else(|| ground.against.clone());
            let name = no.as_ref().map(|(no, _)| *no);
            Decision {
                action: "cordon".to_owned(),
                verdict: if no.is_some() { Verdict::Withheld } else { Verdict::Do },
                kind: problem.finding.kind.clone(),
                subject: problem.finding.subject.clone(),
                reason: name.map_or_else(String::new, |no| no.name().to_owned()),
                why: no.map_or_else(|| problem.finding.summary.clone(), |(_, why)| why),
                since_wall: since(rules, now, problem, name),
            }
        })
        .collect()
}

/// The worst problem that would cordon as far as this node is concerned.
pub fn want(rules: &Rules, catalogue: &[&Entry], ground: &Ground, now: &Now, problems: &[Problem]) -> Option<Want> {
    let ours = problems.iter().find(|problem| withheld(rules, catalogue, ground, now, problem).is_none())?;
    let owner = ours.contributors.first().map(|first| match &first.who {
        Who::Unit { .. } | Who::Group { .. } => first.who.to_string(),
        // Its number is this machine's alone.
        Who::Process { comm, .. } => format!("process {comm}"),
        Who::Container { .. } | Who::Others { .. } | Who::Unattributed => String::new(),
    });
    let finding = &ours.finding;
    Some(Want { kind: finding.kind.clone(), subject: finding.subject.clone(), owner: owner.unwrap_or_default() })
}

/// What is wrong with the node itself, for a cordon that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bears {
    /// Nothing, as far as can be seen.
    Nothing,
    /// Something that may end by itself.
    Passing,
    /// Something whose end is not to be trusted: the cordon stays, whatever it was put on for.
    Lasting,
}

/// Whether there is any problem of the node itself, however fresh and however well it can be judged: a cordon stays then. While nobody can tell what is the
/// node's own, anything may be, but of nothing is it known.
pub fn bears(rules: &Rules, catalogue: &[&Entry], ground: &Ground, problems: &[Problem]) -> Bears {
    let worse = |problem: &&Problem| problem.finding.severity > Severity::Advice && may(rules, catalogue, problem);
    let of = |problem: &Problem| match elsewhere(catalogue, ground, problem) {
        false if ends_by_itself(catalogue, problem.finding.kind.as_str()) => Bears::Passing,
        false => Bears::Lasting,
        true if ground.nodes_own.is_empty() => Bears::Passing,
        true => Bears::Nothing,
    };
    problems.iter().filter(worse).map(of).max().unwrap_or(Bears::Nothing)
}

/// Whether problems of this kind end by themselves in a way that can be trusted: hardware that has failed once has not.
pub fn ends_by_itself(catalogue: &[&Entry], kind: &str) -> bool {
    catalogue.iter().any(|entry| entry.kind.as_str() == kind && entry.condition != Condition::DiskHealth)
}

/// A refusal that waiting ends stands since the problem began; one that followed the wait stands since then.
fn since(rules: &Rules, now: &Now, problem: &Problem, no: Option<Withheld>) -> Wall {
    let waited = i64::try_from(rules.cordon_after.ms()).unwrap_or(i64::MAX);
    match no {
        Some(no) if no <= Withheld::TooFresh => problem.since_wall,
        _ => Wall(problem.since_wall.0.saturating_add(waited).min(now.wall.0)),
    }
}

fn may(rules: &Rules, catalogue: &[&Entry], problem: &Problem) -> bool {
    let kind = &problem.finding.kind;
    let ours = problem.source != Source::Companion;
    ours && catalogue.iter().any(|entry| entry.kind == *kind && entry.may_cordon)
        || rules.cordon_for.iter().any(|name| match problem.source {
            // Named as what it is: a name of ours that is not there yet must not be taken for it.
            Source::Companion => name.strip_prefix(COMPANION) == Some(kind.as_str()),
            Source::Detector | Source::Rule => name == kind.as_str(),
        })
}

/// Problems of the node itself that are critical, certain and lasting and have no pod behind them, whether their kind may cordon or not, by kind and subject.
/// What other programs report is none.
pub fn grave(
    rules: &Rules,
    catalogue: &[&Entry],
    ground: &Ground,
    now: &Now,
    problems: &[Problem],
) -> Vec<(Kind, String)> {
    let is_grave = |problem: &&Problem| {
        let light = light(rules, now, problem).into_iter().any(|(no, _)| no);
        problem.source != Source::Companion && !elsewhere(catalogue, ground, problem) && !light
    };
    let named = problems.iter().filter(is_grave);
    named.map(|problem| (problem.finding.kind.clone(), problem.finding.subject.clone())).collect()
}

/// Whether it is about a disk or a directory that is not the node's own.
fn elsewhere(catalogue: &[&Entry], ground: &Ground, problem: &Problem) -> bool {
    let finding = &problem.finding;
    let of_disks = |entry: &&Entry| matches!(entry.condition, Condition::DiskIO | Condition::DiskHealth);
    let has_a_place = finding.device.is_some()
        || finding.subject.starts_with('/')
        || problem.source != Source::Companion
            && catalogue.iter().any(|entry| entry.kind == finding.kind && of_disks(entry));
    has_a_place && !ground.nodes_own.contains(&finding.subject)
}

/// What makes a problem too light to act for, whatever it is about.
fn light(rules: &Rules, now: &Now, problem: &Problem) -> [(bool, Withheld); 4] {
    let pod_first = problem.contributors.first().is_some_and(|first| matches!(first.who, Who::Container { .. }));
    let held = now.mono.since_ms(problem.since);
    [
        (pod_first, Withheld::PodIsBehindIt),
        (problem.unknown.is_some(), Withheld::NotJudged),
        (problem.finding.severity < Severity::Critical, Withheld::NotCritical),
        (held < rules.cordon_after.ms(), Withheld::TooFresh),
    ]
}

fn withheld(rules: &Rules, catalogue: &[&Entry], ground: &Ground, now: &Now, problem: &Problem) -> Option<Withheld> {
    let kind_or_place = [
        (!may(rules, catalogue, problem), Withheld::KindMayNotAct),
        (elsewhere(catalogue, ground, problem), Withheld::NotTheNodesDevice),
    ];
    let passing = [
        (rules.mode == Mode::Observe, Withheld::ModeIsObserve),
        (problem.since <= ground.armed, Withheld::WasThereBefore),
        (now.mono.0 < rules.after_boot.ms(), Withheld::TooSoonAfterBoot),
        (!ground.cluster, Withheld::NoCluster),
    ];
    let checks = kind_or_place.into_iter().chain(light(rules, now, problem)).chain(passing);
    checks.into_iter().find_map(|(no, reason)| no.then_some(reason))
}

#[cfg(test)]
mod tests;
