//! What kubelet really uses, and which file or flag said so. It refuses to invent defaults: only `evictionHard`, which
//! kubelet itself fills in when it loads its main file, is added; [`Effective::max_pods`] states the one other default.

use std::collections::BTreeMap;
use std::fmt;

use super::{KubeletConfig, Threshold};
use crate::kubelet::tables;
use crate::model::{Finding, KubeletVersion, Node, Quantity, Resource, Resources, Severity};

/// What hard eviction is where the main file says nothing; the last one only since 1.30.
const DEFAULT_EVICTION_HARD: [(&str, &str); 5] = [
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
    pub(super) fn of(config: &KubeletConfig, version: KubeletVersion) -> Self {
        let mut this = Self { node: Node::Map(Vec::new()), origins: BTreeMap::new() };
        if let Some(main) = &config.main {
            let mut node = main.node.clone();
            settle(&mut node, "");
            this.lay(&node, &Origin::File(main.path.clone()));
            this.fill_eviction_hard(version);
        }
        for file in config.drop_ins_in_order() {
            let mut node = file.node.clone();
            last_wins(&mut node);
            this.lay(&node, &Origin::File(file.path.clone()));
        }
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
    pub fn resources(&self, field: &str) -> Result<Resources, Finding> {
        let mut list = Resources::default();
        for (key, value) in self.texts(field) {
            let path = format!("{field}.{key}");
            let complaint = |code, found: String, expected: &str| Finding {
                code,
                severity: Severity::Fatal,
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
    fn lay(&mut self, patch: &Node, origin: &Origin) {
        self.record(patch, "", origin);
        self.node.merge_patch(patch);
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
fn settle(node: &mut Node, path: &str) {
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
fn last_wins(node: &mut Node) {
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
mod tests {
    use super::*;
    use crate::kubelet::config::{ConfigFile, parse};
    use crate::kubelet::flags::Flags;

    fn file(path: &str, text: &str) -> ConfigFile {
        ConfigFile { path: path.to_owned(), node: parse(path, text.as_bytes()).expect(text) }
    }

    fn config(main: &str, drop_ins: &[(&str, &str)], flags: &[&str]) -> KubeletConfig {
        KubeletConfig {
            main: (!main.is_empty()).then(|| file("main", main)),
            drop_ins: drop_ins.iter().map(|(path, text)| file(path, text)).collect(),
            flags: Flags::parse("flags", flags.iter().map(|f| (*f).to_owned())),
        }
    }

    #[test]
    fn fills_eviction_as_kubelet_does() {
        let thresholds = |c: &KubeletConfig| c.effective().texts("evictionHard").len();
        assert_eq!(thresholds(&config("{}", &[], &[])), 5);
        assert_eq!(thresholds(&config("evictionHard: {memory.available: 1Gi}", &[], &[])), 1);
        assert_eq!(thresholds(&config("evictionHard: {}", &[], &[])), 0);
        assert_eq!(thresholds(&config("evictionHard:", &[], &[])), 5);
        assert_eq!(thresholds(&config("", &[("10.conf", "evictionHard: {memory.available: 1Gi}")], &[])), 1);
        let merged = "evictionHard: {memory.available: 1Gi}\nmergeDefaultEvictionSettings: true";
        assert_eq!(thresholds(&config(merged, &[], &[])), 5);
        let old = KubeletVersion { major: 1, minor: 32 };
        assert_eq!(config(merged, &[], &[]).effective_for(Some(old)).texts("evictionHard").len(), 1);
        let old = KubeletVersion { major: 1, minor: 29 };
        assert_eq!(config("{}", &[], &[]).effective_for(Some(old)).texts("evictionHard").len(), 4);
        let kept = config("{}", &[("10.conf", "evictionHard: {memory.available: 500Mi}")], &[]).effective();
        assert_eq!(kept.texts("evictionHard").len(), 5);
        assert_eq!(kept.origin("evictionHard.memory.available"), Origin::File("10.conf".to_owned()));
        assert_eq!(kept.origin("evictionHard.nodefs.available"), Origin::Default);
        assert_eq!(thresholds(&config("{}", &[("10.conf", "evictionHard: null")], &[])), 0);
        assert_eq!(thresholds(&config("{}", &[], &["--eviction-hard=memory.available<1Gi"])), 1);
    }

    #[test]
    fn later_drop_ins_win_and_flags_win_over_all() {
        let drop_ins = [
            ("d/20.conf", "maxPods: 20\nkubeReserved: {memory: 2Gi}"),
            ("d/10.conf", "maxPods: 10\nkubeReserved: {memory: 1Gi, cpu: 10m}"),
        ];
        let main = "maxPods: 5\nkubeReserved: {ephemeral-storage: 1Gi}";
        let merged = config(main, &drop_ins, &[]).effective();
        assert_eq!(merged.max_pods(1), (20, Origin::File("d/20.conf".to_owned())));
        let reserved = merged.resources("kubeReserved").expect("reserved");
        assert_eq!(
            serde_json::to_string(&reserved).unwrap(),
            r#"{"cpu":"10m","memory":"2Gi","ephemeral-storage":"1Gi"}"#
        );
        assert_eq!(merged.origin("kubeReserved.cpu"), Origin::File("d/10.conf".to_owned()));
        assert_eq!(merged.origin("kubeReserved.ephemeral-storage"), Origin::File("main".to_owned()));

        let flagged = config(main, &drop_ins, &["--kube-reserved=memory=3Gi", "--max-pods", "7"]).effective();
        assert_eq!(flagged.texts("kubeReserved"), BTreeMap::from([("memory".to_owned(), "3Gi".to_owned())]));
        assert_eq!(flagged.origin("kubeReserved.memory").to_string(), "--kube-reserved in flags");
        assert_eq!(flagged.max_pods(1).0, 7);
    }

    #[test]
    fn flags_add_to_gates_and_reach_nested_fields() {
        let main =
            "featureGates: {A: true, B: true}\nauthentication: {anonymous: {enabled: true}, webhook: {enabled: true}}";
        let merged = config(main, &[], &["--feature-gates=B=false,C=true", "--anonymous-auth=false"]).effective();
        assert_eq!(
            serde_json::to_string(merged.get("featureGates").unwrap()).unwrap(),
            r#"{"A":true,"B":false,"C":true}"#
        );
        assert_eq!(merged.get("authentication.anonymous.enabled"), Some(&Node::Bool(false)));
        assert_eq!(merged.get("authentication.webhook.enabled"), Some(&Node::Bool(true)));
        assert_eq!(merged.origin("authentication.webhook.enabled"), Origin::File("main".to_owned()));
    }

    #[test]
    fn pods_per_core_and_zero() {
        assert_eq!(config("{}", &[], &[]).effective().max_pods(4), (110, Origin::Default));
        assert_eq!(config("maxPods: 0", &[], &[]).effective().max_pods(4).0, 110);
        assert_eq!(config("maxPods: 50\npodsPerCore: 10", &[], &[]).effective().max_pods(4).0, 40);
        assert_eq!(config("maxPods: 50\npodsPerCore: 10", &[], &[]).effective().max_pods(8).0, 50);
    }

    #[test]
    fn null_in_the_main_file() {
        let merged = config("kubeReserved: {cpu: null}\nmaxPods: null", &[], &[]).effective();
        assert_eq!(merged.texts("kubeReserved"), BTreeMap::from([("cpu".to_owned(), String::new())]));
        assert_eq!(merged.resources("kubeReserved").unwrap_err().path, "kubeReserved.cpu");
        assert_eq!(merged.get("maxPods"), None);
    }
}
