//! kubelet's command line. It refuses to repeat what other rules say of the values that flags set.

use super::Rule;
use super::case::{Case, Report, shown};
use super::document::nearest;
use crate::kubelet::tables;
use crate::model::{Node, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "flag-value",
        severity: Weight::Fatal,
        meaning: "a word on the command line is no flag, or a flag's value cannot be read",
        look: flag_value,
    },
    Rule {
        code: "flag-unknown",
        severity: Weight::Fatal,
        meaning: "this version of kubelet has no such flag and does not start",
        look: flag_unknown,
    },
    Rule {
        code: "flag-overrides",
        severity: Weight::Warning,
        meaning: "a flag replaces what a file says; a map is replaced whole",
        look: flag_overrides,
    },
];

fn flag_value(case: &Case<'_>, report: &mut Report<'_>) {
    for fault in case.config.flags.all_faults() {
        report.in_file(
            &fault.file,
            "",
            format!("{:?}: {}", fault.word, fault.why),
            "a flag that kubelet takes",
            "correct the command line",
        );
    }
}

fn flag_unknown(case: &Case<'_>, report: &mut Report<'_>) {
    for flag in &case.config.flags.list {
        let rows: Vec<_> = tables::flags().filter(|row| row.name == flag.name).collect();
        if rows.iter().any(|row| row.span.holds(case.version)) {
            continue;
        }
        let expected = match rows.first() {
            Some(row) => format!("a flag of kubelet {}; this one belongs to {}", case.version, row.span.words()),
            None => match nearest(&flag.name, tables::flags().map(|row| row.name)) {
                Some(name) => format!("a flag of kubelet; the nearest is --{name}"),
                None => "a flag of kubelet".to_owned(),
            },
        };
        report.in_file(
            &flag.file,
            "",
            format!("--{}", flag.name),
            expected,
            "remove it, or set the field in the configuration file",
        );
    }
}

fn flag_overrides(case: &Case<'_>, report: &mut Report<'_>) {
    for (flag, field, value) in case.config.flags.fields() {
        let Some(before) = case.merged.get(field) else { continue };
        let origin = case.merged.origin(field);
        let lost = |inner: &Node| match (before, inner) {
            (Node::Map(old), Node::Map(_)) if field != "featureGates" => {
                let gone = old.iter().filter(|(key, _)| inner.get(key).is_none()).map(|(key, _)| key.as_str());
                gone.collect::<Vec<_>>().join(", ")
            }
            _ => String::new(),
        };
        let same = match (before, &value) {
            (Node::Map(old), Node::Map(new)) if field == "featureGates" => {
                new.iter().all(|(key, value)| old.iter().rev().find(|(k, _)| k == key).is_none_or(|(_, v)| v == value))
            }
            _ => *before == value,
        };
        if same {
            continue;
        }
        let gone = lost(&value);
        let gone = if gone.is_empty() { String::new() } else { format!(", and {gone} is gone") };
        report.in_file(
            &flag.file,
            field,
            format!("--{}={}, which replaces {} from {origin}{gone}", flag.name, flag.value, shown(before)),
            "one place for the value",
            format!("remove --{} from the command line, or the field from the file", flag.name),
        );
    }
}
