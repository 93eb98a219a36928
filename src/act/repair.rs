//! Conditions under the names that Karpenter's node repair and EKS auto repair act on, for those who ask for them by name. Pure. It refuses such a name
//! without being asked, and to say False for anything but a grave problem of the node itself: the node is replaced for it, whatever budgets its pods have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::{ALL, Answer, Said, View, blind, calm, name, said_of};
use crate::cluster::NodeCondition;
use crate::model::problem::{Problem, Severity};

/// What our messages under these names begin with: who else writes them is left alone.
const SIGN: &str = "node-steward: ";

/// The names, and the polarity: True means that all is well. (`AcceleratedHardwareReady` is about devices that nobody here looks at.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Repair {
    /// Disks and file systems.
    StorageReady,
    /// The kernel and the machine.
    KernelReady,
    /// Interfaces and their limits.
    NetworkingReady,
    /// The container runtime.
    ContainerRuntimeReady,
}

impl Repair {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::StorageReady, Self::KernelReady, Self::NetworkingReady, Self::ContainerRuntimeReady];

    /// The condition's type.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// The reason where all is well, as the EKS node monitoring agent says it.
    fn well(self) -> &'static str {
        match self {
            Self::StorageReady => "DiskIsReady",
            Self::KernelReady => "KernelIsReady",
            Self::NetworkingReady => "NetworkingIsReady",
            Self::ContainerRuntimeReady => "ContainerRuntimeIsReady",
        }
    }
}

/// Whether we ever write a condition of this type.
pub fn is_known(kind: &str) -> bool {
    is_shared(kind) || ALL.iter().any(|own| name(*own) == kind)
}

fn is_shared(kind: &str) -> bool {
    Repair::ALL.iter().any(|repair| repair.name() == kind)
}

/// Whether a condition of the Node is one of ours, or another's under a name that we might be asked for; none where it is neither.
pub fn whose(one: &NodeCondition) -> Option<bool> {
    is_known(&one.kind).then(|| !is_shared(&one.kind) || one.message.starts_with(SIGN))
}

/// What such a condition says now, of problems of these kinds; none where all who could speak for them are off.
pub fn judge(repair: Repair, kinds: &[String], view: &View<'_>) -> Option<Said> {
    let named = |kind: &str| kinds.iter().any(|name| name == kind);
    let mut conditions: Vec<_> =
        view.catalogue.iter().filter(|entry| named(entry.kind.as_str())).map(|entry| entry.condition).collect();
    conditions.sort_unstable();
    conditions.dedup();
    let speakers: Vec<_> = conditions.into_iter().flat_map(|condition| view.speakers_of(condition)).collect();
    if speakers.is_empty() {
        return None;
    }
    let of_these = || view.problems.iter().filter(|problem| named(problem.finding.kind.as_str()));
    let is_grave = |problem: &&Problem| {
        let finding = &problem.finding;
        view.grave.iter().any(|(kind, subject)| (kind, subject) == (&finding.kind, &finding.subject))
    };
    let grave: Vec<_> = of_these().filter(is_grave).collect();
    let (blind, working) = blind(&speakers);
    // What was grave and can no longer be judged is neither grave nor over.
    let unclear = of_these().find(|one| one.finding.severity == Severity::Critical && one.unknown.is_some());
    let mut said = match (grave.first(), unclear) {
        (Some(worst), _) => said_of(Answer::False, worst, &grave),
        (None, _) if !view.looked => calm(Answer::Unknown, "NotLookedYet", "there was no full look at the node yet"),
        (None, Some(one)) => {
            calm(Answer::Unknown, "CannotJudge", &format!("{} can no longer be judged", one.finding.kind))
        }
        (None, None) if working == 0 => calm(Answer::Unknown, "CannotJudge", &format!("cannot judge: {blind}")),
        (None, None) => calm(Answer::True, repair.well(), "no grave problem of the node itself is known"),
    };
    said.message.insert_str(0, SIGN);
    Some(said)
}

#[cfg(test)]
mod tests;
