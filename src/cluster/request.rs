//! All that we ever ask of the API server, as values. Pure. It refuses DELETE, anything about taints, and names that do not belong in a path.

use serde_json::{Value, json};

use super::error::Error;
use super::objects::{ConfigMap, Event, NodeCondition};

/// Who set a field, as the server notes it.
pub const MANAGER: &str = "node-steward";
const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// Pods in one answer: at 10 to 20 kB each, so that memory stays small on the largest nodes.
const PAGE: u32 = 100;

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// A Node, our own or one whose entry in the ledger is doubted.
    GetNode {
        /// Its name.
        name: String,
    },
    /// Our own Node as a list of one: its version is one that a watch can go on from, which a Node's own, once it is old, is not.
    ListNode {
        /// Its name.
        name: String,
    },
    /// A merge patch of our own Node.
    PatchNode {
        /// Its name.
        name: String,
        /// The version that was judged: refused where it is no longer this one.
        version: Option<String>,
        /// What changes.
        patch: Value,
    },
    /// Conditions of our own types on our own Node; all others stay as they are. Removed ones are named.
    PatchConditions {
        /// The Node's name.
        name: String,
        /// The conditions to set.
        set: Vec<NodeCondition>,
        /// The types to remove.
        remove: Vec<String>,
    },
    /// A new Event.
    CreateEvent(Event),
    /// The same Event once more.
    PatchEvent(Event),
    /// The pods of a node, a page of them.
    ListPods {
        /// The node.
        node: String,
        /// Where to go on; empty for the first page.
        rest: String,
    },
    /// An eviction: PodDisruptionBudgets hold.
    Evict {
        /// The pod's namespace.
        namespace: String,
        /// The pod's name.
        name: String,
        /// The pod's identity: not another one of the same name.
        uid: String,
    },
    /// A ConfigMap.
    GetConfigMap {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A ConfigMap, whole, if it is still of its version.
    PutConfigMap(ConfigMap),
    /// Whether we may do something.
    Review(Permission),
    /// Who we are.
    WhoAmI,
    /// The server's version.
    Version,
}

/// Something that one may be allowed to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// Such as `patch`.
    pub verb: String,
    /// Such as `policy`; empty for the core group.
    pub group: String,
    /// Such as `nodes`.
    pub resource: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// The namespace; empty for all, and for what has none.
    pub namespace: String,
    /// The object's name; empty for all.
    pub name: String,
    /// The one field and value that a list is restricted to; servers before 1.31 do not look at it.
    pub field: Option<(String, String)>,
}

impl Request {
    /// Its name in metrics and in the documentation.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::GetNode { .. } => "getNode",
            Self::ListNode { .. } => "listNode",
            Self::PatchNode { .. } => "patchNode",
            Self::PatchConditions { .. } => "patchNodeStatus",
            Self::CreateEvent(_) => "createEvent",
            Self::PatchEvent(_) => "patchEvent",
            Self::ListPods { .. } => "listPods",
            Self::Evict { .. } => "evictPod",
            Self::GetConfigMap { .. } => "getConfigMap",
            Self::PutConfigMap(_) => "putConfigMap",
            Self::Review(_) => "reviewAccess",
            Self::WhoAmI => "whoAmI",
            Self::Version => "version",
        }
    }

    /// As HTTP, beneath the server's address.
    pub(super) fn http(&self) -> Result<Wire, Error> {
        let post = |path: String, body: Value| Wire { method: "POST", path, media: JSON, body: Some(body) };
        let get = |path: String| Wire { method: "GET", path, media: JSON, body: None };
        let patch = |path: String, media, body| Wire {
            method: "PATCH",
            path: format!("{path}?fieldManager={MANAGER}"),
            media,
            body: Some(body),
        };
        Ok(match self {
            Self::GetNode { name } => get(format!("/api/v1/nodes/{}", segment(name)?)),
            Self::ListNode { name } => get(format!("/api/v1/nodes?fieldSelector=metadata.name%3D{}", segment(name)?)),
            Self::PatchNode { name, version, patch: change } => {
                let mut change = change.clone();
                if let Some(version) = version {
                    change["metadata"]["resourceVersion"] = version.clone().into();
                }
                patch(format!("/api/v1/nodes/{}", segment(name)?), MERGE, change)
            }
            Self::PatchConditions { name, set, remove } => {
                let mut conditions: Vec<Value> = set.iter().map(|one| json!(one)).collect();
                conditions.extend(remove.iter().map(|kind| json!({"type": kind, "$patch": "delete"})));
                let body = json!({"status": {"conditions": conditions}});
                patch(format!("/api/v1/nodes/{}/status", segment(name)?), STRATEGIC, body)
            }
            Self::CreateEvent(event) => {
                segment(&event.name)?;
                post("/api/v1/namespaces/default/events".to_owned(), whole(event))
            }
            Self::PatchEvent(event) => {
                let change =
                    json!({"count": event.count, "lastTimestamp": event.last_timestamp, "message": event.message});
                patch(format!("/api/v1/namespaces/default/events/{}", segment(&event.name)?), MERGE, change)
            }
            Self::ListPods { node, rest } => {
                let mut path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}&limit={PAGE}", segment(node)?);
                if !rest.is_empty() {
                    path.push_str("&continue=");
                    path.push_str(segment(rest)?);
                }
                get(path)
            }
            Self::Evict { namespace, name, uid } => post(
                format!("/api/v1/namespaces/{}/pods/{}/eviction", segment(namespace)?, segment(name)?),
                json!({
                    "apiVersion": "policy/v1", "kind": "Eviction",
                    "metadata": {"name": name, "namespace": namespace},
                    "deleteOptions": {"preconditions": {"uid": uid}},
                }),
            ),
            Self::GetConfigMap { namespace, name } => get(config_map(namespace, name)?),
            Self::PutConfigMap(map) => {
                let mut body = json!(map);
                body["apiVersion"] = "v1".into();
                body["kind"] = "ConfigMap".into();
                let path = config_map(&map.metadata.namespace, &map.metadata.name)?;
                Wire { method: "PUT", path: format!("{path}?fieldManager={MANAGER}"), media: JSON, body: Some(body) }
            }
            Self::Review(permission) => {
                let mut attributes = json!({
                    "verb": permission.verb, "group": permission.group, "resource": permission.resource,
                    "subresource": permission.subresource, "namespace": permission.namespace, "name": permission.name,
                });
                if let Some((key, value)) = &permission.field {
                    attributes["fieldSelector"] =
                        json!({"requirements": [{"key": key, "operator": "In", "values": [value]}]});
                }
                post(
                    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned(),
                    json!({
                        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                        "spec": {"resourceAttributes": attributes},
                    }),
                )
            }
            Self::WhoAmI => post(
                "/apis/authentication.k8s.io/v1/selfsubjectreviews".to_owned(),
                json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}),
            ),
            Self::Version => get("/version".to_owned()),
        })
    }
}

