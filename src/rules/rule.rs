//! What a rule is, and what it makes of a line. It refuses a rule without an entry in the catalogue.

use regex::bytes::Captures;
use serde::{Deserialize, Serialize};

use crate::model::problem::{Entry, Severity};
use crate::model::time::Mono;
use crate::model::watch::PodName;

/// A rule: one kind of problem, any number of patterns.
pub struct Rule {
    /// The kind that it finds; its name is the rule's id.
    pub entry: Entry,
    /// Patterns, each anchored at the start of the line. Named groups are shown as captures.
    pub patterns: &'static [&'static str],
    /// What a line means; nothing where it is harmless, or only notes something for a later line.
    pub judge: fn(&Hit<'_>, &mut Notes) -> Option<Case>,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rule").field("kind", &self.entry.kind).finish_non_exhaustive()
    }
}

/// A line that a pattern matched.
#[derive(Debug)]
pub struct Hit<'a> {
    /// Which of the rule's patterns.
    pub pattern: usize,
    /// Its captures.
    pub captures: Captures<'a>,
    /// When it was logged.
    pub at: Mono,
    /// Pods by name.
    pub names: &'a [PodName],
}

impl Hit<'_> {
    /// A named group; empty where it took no part.
    pub fn get(&self, name: &str) -> String {
        self.captures
            .name(name)
            .map_or_else(String::new, |group| String::from_utf8_lossy(group.as_bytes()).into_owned())
    }
}

/// What a line means.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Of what.
    pub subject: String,
    /// How bad.
    pub severity: Severity,
    /// One sentence.
    pub summary: String,
    /// What to do here, where it can be said more exactly than in the catalogue.
    pub advice: String,
}

/// What earlier lines said that a later one needs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Notes {
    /// Of killings that are about to be reported, the oldest first.
    pub victims: Vec<Victim>,
}

/// Of a killing that is about to be reported.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Victim {
    /// The process; none where the line does not say.
    pub pid: Option<String>,
    /// Its cgroup; empty where the line does not say.
    pub group: String,
    /// The cgroup whose limit was reached; empty for the node's own memory or where the line does not say.
    pub limited: String,
    /// Whether a cgroup's limit was reached; none where the line does not say.
    pub in_group: Option<bool>,
    /// When it was logged.
    pub at: Mono,
}
