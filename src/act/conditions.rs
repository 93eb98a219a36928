//! From problems to the conditions of the Node, at most six. Pure. It refuses advice, a name that another program acts on, and to call well what nobody
//! has looked at.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::problem::{Condition, Entry, Finding, Kind, Problem, Severity};
use crate::model::status::{Part, Standing};

/// What the types begin with, so that nobody takes them for another program's: Karpenter and EKS replace nodes for some bare names.
pub const PREFIX: &str = "NodeSteward";
/// All types that we ever write.
pub const ALL: [Condition; 6] = [
    Condition::DiskIO,
    Condition::DiskHealth,
    Condition::Logging,
    Condition::NodeServices,
    Condition::NodeResources,
    Condition::AgentHealth,
];
/// A message is for people; the evidence is to be had on the node.
const LONGEST: usize = 1000;

/// A condition's type.
pub fn name(condition: Condition) -> String {
    format!("{PREFIX}{condition:?}")
}

/// A condition's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// There is a problem.
    True,
    /// There is none.
    False,
    /// Nobody can tell.
    Unknown,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// Its status.
    pub answer: Answer,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// The problems in it: while these are the same, other numbers in the message are no news.
    pub about: Vec<String>,
}

impl Said {
    /// What makes news of it.
    pub fn core(&self) -> (Answer, &str, &[String]) {
        (self.answer, &self.reason, &self.about)
    }
}

/// What the conditions are made of.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// Whether there was a full look at the node.
    pub looked: bool,
    /// How the detectors stand.
    pub parts: &'a [Part],
    /// Which of them speak for which condition, those that are off included.
    pub speakers: &'a [(Condition, &'static str)],
    /// All kinds.
    pub catalogue: &'a [&'static Entry],
    /// What is wrong, the worst first.
    pub problems: &'a [Problem],
    /// Which of it is grave, by kind and subject: the node's own, critical, certain and lasting.
    pub grave: &'a [(Kind, String)],
}

impl<'a> View<'a> {
    /// The problems of a condition; advice is none.
    pub fn problems_of(&self, condition: Condition) -> impl Iterator<Item = &'a Problem> {
        let catalogue = self.catalogue;
        let belongs = move |problem: &Problem| {
            catalogue.iter().any(|entry| entry.kind == problem.finding.kind && entry.condition == condition)
        };
        let problems = self.problems.iter().filter(|problem| problem.finding.severity > Severity::Advice);
        problems.filter(move |problem| belongs(problem))
    }

    /// Those who speak for a condition and are not off. For the agent's own health all do.
    pub(super) fn speakers_of(&self, condition: Condition) -> Vec<&'a Part> {
        let speaks = |part: &&Part| {
            condition == Condition::AgentHealth
                || self.speakers.iter().any(|(theirs, name)| *theirs == condition && part.name == *name)
        };
        self.parts.iter().filter(speaks).filter(|part| part.standing != Standing::Off).collect()
    }
}

/// What a condition says now; none where all who could speak for it are off.
pub fn judge(condition: Condition, view: &View<'_>) -> Option<Said> {
    let speakers = view.speakers_of(condition);
    let problems: Vec<&Problem> = view.problems_of(condition).collect();
    if speakers.is_empty() {
        return None;
    }
    if let Some(worst) = problems.first() {
        return Some(said_of(Answer::True, worst, &problems));
    }
    if !view.looked {
        return Some(calm(Answer::Unknown, "NotLookedYet", "there was no full look at the node yet"));
    }
    let (blind, working) = blind(&speakers);
    let all_unknown = || speakers.iter().all(|part| matches!(part.standing, Standing::Unknown { .. }));
    Some(match (condition, working) {
        // Somebody who is still learning is not blind.
        (Condition::AgentHealth, 0) if all_unknown() => {
            calm(Answer::True, "AgentIsBlind", &format!("no detector can look: {blind}"))
        }
        (Condition::AgentHealth, _) => calm(Answer::False, "AgentLooks", "the agent looks at the node"),
        (_, 0) => calm(Answer::Unknown, "CannotJudge", &format!("cannot judge: {blind}")),
        (_, working) if working == speakers.len() => calm(Answer::False, "NoProblem", "no problem is known"),
        _ => calm(Answer::False, "NoProblem", &format!("no problem is known; cannot judge yet, or at all: {blind}")),
    })
}

/// Where there is nothing to say of a problem.
pub(super) fn calm(answer: Answer, reason: &str, message: &str) -> Said {
    Said { answer, reason: reason.to_owned(), message: cut(message.to_owned()), about: Vec::new() }
}

/// Of these problems, the worst of which is the first.
pub(super) fn said_of(answer: Answer, worst: &Problem, problems: &[&Problem]) -> Said {
    let about = |problem: &&Problem| {
        let finding = &problem.finding;
        format!("{} {} {}", finding.kind, finding.subject, finding.severity)
    };
    Said {
        answer,
        reason: worst.finding.kind.to_string(),
        message: cut(sentence(worst, &problems[1..])),
        about: problems.iter().map(about).collect(),
    }
}

/// Who cannot look, and why, in words; and how many can.
pub(super) fn blind(speakers: &[&Part]) -> (String, usize) {
    let blind = |part: &&Part| match &part.standing {
        Standing::Learning { why } | Standing::Unknown { why } => Some(format!("{} ({why})", part.name)),
        Standing::Working | Standing::Off => None,
    };
    let words: Vec<String> = speakers.iter().filter_map(blind).collect();
    (words.join(", "), speakers.len() - words.len())
}

/// The worst as a sentence, the others by name.
fn sentence(worst: &Problem, others: &[&Problem]) -> String {
    let mut text = of_its_subject(&worst.finding);
    if let Some(why) = &worst.unknown {
        text.push_str(&format!(" (as it was last seen: {why})"));
    }
    if !others.is_empty() {
        let names: Vec<String> =
            others.iter().map(|other| format!("{} {}", other.finding.kind, other.finding.subject)).collect();
        text.push_str(&format!("; also {}", names.join(", ")));
    }
    text
}

/// A finding's sentence; with its subject, which some sentences name already.
pub(super) fn of_its_subject(finding: &Finding) -> String {
    match finding.summary.contains(&finding.subject) {
        true => finding.summary.clone(),
        false => format!("{}: {}", finding.subject, finding.summary),
    }
}

/// At most so long, and whole letters.
pub(super) fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST - 3).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}
