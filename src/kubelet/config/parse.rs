//! From bytes to a document, as kubelet reads its files: JSON where the text begins with `{`, else YAML 1.1 turned into JSON.
//! It refuses what kubelet refuses to read, and it refuses to read more deeply than 128 levels.
//!
//! kubelet's YAML reader is the older one (`yes` and `on` are booleans, `010` is 8, `1_000` is a number), so plain words
//! are read again here by those rules.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::model::{Complaint, Node, Weight};

/// The name of the rule that these findings belong to.
pub const NOT_A_DOCUMENT: &str = "not-a-document";

/// A kubelet configuration file as a document. The text decides between JSON and YAML, not the file's name.
///
/// # Errors
/// A finding that says where reading stopped and why.
#[expect(clippy::result_large_err, reason = "one per file, and callers want the finding itself")]
pub fn parse(file: &str, bytes: &[u8]) -> Result<Node, Complaint> {
    let complaint = |found: String| Complaint {
        code: NOT_A_DOCUMENT,
        severity: Weight::Fatal,
        file: file.to_owned(),
        path: String::new(),
        found,
        expected: "a KubeletConfiguration in JSON or YAML".to_owned(),
        action: "write the whole document again, or remove the file".to_owned(),
    };
    if bytes.is_empty() {
        return Err(complaint("an empty file".to_owned()));
    }
    let node = if is_json(bytes) {
        // Go takes a broken character in a string for U+FFFD and goes on.
        serde_json::from_str(&String::from_utf8_lossy(bytes)).map(join_doubles).map_err(|e| complaint(e.to_string()))?
    } else {
        yaml(bytes).map_err(complaint)?
    };
    match node {
        Node::Map(_) => Ok(node),
        Node::Null => Err(complaint("nothing but blanks and comments".to_owned())),
        _ => Err(complaint("a list or a single value".to_owned())),
    }
}

fn is_json(bytes: &[u8]) -> bool {
    bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{')
}

/// In JSON the second of two equal keys is decoded over the first: maps join. So the last one holds all of it.
fn join_doubles(node: Node) -> Node {
    match node {
        Node::Map(entries) => {
            let mut done: Vec<(String, Node)> = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                let mut value = join_doubles(value);
                let before = done.iter().rev().find(|(k, _)| *k == key).map(|(_, v)| v);
                if let (Some(before @ Node::Map(_)), Node::Map(_)) = (before, &value) {
                    let mut joined = before.clone();
                    joined.merge_patch(&value);
                    value = joined;
                }
                done.push((key, value));
            }
            Node::Map(done)
        }
        Node::List(items) => Node::List(items.into_iter().map(join_doubles).collect()),
        other => other,
    }
}

fn yaml(bytes: &[u8]) -> Result<Node, String> {
    // A byte order mark is skipped here because it would shift the places of quotes.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Some(at) = bytes.iter().position(|b| *b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) {
        return Err(format!("a control character (byte {at})"));
    }
    let text =
        std::str::from_utf8(bytes).map_err(|e| format!("bytes that are not UTF-8 (byte {})", e.valid_up_to()))?;
    if nests_deeper_than(text, MOST_LEVELS) {
        return Err(format!("values nested more than {MOST_LEVELS} levels deep"));
    }
    // kubelet reads the first document of several.
    match yaml_serde::Deserializer::from_str(text).next() {
        Some(document) => Seed { text }.deserialize(document).map_err(|e| e.to_string()),
        None => Ok(Node::Null),
    }
}

/// As deep as a document may nest; a configuration has five levels.
const MOST_LEVELS: usize = 128;

/// Whether brackets, or the dashes at the beginning of a line, nest too deep. Counted before the reader sees the text, since its
/// time grows with the square of the depth. Brackets within words count too, so it can only say yes too early, far from any real file.
fn nests_deeper_than(text: &str, most: usize) -> bool {
    let mut open = 0usize;
    text.lines().any(|line| {
        let dashes =
            line.split([' ', '\t']).take_while(|word| matches!(*word, "" | "-" | "?")).filter(|word| !word.is_empty());
        let too_many_dashes = dashes.count() > most;
        too_many_dashes
            || line.bytes().any(|byte| {
                match byte {
                    b'[' | b'{' => open += 1,
                    b']' | b'}' => open = open.saturating_sub(1),
                    _ => {}
                }
                open > most
            })
    })
}

/// Reads one YAML value; `text` tells plain words from quoted ones.
#[derive(Clone, Copy)]
struct Seed<'t> {
    text: &'t str,
}

impl Seed<'_> {
    /// Whether this slice of the text is a plain word: only a quoted one has its quote right before it.
    fn is_plain(self, word: &str) -> bool {
        let offset = (word.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        let before = offset.checked_sub(1).and_then(|at| self.text.as_bytes().get(at));
        offset < self.text.len() && !matches!(before, Some(b'"' | b'\''))
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value with string keys")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        number(value).ok_or_else(|| E::custom("infinity and NaN cannot stand in a kubelet configuration"))
    }

    fn visit_borrowed_str<E>(self, word: &'de str) -> Result<Node, E> {
        Ok(if self.is_plain(word) { plain(word) } else { Node::from(word) })
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut merged: Vec<String> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(self)?;
            if key == "<<" {
                let sources = if let Node::List(list) = value { list } else { vec![value] };
                // The first of several sources counts, so it is laid on last.
                for source in sources.iter().rev() {
                    let Node::Map(more) = source else {
                        return Err(A::Error::custom("a merge key (<<) whose value is not a map"));
                    };
                    for (key, value) in more {
                        put(&mut entries, key, value.clone());
                        merged.push(key.clone());
                    }
                }
            } else if merged.contains(&key) {
                put(&mut entries, &key, value);
            } else {
                entries.push((key, value));
            }
        }
        Ok(Node::Map(entries))
    }
}

