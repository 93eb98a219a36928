//! The objects that we read and write, with the fields that we use. It refuses whole types: a typed list of pods would cost megabytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What every object has.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Its name.
    pub name: String,
    /// Its namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its identity: a new object of the same name has another one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Its version: what a change is bound to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Its labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Who owns it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<Owner>,
    /// Set once it is being deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<String>,
    /// Who set which field last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub managed_fields: Vec<Managed>,
}

/// An owner.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Owner {
    /// Such as `v1`.
    pub api_version: String,
    /// Such as `DaemonSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its identity.
    pub uid: String,
    /// Whether it is the one that manages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
}

/// One writer's fields.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Managed {
    /// The writer's name, as it gave it itself.
    pub manager: String,
    /// `Update` or `Apply`.
    pub operation: String,
    /// `status` or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// When it wrote last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The fields, as a tree of names.
    #[serde(rename = "fieldsV1")]
    pub fields: Value,
}

/// A Node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its head.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: NodeSpec,
    /// What is.
    pub status: NodeStatus,
}

/// A list of Nodes: of our own, to begin a watch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Nodes {
    /// The list's own head.
    pub metadata: Page,
    /// One, or none.
    pub items: Vec<Node>,
}

/// What is wanted of a Node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSpec {
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// Its taints.
    pub taints: Vec<Taint>,
}

/// A taint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What it does.
    pub effect: String,
}

/// What is known of a Node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    /// Its conditions, everybody's.
    pub conditions: Vec<NodeCondition>,
    /// What pods may use, by resource.
    pub allocatable: BTreeMap<String, String>,
    /// What there is, by resource.
    pub capacity: BTreeMap<String, String>,
    /// Of its software.
    pub node_info: NodeInfo,
}

/// Of a Node's software.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeInfo {
    /// kubelet's version.
    pub kubelet_version: String,
    /// Which boot kubelet reported.
    #[serde(rename = "bootID")]
    pub boot_id: String,
}

/// One condition of a Node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCondition {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// When it was last said.
    pub last_heartbeat_time: Option<String>,
    /// When the status last changed.
    pub last_transition_time: Option<String>,
}

/// A page of pods.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pods {
    /// The list's own head.
    pub metadata: Page,
    /// The pods.
    pub items: Vec<Pod>,
}

/// A list's head.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Page {
    /// The list's version: a watch goes on from it.
    pub resource_version: String,
    /// The rest's name, where there is more.
    #[serde(rename = "continue")]
    pub rest: String,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Its head.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: PodSpec,
    /// What is.
    pub status: PodStatus,
}

/// What is wanted of a pod.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Where it runs.
    pub node_name: String,
    /// How long it may take to end.
    pub termination_grace_period_seconds: Option<u64>,
    /// Its volumes, of which only the kind counts.
    pub volumes: Vec<Volume>,
}

/// A pod's volume.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// There where it is one that goes with the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<Value>,
}

/// What is known of a pod.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PodStatus {
    /// `Running`, `Succeeded` and so on.
    pub phase: String,
}

/// A ConfigMap. What we do not use is kept as it is, so that a write loses nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMap {
    /// Its head.
    pub metadata: OpenMeta,
    /// Its words.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A head that is written back whole.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenMeta {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its version: the write is refused where it is no longer this one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// An Event about our own Node, in the core group: the only one that a node may write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub kind: String,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// The Node's name.
    #[serde(skip)]
    pub node: String,
    /// The Event's own name.
    #[serde(skip)]
    pub name: String,
    /// When it was first so, RFC 3339.
    pub first_timestamp: String,
    /// When it was last so.
    pub last_timestamp: String,
    /// How often.
    pub count: u64,
}

/// Who we are, as the server sees it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WhoAmI {
    /// The answer.
    pub status: WhoAmIStatus,
}

/// The answer's body.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WhoAmIStatus {
    /// The user.
    pub user_info: UserInfo,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UserInfo {
    /// The name.
    pub username: String,
    /// The groups.
    pub groups: Vec<String>,
}

/// Whether something is allowed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Review {
    /// The answer.
    pub status: ReviewStatus,
}

/// The answer's body.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReviewStatus {
    /// Whether it is.
    pub allowed: bool,
    /// Why, where it says so.
    pub reason: String,
}

/// The server's version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Version {
    /// Such as `v1.36.2`.
    pub git_version: String,
    /// Such as `1`.
    pub major: String,
    /// Such as `36` or `36+`.
    pub minor: String,
}
