//! Feature gates by version: unknown, locked, or without what they need. It refuses to judge whether a gate is wise.

use super::Rule;
use super::case::{Case, Report};
use super::document::nearest;
use crate::kubelet::tables::{self, Gate};
use crate::model::{Node, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "gate-unknown",
        severity: Weight::Fatal,
        meaning: "this version of kubelet knows no such feature gate and does not start",
        look: gate_unknown,
    },
    Rule {
        code: "gate-locked",
        severity: Weight::Fatal,
        meaning: "a feature gate is locked to its default and is set to the opposite",
        look: gate_locked,
    },
    Rule {
        code: "gate-needs",
        severity: Weight::Fatal,
        meaning: "a feature gate is on whose prerequisite is off",
        look: gate_needs,
    },
    Rule {
        code: "gate-settled",
        severity: Weight::Advice,
        meaning: "a feature gate of a finished feature is set; a later kubelet will not know it",
        look: gate_settled,
    },
];

fn set_gates<'c>(case: &'c Case<'_>) -> impl Iterator<Item = (&'c str, bool)> {
    let gates = case.node("featureGates").map(Node::entries).unwrap_or_default();
    gates.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_bool()?)))
}

fn path(name: &str) -> String {
    format!("featureGates.{name}")
}

fn gate_unknown(case: &Case<'_>, report: &mut Report<'_>) {
    for (name, _) in set_gates(case).filter(|(name, _)| case.gate_row(name).is_none()) {
        let elsewhere: Vec<Gate> = tables::gate(name).collect();
        let span = elsewhere
            .iter()
            .map(|g| g.span)
            .reduce(|a, b| tables::Span { since: a.since.min(b.since), until: a.until.max(b.until) });
        let expected = match span {
            Some(span) => format!("a gate of kubelet {}; this one belongs to {}", case.version, span.words()),
            None => match nearest(name, tables::gates().map(|gate| gate.name)) {
                Some(near) => format!("a feature gate; the nearest is {near}"),
                None => "a feature gate".to_owned(),
            },
        };
        report.add(&path(name), format!("the gate {name}"), expected, "remove it");
    }
}

fn gate_locked(case: &Case<'_>, report: &mut Report<'_>) {
    for (name, value) in set_gates(case) {
        let Some(row) = case.gate_row(name) else { continue };
        if row.locked && row.default != value {
            report.add(
                &path(name),
                value,
                format!("{}, to which it is locked since it is finished", row.default),
                "remove it",
            );
        } else if row.stage == "prealpha" {
            report.add(
                &path(name),
                value,
                format!("nothing: kubelet {} only reserves the name", case.version),
                "remove it",
            );
        }
    }
}

fn gate_needs(case: &Case<'_>, report: &mut Report<'_>) {
    for row in
        tables::gates().filter(|row| !row.needs.is_empty() && row.span.holds(case.version) && case.gate(row.name))
    {
        let off: Vec<&str> = row.needs.split(',').filter(|need| !case.gate(need)).collect();
        if !off.is_empty() {
            report.add(
                &path(row.name),
                format!("on, while {} is off", off.join(", ")),
                "both on or both off",
                format!("turn {} off, or what it needs on", row.name),
            );
        }
    }
}

fn gate_settled(case: &Case<'_>, report: &mut Report<'_>) {
    for (name, value) in set_gates(case) {
        if case.gate_row(name).is_some_and(|row| row.locked && row.default == value) {
            let expected = "no setting: it is always so, and kubelet of a later version ends at the unknown name";
            report.add(&path(name), value, expected, "remove it before the next upgrade");
        }
    }
}
