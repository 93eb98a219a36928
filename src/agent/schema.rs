//! The settings as a JSON schema, made from the rooms' own types, and as a list of keys with default, unit and meaning. It refuses words of its own: meanings are the
//! doc comments of the fields.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::settings::{MachineRules, MaxPods};
use super::turn::State;
use super::watch;
use crate::{act, api, cluster, kubelet, metrics, policy, reserve, rules};

/// A setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its key, such as `watch.period`.
    pub key: String,
    /// Its default; none where it is not set by itself.
    pub default: Option<Value>,
    /// What it is counted in, or what it may be.
    pub unit: String,
    /// What it means.
    pub meaning: String,
}

/// Last words of keys that hold numbers, and what those count.
const UNITS: [(&str, &str); 16] = [
    ("percent", "%"),
    ("ms", "ms"),
    ("us", "us"),
    ("bytes", "bytes"),
    ("bytes_per_s", "bytes per second"),
    ("per_s", "per second"),
    ("celsius", "degrees Celsius"),
    ("queue", "requests"),
    ("operations", "operations"),
    ("times", "times"),
    ("windows", "windows"),
    ("samples", "samples"),
    ("ratio", "0 to 1"),
    ("share", "0 to 1"),
    ("pods", "pods"),
    ("enis", "ENIs"),
];

fn of<T: JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::default().with(|all| all.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().into()
}

/// Every section, in the order in which they are shown.
fn sections() -> Vec<(&'static str, Value)> {
    vec![
        ("reserve", of::<reserve::Rules>()),
        ("max_pods", of::<MaxPods>()),
        ("machine", of::<MachineRules>()),
        ("kubelet", of::<kubelet::Rules>()),
        ("watch", of::<watch::Rules>()),
        ("detect", detectors()),
        ("rules", of::<rules::Rules>()),
        ("policy", of::<policy::Rules>()),
        ("cluster", of::<cluster::Rules>()),
        ("report", of::<act::Rules>()),
        ("drain", of::<act::DrainRules>()),
        ("api", of::<api::Rules>()),
        ("metrics", of::<metrics::Rules>()),
    ]
}

fn detectors() -> Value {
    let mut state = State::new();
    let mut tables = Map::new();
    for slot in state.detectors_mut() {
        let mut schema = slot.schema();
        let enabled = json!({"type": "boolean", "default": true, "description": "Whether it looks at all."});
        let own = schema.get_mut("properties").and_then(Value::as_object_mut).map(std::mem::take).unwrap_or_default();
        let all: Map<_, _> = [("enabled".to_owned(), enabled)].into_iter().chain(own).collect();
        if let Some(fields) = schema.as_object_mut() {
            let kinds: Vec<_> = slot.entries().iter().map(|entry| format!("`{}`", entry.kind)).collect();
            let about = format!("`[detect.{}]`: finds {}.", slot.name(), kinds.join(", "));
            fields.insert("description".to_owned(), about.into());
            fields.insert("properties".to_owned(), all.into());
        }
        tables.insert(slot.name().to_owned(), schema);
    }
    json!({
        "type": "object",
        "description": "`[detect.NAME]`: a table for each detector.",
        "properties": tables,
        "additionalProperties": false,
    })
}

