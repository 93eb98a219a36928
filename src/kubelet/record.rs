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
    /// The machine that the values were computed for.
    pub machine: Identity,
    /// The file.
    pub file: String,
    /// What was laid over it.
    pub wrote: Node,
    /// What must be laid over it to take that back.
    pub before: Node,
}

impl Record {
    /// A record of laying `wrote` over `file`, with the way back.
    pub fn new(machine: Identity, file: String, wrote: Node, before: Node) -> Self {
        Self { version: VERSION, machine, file, wrote, before }
    }

    /// The patch that takes our values out of `current`, except where they are no longer ours.
    pub fn undo(&self, current: &Node) -> Node {
        still_ours(&self.wrote, &self.before, current)
    }
}

/// The part of `before` whose counterpart in `current` is what we wrote.
fn still_ours(wrote: &Node, before: &Node, current: &Node) -> Node {
    let entries = wrote.entries().iter().filter_map(|(key, mine)| {
        let (old, now) = (before.get(key).unwrap_or(&Node::Null), current.get(key)?);
        match (mine, old, now) {
            (Node::Map(_), Node::Map(_), Node::Map(_)) => {
                let inner = still_ours(mine, old, now);
                (!inner.entries().is_empty()).then(|| (key.clone(), inner))
            }
            _ => (mine == now).then(|| (key.clone(), old.clone())),
        }
    });
    Node::Map(entries.collect())
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

/// Keeps the record, or removes it where nothing of ours is left.
pub fn write(host: &Host, record: &Record) -> HostResult<()> {
    if record.wrote.entries().is_empty() {
        return forget(host);
    }
    let malformed = |error: serde_json::Error| HostError {
        act: "write",
        path: PathBuf::from(PATH),
        reason: Reason::Other(error.to_string()),
    };
    let bytes = serde_json::to_vec_pretty(record).map_err(malformed)?;
    host.write_atomic(&Wanted { path: PathBuf::from(PATH), bytes, mode: 0o644 }).map(|_| ())
}

/// Removes the record.
pub fn forget(host: &Host) -> HostResult<()> {
    host.remove(Path::new(PATH))
}
