//! The settings of the metrics. It refuses an address without a port and a path that is not absolute.

use core::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[metrics]`: where metrics are to be had besides `/metrics` on the local socket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Address and port that answer `/metrics` and nothing else, without asking who it is, such as "127.0.0.1:9735". Off by default.
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
    /// File for node_exporter's textfile collector, such as "/var/lib/prometheus/node-exporter/node_steward.prom": text 0.0.4, replaced atomically. Off by default.
    pub textfile: Option<AbsolutePath>,
}

/// A path that starts at the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct AbsolutePath(String);

impl AbsolutePath {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AbsolutePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with('/') { Ok(Self(text)) } else { Err(format!("{text:?} does not start with /")) }
    }
}

impl From<AbsolutePath> for String {
    fn from(path: AbsolutePath) -> Self {
        path.0
    }
}
