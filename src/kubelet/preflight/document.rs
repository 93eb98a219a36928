//! What stands in each file beside its values: kind, names of fields, names written twice. It refuses to guess at values.

use std::collections::BTreeSet;

use super::Rule;
use super::case::{Case, Report, shown};
use crate::kubelet::tables::{self, Field};
use crate::model::{Node, Weight};

const KIND: &str = "KubeletConfiguration";
const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "wrong-kind",
        severity: Weight::Fatal,
        meaning: "kind or apiVersion is missing or names something else",
        look: wrong_kind,
    },
    Rule {
        code: "unknown-field",
        severity: Weight::Warning,
        meaning: "kubelet knows no such field and ignores it without a word",
        look: unknown_field,
    },
    Rule {
        code: "field-case",
        severity: Weight::Warning,
        meaning: "a field's name differs in case: ignored in the main file, taken in a drop-in",
        look: field_case,
    },
    Rule {
        code: "field-version",
        severity: Weight::Warning,
        meaning: "this version of kubelet does not know the field and ignores it",
        look: field_version,
    },
    Rule {
        code: "drop-in-version",
        severity: Weight::Warning,
        meaning: "this version of kubelet merges drop-ins otherwise than later ones",
        look: drop_in_version,
    },
    Rule {
        code: "duplicate-key",
        severity: Weight::Warning,
        meaning: "a key stands twice in the main file; only the last one counts",
        look: duplicate_key,
    },
    Rule {
        code: "duplicate-key-in-drop-in",
        severity: Weight::Fatal,
        meaning: "a key stands twice in a drop-in, which kubelet does not take",
        look: duplicate_key_in_drop_in,
    },
];

fn wrong_kind(case: &Case<'_>, report: &mut Report<'_>) {
    for (file, main) in case.files() {
        for (key, wanted) in [("kind", KIND), ("apiVersion", API_VERSION)] {
            let found = file.node.get(key).unwrap_or(&Node::Null);
            // From 1.29 to 1.31 a drop-in needs some kind, whichever.
            let any = !main && case.since(29) && !case.since(32);
            let fits = if any {
                key != "kind" || found.as_str().is_some_and(|kind| !kind.is_empty())
            } else {
                found.as_str() == Some(wanted)
            };
            if !fits {
                let found = if *found == Node::Null { "nothing".to_owned() } else { shown(found) };
                report.in_file(&file.path, key, found, format!("{wanted:?}"), format!("write {key}: {wanted}"));
            }
        }
    }
}

/// One key of a file with the table's rows for it.
struct Key<'a> {
    path: String,
    name: &'a str,
    /// The table's path of the struct that holds it.
    within: String,
    rows: Vec<Field>,
}

/// Every key of a file that names a field; keys of maps are names of other things.
fn keys<'a>(node: &'a Node, path: &str, within: &str, found: &mut Vec<Key<'a>>) {
    let mut seen = BTreeSet::new();
    for (name, value) in node.entries() {
        let below = |prefix: &str| if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let (path, table) = (below(path), below(within));
        let rows: Vec<Field> = tables::field(&table).collect();
        let kind = rows.first().map_or("", |row| row.kind);
        match (kind, value) {
            ("struct", Node::Map(_)) => keys(value, &path, &table, found),
            ("list:struct", Node::List(items)) => {
                for (at, item) in items.iter().enumerate() {
                    keys(item, &format!("{path}[{at}]"), &format!("{table}[]"), found);
                }
            }
            _ => {}
        }
        if seen.insert(name) {
            found.push(Key { path, name, within: within.to_owned(), rows });
        }
    }
}

fn each_key(case: &Case<'_>, mut look: impl FnMut(&str, bool, Key<'_>)) {
    for (file, main) in case.files() {
        let mut found = Vec::new();
        keys(&file.node, "", "", &mut found);
        for key in found {
            look(&file.path, main, key);
        }
    }
}

/// The field's name that this one differs from only in case.
fn same_but_case(case: &Case<'_>, key: &Key<'_>) -> Option<&'static str> {
    key.rows
        .is_empty()
        .then(|| tables::names_within(&key.within, case.version).find(|name| name.eq_ignore_ascii_case(key.name)))?
}

