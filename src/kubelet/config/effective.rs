//! What kubelet really uses, and which file or flag said so. It refuses to invent defaults: only `evictionHard`, which
//! kubelet itself fills in when it loads its main file, is added; [`Effective::max_pods`] states the one other default.

use std::collections::BTreeMap;
use std::fmt;

use super::merge;
use super::{KubeletConfig, Threshold};
use crate::kubelet::tables;
use crate::model::{Complaint, KubeletVersion, Node, Quantity, Resource, Resources, Weight};

/// What hard eviction is where the main file says nothing; the last one only since 1.30.
pub(super) const DEFAULT_EVICTION_HARD: [(&str, &str); 5] = [
    ("memory.available", "100Mi"),
    ("nodefs.available", "10%"),
    ("nodefs.inodesFree", "5%"),
    ("imagefs.available", "15%"),
    ("imagefs.inodesFree", "5%"),
];

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody: kubelet's own default.
    Default,
    /// A configuration file.
    File(String),
    /// A flag, and where the flag stands.
    Flag {
        /// Its name, without the dashes.
        name: String,
        /// The file or command line that holds it.
        file: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("kubelet's default"),
            Self::File(path) => f.write_str(path),
            Self::Flag { name, file } => write!(f, "--{name} in {file}"),
        }
    }
}

/// The merged configuration with the origin of each value.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    /// The merged document: what was set, and the `evictionHard` that kubelet fills in.
    pub node: Node,
    origins: BTreeMap<String, Origin>,
}

impl Effective {
    pub(super) fn empty() -> Self {
        Self { node: Node::Map(Vec::new()), origins: BTreeMap::new() }
    }

    pub(super) fn of(config: &KubeletConfig, version: KubeletVersion) -> Self {
        let mut this = Self::empty();
        if let Some(main) = &config.main {
            let mut node = main.node.clone();
            settle(&mut node, "");
            this.lay(&node, &Origin::File(main.path.clone()));
            this.fill_eviction_hard(version);
        }
        merge::lay_drop_ins(&mut this, &config.drop_ins_in_order(), version);
        for (flag, field, value) in config.flags.fields() {
            let origin = Origin::Flag { name: flag.name.clone(), file: flag.file.clone() };
            if field == "featureGates" {
                // The one map that flags add to and do not replace.
                this.lay(&Node::Map(vec![(field.to_owned(), value)]), &origin);
            } else {
                this.replace(field, value, &origin);
            }
        }
        this
    }

    /// The value at a dotted path such as `kubeReserved.memory` or `evictionHard.memory.available`.
    pub fn get(&self, path: &str) -> Option<&Node> {
        let mut node = &self.node;
        let mut rest = path;
        while !rest.is_empty() {
            // Keys hold dots themselves, so the longest key that is there counts.
            let cuts = std::iter::once(rest.len()).chain(rest.rmatch_indices('.').map(|(at, _)| at));
            let (cut, found) = cuts.filter_map(|cut| node.get(&rest[..cut]).map(|found| (cut, found))).next()?;
            node = found;
            rest = rest.get(cut + 1..).unwrap_or_default();
        }
        (*node != Node::Null).then_some(node)
    }

    /// Who set the value at a dotted path: the nearest that is recorded, from the path upwards.
    pub fn origin(&self, path: &str) -> Origin {
        let mut at = path;
        loop {
            if let Some(origin) = self.origins.get(at) {
                return origin.clone();
            }
            match at.rfind('.') {
                Some(dot) => at = &at[..dot],
                None => return Origin::Default,
            }
        }
    }

    /// The keys and texts of a map of strings, such as `evictionHard`; other values as JSON text.
    pub fn texts(&self, path: &str) -> BTreeMap<String, String> {
        self.get(path).map(Node::entries).unwrap_or_default().iter().map(|(k, v)| (k.clone(), text(v))).collect()
    }

    /// `kubeReserved` or `systemReserved`, as kubelet reads it.
    ///
    /// # Errors
    /// The first entry that kubelet would refuse.
    #[expect(clippy::result_large_err, reason = "one per field, and callers want the finding itself")]
    pub fn resources(&self, field: &str) -> Result<Resources, Complaint> {
        let mut list = Resources::default();
        for (key, value) in self.texts(field) {
            let path = format!("{field}.{key}");
            let complaint = |code, found: String, expected: &str| Complaint {
                code,
                severity: Weight::Fatal,
                file: self.origin(&path).to_string(),
                path: path.clone(),
                found,
                expected: expected.to_owned(),
                action: "correct it or remove it".to_owned(),
            };
            let resource: Resource = key.parse().map_err(|_| {
                complaint(
                    "reserved-resource",
                    key.clone(),
                    "cpu, memory, ephemeral-storage or pid; nothing else can be reserved",
                )
            })?;
            let quantity: Quantity = value.parse().map_err(|_| {
                complaint("reserved-quantity", format!("{value:?}"), "a quantity such as 500m, 2, 1Gi or 100Mi")
            })?;
            if quantity.is_negative() {
                return Err(complaint("reserved-quantity", format!("{value:?}"), "a quantity that is not negative"));
            }
            list.0.insert(resource, quantity);
        }
        Ok(list)
    }

    /// The hard eviction thresholds that can be read, by signal; those switched off are left out.
    pub fn eviction_hard(&self) -> BTreeMap<String, Threshold> {
        let read = |(signal, text): (String, String)| Some((signal, Threshold::parse(&text).ok()?));
        self.texts("evictionHard").into_iter().filter_map(read).filter(|(_, t)| *t != Threshold::Off).collect()
    }

