//! Every "no" has a name. It refuses a bare sentence: the name is public interface, the sentence is for people.

use std::fmt;

/// Why an action is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Withheld {
    /// Problems of this kind never act.
    KindMayNotAct,
    /// It is not about the device behind /, kubelet's or the container runtime's state.
    NotTheNodesDevice,
    /// The first contributor is a pod: the fault walks with it.
    PodIsBehindIt,
    /// It can no longer be judged.
    NotJudged,
    /// It is not critical.
    NotCritical,
    /// It has not lasted long enough.
    TooFresh,
    /// The mode is `observe`.
    ModeIsObserve,
    /// There is no cluster to act in.
    NoCluster,
}

impl Withheld {
    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::KindMayNotAct => "KindMayNotAct",
            Self::NotTheNodesDevice => "NotTheNodesDevice",
            Self::PodIsBehindIt => "PodIsBehindIt",
            Self::NotJudged => "NotJudged",
            Self::NotCritical => "NotCritical",
            Self::TooFresh => "TooFresh",
            Self::ModeIsObserve => "ModeIsObserve",
            Self::NoCluster => "NoCluster",
        }
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KindMayNotAct => "problems of this kind never cordon a node",
            Self::NotTheNodesDevice => {
                "it is not about the device behind /, kubelet's or the container runtime's state"
            }
            Self::PodIsBehindIt => "a pod is behind it, and would take it along to the next node",
            Self::NotJudged => "it can no longer be judged",
            Self::NotCritical => "it is not critical",
            Self::TooFresh => "it has not lasted long enough",
            Self::ModeIsObserve => "the mode is observe",
            Self::NoCluster => "there is no cluster to act in",
        })
    }
}
