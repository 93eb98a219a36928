//! What is asked of the API server, in small structs of our own: only the fields that are used are ever held in memory.
//! It refuses to know how a request travels: that is `through`.
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::through::Api;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: String,
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}
#[derive(Deserialize)]
struct Node {
    metadata: Meta,
}
#[derive(Deserialize)]
struct Pods {
    items: Vec<Pod>,
}
#[derive(Deserialize)]
struct Pod {
    metadata: Meta,
    spec: PodSpec,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    node_name: String,
}
#[derive(Deserialize)]
struct Review {
    status: ReviewStatus,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewStatus {
    user_info: UserInfo,
}
#[derive(Deserialize)]
struct UserInfo {
    username: String,
}

const ANNOTATION: &str = "ground.example/seen";

pub async fn who(api: &Api) -> Result<Value> {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let review: Review = api
        .ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "application/json", body.to_string())
        .await?;
    Ok(json!({"who": review.status.user_info.username}))
}

pub async fn get(api: &Api, node: &str) -> Result<Value> {
    show(api.ask("GET", &format!("/api/v1/nodes/{node}"), "application/json", String::new()).await?)
}

pub async fn patch(api: &Api, node: &str, value: &str) -> Result<Value> {
    let body = json!({"metadata": {"annotations": {ANNOTATION: value}}});
    show(api.ask("PATCH", &format!("/api/v1/nodes/{node}"), "application/merge-patch+json", body.to_string()).await?)
}

fn show(node: Node) -> Result<Value> {
    let meta = node.metadata;
    Ok(json!({"name": meta.name, "version": meta.resource_version, "seen": meta.annotations.get(ANNOTATION)}))
}

pub async fn pods(api: &Api, node: &str) -> Result<Value> {
    let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}");
    let pods: Pods = api.ask("GET", &path, "application/json", String::new()).await?;
    let foreign = pods.items.iter().filter(|pod| pod.spec.node_name != node).count();
    Ok(json!({"pods": pods.items.len(), "foreign": foreign, "first": pods.items.first().map(|pod| &pod.metadata.name)}))
}

pub async fn evict(api: &Api, pod: &str) -> Result<Value> {
    let (namespace, name) = pod.split_once('/').context("NAMESPACE/POD")?;
    let body =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}});
    let _: Value = api
        .ask(
            "POST",
            &format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction"),
            "application/json",
            body.to_string(),
        )
        .await?;
    Ok(json!({"evicted": name}))
}
