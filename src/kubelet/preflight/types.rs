//! Values of the wrong type, at which kubelet's decoder stops. It refuses to look at ranges; other rules do.
//!
//! kubelet decodes its main file by itself; what the drop-ins make of it is decoded once, after the last merge, so a
//! wrong value that a later drop-in replaces does no harm.

use super::Rule;
use super::case::{Case, Report, shown};
use crate::kubelet::config::parse_duration;
use crate::kubelet::tables;
use crate::model::{KubeletVersion, Node, Quantity, Weight};

pub(super) const RULES: &[Rule] = &[Rule {
    code: "wrong-type",
    severity: Weight::Fatal,
    meaning: "a value is not of the field's type, so kubelet cannot read the file",
    look: wrong_type,
}];

fn wrong_type(case: &Case<'_>, report: &mut Report<'_>) {
    let mut wrong: Vec<(String, String, String)> = Vec::new();
    if let Some(main) = &case.config.main {
        fields(&main.node, "", "", case.version, true, &mut wrong);
        for (path, found, expected) in wrong.drain(..) {
            report.in_file(&main.path, &path, found, &expected, format!("write {expected}"));
        }
    }
    if !case.config.drop_ins.is_empty() {
        fields(&case.merged.node, "", "", case.version, false, &mut wrong);
        let main = case.config.main.as_ref().map(|main| main.path.clone());
        for (path, found, expected) in wrong {
            let file = case.merged.origin(path.split('[').next().unwrap_or_default()).to_string();
            // What the main file got wrong is already said.
            if Some(&file) != main.as_ref() {
                report.in_file(&file, &path, found, &expected, format!("write {expected}"));
            }
        }
    }
}

fn fields(
    node: &Node,
    path: &str,
    within: &str,
    version: KubeletVersion,
    main: bool,
    wrong: &mut Vec<(String, String, String)>,
) {
    for (name, value) in node.entries() {
        let below = |prefix: &str| if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let (path, table) = (below(path), below(within));
        let Some(row) = tables::field(&table).find(|row| row.span.holds(version)) else { continue };
        value_of(value, row.kind, &path, &table, version, main, wrong);
    }
}

fn value_of(
    value: &Node,
    kind: &str,
    path: &str,
    table: &str,
    version: KubeletVersion,
    main: bool,
    wrong: &mut Vec<(String, String, String)>,
) {
    match (kind.split_once(':'), value) {
        (Some(("list", inner)), Node::List(items)) => {
            for (at, item) in items.iter().enumerate() {
                value_of(item, inner, &format!("{path}[{at}]"), &format!("{table}[]"), version, main, wrong);
            }
        }
        (Some(("map", inner)), Node::Map(entries)) => {
            for (key, item) in entries {
                value_of(item, inner, &format!("{path}.{key}"), table, version, main, wrong);
            }
        }
        (None, Node::Map(_)) if kind == "struct" => fields(value, path, table, version, main, wrong),
        _ if fits(value, kind, main) => {}
        _ => wrong.push((path.to_owned(), shown(value), words(kind).to_owned())),
    }
}

fn fits(value: &Node, kind: &str, main: bool) -> bool {
    let whole = || match value {
        // A drop-in passes through untyped JSON, where 110.0 becomes 110.
        Node::Number(n) if !main => n.as_i64().or_else(|| n.as_f64().filter(|f| f.fract() == 0.0).map(to_i64)),
        Node::Number(n) => n.as_i64(),
        _ => None,
    };
    match (kind, value) {
        // A duration reads null itself and finds an empty text.
        ("duration" | "flush", Node::Null) => !main,
        (_, Node::Null) | ("string", Node::String(_)) | ("bool", Node::Bool(_)) => true,
        ("int32", _) => whole().is_some_and(|n| i32::try_from(n).is_ok()),
        ("uint32", _) => whole().is_some_and(|n| u32::try_from(n).is_ok()),
        ("int64", _) => whole().is_some(),
        ("float64", Node::Number(_)) => true,
        ("duration", Node::String(text)) => parse_duration(text).is_some(),
        ("flush", Node::String(text)) => parse_duration(text).is_some(),
        ("flush", _) => whole().is_some(),
        ("quantity", Node::String(text)) => text.trim().parse::<Quantity>().is_ok(),
        ("quantity", Node::Number(number)) => number.to_string().parse::<Quantity>().is_ok(),
        ("time", Node::String(_)) => true,
        _ => false,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, and then fits no field")]
fn to_i64(value: f64) -> i64 {
    value as i64
}

fn words(kind: &str) -> &'static str {
    match kind {
        "string" => "a string (in quotes)",
        "bool" => "true or false",
        "int32" | "int64" => "a whole number without quotes",
        "uint32" => "a whole number from 0 up without quotes",
        "float64" => "a number without quotes",
        "duration" | "flush" => "a duration in quotes, such as \"10s\" or \"2m30s\"",
        "quantity" => "a quantity such as \"1Gi\"",
        "struct" => "an object with fields",
        kind if kind.starts_with("list:") => "a list",
        _ => "a map",
    }
}
