//! From reservations to the text that kubelet (or nodeadm) reads: drop-in, NodeConfig fragment, or a whole file with the changed keys merged in.
//! Pure. It refuses to reorder, reformat or drop what it does not change.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::config;
use crate::model::machine::Identity;
use crate::model::{Node, Quantity, Resources};

/// Marks the line that names the machine a file was made for.
const MACHINE_MARK: &str = "# node-steward-machine: ";
const HEADER: &str = "# Placed by node-steward for the machine below; edits are lost at its next run. Settings: /etc/node-steward/config.toml\n";

/// What shall be in kubelet's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Desired {
    /// kubeReserved.
    pub kube: Resources,
    /// systemReserved.
    pub system: Resources,
    /// Only where asked for: signals and thresholds.
    pub eviction_hard: Vec<(String, String)>,
    /// Only where asked for.
    pub enforce_node_allocatable: Vec<String>,
    /// Only where asked for.
    pub kube_reserved_cgroup: Option<String>,
    /// Only where asked for.
    pub system_reserved_cgroup: Option<String>,
}

impl Desired {
    /// All of it as a patch.
    pub fn patch(&self) -> Node {
        let mut entries = Vec::new();
        for (key, list) in [("kubeReserved", &self.kube), ("systemReserved", &self.system)] {
            if !list.is_empty() {
                let list = list
                    .0
                    .iter()
                    .map(|(resource, amount)| (resource.name().to_owned(), Node::String(amount.to_string())));
                entries.push((key.to_owned(), Node::Map(list.collect())));
            }
        }
        if !self.eviction_hard.is_empty() {
            let signals =
                self.eviction_hard.iter().map(|(signal, value)| (signal.clone(), Node::String(value.clone())));
            entries.push(("evictionHard".to_owned(), Node::Map(signals.collect())));
        }
        if !self.enforce_node_allocatable.is_empty() {
            let levels = self.enforce_node_allocatable.iter().map(|level| Node::String(level.clone()));
            entries.push(("enforceNodeAllocatable".to_owned(), Node::List(levels.collect())));
        }
        for (key, cgroup) in
            [("kubeReservedCgroup", &self.kube_reserved_cgroup), ("systemReservedCgroup", &self.system_reserved_cgroup)]
        {
            entries.extend(cgroup.iter().map(|cgroup| (key.to_owned(), Node::String(cgroup.clone()))));
        }
        Node::Map(entries)
    }
}

/// The part of `patch` that changes anything over `before`. Quantities are compared by value: `1Gi` in place of `1024Mi` is no change.
pub fn changes(patch: &Node, before: &Node) -> Node {
    let mut changed = Vec::new();
    for (key, value) in patch.entries() {
        match (value, before.get(key)) {
            (Node::Map(_), Some(old @ Node::Map(_))) => {
                let inner = changes(value, old);
                if !inner.entries().is_empty() {
                    changed.push((key.clone(), inner));
                }
            }
            (_, Some(old)) if same(value, old) => {}
            _ => changed.push((key.clone(), value.clone())),
        }
    }
    Node::Map(changed)
}

fn same(a: &Node, b: &Node) -> bool {
    let quantity = |node: &Node| node.as_str().and_then(|text| text.parse::<Quantity>().ok());
    a == b || matches!((quantity(a), quantity(b)), (Some(a), Some(b)) if a == b)
}

/// What must be laid over the patched document to get `before` back: the old values, and null where there was none.
pub fn inverse(patch: &Node, before: &Node) -> Node {
    let entries = patch.entries().iter().map(|(key, value)| {
        let old = match (value, before.get(key)) {
            (Node::Map(_), Some(old @ Node::Map(_))) => inverse(value, old),
            (_, old) => old.cloned().unwrap_or(Node::Null),
        };
        (key.clone(), old)
    });
    Node::Map(entries.collect())
}

/// A file for `--config-dir`.
pub fn drop_in(changes: &Node, machine: &Identity) -> Result<String, String> {
    let mut document = vec![
        ("apiVersion".to_owned(), Node::from("kubelet.config.k8s.io/v1beta1")),
        ("kind".to_owned(), Node::from("KubeletConfiguration")),
    ];
    document.extend(changes.entries().iter().cloned());
    marked(&Node::Map(document), machine)
}

