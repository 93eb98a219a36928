//! The state file: what the turns keep, and the status that stands until the first look after a restart. It refuses a file of another boot, and
//! to throw away one that it cannot read: that is set aside.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::act::{Kept, drain};
use crate::agent::turn::Stored;
use crate::host::{Host, HostResult, Wanted, Written};
use crate::model::status::Status;
use crate::model::watch::Wants;

/// Of this layout.
const VERSION: u32 = 1;
const MOST_BYTES: u64 = 16 << 20;

/// The file's content, a section by owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    version: u32,
    boot_id: String,
    /// What the turns keep.
    pub watch: Stored,
    /// What was published last.
    pub status: Status,
    /// What the next samples should hold.
    pub wants: Wants,
    /// What the cluster was told, and what it is still to be told.
    #[serde(default)]
    pub report: Kept,
    /// The drain that goes on, or the last one.
    #[serde(default)]
    pub drain: Option<drain::Kept>,
    /// The cordon beside which something was wrong whose end is not to be trusted: since when it is there.
    #[serde(default)]
    pub lasting: Option<String>,
}

/// What was done and told, as far as a next run must know.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Past {
    /// See [`Saved::report`].
    pub report: Kept,
    /// See [`Saved::drain`].
    pub drain: Option<drain::Kept>,
    /// See [`Saved::lasting`].
    pub lasting: Option<String>,
}

/// What is there at a start.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Nothing, or a file of another boot.
    Nothing,
    /// A state of this boot.
    State(Box<Saved>),
    /// Something that is no state; where it lies now, and what is wrong with it.
    SetAside(String),
}

impl Saved {
    /// To be saved.
    pub fn new(boot_id: &str, watch: Stored, status: Status, wants: Wants, past: Past) -> Self {
        let Past { report, drain, lasting } = past;
        Self { version: VERSION, boot_id: boot_id.to_owned(), watch, status, wants, report, drain, lasting }
    }

    /// Reads what a run before this one has left.
    pub fn load(host: &Host, path: &Path, boot_id: &str) -> Found {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            version: u32,
            boot_id: String,
        }
        let why = match host.read(path, MOST_BYTES) {
            Ok(None) => return Found::Nothing,
            Err(error) => error.to_string(),
            Ok(Some(bytes)) => match serde_json::from_slice::<Head>(&bytes) {
                Err(error) => error.to_string(),
                Ok(head) if head.boot_id != boot_id => return Found::Nothing,
                Ok(head) if head.version != VERSION => format!("its version is {}, ours {VERSION}", head.version),
                Ok(_) => match serde_json::from_slice(&bytes) {
                    Ok(saved) => return Found::State(Box::new(saved)),
                    Err(error) => error.to_string(),
                },
            },
        };
        let place = match host.set_aside(path) {
            Ok(aside) => format!("{} is set aside as {}: {why}", path.display(), aside.display()),
            Err(error) => format!("{} is no state: {why}; {error}", path.display()),
        };
        Found::SetAside(place)
    }

    /// The file's content.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// Puts it in place, whole.
    pub fn write(&self, host: &Host, path: &Path) -> HostResult<Written> {
        // A value of our own types always becomes JSON; if one day it does not, the old file is the better one.
        let Some(bytes) = self.bytes() else { return Ok(Written::Unchanged) };
        host.write_atomic(&Wanted { path: path.to_owned(), bytes, mode: 0o600 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_found_in_the_same_boot_only() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path()).unwrap();
        let path = Path::new("/run/node-steward/state.json");
        assert_eq!(Saved::load(&host, path, "a"), Found::Nothing);
        let saved = Saved::new(
            "a",
            Stored::default(),
            Status { mode: "observe".into(), ..Status::default() },
            Wants::default(),
            Past::default(),
        );
        saved.write(&host, path).unwrap();
        assert_eq!(Saved::load(&host, path, "a"), Found::State(Box::new(saved)));
        assert_eq!(Saved::load(&host, path, "b"), Found::Nothing);
    }

    #[test]
    fn what_is_no_state_is_set_aside_and_said() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path()).unwrap();
        let path = Path::new("/run/node-steward/state.json");
        for text in ["half a {", "{\"version\":99,\"bootId\":\"a\"}", "{\"version\":1,\"bootId\":\"a\",\"watch\":3}"] {
            host.write_atomic(&Wanted { path: path.to_owned(), bytes: text.into(), mode: 0o600 }).unwrap();
            let Found::SetAside(said) = Saved::load(&host, path, "a") else { panic!("{text}") };
            assert!(said.contains("state.json.unreadable"), "{said}");
            assert!(!host.exists(path));
            let aside = host.read(Path::new("/run/node-steward/state.json.unreadable"), 1 << 20).unwrap();
            assert_eq!(aside.unwrap(), text.as_bytes());
        }
    }
}
