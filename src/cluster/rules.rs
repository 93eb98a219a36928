//! The settings of the connection. It refuses a path that is not absolute and a name that no Node can have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::segment;

/// `[cluster]`: the API server, as this node's own credential reaches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Whether an API server is spoken to at all. Where no kubeconfig is found, the agent works alone in any case.
    pub enabled: bool,
    /// The kubeconfig; where it is not set, the first of kubelet's usual places that is there. `run --kubeconfig` goes before it.
    pub kubeconfig: Option<String>,
    /// The Node's name; where it is not set, the one that the credential is for, or else the host's.
    pub node_name: Option<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { enabled: true, kubeconfig: None, node_name: None }
    }
}

impl Rules {
    /// What serde cannot say: the key and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        if let Some(path) = self.kubeconfig.as_ref().filter(|path| !path.starts_with('/')) {
            return Err(("kubeconfig", format!("{path:?} does not start with /")));
        }
        match self.node_name.as_deref().map(segment) {
            Some(Err(error)) => Err(("node_name", error.to_string())),
            _ => Ok(()),
        }
    }
}
