//! `problems`: what the daemon found wrong, who is behind it and what to do. It refuses to say "no problems" for a node that it cannot see.

use std::fmt::Write;

use anstyle::Style;
use serde::Deserialize;

use super::args::{AskArgs, Common};
use super::grid::{Grid, Width, colour, labelled, plain, rate, span, wrap};
use super::{Ending, Failure, ask};
use crate::model::problem::{Contributor, Problem, Severity};
use crate::model::status::{Part, Standing};
use crate::model::time::Wall;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    now_wall_ms: Wall,
    problems: Vec<Shown>,
    #[serde(default)]
    not_judging: Vec<Part>,
}

#[derive(Debug, Deserialize)]
struct Shown {
    #[serde(flatten)]
    problem: Problem,
    #[serde(default)]
    meaning: String,
}

pub(super) fn run(common: &Common, options: &AskArgs) -> Result<Ending, Failure> {
    ask::run(common, options, "/v1/problems", |body, width| draw(body, width, common.verbose))
}

fn draw(body: &[u8], width: Width, verbose: bool) -> Result<String, Failure> {
    let mut answer: Answer = ask::parse(body)?;
    answer.problems.sort_by_key(|shown| (std::cmp::Reverse(shown.problem.finding.severity), shown.problem.since_wall));
    let problems: Vec<&Problem> = answer.problems.iter().map(|shown| &shown.problem).collect();
    let mut out = format!("{}\n", headline(&problems));
    if !problems.is_empty() {
        let _ = write!(out, "\n{}", table(&problems, answer.now_wall_ms, width));
    }
    for shown in &answer.problems {
        let _ = write!(out, "\n{}", details(&shown.problem, &shown.meaning, answer.now_wall_ms, width, verbose));
    }
    let blind: String = answer.not_judging.iter().map(|part| standing(part, width)).collect();
    if !blind.is_empty() {
        let _ = write!(out, "\nCannot judge yet, or at all:\n{blind}");
    }
    Ok(out)
}

/// How many, by severity.
pub(super) fn headline(problems: &[&Problem]) -> String {
    if problems.is_empty() {
        return "no problems".to_owned();
    }
    let of = |severity| problems.iter().filter(|problem| problem.finding.severity == severity).count();
    let counts: Vec<String> = [Severity::Critical, Severity::Warning, Severity::Advice]
        .into_iter()
        .map(|severity| (of(severity), severity))
        .filter(|(count, _)| *count > 0)
        .map(|(count, severity)| format!("{count} {severity}"))
        .collect();
    let noun = if problems.len() == 1 { "problem" } else { "problems" };
    format!("{} {noun}: {}", problems.len(), counts.join(", "))
}

/// One row a problem.
pub(super) fn table(problems: &[&Problem], now: Wall, width: Width) -> String {
    let mut grid = Grid::new(&["severity", "kind", "subject", "for", "summary"]);
    for problem in problems {
        let finding = &problem.finding;
        grid.row(
            colour(finding.severity),
            vec![
                finding.severity.to_string(),
                finding.kind.to_string(),
                finding.subject.clone(),
                span(now.0 - problem.since_wall.0),
                finding.summary.clone(),
            ],
        );
    }
    grid.draw(0, width)
}

/// All that is known of one problem.
pub(super) fn details(problem: &Problem, meaning: &str, now: Wall, width: Width, verbose: bool) -> String {
    let finding = &problem.finding;
    let style = colour(finding.severity).bold();
    let mut out = format!("{style}{} {}{style:#}\n", plain(finding.kind.as_str()), plain(&finding.subject));
    let seen = format!("{} ({}), seen in {} turns", problem.since_wall, ago(now, problem.since_wall), problem.samples);
    out.push_str(&labelled("since", &seen, width));
    if let Some(why) = &problem.unknown {
        out.push_str(&labelled("not judged", &format!("as last seen: {why}"), width));
    }
    let evidence: Vec<String> = finding.evidence.iter().map(ToString::to_string).collect();
    if !evidence.is_empty() {
        out.push_str(&labelled("evidence", &evidence.join("; "), width));
    }
    if verbose && !meaning.is_empty() {
        out.push_str(&labelled("meaning", meaning, width));
    }
    for (index, one) in problem.contributors.iter().enumerate() {
        out.push_str(&labelled(if index == 0 { "by" } else { "" }, &contributor(one), width));
    }
    if !finding.advice.is_empty() {
        out.push_str(&labelled("do", &finding.advice, width));
    }
    out
}

/// `62 %  pod shop/cart container db: writes 7.4 MiB/s`.
pub(super) fn contributor(one: &Contributor) -> String {
    let directions = [("reads", one.read_bytes_per_s), ("writes", one.write_bytes_per_s)];
    let rates: Vec<_> = directions
        .iter()
        .filter(|(_, bytes)| *bytes >= 1.0)
        .map(|(word, bytes)| format!("{word} {}", rate(*bytes)))
        .collect();
    let estimated = if one.estimated { " (estimated)" } else { "" };
    let doing = if rates.is_empty() { String::new() } else { format!(": {}", rates.join(", ")) };
    format!("{:.0} % {}{doing}{estimated}", one.share_of_bytes * 100.0, one.who)
}

fn ago(now: Wall, then: Wall) -> String {
    format!("{} ago", span(now.0 - then.0))
}

/// A part and why it does not judge; nothing for one that works or is off.
pub(super) fn standing(part: &Part, width: Width) -> String {
    let (word, why) = match &part.standing {
        Standing::Working | Standing::Off => return String::new(),
        Standing::Learning { why } => ("learning", why),
        Standing::Unknown { why } => ("unknown", why),
    };
    let plain = Style::new();
    let mut out = String::new();
    for (index, line) in wrap(&format!("{}: {word}: {why}", part.name), 4, width).iter().enumerate() {
        let line = if index == 0 { line.get(2..).unwrap_or(line) } else { line };
        let _ = writeln!(out, "{plain}{line}{plain:#}");
    }
    out
}
