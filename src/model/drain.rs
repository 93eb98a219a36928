//! A drain as it is shown: what goes, what stays and why, and how far it is. It refuses to call a pod gone that nobody has seen go.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::time::Wall;

/// Pods that stay unless this is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Allow {
    /// Those with an emptyDir, whose content is lost.
    EmptyDir,
    /// Those that nobody manages: they do not come back elsewhere.
    Unmanaged,
    /// Those with the annotation `karpenter.sh/do-not-disrupt`.
    DoNotDisrupt,
    /// Those with the annotation `cluster-autoscaler.kubernetes.io/safe-to-evict: "false"`.
    SafeToEvict,
    /// Those of Jobs, whose work is lost.
    Jobs,
}

impl Allow {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::EmptyDir, Self::Unmanaged, Self::DoNotDisrupt, Self::SafeToEvict, Self::Jobs];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::EmptyDir => "empty-dir",
            Self::Unmanaged => "unmanaged",
            Self::DoNotDisrupt => "do-not-disrupt",
            Self::SafeToEvict => "safe-to-evict",
            Self::Jobs => "jobs",
        }
    }
}

/// How far a drain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DrainState {
    /// It is what would be done.
    #[default]
    Plan,
    /// It goes on.
    Running,
    /// All pods that a drain is about are gone.
    Drained,
    /// Those that may go are gone; others stay.
    Partial,
    /// Its time was over before they were gone.
    Blocked,
    /// Somebody has cancelled it.
    Cancelled,
    /// The cordon was taken off, somebody else works on the node, or the fleet was told to pause.
    Stopped,
    /// The server does not let us.
    Failed,
}

impl DrainState {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Plan,
        Self::Running,
        Self::Drained,
        Self::Partial,
        Self::Blocked,
        Self::Cancelled,
        Self::Stopped,
        Self::Failed,
    ];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Running => "running",
            Self::Drained => "drained",
            Self::Partial => "partial",
            Self::Blocked => "blocked",
            Self::Cancelled => "cancelled",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// How far a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PodStep {
    /// Its eviction is to be asked for, for the first time or again.
    #[default]
    Waits,
    /// The server has accepted its eviction: it is ending.
    Ending,
    /// It is there no more.
    Gone,
    /// Its eviction is given up.
    GivenUp,
    /// It stays: nobody has allowed it to go.
    Stays,
    /// A drain is not about it.
    Skipped,
}

impl PodStep {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Waits, Self::Ending, Self::Gone, Self::GivenUp, Self::Stays, Self::Skipped];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Ending => "ending",
            Self::Gone => "gone",
            Self::GivenUp => "givenUp",
            Self::Stays => "stays",
            Self::Skipped => "skipped",
        }
    }
}

/// One pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DrainPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub step: PodStep,
    /// Why it stays, is skipped, or waits still: with the budget's name, where there is one.
    pub why: String,
}

impl fmt::Display for DrainPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A drain, or what would be one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DrainStatus {
    /// How far it is.
    pub state: DrainState,
    /// Who asked for it, or the problem's subject.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it began.
    pub began_wall_ms: Wall,
    /// When it gives up.
    pub until_wall_ms: Wall,
    /// When it ended; none while it goes on.
    pub ended_wall_ms: Option<Wall>,
    /// A sentence, where there is more to say.
    pub why: String,
    /// What was done after it, and what came of that; empty where nothing was to be done.
    pub after: String,
    /// The pods, by namespace and name.
    pub pods: Vec<DrainPod>,
}

impl DrainStatus {
    /// How many pods are so far.
    pub fn count(&self, step: PodStep) -> usize {
        self.pods.iter().filter(|pod| pod.step == step).count()
    }

    /// How many it is about.
    pub fn going(&self) -> usize {
        [PodStep::Waits, PodStep::Ending, PodStep::Gone, PodStep::GivenUp].map(|step| self.count(step)).iter().sum()
    }
}
