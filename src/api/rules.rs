//! The settings of the local API. It refuses to let reads be switched off for the group: the verbs of the command line live on them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[api]`: the local API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// The socket's address.
    pub socket: String,
    /// Group whose members may also write (reload, cordon); only root where it is not set. Reads are for root and the group node-steward.
    pub write_group: Option<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { socket: "/run/node-steward/api.sock".to_owned(), write_group: None }
    }
}
