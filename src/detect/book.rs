//! The book of problems: findings of turns become problems that begin, last and end. It refuses to end a problem that nobody could judge.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::problem::{Contributor, Finding, Kind, Problem, Severity, Source};
use crate::model::time::Now;

/// All problems, by kind and subject.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Book {
    problems: Vec<Problem>,
}

/// What a turn changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// Began in this turn.
    pub began: Vec<Problem>,
    /// Became worse or better in this turn: the severity before, and the problem.
    pub changed: Vec<(Severity, Problem)>,
    /// Ended in this turn.
    pub ended: Vec<Problem>,
}

/// What one source says about some kinds.
#[derive(Debug)]
pub struct Page<'a> {
    /// The kinds that it speaks for.
    pub kinds: Vec<&'a Kind>,
    /// Who it is.
    pub source: Source,
    /// What it sees.
    pub findings: Vec<Finding>,
    /// Why it cannot see; its problems then stand as they are.
    pub unknown: Option<String>,
}

impl Book {
    /// Takes all pages of a turn. A problem of a kind that no page speaks for (its detector is off) ends.
    pub fn turn(&mut self, now: &Now, pages: Vec<Page<'_>>, who: impl Fn(&Finding) -> Vec<Contributor>) -> Changes {
        let mut changes = Changes::default();
        let mut old: BTreeMap<(Kind, String), Problem> = std::mem::take(&mut self.problems)
            .into_iter()
            .map(|problem| ((problem.finding.kind.clone(), problem.finding.subject.clone()), problem))
            .collect();
        for page in pages {
            for finding in page.findings {
                let contributors = who(&finding);
                let identity = (finding.kind.clone(), finding.subject.clone());
                let problem = match old.remove(&identity) {
                    None => {
                        let problem = Problem {
                            finding,
                            source: page.source,
                            since: now.mono,
                            since_wall: now.wall,
                            last_seen: now.mono,
                            samples: 1,
                            unknown: None,
                            contributors,
                        };
                        changes.began.push(problem.clone());
                        problem
                    }
                    Some(mut problem) => {
                        let before = problem.finding.severity;
                        problem.last_seen = now.mono;
                        problem.samples = problem.samples.saturating_add(1);
                        problem.unknown = None;
                        // A turn without a window of its own says nothing new about who it is.
                        if !contributors.is_empty() {
                            problem.contributors = contributors;
                        }
                        problem.finding = finding;
                        if before != problem.finding.severity {
                            changes.changed.push((before, problem.clone()));
                        }
                        problem
                    }
                };
                self.problems.push(problem);
            }
            if let Some(why) = page.unknown {
                let theirs: Vec<_> = old.keys().filter(|(kind, _)| page.kinds.contains(&kind)).cloned().collect();
                for identity in theirs {
                    if let Some(mut problem) = old.remove(&identity) {
                        problem.unknown = Some(why.clone());
                        self.problems.push(problem);
                    }
                }
            }
        }
        changes.ended = old.into_values().collect();
        self.problems.sort_by(|a, b| {
            let key = |problem: &Problem| (std::cmp::Reverse(problem.finding.severity), problem.since);
            key(a)
                .cmp(&key(b))
                .then_with(|| a.finding.kind.cmp(&b.finding.kind))
                .then_with(|| a.finding.subject.cmp(&b.finding.subject))
        });
        changes
    }

    /// All of them, the worst and oldest first.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Kinds and subjects.
    pub fn active(&self) -> BTreeSet<(Kind, String)> {
        self.problems.iter().map(|problem| (problem.finding.kind.clone(), problem.finding.subject.clone())).collect()
    }
}