    /// How many pods kubelet admits, and who says so. Cores are needed only where `podsPerCore` is set.
    pub fn max_pods(&self, cores: u32) -> (u32, Origin) {
        let number = |path: &str| self.get(path).and_then(Node::as_i64).and_then(|n| u32::try_from(n).ok());
        // 0 in a file means "not set"; --max-pods=0 comes after the defaults and stays 0.
        let flagged = matches!(self.origin("maxPods"), Origin::Flag { .. });
        let most = number("maxPods").filter(|n| *n > 0 || flagged);
        let (most, origin) = most.map_or((110, Origin::Default), |n| (n, self.origin("maxPods")));
        match number("podsPerCore").filter(|n| *n > 0).map(|n| n.saturating_mul(cores)) {
            Some(by_core) if by_core < most => (by_core, self.origin("podsPerCore")),
            _ => (most, origin),
        }
    }

    fn fill_eviction_hard(&mut self, version: KubeletVersion) {
        let given = self.node.get("evictionHard").is_some();
        let knows_merge = tables::field("mergeDefaultEvictionSettings").any(|f| f.span.holds(version));
        let merge = self.node.get("mergeDefaultEvictionSettings").and_then(Node::as_bool) == Some(true);
        if given && !(knows_merge && merge) {
            return;
        }
        let known = if version.clamped().minor < 30 { 4 } else { 5 };
        for (signal, value) in &DEFAULT_EVICTION_HARD[..known] {
            let path = format!("evictionHard.{signal}");
            if self.get(&path).is_none() {
                let one = Node::Map(vec![((*signal).to_owned(), Node::from(*value))]);
                self.lay(&Node::Map(vec![("evictionHard".to_owned(), one)]), &Origin::Default);
            }
        }
    }

    /// Merge patch, with origins: what a patch deletes has no origin any more.
    pub(super) fn lay(&mut self, patch: &Node, origin: &Origin) {
        self.record(patch, "", origin);
        self.node.merge_patch(patch);
    }

    /// Lays another merged document over this one.
    pub(super) fn absorb(&mut self, other: Self) {
        self.node.merge_patch(&other.node);
        self.origins.extend(other.origins);
    }

    /// Takes a value out, so that kubelet's default holds.
    pub(super) fn forget(&mut self, path: &str) {
        let nothing = path.rsplit('.').fold(Node::Null, |inner, name| Node::Map(vec![(name.to_owned(), inner)]));
        if self.get(path).is_some() {
            self.lay(&nothing, &Origin::Default);
        }
    }

    /// Brings keys to the names of fields where only their case differs.
    pub(super) fn fold(&mut self, version: KubeletVersion, defaults: bool) {
        let mut renamed = Vec::new();
        merge::fold(&mut self.node, "", "", version, defaults, &mut renamed);
        for (from, to) in renamed {
            let below = format!("{from}.");
            let inner = self.origins.iter().filter_map(|(path, origin)| {
                let rest = path.strip_prefix(&below)?;
                Some((format!("{to}.{rest}"), origin.clone()))
            });
            let mut moved: Vec<(String, Origin)> = inner.collect();
            moved.extend(self.origins.get(&from).map(|origin| (to, origin.clone())));
            self.origins.extend(moved);
        }
    }

    fn replace(&mut self, field: &str, value: Node, origin: &Origin) {
        let names: Vec<&str> = field.split('.').collect();
        let nest = |value| names.iter().rev().fold(value, |inner, name| Node::Map(vec![((*name).to_owned(), inner)]));
        self.lay(&nest(Node::Null), origin);
        self.lay(&nest(value), origin);
    }

    fn record(&mut self, patch: &Node, prefix: &str, origin: &Origin) {
        for (key, value) in patch.entries() {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                Node::Null => {
                    let below = format!("{path}.");
                    self.origins.retain(|known, _| *known != path && !known.starts_with(&below));
                }
                Node::Map(_) => {
                    self.origins.entry(path.clone()).or_insert_with(|| origin.clone());
                    self.record(value, &path, origin);
                }
                _ => {
                    self.origins.insert(path, origin.clone());
                }
            }
        }
    }
}

/// A scalar's text; anything else as JSON.
fn text(node: &Node) -> String {
    node.as_str().map_or_else(|| serde_json::to_string(node).unwrap_or_default(), str::to_owned)
}

/// How kubelet's typed reading of its main file understands `null`: an empty string in a map of strings, else not there.
pub(super) fn settle(node: &mut Node, path: &str) {
    last_wins(node);
    let Node::Map(entries) = node else { return };
    let map_of = tables::field(path).next().map_or("", |f| f.kind);
    for (_, value) in entries.iter_mut().filter(|(_, value)| *value == Node::Null) {
        match map_of {
            "map:string" => *value = Node::from(""),
            "map:bool" => *value = Node::Bool(false),
            _ => {}
        }
    }
    entries.retain(|(_, value)| *value != Node::Null);
    for (key, value) in entries {
        let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        settle(value, &below);
    }
}

/// Leaves the last of equal keys.
pub(super) fn last_wins(node: &mut Node) {
    match node {
        Node::Map(entries) => {
            let mut kept: Vec<(String, Node)> = Vec::with_capacity(entries.len());
            for (key, mut value) in entries.drain(..) {
                last_wins(&mut value);
                match kept.iter_mut().find(|(k, _)| *k == key) {
                    Some((_, old)) => *old = value,
                    None => kept.push((key, value)),
                }
            }
            *entries = kept;
        }
        Node::List(items) => items.iter_mut().for_each(last_wins),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
