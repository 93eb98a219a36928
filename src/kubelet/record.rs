//! What was merged into a file that is not ours (EKS AL2): what we wrote, what was there before, and for which machine.
//! It refuses to take back a value that somebody has changed since.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::host::Reason;
use crate::host::{Host, HostError, HostResult, Wanted};
use crate::model::Node;
use crate::model::machine::Identity;

const PATH: &str = "/var/lib/node-steward/merged.json";
const VERSION: u32 = 1;

/// See the head of this file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    version: u32,
    /// The file.
    pub file: String,
    /// The newest merge.
    #[serde(flatten)]
    newest: Layer,
    /// Merges whose values may still be in the file: it is changed after the record, so until then either can be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Layer>,
}

/// One merge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    /// The machine that the values were computed for.
    machine: Identity,
    /// What was laid over the file.
    wrote: Node,
    /// What must be laid over it to take that back.
    before: Node,
}

impl Record {
    /// A record of laying `wrote` over `file`, with the way back.
    pub fn new(machine: Identity, file: String, wrote: Node, before: Node) -> Self {
        Self { version: VERSION, file, newest: Layer { machine, wrote, before }, earlier: Vec::new() }
    }

    /// This record for the time before the file is changed: it also takes back what `last` says that the file holds.
    pub fn over(&self, last: Option<&Self>, current: &Node) -> Self {
        let last = last.filter(|last| last.file == self.file).into_iter().flat_map(Self::layers);
        let earlier = last.filter(|layer| **layer != self.newest && !layer.undo(current).entries().is_empty());
        Self { earlier: earlier.cloned().collect(), ..self.clone() }
    }

    /// The patch that takes our values out of `current`, except where they are no longer ours.
    pub fn undo(&self, current: &Node) -> Node {
        self.layers().map(|layer| layer.undo(current)).reduce(united).unwrap_or(Node::Map(Vec::new()))
    }

    /// Whether what `current` holds of ours was computed for another machine than `here`.
    pub fn is_foreign(&self, current: &Node, here: &Identity) -> bool {
        let foreign = |layer: &Layer| !layer.machine.same_machine(here);
        // A merge is whole or not there: the largest one that is there in full is the one that the file holds, the newest of equals.
        let whole = self.layers().filter(|layer| still_there(&layer.wrote, current));
        match whole.min_by_key(|layer| std::cmp::Reverse(leaves(&layer.wrote))) {
            Some(held) => foreign(held),
            None => {
                let in_file = |layer: &Layer| !layer.undo(current).entries().is_empty();
                self.layers().all(foreign) || self.layers().any(|layer| foreign(layer) && in_file(layer))
            }
        }
    }

    fn layers(&self) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.newest).chain(&self.earlier)
    }
}

impl Layer {
    fn undo(&self, current: &Node) -> Node {
        still_ours(&self.wrote, &self.before, current)
    }
}

/// The part of `before` whose counterpart in `current` is what we wrote.
fn still_ours(wrote: &Node, before: &Node, current: &Node) -> Node {
    let entries = wrote.entries().iter().filter_map(|(key, mine)| {
        let (old, now) = (before.get(key).unwrap_or(&Node::Null), current.get(key)?);
        match (mine, old, now) {
            (Node::Map(_), Node::Map(_) | Node::Null, Node::Map(_)) => {
                let inner = still_ours(mine, old, now);
                let all_goes =
                    *old == Node::Null && now.entries().iter().all(|(k, _)| inner.get(k) == Some(&Node::Null));
                match inner.entries().is_empty() {
                    _ if all_goes => Some((key.clone(), Node::Null)),
                    true => None,
                    false => Some((key.clone(), inner)),
                }
            }
            _ => (mine == now).then(|| (key.clone(), old.clone())),
        }
    });
    Node::Map(entries.collect())
}

/// Both patches in one. Where one takes a whole map away and the other a part of it, the whole goes.
fn united(mut one: Node, other: Node) -> Node {
    for (key, value) in other.entries() {
        let both = match (one.get(key), value) {
            (Some(mine @ Node::Map(_)), Node::Map(_)) => united(mine.clone(), value.clone()),
            (Some(mine), Node::Map(_)) => mine.clone(),
            (Some(mine), _) if *value != Node::Null => mine.clone(),
            _ => value.clone(),
        };
        one.set(key, both);
    }
    one
}

/// Whether all of `wrote` is in `current`.
fn still_there(wrote: &Node, current: &Node) -> bool {
    match wrote {
        Node::Map(entries) => {
            entries.iter().all(|(key, value)| current.get(key).is_some_and(|now| still_there(value, now)))
        }
        _ => wrote == current,
    }
}

