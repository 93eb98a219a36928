//! The API server, as this node's own credential reaches it: requests are values, one sender sends them, and every failure has a name.
//! It refuses to read a file, run a program or resolve a name on the runtime's thread: those are errands, run where they may hang.
//!
//! ```text
//!     kubeconfig ──> Material ─┐
//!     plugin, IMDS ──> Issued ─┼──> Keeper ──> link (one pool of connections) ──> Sender ──> the API server
//!     names ──> addresses ─────┘
//! ```

pub mod aws;
mod body;
mod client;
mod errand;
mod error;
mod figures;
mod gate;
mod keeper;
mod kubeconfig;
mod link;
mod look;
mod objects;
mod permissions;
mod plugin;
mod request;
mod rules;
mod sender;
mod watch;

pub use client::Cluster;
pub use errand::{Errand, Fetched, run, run_here};
pub use error::Error;
pub use figures::{Count, Figures};
pub use gate::{Gate, jitter};
pub use keeper::{Keeper, Standing};
pub use kubeconfig::{Kubeconfig, Server};
pub use look::{Look, Material, PLACES, look};
pub use objects::*;
pub use permissions::{Need, needs, rbac, rbac_yaml};
pub use plugin::{Issued, Plugin};
pub use request::{MANAGER, Permission, Request};
pub use rules::Rules;
pub use sender::{Patience, Sender};
pub use watch::{Seen, Stream, Watch};

use serde::{Deserialize, Serialize};

/// A private key, a token, a password. It is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the wire alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}