/// The schema of a settings file.
pub fn schema() -> Value {
    let mut properties = Map::new();
    for (name, mut schema) in sections() {
        clean(&mut schema);
        properties.insert(name.to_owned(), schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "node-steward settings",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

/// Takes away what belongs to the top only, and names of Rust types.
fn clean(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("$schema");
            if fields.get("title").is_some_and(Value::is_string) {
                fields.remove("title");
            }
            fields.values_mut().for_each(clean);
        }
        Value::Array(list) => list.iter_mut().for_each(clean),
        _ => {}
    }
}

/// Sections and the meanings that they have as a whole, then every key.
pub fn rows() -> Vec<(String, String, Vec<Row>)> {
    let mut all = Vec::new();
    for (name, schema) in sections() {
        tables(name, &schema, &mut all);
    }
    all
}

/// A table's own keys, then the tables within it.
fn tables(path: &str, schema: &Value, all: &mut Vec<(String, String, Vec<Row>)>) {
    let mut rows = Vec::new();
    let mut inner = Vec::new();
    for (key, field) in properties(schema) {
        let path = format!("{path}.{key}");
        let plain = without_null(field);
        if plain.get("properties").is_some() {
            inner.push((path, plain));
        } else {
            rows.push(Row {
                unit: unit(key, plain),
                default: field.get("default").filter(|value| !value.is_null()).cloned(),
                meaning: text(field, "description").or_else(|| text(plain, "description")).unwrap_or_default(),
                key: path,
            });
        }
    }
    if !rows.is_empty() {
        all.push((path.to_owned(), text(schema, "description").unwrap_or_default(), rows));
    }
    inner.into_iter().for_each(|(path, schema)| tables(&path, schema, all));
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// What an optional setting is when it is set.
fn without_null(schema: &Value) -> &Value {
    let either = schema.get("anyOf").and_then(Value::as_array);
    either.and_then(|list| list.iter().find(|one| one.get("type") != Some(&json!("null")))).unwrap_or(schema)
}

fn text(schema: &Value, key: &str) -> Option<String> {
    // A doc comment's line ends are those of the source.
    Some(schema.get(key)?.as_str()?.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn unit(key: &str, schema: &Value) -> String {
    if let Some(unit) = text(schema, "x-unit") {
        return unit;
    }
    let words: Vec<_> = choices(schema).into_iter().map(|word| format!("`{word}`")).collect();
    if !words.is_empty() {
        return words.join(", ");
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).filter(|one| *one != "null").collect(),
        _ => Vec::new(),
    };
    let format = schema.get("format").and_then(Value::as_str);
    match (types.first().copied(), format) {
        (Some("string"), Some(format @ ("duration" | "percent" | "quantity" | "quantity or percent"))) => {
            format.to_owned()
        }
        (Some("string"), _) => "text".to_owned(),
        (Some("boolean"), _) => "`true`, `false`".to_owned(),
        (Some("integer" | "number"), _) => {
            let counted = UNITS.iter().find(|(word, _)| key == *word || key.ends_with(&format!("_{word}")));
            counted.map_or("number", |(_, unit)| unit).to_owned()
        }
        (Some("array"), _) => {
            let of = schema.get("items").map(|items| unit(key, items)).filter(|of| !of.is_empty());
            of.map_or("list".to_owned(), |of| format!("list of {of}"))
        }
        (Some("object"), _) => "table".to_owned(),
        _ => String::new(),
    }
}

/// The words of an enumeration.
fn choices(schema: &Value) -> Vec<String> {
    let words = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if let Some(list) = schema.get("enum") {
        return words(list);
    }
    let each = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    each.filter_map(|one| {
        one.get("const")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .map(|word| vec![word])
            .or_else(|| one.get("enum").map(words))
    })
    .flatten()
    .collect()
}

/// Every key's default, for `config show`.
pub fn defaults() -> BTreeMap<String, Option<Value>> {
    rows().into_iter().flat_map(|(_, _, rows)| rows).map(|row| (row.key, row.default)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::settings::SECTIONS;

    #[test]
    fn every_section_has_its_schema_and_every_key_its_meaning() {
        let mut names: Vec<_> = sections().into_iter().map(|(name, _)| name).collect();
        let mut known = SECTIONS.to_vec();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
        for (section, about, rows) in rows() {
            assert!(!about.is_empty(), "[{section}] says nothing of itself");
            for row in rows {
                assert!(!row.meaning.is_empty() && !row.unit.is_empty(), "{row:?}");
            }
        }
    }

    #[test]
    fn the_schema_knows_every_default() {
        let defaults = defaults();
        assert_eq!(defaults["watch.period"], Some(json!("10s")));
        assert_eq!(defaults["reserve.ceiling"], Some(json!("50%")));
        assert_eq!(defaults["policy.mode"], Some(json!("observe")));
        assert_eq!(defaults["detect.disk_stalled.enabled"], Some(json!(true)));
        assert_eq!(defaults["reserve.max_pods"], None);
        assert_eq!(
            schema()["properties"]["detect"]["properties"]["disk_stalled"]["additionalProperties"],
            json!(false)
        );
        assert!(!schema().to_string().contains("$ref"), "a reference that leads nowhere");
    }
}
