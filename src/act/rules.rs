//! The settings of the report and of drains. They refuse a beat that would be a load for a server with thousands of nodes, and a program without its path.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::repair::Repair;
use crate::model::drain::Allow;
use crate::model::time::Span;

/// `[report]`: what this node's cluster is told of it, where there is a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Whether problems are shown as conditions of the Node.
    pub conditions: bool,
    /// Whether their begin and end are shown as Events.
    pub events: bool,
    /// Whether what kubelet keeps from pods, and by which files, is shown as an annotation of the Node (`node-steward.io/reserved`).
    pub reserved: bool,
    /// Grave problems under the names that others replace nodes for: `StorageReady`, `KernelReady`, `NetworkingReady`, `ContainerRuntimeReady`, each with the
    /// kinds of problems that make it False. None by default. Where Karpenter's node repair or EKS auto repair is on, a node with such a condition is deleted
    /// after 30 minutes, whatever PodDisruptionBudgets say. A problem counts that is critical, certain, has lasted as long as `policy.cordon_after`, has no pod
    /// behind it, and, where it is about a disk, is about one of the node's own. What another agent writes under such a name is left to it.
    pub repair: BTreeMap<Repair, Vec<String>>,
    /// How often the conditions are said again where nothing changes, 10 s to 1 h; a tenth more or less, by the node's name.
    pub every: Span,
    /// A first change waits for up to this long, up to 1 min and by the node's name, so that a fleet does not speak at once.
    pub settle: Span,
    /// Changes that follow wait until this long after the one before, up to 10 min, and go out together.
    pub coalesce: Span,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            conditions: true,
            events: true,
            reserved: true,
            repair: BTreeMap::new(),
            every: Span::minutes(5),
            settle: Span::seconds(2),
            coalesce: Span::seconds(10),
        }
    }
}

impl Rules {
    /// What serde cannot say: the key and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        for (key, span, least, most) in [
            ("every", self.every, Span::seconds(10), Span::minutes(60)),
            ("settle", self.settle, Span::millis(0), Span::minutes(1)),
            ("coalesce", self.coalesce, Span::millis(0), Span::minutes(10)),
        ] {
            if !(least..=most).contains(&span) {
                return Err((key, format!("{span} is not between {least} and {most}")));
            }
        }
        Ok(())
    }
}

/// `[drain]`: what a drain may take along, how long it may last, and what follows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DrainRules {
    /// Pods that stay unless this is said: "empty-dir", "unmanaged", "do-not-disrupt", "safe-to-evict", "jobs". A request can name more.
    pub allow: Vec<Allow>,
    /// Until when all must be gone, 1 s to 24 h; then it stops, the cordon stays, and it says which pods are in the way.
    pub deadline: Span,
    /// After a full drain: "none", "poweroff", or a program with its arguments.
    pub after_drain: After,
}

/// What follows a full drain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum After {
    /// One of our own words.
    Word(Word),
    /// A program, by its path, and its arguments.
    Command(Vec<String>),
}

/// What follows a full drain, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Nothing.
    None,
    /// The machine is switched off.
    Poweroff,
}

impl After {
    /// The program and its arguments; none where nothing follows.
    pub fn command(&self) -> Option<Vec<String>> {
        match self {
            Self::Word(Word::None) => None,
            Self::Word(Word::Poweroff) => Some(vec!["systemctl".to_owned(), "poweroff".to_owned()]),
            Self::Command(words) => Some(words.clone()),
        }
    }
}

impl Default for DrainRules {
    fn default() -> Self {
        Self { allow: Vec::new(), deadline: Span::minutes(30), after_drain: After::Word(Word::None) }
    }
}

impl DrainRules {
    /// What serde cannot say: the key and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let (least, most) = DEADLINES;
        if !(least..=most).contains(&self.deadline) {
            return Err(("deadline", format!("{} is not between {least} and {most}", self.deadline)));
        }
        match &self.after_drain {
            After::Command(words) if !words.first().is_some_and(|program| program.starts_with('/')) => {
                Err(("after_drain", "a program is named by its absolute path".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

/// How long a drain may last.
pub const DEADLINES: (Span, Span) = (Span::seconds(1), Span::minutes(1440));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_is_a_word_or_a_program_by_its_path() {
        let read = |text: &str| toml::from_str::<DrainRules>(text);
        assert_eq!(read("").unwrap(), DrainRules::default());
        assert_eq!(read("after_drain = \"poweroff\"").unwrap().after_drain, After::Word(Word::Poweroff));
        let program = read("after_drain = [\"/usr/bin/true\", \"-x\"]").unwrap();
        assert_eq!(program.check(), Ok(()));
        for wrong in ["after_drain = []", "after_drain = [\"true\"]", "deadline = \"0s\"", "deadline = \"25h\""] {
            assert!(read(wrong).unwrap().check().is_err(), "{wrong}");
        }
        assert!(read("after_drain = \"reboot\"").is_err() && read("allow = [\"all\"]").is_err());
    }
}
