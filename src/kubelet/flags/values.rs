//! The value of a flag as a piece of configuration. It refuses what kubelet's own readers of flags refuse.

use crate::model::{Node, Quantity};

/// The configuration value that a flag of this kind comes to, after what earlier flags of its name gave.
///
/// # Errors
/// Says what kubelet would not take.
pub fn node(kind: &str, value: &str, earlier: Option<Node>) -> Result<Node, String> {
    match kind {
        "bool" => boolean(value).map(Node::Bool),
        "int32" => integer(value)
            .filter(|n| i32::try_from(*n).is_ok())
            .map(number)
            .ok_or_else(|| not(value, "a 32-bit whole number")),
        "int64" => integer(value).map(number).ok_or_else(|| not(value, "a whole number")),
        "duration" if crate::kubelet::config::parse_duration(value).is_none() => {
            Err(not(value, "a duration such as 10s or 2h45m"))
        }
        "list" => Ok(list(value, earlier)),
        "map" => pairs(value, '=', true, earlier, |v| Ok(Node::from(v))),
        "map-nosplit" => pairs(value, '=', false, earlier, |v| Ok(Node::from(v))),
        "map-less" => pairs(value, '<', true, earlier, |v| Ok(Node::from(v))),
        "map-bool" => pairs(value, '=', true, earlier, |v| boolean(v).map(Node::Bool)),
        "reserved-memory" => reserved_memory(value, earlier),
        _ => Ok(Node::from(value)),
    }
}

fn not(value: &str, expected: &str) -> String {
    format!("{value:?} is not {expected}")
}

fn number(value: i64) -> Node {
    Node::Number(value.into())
}

fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(not(value, "true or false")),
    }
}

/// A whole number with Go's prefixes.
fn integer(value: &str) -> Option<i64> {
    let (sign, digits) = match value.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", value.strip_prefix('+').unwrap_or(value)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    digits.starts_with(|c: char| c.is_ascii_alphanumeric()).then_some(())?;
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

fn list(value: &str, earlier: Option<Node>) -> Node {
    let mut items = if let Some(Node::List(items)) = earlier { items } else { Vec::new() };
    items.extend(value.split(',').filter(|_| !value.is_empty()).map(|item| Node::from(item.trim_matches('"'))));
    Node::List(items)
}

fn pairs(
    value: &str,
    sign: char,
    split: bool,
    earlier: Option<Node>,
    read: impl Fn(&str) -> Result<Node, String>,
) -> Result<Node, String> {
    let mut map = earlier.unwrap_or_else(|| Node::Map(Vec::new()));
    let parts: Vec<&str> = if split { value.split(',').filter(|p| !p.is_empty()).collect() } else { vec![value] };
    for part in parts {
        let (key, value) = part.split_once(sign).ok_or_else(|| not(part, &format!("a pair with {sign} in it")))?;
        map.set(key.trim(), read(value.trim())?);
    }
    Ok(map)
}

/// `0:memory=1Gi,hugepages-2Mi=4Mi;1:memory=2Gi`.
fn reserved_memory(value: &str, earlier: Option<Node>) -> Result<Node, String> {
    let wrong = || not(value, "of the form NUMA:memory=1Gi[,hugepages-2Mi=4Mi][;NUMA:...]");
    let mut items = if let Some(Node::List(items)) = earlier { items } else { Vec::new() };
    for part in value.split(';').filter(|_| !value.is_empty()) {
        let (numa, limits) = part.split_once(':').filter(|(_, l)| !l.contains(':')).ok_or_else(wrong)?;
        let numa: i32 = numa.parse().map_err(|_| wrong())?;
        let mut map = Node::Map(Vec::new());
        for limit in limits.split(',') {
            let (name, quantity) = limit.split_once('=').ok_or_else(wrong)?;
            if name != "memory" && !name.starts_with("hugepages-") {
                return Err(not(name, "memory or hugepages-SIZE"));
            }
            quantity.parse::<Quantity>()?;
            map.set(name, Node::from(quantity));
        }
        items.push(Node::Map(vec![("numaNode".to_owned(), number(numa.into())), ("limits".to_owned(), map)]));
    }
    Ok(Node::List(items))
}
