//! How the API server and this node stand to each other, as the status shows it. It refuses anything secret: credentials have a kind here, and no content.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::drain::DrainStatus;
use super::time::Wall;

/// The connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiServer {
    /// `connected`: our Node is before our eyes; `failing`: it was asked for in vain; `waiting`: something is missing still.
    pub state: String,
    /// Our Node.
    pub node: String,
    /// The user that the server takes us for.
    pub user: String,
    /// Its address.
    pub server: String,
    /// Its version.
    pub version: String,
    /// kubelet's version, as the Node has it.
    pub kubelet_version: String,
    /// What goes on at its own peril: versions that are not supported together.
    pub advice: Vec<String>,
    /// The kubeconfig.
    pub kubeconfig: String,
    /// What kind of credential.
    pub credential: String,
    /// What goes wrong now.
    pub trouble: Vec<String>,
    /// What the server allows, as far as it was asked.
    pub permissions: Vec<PermissionStatus>,
    /// RBAC objects, as YAML, that would allow what is missing; empty where nothing is.
    pub missing_rbac: String,
    /// Whose cordon is on the Node; none until the Node was seen.
    pub cordon: Option<Hold>,
    /// The drain that goes on, or the last one of this boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainStatus>,
    /// When the conditions were written last.
    pub reported_wall_ms: Option<Wall>,
    /// Reasons whose Event waits to be written.
    pub events_waiting: u64,
    /// What was asked since the start, by the request's name.
    pub requests: BTreeMap<String, RequestStatus>,
    /// Requests that were not sent because the server is left alone for a while.
    pub held_back: u64,
    /// Pools of connections that were begun.
    pub pools: u64,
    /// Credential plugins that were run as programs.
    pub plugins: u64,
    /// Tokens made without a program.
    pub tokens: u64,
}

/// How our Node stands to cordons.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hold {
    /// `open`: it takes pods; `ours`: we have cordoned it; `another`: somebody else has; `takenOff`: somebody has taken ours off just now.
    pub state: String,
    /// Why we think so, where that is not plain.
    pub why: String,
    /// For whom we did: `person` or `problem`.
    pub whose: String,
    /// Who asked for ours, or the problem's subject.
    pub by: String,
    /// Why: somebody's words, or the problem's kind.
    pub reason: String,
    /// Since when.
    pub since: String,
    /// Until when nothing is done here without being asked; empty where it may be.
    pub hands_off_until: String,
    /// Who works on the node, so that nothing is done at all; empty where nobody does.
    pub stands_down: String,
}

/// Something that may be allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PermissionStatus {
    /// What, such as `patch nodes/status NAME`.
    pub what: String,
    /// What for.
    pub purpose: String,
    /// Whether it is.
    pub allowed: bool,
}

/// One kind of request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestStatus {
    /// Sent.
    pub sent: u64,
    /// Answered as hoped.
    pub good: u64,
    /// Failed, by the failure's name.
    pub failed: BTreeMap<String, u64>,
    /// Bytes of answers.
    pub bytes: u64,
    /// Time from the first byte out to the last byte in, all together.
    pub ms: u64,
}
