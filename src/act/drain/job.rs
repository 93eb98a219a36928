//! What a drain is to do, how it ended, and what of it survives a restart. It refuses what only a conversation knows: who was asked and has not answered.

use serde::{Deserialize, Serialize};

use crate::act::hold::For;
use crate::model::drain::{Allow, DrainPod, DrainState};
use crate::model::time::{Mono, Wall};

/// What is to be done, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// For whom.
    #[serde(rename = "for")]
    pub whose: For,
    /// Who asked, or the problem's subject.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What may go although it stays by default.
    pub allow: Vec<Allow>,
    /// Since when the cordon is there that it goes with: one drain a cordon, where nobody asks.
    pub cordoned: String,
    /// When it began, for people.
    pub began: Wall,
    /// When it gives up, for people.
    pub until_wall: Wall,
    /// When it gives up.
    pub until: Mono,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// How.
    pub state: DrainState,
    /// In words.
    pub why: String,
    /// When.
    pub at: Wall,
}

/// What survives a restart within one boot: one that had not ended begins with a new list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    pub(super) job: Job,
    pub(super) end: Option<End>,
    /// What was done after it.
    pub(super) after: Option<String>,
    pub(super) pods: Vec<DrainPod>,
}