fn put(entries: &mut Vec<(String, Node)>, key: &str, value: Node) {
    match entries.iter_mut().rev().find(|(k, _)| k == key) {
        Some((_, old)) => *old = value,
        None => entries.push((key.to_owned(), value)),
    }
}

/// A number as it comes out on kubelet's way through JSON: `110.0` and `1e2` become whole numbers.
fn number(value: f64) -> Option<Node> {
    #[expect(clippy::cast_possible_truncation, reason = "whole and far below 2^63")]
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return Some(Node::Number((value as i64).into()));
    }
    serde_json::Number::from_f64(value).map(Node::Number)
}

/// A plain word by the rules of YAML 1.1 as kubelet's reader knows them.
fn plain(word: &str) -> Node {
    match word {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Node::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Node::Bool(false),
        _ => {}
    }
    if word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-')) {
        let digits = word.replace('_', "");
        if let Some(value) = integer(&digits) {
            return Node::Number(value.into());
        }
        let float_like = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
        if let Some(node) = digits.parse().ok().filter(|_| float_like).and_then(number) {
            return node;
        }
    }
    Node::from(word)
}

/// A whole number with Go's prefixes: 0x, 0o, 0b, and a bare 0 for octal.
fn integer(digits: &str) -> Option<i64> {
    let (sign, rest) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.strip_prefix('+').unwrap_or(digits)),
    };
    let (radix, rest) = match rest.get(..2) {
        Some("0x" | "0X") => (16, &rest[2..]),
        Some("0o" | "0O") => (8, &rest[2..]),
        Some("0b" | "0B") => (2, &rest[2..]),
        _ if rest.len() > 1 && rest.starts_with('0') => (8, &rest[1..]),
        _ => (10, rest),
    };
    rest.starts_with(|c: char| c.is_ascii_alphanumeric()).then_some(())?;
    i64::from_str_radix(&format!("{sign}{rest}"), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        parse("f", text.as_bytes()).map_or_else(|e| e.found, |n| serde_json::to_string(&n).unwrap())
    }

    #[test]
    fn deep_nesting_is_refused_at_once() {
        for text in [
            format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000)),
            format!("a: {}", "{b: ".repeat(100_000)),
            "- ".repeat(1_000_000),
            format!("a:\n{}x", "  - ".repeat(100_000)),
            format!("{}x", "? ".repeat(100_000)),
            (0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(),
        ] {
            assert!(parse("f", text.as_bytes()).is_err(), "{}", &text[..20]);
        }
    }

    #[test]
    fn reads_yaml_as_kubelet_does() {
        for (text, json) in [
            ("a: yes\nb: 'yes'\nc: \"no\"\nd: off", r#"{"a":true,"b":"yes","c":"no","d":false}"#),
            (
                "a: 010\nb: 1_000\nc: 0x1F\nd: '1'\ne: 1e2\nf: 110.0\ng: 0.5",
                r#"{"a":8,"b":1000,"c":31,"d":"1","e":100,"f":110,"g":0.5}"#,
            ),
            ("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3", r#"{"a":{"b":1,"c":2},"d":{"b":1,"c":3}}"#),
            ("\u{feff}a: 1\r\nb: [1, on]\r\n", r#"{"a":1,"b":[1,true]}"#),
            ("\u{feff}{\"a\": 1}", r#"{"a":1}"#),
            ("---\na: 1\n---\n{", r#"{"a":1}"#),
            ("a:\n  80m\nb: |\n  no\n", "{\"a\":\"80m\",\"b\":\"no\\n\"}"),
            ("{\"a\": {\"b\":\"1\"}, \"a\": {\"c\":\"2\"}}", r#"{"a":{"b":"1"},"a":{"b":"1","c":"2"}}"#),
            ("a: {b: 1}\na: {c: 2}", r#"{"a":{"b":1},"a":{"c":2}}"#),
        ] {
            assert_eq!(shown(text), json, "{text}");
        }
    }

    #[test]
    fn says_why_a_file_cannot_be_read() {
        for (text, part) in [
            ("", "empty"),
            ("  \n# nothing\n", "nothing but"),
            ("- a\n", "a list"),
            ("{\"a\": 1", "line 1"),
            ("{a: 1}", "line 1 column 2"),
            ("{\"a\": 1,}", "line 1 column 9"),
            ("{\"a\": 1}}", "trailing"),
            ("a: [1\n", "line"),
            ("a:\n\tb: 1\n", "line 2"),
            ("\u{0}\u{1}", "control"),
        ] {
            let found = shown(text);
            assert!(found.contains(part), "{text:?}: {found}");
        }
        assert!(parse("f", b"a: \xff\xfe").unwrap_err().found.contains("UTF-8"));
        assert!(parse("f", "[".repeat(1 << 20).as_bytes()).is_err());
        assert!(parse("f", format!("{{\"a\":{}", "[".repeat(1 << 20)).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse("f", &bytes);
        }

        #[test]
        fn no_yaml_like_text_panics(text in "([a-c]: |- |['\"\\[{}\\],&*<!|>\n #0-9_.x+-]|yes|\\PC){0,60}") {
            let _ = parse("f", text.as_bytes());
        }

        #[test]
        fn json_comes_back(text in "\\{\"a\":(true|null|-?[1-9][0-9]{0,12}|\"\\PC{0,0}[a-z ]*\"|\\[1,2\\])\\}") {
            prop_assert_eq!(shown(&text), text);
        }
    }
}