/// A request as it goes out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wire {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) media: &'static str,
    pub(super) body: Option<Value>,
}

fn config_map(namespace: &str, name: &str) -> Result<String, Error> {
    Ok(format!("/api/v1/namespaces/{}/configmaps/{}", segment(namespace)?, segment(name)?))
}

/// As kubelet does, the object is the Node by its name: `kubectl describe node` looks for both this and its UID.
fn whole(event: &Event) -> Value {
    let mut body = json!(event);
    for (key, value) in [
        ("apiVersion", json!("v1")),
        ("kind", json!("Event")),
        ("metadata", json!({"name": event.name, "namespace": "default"})),
        ("involvedObject", json!({"apiVersion": "v1", "kind": "Node", "name": event.node, "uid": event.node})),
        ("source", json!({"component": MANAGER, "host": event.node})),
        ("reportingComponent", json!(MANAGER)),
        ("reportingInstance", json!(event.node)),
    ] {
        body[key] = value;
    }
    body
}

/// A name as it may stand in a path or a query without change.
pub(super) fn segment(name: &str) -> Result<&str, Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
    if !name.is_empty() && name.len() <= 2048 && name.bytes().all(plain) && name != "." && name != ".." {
        Ok(name)
    } else {
        Err(Error::Invalid { code: 0, message: format!("{:.80?} is no name of an object", name) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_bound_to_the_version_that_was_judged() {
        let request = Request::PatchNode {
            name: "n".to_owned(),
            version: Some("7".to_owned()),
            patch: json!({"spec": {"unschedulable": true}, "metadata": {"annotations": {"a": "b"}}}),
        };
        let wire = request.http().unwrap();
        assert_eq!((wire.method, wire.media), ("PATCH", MERGE));
        assert_eq!(
            wire.body.unwrap(),
            json!({"spec": {"unschedulable": true}, "metadata": {"annotations": {"a": "b"}, "resourceVersion": "7"}})
        );
    }

    #[test]
    fn conditions_of_others_are_not_named() {
        let set =
            vec![NodeCondition { kind: "Ours".to_owned(), status: "True".to_owned(), ..NodeCondition::default() }];
        let request = Request::PatchConditions { name: "n".to_owned(), set, remove: vec!["Old".to_owned()] };
        let wire = request.http().unwrap();
        assert_eq!(wire.path, "/api/v1/nodes/n/status?fieldManager=node-steward");
        let conditions = wire.body.unwrap()["status"]["conditions"].clone();
        assert_eq!(conditions[0]["type"], "Ours");
        assert_eq!(conditions[1], json!({"type": "Old", "$patch": "delete"}));
    }

    #[test]
    fn names_do_not_leave_their_place() {
        for name in ["", "..", "a/b", "a?x=1", "a b", "a%2Fb", "a\r\nb"] {
            assert!(Request::GetNode { name: name.to_owned() }.http().is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_config_map_loses_nothing() {
        let text = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "immutable": false, "binaryData": {"b": "AA=="},
            "metadata": {"name": "m", "namespace": "n", "resourceVersion": "3", "labels": {"l": "1"}, "uid": "u"},
            "data": {"k": "v"},
        });
        let map: ConfigMap = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(Request::PutConfigMap(map).http().unwrap().body.unwrap(), text);
    }
}
