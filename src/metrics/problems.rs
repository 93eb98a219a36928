//! Metrics of problems and decisions. It refuses a kind that is not in the catalogue: those count together as `other`.

use std::collections::BTreeMap;

use super::node::seconds_of;
use super::page::{Page, Type, as_f64};
use crate::model::problem::{Entry, Kind, Problem, Severity};
use crate::model::status::{Status, Verdict};

/// Kinds that a companion named.
const OTHER: &str = "other";
const SEVERITIES: [(Severity, &str); 3] =
    [(Severity::Advice, "advice"), (Severity::Warning, "warning"), (Severity::Critical, "critical")];

pub(super) fn write(page: &mut Page, status: &Status, catalogue: &[&Entry]) {
    let of =
        |kind: &Kind| catalogue.iter().find(|entry| entry.kind == *kind).map_or(OTHER, |entry| entry.kind.as_str());
    let mut by_kind: BTreeMap<&str, Vec<&Problem>> = BTreeMap::new();
    for problem in &status.problems {
        by_kind.entry(of(&problem.finding.kind)).or_default().push(problem);
    }
    let kinds =
        catalogue.iter().map(|entry| (entry.kind.as_str(), entry.severity)).chain([(OTHER, Severity::Critical)]);

    let mut count = page.family(
        "problems",
        Type::Gauge,
        "",
        "Problems that stand, by kind and severity; 0 for a kind that is well or unknown.",
    );
    for (kind, worst) in kinds {
        for (severity, word) in SEVERITIES.into_iter().filter(|(severity, _)| *severity <= worst) {
            let there = by_kind.get(kind).map_or(&[][..], Vec::as_slice);
            let many = there.iter().filter(|problem| problem.finding.severity == severity).count();
            count.sample(&[("kind", kind), ("severity", word)], as_f64(u64::try_from(many).unwrap_or(u64::MAX)));
        }
    }

    let mut oldest = page.family(
        "problem_oldest_start_time_seconds",
        Type::Gauge,
        "seconds",
        "When the oldest problem of a kind began, seconds since 1970; only while there is one.",
    );
    for (kind, problems) in &by_kind {
        if let Some(since) = problems.iter().map(|problem| problem.since_wall).min() {
            oldest.sample(&[("kind", kind)], seconds_of(since));
        }
    }

    let mut stale = page.family(
        "problems_not_judged",
        Type::Gauge,
        "",
        "Problems of a kind that can no longer be judged and stand as they were last seen; only while there are any.",
    );
    for (kind, problems) in &by_kind {
        let many = problems.iter().filter(|problem| problem.unknown.is_some()).count();
        if many > 0 {
            stale.sample(&[("kind", kind)], as_f64(u64::try_from(many).unwrap_or(u64::MAX)));
        }
    }

    let mut on_disk = page.family("disk_problem", Type::Gauge, "", "1 while a disk has a problem of a kind.");
    for problem in &status.problems {
        let finding = &problem.finding;
        if let Some(disk) = status.disks.iter().find(|disk| disk.name == finding.subject) {
            on_disk.sample(&[("disk", &disk.name), ("kind", of(&finding.kind))], 1.0);
        }
    }

    let mut decisions: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for decision in &status.decisions {
        let verdict = match decision.verdict {
            Verdict::Do => "do",
            Verdict::Withheld => "withheld",
        };
        *decisions.entry((&decision.action, verdict, &decision.reason)).or_default() += 1;
    }
    let mut family = page.family(
        "decisions",
        Type::Gauge,
        "",
        "Decisions that stand, by action, verdict and the named reason of a refusal.",
    );
    for ((action, verdict, reason), count) in decisions {
        family.sample(&[("action", action), ("verdict", verdict), ("reason", reason)], as_f64(count));
    }
}
