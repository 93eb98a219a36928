//! What the agent writes to the log of a turn: one line when a problem begins, changes or ends. It refuses lines for a turn in which nothing changed.

use crate::detect::Changes;
use crate::host::{Log, Priority};
use crate::model::problem::{Problem, Severity};
use crate::model::time::Mono;

/// So many contributors are named in a line.
const NAMED: usize = 3;

/// Writes the changes of a turn.
pub fn write(log: &Log, now: Mono, changes: &Changes) {
    for problem in &changes.began {
        line(log, problem, "began", &began(problem));
    }
    for (before, problem) in &changes.changed {
        line(
            log,
            problem,
            "changed",
            &format!("was {before}, now {}: {}", problem.finding.severity, sentence(problem)),
        );
    }
    for problem in &changes.ended {
        let held = humantime::format_duration(core::time::Duration::from_secs(now.since_ms(problem.since) / 1000));
        line(log, problem, "ended", &format!("is over after {held}"));
    }
}

fn line(log: &Log, problem: &Problem, event: &str, words: &str) {
    let finding = &problem.finding;
    let priority = match (event, finding.severity) {
        ("ended", _) | (_, Severity::Advice) => Priority::Info,
        (_, Severity::Warning) => Priority::Warning,
        (_, Severity::Critical) => Priority::Error,
    };
    let severity = finding.severity.to_string();
    let fields = [
        ("NODE_STEWARD_EVENT", event),
        ("NODE_STEWARD_KIND", finding.kind.as_str()),
        ("NODE_STEWARD_SUBJECT", finding.subject.as_str()),
        ("NODE_STEWARD_SEVERITY", severity.as_str()),
    ];
    log.line(priority, &format!("{} {} {words}", finding.kind, finding.subject), &fields);
}

fn began(problem: &Problem) -> String {
    format!("({}): {}", problem.finding.severity, sentence(problem))
}

fn sentence(problem: &Problem) -> String {
    let mut text = problem.finding.summary.clone();
    let behind: Vec<_> = problem
        .contributors
        .iter()
        .take(NAMED)
        .map(|one| format!("{} {:.0} %", one.who, one.share_of_bytes * 100.0))
        .collect();
    if !behind.is_empty() {
        text.push_str("; behind it: ");
        text.push_str(&behind.join(", "));
    }
    if !problem.finding.advice.is_empty() {
        text.push_str("; ");
        text.push_str(&problem.finding.advice);
    }
    text
}