/// A NodeConfig for `/etc/eks/nodeadm.d`.
pub fn fragment(changes: &Node, machine: &Identity) -> Result<String, String> {
    let inside = |key: &str, value: Node| Node::Map(vec![(key.to_owned(), value)]);
    let document = Node::Map(vec![
        ("apiVersion".to_owned(), Node::from("node.eks.aws/v1alpha1")),
        ("kind".to_owned(), Node::from("NodeConfig")),
        ("spec".to_owned(), inside("kubelet", inside("config", changes.clone()))),
    ]);
    marked(&document, machine)
}

/// A whole file that has no base: JSON, as kubelet takes it everywhere.
pub fn whole(changes: &Node) -> Result<String, String> {
    let base = r#"{"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1"}"#;
    let mut document: Node = serde_json::from_str(base).map_err(|error| error.to_string())?;
    document.merge_patch(changes);
    Ok(pretty(&document, "  ")? + "\n")
}

fn marked(document: &Node, machine: &Identity) -> Result<String, String> {
    let machine = serde_json::to_string(machine).map_err(|error| error.to_string())?;
    Ok(format!("{HEADER}{MACHINE_MARK}{machine}\n{}", yaml(document)?))
}

/// As YAML, unless kubelet's older reader would understand that otherwise (a string `yes` is a boolean to it): then as JSON, which YAML contains.
fn yaml(document: &Node) -> Result<String, String> {
    let text = yaml_serde::to_string(document).map_err(|error| error.to_string())?;
    match config::parse("the result", text.as_bytes()) {
        Ok(read) if read == *document => Ok(text),
        _ => Ok(pretty(document, "  ")? + "\n"),
    }
}

/// The machine that a drop-in or fragment was made for; nothing where the file does not say, or not legibly.
pub fn made_for(text: &str) -> Option<Identity> {
    text.lines().find_map(|line| serde_json::from_str(line.strip_prefix(MACHINE_MARK)?).ok())
}

/// `base` (JSON or YAML) with `changes` laid over it. JSON keeps every untouched value to the character, with its place and its indentation; YAML loses comments.
pub fn merged(base: &str, changes: &Node) -> Result<String, String> {
    let base = base.strip_prefix('\u{feff}').unwrap_or(base);
    match serde_json::from_str::<TopLevel>(base) {
        Ok(top) => merged_json(base, top, changes),
        Err(_) => {
            let mut document = config::parse("the base", base.as_bytes()).map_err(|finding| finding.found)?;
            document.merge_patch(changes);
            yaml(&document)
        }
    }
}

fn merged_json(base: &str, mut top: TopLevel, changes: &Node) -> Result<String, String> {
    let one_line = !base.trim().contains('\n');
    let indent: String = base
        .lines()
        .nth(1)
        .map(|line| line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect())
        .unwrap_or_default();
    let indent = if indent.is_empty() && !one_line { "  ".to_owned() } else { indent };
    for (key, change) in changes.entries() {
        let at = top.0.iter().rposition(|(name, _)| name == key);
        if *change == Node::Null {
            top.0.retain(|(name, _)| name != key);
            continue;
        }
        let mut value = match at {
            Some(at) => serde_json::from_str(top.0[at].1.get()).map_err(|error| error.to_string())?,
            None => Node::Null,
        };
        value.merge_patch(change);
        let text = if one_line {
            serde_json::to_string(&value).map_err(|error| error.to_string())?
        } else {
            // Nested lines stand one step further in than the key.
            pretty(&value, &indent)?.replace('\n', &format!("\n{indent}"))
        };
        let raw = RawValue::from_string(text).map_err(|error| error.to_string())?;
        match at {
            Some(at) => top.0[at].1 = raw,
            None => top.0.push((key.clone(), raw)),
        }
    }
    let (open, between, close) = if one_line {
        ("{".to_owned(), ",".to_owned(), "}")
    } else {
        (format!("{{\n{indent}"), format!(",\n{indent}"), "\n}")
    };
    let mut entries = Vec::with_capacity(top.0.len());
    for (key, value) in &top.0 {
        let key = serde_json::to_string(key).map_err(|error| error.to_string())?;
        entries.push(format!("{key}:{}{}", if one_line { "" } else { " " }, value.get()));
    }
    let end = if base.ends_with('\n') { "\n" } else { "" };
    Ok(format!("{open}{}{close}{end}", entries.join(&between)))
}

