//! The settings of the policy, and the judgement. It refuses to look at anything but its arguments.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reasons::Withheld;
use crate::model::problem::{Entry, Problem, Severity, Who};
use crate::model::status::{Decision, Verdict};
use crate::model::time::{Now, Span, Wall};

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

/// `[policy]`: what may be done about problems without being asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// What may be done without being asked: "observe", "cordon" or "drain".
    pub mode: Mode,
    /// How long a problem must last before it cordons.
    pub cordon_after: Span,
}

impl Default for Rules {
    fn default() -> Self {
        Self { mode: Mode::Observe, cordon_after: Span::minutes(10) }
    }
}

/// What the policy knows of the node.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ground {
    /// Disks, controllers, block devices and mount points behind /, kubelet's and the container runtime's state.
    pub nodes_own: BTreeSet<String>,
    /// Whether there is a cluster to act in.
    pub cluster: bool,
}

/// One decision per problem that is worse than advice. The first reason against it, from the lasting to the passing ones, is the one that is shown.
pub fn decide(rules: &Rules, catalogue: &[&Entry], ground: &Ground, now: &Now, problems: &[Problem]) -> Vec<Decision> {
    problems
        .iter()
        .filter(|problem| problem.finding.severity > Severity::Advice)
        .map(|problem| {
            let no = withheld(rules, catalogue, ground, now, problem);
            Decision {
                action: "cordon".to_owned(),
                verdict: if no.is_some() { Verdict::Withheld } else { Verdict::Do },
                kind: problem.finding.kind.clone(),
                subject: problem.finding.subject.clone(),
                reason: no.map_or_else(String::new, |no| no.name().to_owned()),
                why: no.map_or_else(|| problem.finding.summary.clone(), |no| no.to_string()),
                since_wall: since(rules, now, problem, no),
            }
        })
        .collect()
}

/// A refusal that waiting ends stands since the problem began; one that followed the wait stands since then.
fn since(rules: &Rules, now: &Now, problem: &Problem, no: Option<Withheld>) -> Wall {
    let waited = i64::try_from(rules.cordon_after.ms()).unwrap_or(i64::MAX);
    match no {
        None | Some(Withheld::ModeIsObserve | Withheld::NoCluster) => {
            Wall(problem.since_wall.0.saturating_add(waited).min(now.wall.0))
        }
        Some(_) => problem.since_wall,
    }
}

fn withheld(rules: &Rules, catalogue: &[&Entry], ground: &Ground, now: &Now, problem: &Problem) -> Option<Withheld> {
    let finding = &problem.finding;
    let may = catalogue.iter().any(|entry| entry.kind == finding.kind && entry.may_cordon);
    let pod_first = problem.contributors.first().is_some_and(|first| matches!(first.who, Who::Container { .. }));
    let held = now.mono.since_ms(problem.since);
    let checks = [
        (!may, Withheld::KindMayNotAct),
        (!ground.nodes_own.contains(&finding.subject), Withheld::NotTheNodesDevice),
        (pod_first, Withheld::PodIsBehindIt),
        (problem.unknown.is_some(), Withheld::NotJudged),
        (finding.severity < Severity::Critical, Withheld::NotCritical),
        (held < rules.cordon_after.ms(), Withheld::TooFresh),
        (rules.mode == Mode::Observe, Withheld::ModeIsObserve),
        (!ground.cluster, Withheld::NoCluster),
    ];
    checks.into_iter().find_map(|(no, reason)| no.then_some(reason))
}