fn unknown_field(case: &Case<'_>, report: &mut Report<'_>) {
    each_key(case, |file, _, key| {
        if !key.rows.is_empty() || same_but_case(case, &key).is_some() {
            return;
        }
        let close = nearest(key.name, tables::names_within(&key.within, case.version));
        let (expected, action) = match close {
            Some(name) => (
                format!("a field of KubeletConfiguration; the nearest is {name}"),
                format!("write {name}, or remove it"),
            ),
            None => ("a field of KubeletConfiguration".to_owned(), "remove it; kubelet does not read it".to_owned()),
        };
        report.in_file(file, &key.path, format!("the field {:?}", key.name), expected, action);
    });
}

fn field_case(case: &Case<'_>, report: &mut Report<'_>) {
    each_key(case, |file, main, key| {
        if let Some(name) = same_but_case(case, &key) {
            let what = if main { "kubelet ignores it here" } else { "kubelet may take it or not" };
            let found = format!("the field {:?}; {what}", key.name);
            report.in_file(file, &key.path, found, name, format!("write {name}"));
        }
    });
}

fn field_version(case: &Case<'_>, report: &mut Report<'_>) {
    each_key(case, |file, _, key| {
        let Some(row) = key.rows.first().filter(|_| !key.rows.iter().any(|row| row.span.holds(case.version))) else {
            return;
        };
        let expected = format!("a field that kubelet {} knows; this one belongs to {}", case.version, row.span.words());
        report.in_file(
            file,
            &key.path,
            format!("the field {:?}", key.name),
            expected,
            "remove it; it has no effect here",
        );
    });
}

fn drop_in_version(case: &Case<'_>, report: &mut Report<'_>) {
    for (file, _) in case.files().filter(|(_, main)| !main && !case.since(32)) {
        let mut complain = |path: &str, found: &str, action: &str| {
            report.in_file(&file.path, path, found, "a kubelet from 1.32 up for what is meant", action);
        };
        if !case.since(30) {
            let action = "set KUBELET_CONFIG_DROPIN_DIR_ALPHA=on for kubelet, without which it ends at --config-dir";
            complain("", "a drop-in for a kubelet that takes them on request only", action);
        }
        if !case.since(29) {
            complain("", "a drop-in that sets back to default all that it does not name", "use the main file alone");
        }
        for (key, value) in file.node.entries() {
            if *value == Node::Null || value.entries().iter().any(|(_, inner)| *inner == Node::Null) {
                complain(key, "null, which does nothing here", "use an empty value, or change the main file");
            } else if key == "resolvConf" && case.since(29) {
                complain(key, "a value that this version loses", "set it in the main file");
            }
        }
    }
}

fn duplicate_key(case: &Case<'_>, report: &mut Report<'_>) {
    duplicates(case, true, report);
}

fn duplicate_key_in_drop_in(case: &Case<'_>, report: &mut Report<'_>) {
    duplicates(case, false, report);
}

fn duplicates(case: &Case<'_>, of_main: bool, report: &mut Report<'_>) {
    for (file, _) in case.files().filter(|(_, main)| *main == of_main) {
        let mut paths = Vec::new();
        twice(&file.node, "", &mut paths);
        for path in paths {
            report.in_file(&file.path, &path, "the key more than once", "each key once", "leave the one that is meant");
        }
    }
}

fn twice(node: &Node, path: &str, paths: &mut Vec<String>) {
    match node {
        Node::Map(entries) => {
            let mut seen = BTreeSet::new();
            for (key, value) in entries {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if !seen.insert(key) && !paths.contains(&below) {
                    paths.push(below.clone());
                }
                twice(value, &below, paths);
            }
        }
        Node::List(items) => {
            items.iter().enumerate().for_each(|(at, item)| twice(item, &format!("{path}[{at}]"), paths))
        }
        _ => {}
    }
}

/// The name that is fewest edits away, if it is near enough to be meant.
pub(super) fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let most = |known: &str| 1 + known.len() / 5;
    // A difference in length is a number of edits at least; most names are too far off by that alone.
    let letters = name.chars().count();
    let near = names.into_iter().filter(|known| known.len().abs_diff(letters) <= most(known));
    let close = near.map(|known| (distance(name, known), known)).min_by_key(|(edits, _)| *edits);
    close.filter(|(edits, known)| *edits <= most(known)).map(|(_, known)| known)
}

/// Insertions, deletions, substitutions, and swaps of neighbours; case does not count.
fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| text.chars().take(100).map(|c| c.to_ascii_lowercase()).collect::<Vec<char>>();
    let (a, b) = (letters(a), letters(b));
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