fn pretty(value: &Node, indent: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    serde::Serialize::serialize(value, &mut serializer).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// A JSON object's entries in order, each value as its own text.
struct TopLevel(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for TopLevel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = TopLevel;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TopLevel, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(TopLevel(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bytes, Millicores};
    use proptest::prelude::*;

    fn json(text: &str) -> Node {
        serde_json::from_str(text).expect(text)
    }

    fn patch() -> Node {
        let kube = Resources::of(Millicores(80), Bytes::from_mib(893), Some(Bytes::from_mib(1024)));
        Desired { kube, ..Desired::default() }.patch()
    }

    #[test]
    fn only_what_differs_by_value_is_a_change() {
        let before =
            json(r#"{"kubeReserved":{"cpu":"0.08","memory":"1Gi","ephemeral-storage":"1024Mi"},"maxPods":58}"#);
        assert_eq!(changes(&patch(), &before), json(r#"{"kubeReserved":{"memory":"893Mi"}}"#));
        assert_eq!(changes(&patch(), &json("{}")), patch());
    }

    #[test]
    fn unknown_keys_numbers_and_order_are_kept_to_the_character() {
        let base = "{\n    \"zebra\": 1.50e+2,\n    \"kubeReserved\": {\n        \"cpu\": \"70m\",\n        \"own\": \"1\"\n    },\n    \"list\": [1,\n 2],\n    \"big\": 123456789012345678901234567890\n}\n";
        let after = merged(base, &json(r#"{"kubeReserved":{"cpu":"80m"},"maxPods":9}"#)).unwrap();
        assert_eq!(
            after,
            "{\n    \"zebra\": 1.50e+2,\n    \"kubeReserved\": {\n        \"cpu\": \"80m\",\n        \"own\": \"1\"\n    },\n    \"list\": [1,\n 2],\n    \"big\": 123456789012345678901234567890,\n    \"maxPods\": 9\n}\n"
        );
        assert_eq!(merged("{\"a\":1, \"b\":2}", &json(r#"{"b":3}"#)).unwrap(), "{\"a\":1,\"b\":3}");
        assert_eq!(merged("a: 1\nb: x\n", &json(r#"{"b":"z"}"#)).unwrap(), "a: 1\nb: z\n");
        // A word that YAML 1.1 and 1.2 read differently never changes its meaning on the way.
        let tricky = merged("a: 'yes'\nc: on\nd: 010\n", &json(r#"{"b":"y"}"#)).unwrap();
        let read = config::parse("f", tricky.as_bytes()).unwrap();
        assert_eq!(read, json(r#"{"a":"yes","c":true,"d":8,"b":"y"}"#), "{tricky}");
    }

    #[test]
    fn files_name_their_machine() {
        let machine = Identity { product_uuid: "ec2-1".to_owned(), cores: 4, memory_bytes: 17 };
        for text in [drop_in(&patch(), &machine).unwrap(), fragment(&patch(), &machine).unwrap()] {
            assert_eq!(made_for(&text), Some(machine.clone()));
            let node: Node = yaml_serde::from_str(&text).unwrap();
            assert!(node.get("apiVersion").is_some() && node.get("kind").is_some());
        }
        assert_eq!(made_for("# node-steward-machine: {\n"), None);
    }

    proptest! {
        /// Laying the inverse over the result gives the document that was there before.
        #[test]
        fn what_was_merged_can_be_taken_back(cpu in "[0-9]{1,3}m", own in proptest::option::of("[a-z]{1,4}"), had in proptest::option::of("[0-9]{1,3}m")) {
            let mut entries = vec![("a".to_owned(), Node::from("b"))];
            if had.is_some() || own.is_some() {
                let inner = [had.map(|v| ("cpu".to_owned(), Node::String(v))), own.map(|v| ("own".to_owned(), Node::String(v)))];
                entries.push(("kubeReserved".to_owned(), Node::Map(inner.into_iter().flatten().collect())));
            }
            let before = Node::Map(entries);
            let patch = json(&format!(r#"{{"kubeReserved":{{"cpu":"{cpu}"}}}}"#));
            let changed = changes(&patch, &before);
            let text = merged(&pretty(&before, "  ").unwrap(), &changed).unwrap();
            let back = merged(&text, &inverse(&changed, &before)).unwrap();
            prop_assert_eq!(json(&back), before);
        }

        #[test]
        fn no_base_panics(text in ".{0,80}") {
            let _ = merged(&text, &patch());
        }
    }
}
