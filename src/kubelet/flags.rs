//! kubelet's command line: which flags stand there, and which configuration fields they override. It refuses to run or
//! to find kubelet; words come in, flags go out. A word that is no flag, or a value that kubelet cannot read, is kept as
//! a [`Fault`].

mod values;
pub mod words;

pub use words::split;

use crate::kubelet::tables;
use crate::model::Node;

/// One flag as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Its name without dashes, `_` turned into `-` as kubelet does.
    pub name: String,
    /// Its value; a flag that needs none and has none holds `true`.
    pub value: String,
    /// The file or command line that holds it.
    pub file: String,
}

/// Something on the command line at which kubelet ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The word or flag.
    pub word: String,
    /// Where it stands.
    pub file: String,
    /// What is wrong.
    pub why: String,
}

/// kubelet's flags in the order of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    /// All flags.
    pub list: Vec<Flag>,
    /// What could not be taken as a flag.
    pub faults: Vec<Fault>,
}

impl Flags {
    /// Reads the words after `kubelet`; `file` says where they stand.
    pub fn parse(file: &str, words: impl IntoIterator<Item = String>) -> Self {
        let mut flags = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let fault = |why: &str| Fault { word: word.clone(), file: file.to_owned(), why: why.to_owned() };
            let Some(body) = word.strip_prefix("--").or_else(|| short(&word)) else {
                flags.faults.push(fault("kubelet takes flags only, no other words"));
                continue;
            };
            let (name, value) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (body, None),
            };
            let name = name.replace('_', "-");
            if name.is_empty() {
                flags.faults.push(fault("a flag without a name"));
                continue;
            }
            // A flag that no version knows takes no value from the next word: kubelet ends there anyway.
            let row = tables::flag(&name);
            let needs_value = row.is_some_and(|row| !matches!(row.kind, "bool" | "version"));
            let value = match value {
                Some(value) => Some(value),
                None if needs_value => words.next(),
                None => Some("true".to_owned()),
            };
            match value {
                Some(value) => flags.list.push(Flag { name, value, file: file.to_owned() }),
                None => flags.faults.push(fault("a flag that needs a value and has none")),
            }
        }
        flags
    }

    /// Appends flags that stand later on the command line.
    pub fn extend(&mut self, later: Self) {
        self.list.extend(later.list);
        self.faults.extend(later.faults);
    }

    /// The value that counts for a flag which is no map or list: the last one.
    pub fn last(&self, name: &str) -> Option<&Flag> {
        self.list.iter().rev().find(|flag| flag.name == name)
    }

    /// For each configuration field that the flags override: the last such flag, the field, the value that it comes to.
    /// Repeated maps and lists add up, as in kubelet. A value that kubelet cannot read is left out.
    pub fn fields(&self) -> Vec<(&Flag, &'static str, Node)> {
        let mut fields: Vec<(&Flag, &'static str, Node)> = Vec::new();
        for flag in &self.list {
            let Some(row) = tables::flag(&flag.name).filter(|row| !row.field.is_empty()) else { continue };
            let before = fields.iter().position(|(_, field, _)| *field == row.field);
            let earlier = before.map(|at| fields[at].2.clone());
            if let Ok(value) = values::node(row.kind, &flag.value, earlier) {
                match before {
                    Some(at) => fields[at] = (flag, row.field, value),
                    None => fields.push((flag, row.field, value)),
                }
            }
        }
        fields
    }

    /// Everything at which kubelet would end: [`Self::faults`] and unreadable values.
    pub fn all_faults(&self) -> Vec<Fault> {
        let unreadable = self.list.iter().filter_map(|flag| {
            let row = tables::flag(&flag.name)?;
            let why = values::node(row.kind, &flag.value, None).err()?;
            Some(Fault { word: format!("--{}={}", flag.name, flag.value), file: flag.file.clone(), why })
        });
        self.faults.iter().cloned().chain(unreadable).collect()
    }
}

/// The one short flag besides -h: `-v2`, `-v=2`, `-v`, `2`.
fn short(word: &str) -> Option<&str> {
    match word {
        "-h" => Some("help"),
        "-v" => Some("v"),
        _ if word.starts_with("-v=") => Some(&word[1..]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(text: &str) -> Flags {
        Flags::parse("f", split(text).unwrap())
    }

    #[test]
    fn reads_both_ways_of_giving_a_value() {
        let flags =
            flags("--max-pods 20 --node-labels=a=b,c=d --fail-swap-on --kube_reserved=cpu=1 -v 2 -v=3 --config=/x");
        let shown: Vec<String> = flags.list.iter().map(|f| format!("{}={}", f.name, f.value)).collect();
        assert_eq!(
            shown,
            [
                "max-pods=20",
                "node-labels=a=b,c=d",
                "fail-swap-on=true",
                "kube-reserved=cpu=1",
                "v=2",
                "v=3",
                "config=/x"
            ]
        );
        assert!(flags.all_faults().is_empty());
        assert_eq!(flags.last("v").map(|f| f.value.as_str()), Some("3"));
    }

    #[test]
    fn maps_add_up_and_say_what_they_override() {
        let flags =
            flags("--kube-reserved=cpu=1,memory=1Gi --kube-reserved=memory=2Gi --eviction-hard 'memory.available<5%'");
        let shown: Vec<String> = flags
            .fields()
            .iter()
            .map(|(_, field, v)| format!("{field} {}", serde_json::to_string(v).unwrap()))
            .collect();
        assert_eq!(shown, [r#"kubeReserved {"cpu":"1","memory":"2Gi"}"#, r#"evictionHard {"memory.available":"5%"}"#]);
    }

    #[test]
    fn keeps_what_kubelet_would_end_at() {
        let why = |text: &str| flags(text).all_faults().into_iter().map(|f| f.word).collect::<Vec<_>>();
        assert_eq!(why("--max-pods=x"), ["--max-pods=x"]);
        assert_eq!(why("--max-pods"), ["--max-pods"]);
        assert_eq!(why("--kube-reserved=cpu"), ["--kube-reserved=cpu"]);
        assert_eq!(why("start --max-pods=1"), ["start"]);
        assert_eq!(why("--fail-swap-on=maybe"), ["--fail-swap-on=maybe"]);
        assert_eq!(why("--shutdown --=x"), ["--=x"]);
    }
}
