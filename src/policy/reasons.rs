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
    /// It was there when the mode was switched on.
    WasThereBefore,
    /// The node has just started.
    TooSoonAfterBoot,
    /// There is no cluster to act in, or it cannot be reached.
    NoCluster,
    /// The Node of our name runs on another machine, or kubelet has not spoken since this boot.
    AnotherMachine,
    /// Somebody else has cordoned the node, or a person has asked for it.
    HeldByAnother,
    /// Somebody else works on the node, or its owner has told us to stay away.
    StandsDown,
    /// A person has taken our cordon off.
    HandsOff,
    /// This Node was cordoned by itself not long ago.
    CordonedRecently,
    /// The ledger is about to be asked.
    WaitsItsTurn,
    /// The ledger or the limits are not there, not allowed, or not answered for.
    NoLedger,
    /// They do not say what they should.
    LedgerUnreadable,
    /// The limits say pause.
    Paused,
    /// The limits allow less than the settings.
    ModeIsCapped,
    /// A third cordon alike: nobody begins until a person says so.
    BreakerIsOpen,
    /// As many nodes are cordoned as may be at a time.
    BudgetIsHeld,
    /// As many were begun as may be in a day.
    BudgetIsSpent,
    /// Another node has written the ledger first.
    AnotherWasFirst,
    /// The Node could not be patched.
    NodeNotPatched,
}

impl Withheld {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::KindMayNotAct,
        Self::NotTheNodesDevice,
        Self::PodIsBehindIt,
        Self::NotJudged,
        Self::NotCritical,
        Self::TooFresh,
        Self::ModeIsObserve,
        Self::WasThereBefore,
        Self::TooSoonAfterBoot,
        Self::NoCluster,
        Self::AnotherMachine,
        Self::HeldByAnother,
        Self::StandsDown,
        Self::HandsOff,
        Self::CordonedRecently,
        Self::WaitsItsTurn,
        Self::NoLedger,
        Self::LedgerUnreadable,
        Self::Paused,
        Self::ModeIsCapped,
        Self::BreakerIsOpen,
        Self::BudgetIsHeld,
        Self::BudgetIsSpent,
        Self::AnotherWasFirst,
        Self::NodeNotPatched,
    ];

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
            Self::WasThereBefore => "WasThereBefore",
            Self::TooSoonAfterBoot => "TooSoonAfterBoot",
            Self::NoCluster => "NoCluster",
            Self::AnotherMachine => "AnotherMachine",
            Self::HeldByAnother => "HeldByAnother",
            Self::StandsDown => "StandsDown",
            Self::HandsOff => "HandsOff",
            Self::CordonedRecently => "CordonedRecently",
            Self::WaitsItsTurn => "WaitsItsTurn",
            Self::NoLedger => "NoLedger",
            Self::LedgerUnreadable => "LedgerUnreadable",
            Self::Paused => "Paused",
            Self::ModeIsCapped => "ModeIsCapped",
            Self::BreakerIsOpen => "BreakerIsOpen",
            Self::BudgetIsHeld => "BudgetIsHeld",
            Self::BudgetIsSpent => "BudgetIsSpent",
            Self::AnotherWasFirst => "AnotherWasFirst",
            Self::NodeNotPatched => "NodeNotPatched",
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
            Self::WasThereBefore => "it was there when the mode was switched on",
            Self::TooSoonAfterBoot => "the node has only just started",
            Self::NoCluster => "there is no cluster to act in",
            Self::AnotherMachine => {
                "the Node of this name runs on another machine, or kubelet has not spoken since this boot"
            }
            Self::HeldByAnother => "the cordon is another's",
            Self::StandsDown => "somebody else works on the node, or its owner has told us to stay away",
            Self::HandsOff => "a person has taken our cordon off",
            Self::CordonedRecently => "this node was cordoned by itself not long ago",
            Self::WaitsItsTurn => "the fleet's ledger is about to be asked",
            Self::NoLedger => "the fleet's ledger or its limits give no answer",
            Self::LedgerUnreadable => "the fleet's ledger or its limits cannot be understood",
            Self::Paused => "the fleet is told to pause",
            Self::ModeIsCapped => "the fleet's limits allow less than the settings",
            Self::BreakerIsOpen => "too many cordons alike: a person has to look",
            Self::BudgetIsHeld => "as many nodes are cordoned as may be at a time",
            Self::BudgetIsSpent => "as many were begun as may be in a day",
            Self::AnotherWasFirst => "another node was first",
            Self::NodeNotPatched => "the Node could not be patched",
        })
    }
}
