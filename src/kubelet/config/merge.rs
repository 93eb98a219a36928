//! How drop-ins change the main file, by version. It refuses to say that this is one rule: kubelet changed it twice.
//!
//! - 1.32 and later: JSON merge patch over the main file with its defaults; `null` deletes, and the default comes back.
//! - 1.29 to 1.31: the drop-ins are merged among themselves, and the result is decoded over the main file: maps gain keys,
//!   `null` does nothing, and `resolvConf` is lost because kubelet's inner name for it differs.
//! - 1.28: each drop-in is read like a main file, so its defaults win over what the main file set; `false`, 0 and empty
//!   values of a drop-in do nothing.

use super::effective::{DEFAULT_EVICTION_HARD, Effective, Origin, last_wins, settle};
use super::{ConfigFile, SECOND, parse_duration};
use crate::kubelet::tables;
use crate::model::{KubeletVersion, Node};

pub(super) fn lay_drop_ins(into: &mut Effective, files: &[&ConfigFile], version: KubeletVersion) {
    match version.clamped().minor {
        ..=28 => files.iter().for_each(|file| lay_whole(into, file, version)),
        29..=31 => {
            let mut joined = Effective::empty();
            for file in files {
                lay(&mut joined, file);
            }
            joined.fold(version, false);
            joined.forget("resolvConf");
            into.absorb(joined);
        }
        _ => {
            for file in files {
                lay(into, file);
            }
            into.fold(version, true);
        }
    }
}

fn lay(into: &mut Effective, file: &ConfigFile) {
    let mut node = file.node.clone();
    last_wins(&mut node);
    into.lay(&node, &Origin::File(file.path.clone()));
}

/// A drop-in of 1.28: what it leaves out and kubelet has a default for goes back to that default.
fn lay_whole(into: &mut Effective, file: &ConfigFile, version: KubeletVersion) {
    let mut node = file.node.clone();
    settle(&mut node, "");
    if node.get("evictionHard").is_none() {
        let signals = DEFAULT_EVICTION_HARD[..4].iter().map(|(name, value)| ((*name).to_owned(), Node::from(*value)));
        let defaults = Node::Map(vec![("evictionHard".to_owned(), Node::Map(signals.collect()))]);
        into.lay(&defaults, &Origin::Default);
    }
    for field in tables::fields().filter(|field| field.defaulted && field.span.holds(version)) {
        let named =
            field.path.split('.').try_fold(&node, |node, name| node.get(name)).is_some_and(|value| !is_zero(value));
        if !named {
            into.forget(field.path);
        }
    }
    drop_zeros(&mut node);
    into.lay(&node, &Origin::File(file.path.clone()));
}

fn is_zero(node: &Node) -> bool {
    match node {
        Node::Null | Node::Bool(false) => true,
        Node::Number(number) => number.as_f64() == Some(0.0),
        Node::String(text) => {
            text.is_empty() || (parse_duration(text).is_some_and(|d| d.abs() < SECOND) && text.starts_with('0'))
        }
        Node::List(items) => items.is_empty(),
        Node::Map(_) | Node::Bool(true) => false,
    }
}

fn drop_zeros(node: &mut Node) {
    if let Node::Map(entries) = node {
        entries.retain(|(_, value)| !is_zero(value));
        entries.iter_mut().for_each(|(_, value)| drop_zeros(value));
    }
}

/// Brings keys that differ from a field's name only in case to that name, as kubelet's decoder does: keys are read in the
/// order of their bytes, each over the one before; where a default stands under the right name, so does that.
pub(super) fn fold(
    node: &mut Node,
    path: &str,
    table: &str,
    version: KubeletVersion,
    defaults: bool,
    renamed: &mut Vec<(String, String)>,
) {
    let Node::Map(entries) = node else { return };
    let below = |prefix: &str, name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
    let known = |name: &str| tables::field(&below(table, name)).any(|field| field.span.holds(version));
    let names: Vec<&'static str> = match entries.iter().any(|(key, _)| !known(key)) {
        true => tables::names_within(table, version).collect(),
        false => Vec::new(),
    };
    let mut variants: Vec<(String, &'static str)> = entries
        .iter()
        .filter(|(key, _)| !known(key))
        .filter_map(|(key, _)| Some((key.clone(), *names.iter().find(|name| name.eq_ignore_ascii_case(key))?)))
        .collect();
    variants.sort();
    for (key, name) in variants {
        let at = entries.iter().position(|(k, _)| *k == key);
        let Some(value) = at.map(|at| entries.remove(at).1).filter(|value| *value != Node::Null) else { continue };
        let exact = entries.iter().position(|(k, _)| k == name);
        let defaulted = defaults && tables::field(&below(table, name)).any(|f| f.defaulted && f.span.holds(version));
        let later = key.as_str() > name;
        match exact {
            Some(at) if later => entries[at].1.merge_patch(&value),
            Some(at) => {
                let mut first = value;
                first.merge_patch(&entries[at].1);
                entries[at].1 = first;
                continue;
            }
            None if defaulted && !later => continue,
            None => entries.push((name.to_owned(), value)),
        }
        renamed.push((below(path, &key), below(path, name)));
    }
    for (key, value) in entries {
        if tables::field(&below(table, key)).any(|field| field.kind == "struct") {
            fold(value, &below(path, key), &below(table, key), version, defaults, renamed);
        }
    }
}