fn leaves(node: &Node) -> usize {
    match node {
        Node::Map(entries) => entries.iter().map(|(_, value)| leaves(value)).sum(),
        _ => 1,
    }
}

/// The record of the last merge. One that cannot be understood is an error: without it, our values would pass for others'.
pub fn read(host: &Host) -> HostResult<Option<Record>> {
    let malformed =
        |what: String| HostError { act: "understand", path: PathBuf::from(PATH), reason: Reason::Other(what) };
    let Some(bytes) = host.read(Path::new(PATH), 1 << 20)? else { return Ok(None) };
    let record: Record = serde_json::from_slice(&bytes)
        .map_err(|error| malformed(format!("{error}; remove it if kubelet's file is known to be right")))?;
    if record.version == VERSION {
        Ok(Some(record))
    } else {
        Err(malformed(format!("its version is {}, expected {VERSION}", record.version)))
    }
}

/// The record's file, as it shall be.
pub fn wanted(record: &Record) -> HostResult<Wanted> {
    let malformed = |error: serde_json::Error| HostError {
        act: "write",
        path: PathBuf::from(PATH),
        reason: Reason::Other(error.to_string()),
    };
    let bytes = serde_json::to_vec_pretty(record).map_err(malformed)?;
    Ok(Wanted { path: PathBuf::from(PATH), bytes, mode: 0o644 })
}

/// Keeps the record once the file is as the newest merge made it; where that laid nothing over it, removes the record.
pub fn settle(host: &Host, record: &Record) -> HostResult<()> {
    if record.newest.wrote.entries().is_empty() {
        return forget(host);
    }
    host.write_atomic(&wanted(record)?)?;
    host.sweep(Path::new(PATH));
    Ok(())
}

/// Removes the record.
pub fn forget(host: &Host) -> HostResult<()> {
    host.remove(Path::new(PATH))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Node {
        serde_json::from_str(text).expect(text)
    }

    fn record(machine: &str, wrote: &str, before: &str) -> Record {
        let machine = Identity { product_uuid: machine.to_owned(), cores: 4, memory_bytes: 1 << 34 };
        Record::new(machine, "/f".to_owned(), json(wrote), json(before))
    }

    const NOTHING: &str = r#"{"kubeReserved":null}"#;

    #[test]
    fn only_what_is_still_ours_is_taken_back() {
        let ours = record("a", r#"{"kubeReserved":{"cpu":"1","memory":"2"}}"#, NOTHING);
        for (now, undo) in [
            (r#"{"kubeReserved":{"memory":"2","cpu":"1"}}"#, NOTHING),
            (r#"{"kubeReserved":{"cpu":"1","memory":"9"}}"#, r#"{"kubeReserved":{"cpu":null}}"#),
            (
                r#"{"kubeReserved":{"cpu":"1","memory":"2","pid":"7"}}"#,
                r#"{"kubeReserved":{"cpu":null,"memory":null}}"#,
            ),
            (r#"{"kubeReserved":{"cpu":"9"}}"#, "{}"),
            (r#"{"kubeReserved":"odd"}"#, "{}"),
            ("{}", "{}"),
        ] {
            assert_eq!(ours.undo(&json(now)), json(undo), "{now}");
        }
    }

    #[test]
    fn until_the_file_is_changed_the_last_values_are_ours_too() {
        let old = r#"{"kubeReserved":{"cpu":"1"},"systemReserved":{"cpu":"5"}}"#;
        let last = record("a", old, r#"{"kubeReserved":null,"systemReserved":null}"#);
        let next = record("b", r#"{"kubeReserved":{"cpu":"2"}}"#, NOTHING).over(Some(&last), &json(old));
        let read: Record = serde_json::from_slice(&wanted(&next).unwrap().bytes).unwrap();
        assert_eq!(read, next);
        assert_eq!(read.undo(&json(old)), json(r#"{"kubeReserved":null,"systemReserved":null}"#));
        assert_eq!(read.undo(&json(r#"{"kubeReserved":{"cpu":"2"}}"#)), json(NOTHING));
        // Killed before the file was changed, it holds the other machine's values; after it, this one's.
        let here = Identity { product_uuid: "b".to_owned(), cores: 4, memory_bytes: 1 << 34 };
        assert!(read.is_foreign(&json(old), &here));
        assert!(!read.is_foreign(&json(r#"{"kubeReserved":{"cpu":"2"}}"#), &here));
        // What is in the file no more is not carried on.
        let after = record("b", r#"{"kubeReserved":{"cpu":"3"}}"#, NOTHING)
            .over(Some(&read), &json(r#"{"kubeReserved":{"cpu":"2"}}"#));
        assert_eq!(after.earlier.len(), 1);
    }
}
