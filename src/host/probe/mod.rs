//! Probes: calls that may never return, made in children of a small helper process. It refuses to wait for any of them: a child that is stuck
//! stays behind, and the helper and the daemon go on.
//!
//! The helper is forked from the daemon and lets go of all that is the daemon's: descriptors, locks, handlers. It forks a child for each question
//! and never runs a program: with the root disk hung, none could be read.

mod helper;
mod serve;

pub use helper::Helper;
pub use serve::serve;

use serde::{Deserialize, Serialize};

/// One question or answer on the pipe: a JSON line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Which question; 0 is the helper's own sign that it is up.
    pub id: u64,
    /// The question, or the answer; null where the child ended without one.
    pub body: serde_json::Value,
}

/// Read at once.
const CHUNK: usize = 16 << 10;

/// Takes whole lines off the front; what is no line of ours is left out.
fn lines(bytes: &mut Vec<u8>) -> Vec<Line> {
    let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
    let rest = bytes.split_off(end + 1);
    let whole = std::mem::replace(bytes, rest);
    whole.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole() {
        let mut bytes = b"{\"id\":1,\"body\":{\"a\":2}}\nnonsense\n{\"id\":2,\"bo".to_vec();
        assert_eq!(lines(&mut bytes), [Line { id: 1, body: serde_json::json!({"a": 2}) }]);
        assert_eq!(bytes, b"{\"id\":2,\"bo");
        assert!(lines(&mut bytes).is_empty());
    }
}
