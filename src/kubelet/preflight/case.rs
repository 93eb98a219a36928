//! What a rule looks at, and how it reports. It refuses to hold kubelet's defaults in one place: each rule states the one
//! that it needs, next to where it needs it.

use super::{Ground, Rule};
use crate::kubelet::config::{ConfigFile, Effective, KubeletConfig, Origin, parse_duration};
use crate::kubelet::tables::{self, Gate};
use crate::model::{Complaint, KubeletVersion, Node};

/// One configuration on one machine with one version.
pub(super) struct Case<'a> {
    pub config: &'a KubeletConfig,
    pub ground: &'a Ground,
    pub version: KubeletVersion,
    /// What kubelet uses in the end.
    pub effective: Effective,
    /// The files alone, without flags: what kubelet decodes.
    pub merged: Effective,
}

impl<'a> Case<'a> {
    pub fn new(config: &'a KubeletConfig, ground: &'a Ground, version: KubeletVersion) -> Self {
        let files = KubeletConfig { flags: Default::default(), ..config.clone() };
        Self {
            effective: config.effective_for(Some(version)),
            merged: files.effective_for(Some(version)),
            config,
            ground,
            version,
        }
    }

    /// Every file with whether it is the main one.
    pub fn files(&self) -> impl Iterator<Item = (&ConfigFile, bool)> {
        let main = self.config.main.iter().map(|file| (file, true));
        main.chain(self.config.drop_ins_in_order().into_iter().map(|file| (file, false)))
    }

    pub fn since(&self, minor: u16) -> bool {
        self.version.minor >= minor
    }

    /// Whether a value comes after kubelet's defaults, so that zero and empty are not "not set": by a flag, and from
    /// 1.29 to 1.31 by a drop-in.
    pub fn after_defaults(&self, path: &str) -> bool {
        match self.effective.origin(path) {
            Origin::Flag { .. } => true,
            Origin::File(file) => {
                !self.since(32) && self.since(29) && self.config.drop_ins.iter().any(|d| d.path == file)
            }
            Origin::Default => false,
        }
    }

    /// Whether a flag of kubelet that is no configuration field is on.
    pub fn flag_on(&self, name: &str) -> bool {
        self.config.flags.last(name).is_some_and(|flag| flag.value == "true")
    }

    pub fn node(&self, path: &str) -> Option<&Node> {
        self.effective.get(path)
    }

    pub fn int(&self, path: &str) -> Option<i64> {
        self.node(path).and_then(Node::as_i64)
    }

    /// The text, or the default. In a file an empty text means "not set"; what comes after the defaults counts.
    pub fn text<'s>(&'s self, path: &str, default: &'s str) -> &'s str {
        let text = self.node(path).and_then(Node::as_str);
        text.filter(|text| !text.is_empty() || self.after_defaults(path)).unwrap_or(default)
    }

    pub fn truth(&self, path: &str, default: bool) -> bool {
        self.node(path).and_then(Node::as_bool).unwrap_or(default)
    }

    /// Nanoseconds; nothing where it is not set or cannot be read.
    pub fn duration(&self, path: &str) -> Option<i64> {
        parse_duration(self.node(path)?.as_str()?)
    }

    pub fn list(&self, path: &str) -> &[Node] {
        match self.node(path) {
            Some(Node::List(items)) => items,
            _ => &[],
        }
    }

    pub fn gate_row(&self, name: &str) -> Option<Gate> {
        tables::gate(name).find(|gate| gate.span.holds(self.version))
    }

    /// Whether a gate is on, where one that this version no longer knows counts as on for good.
    pub fn gate_or_gone(&self, name: &str) -> bool {
        let gone = || tables::gate(name).all(|gate| gate.span.until < self.version.minor);
        self.gate(name) || (self.gate_row(name).is_none() && gone())
    }

    /// Whether a gate is on: as set, else by AllAlpha and AllBeta, else its default. One that this version does not know
    /// is off.
    pub fn gate(&self, name: &str) -> bool {
        let set = |name: &str| self.node("featureGates").and_then(|gates| gates.get(name)).and_then(Node::as_bool);
        let Some(row) = self.gate_row(name) else { return false };
        if let Some(value) = set(name) {
            return value;
        }
        let all = match row.stage {
            "alpha" => set("AllAlpha"),
            "beta" => set("AllBeta"),
            _ => None,
        };
        all.filter(|_| !row.locked).unwrap_or(row.default)
    }
}

/// Takes one rule's complaints.
pub(super) struct Report<'r> {
    rule: &'r Rule,
    case: &'r Case<'r>,
    findings: &'r mut Vec<Complaint>,
}

impl<'r> Report<'r> {
    pub fn new(rule: &'r Rule, case: &'r Case<'r>, findings: &'r mut Vec<Complaint>) -> Self {
        Self { rule, case, findings }
    }

    /// A complaint about what kubelet ends up with at a path; the file or flag that set it is named.
    pub fn add(&mut self, path: &str, found: impl ToString, expected: impl ToString, action: impl ToString) {
        let file = match self.case.effective.origin(path) {
            Origin::Default => {
                self.case.config.main.as_ref().map_or("kubelet's defaults", |main| &main.path).to_owned()
            }
            origin => origin.to_string(),
        };
        self.in_file(&file, path, found, expected, action);
    }

    /// A complaint about one file.
    pub fn in_file(
        &mut self,
        file: &str,
        path: &str,
        found: impl ToString,
        expected: impl ToString,
        action: impl ToString,
    ) {
        self.findings.push(Complaint {
            code: self.rule.code,
            severity: self.rule.severity,
            file: file.to_owned(),
            path: path.to_owned(),
            found: Some(found.to_string()).filter(|found| !found.is_empty()).unwrap_or_else(|| "\"\"".to_owned()),
            expected: expected.to_string(),
            action: action.to_string(),
        });
    }
}

/// A value as it stands in the file, for a person.
pub(super) fn shown(node: &Node) -> String {
    let text = serde_json::to_string(node).unwrap_or_default();
    match text.char_indices().nth(80) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
