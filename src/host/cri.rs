//! Which containers run, as the container runtime knows them: one call of the Container Runtime Interface over its local socket. A runtime may be slow or
//! hang, so only a probe child, or a recording, asks. It refuses to call anything that changes something: `ListContainers` is read, and nothing else.
//!
//! What is used of the interface (runtime.v1, `api.proto` of cri-api): the filter by state, a container's id (1) and labels (8), where kubelet notes whose
//! it is.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper::{HeaderMap, Request};
use prost::Message;

use super::error::{HostError, HostResult, Reason};
use super::root::Host;
use super::wire::{Tasks, Wire, ask_within};
use crate::model::watch::PodName;

/// containerd's, CRI-O's, that of k3s and rke2, and Docker's adapter. Docker's own containerd has the first one too, and no such service on it.
const SOCKETS: [&str; 4] = [
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
];
/// Before the probe's deadline comes.
const PATIENCE: Duration = Duration::from_secs(2);
/// A container's line has one or two kilobytes, and a node some hundreds of them.
const MOST_BODY: usize = 8 << 20;
const METHOD: &str = "http://localhost/runtime.v1.RuntimeService/ListContainers";
/// CONTAINER_RUNNING.
const RUNNING: i32 = 1;
/// A message's head: whether it is compressed, and its length, big-endian.
const HEAD: usize = 5;

#[derive(Clone, PartialEq, Message)]
struct Question {
    #[prost(message, optional, tag = "1")]
    filter: Option<Filter>,
}

#[derive(Clone, PartialEq, Message)]
struct Filter {
    #[prost(message, optional, tag = "2")]
    state: Option<State>,
}

#[derive(Clone, PartialEq, Message)]
struct State {
    #[prost(int32, tag = "1")]
    state: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Listed {
    #[prost(message, repeated, tag = "1")]
    containers: Vec<Container>,
}

#[derive(Clone, PartialEq, Message)]
struct Container {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(btree_map = "string, string", tag = "8")]
    labels: BTreeMap<String, String>,
}

impl Host {
    /// Pods by their running containers, each with its id. Nothing where this machine has no socket of a runtime, or a recording does not say.
    pub fn containers(&self) -> HostResult<Option<Vec<PodName>>> {
        const ACT: &str = "ask the container runtime at";
        let told = self.told(ACT, Path::new("/containers"), || {
            let mut why = None;
            for path in SOCKETS {
                match ask_within(PATIENCE, ask(&self.outside_path(Path::new(path)))) {
                    Ok(Some(pods)) => return Ok(Some(serde_json::to_string(&pods).unwrap_or_default())),
                    Ok(None) => {}
                    Err(error) => {
                        why = Some(HostError { act: ACT, path: path.into(), reason: Reason::Other(error) });
                    }
                }
            }
            why.map_or(Ok(None), Err)
        })?;
        let failed = |error: serde_json::Error| HostError {
            act: ACT,
            path: "a recording".into(),
            reason: Reason::Other(error.to_string()),
        };
        told.map(|text| serde_json::from_str(&text).map_err(failed)).transpose()
    }
}

/// One question on a connection of its own; nothing where there is no such socket.
async fn ask(path: &Path) -> Result<Option<Vec<PodName>>, String> {
    let wire = match Wire::unix(path) {
        Ok(wire) => wire,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let words = |error: hyper::Error| error.to_string();
    let tasks = Tasks::default();
    let (mut sender, connection) = http2::handshake(tasks.clone(), wire).await.map_err(words)?;
    let question = Question { filter: Some(Filter { state: Some(State { state: RUNNING }) }) }.encode_to_vec();
    let request = Request::post(METHOD)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from([&head(&question)[..], &question].concat())))
        .map_err(|error| error.to_string())?;
    let answer = async {
        let (first, body) = sender.send_request(request).await.map_err(words)?.into_parts();
        if !first.status.is_success() {
            return Err(format!("it answered {}", first.status));
        }
        let body = Limited::new(body, MOST_BODY).collect().await.map_err(|error| error.to_string())?;
        // What failed at once has its outcome in the head.
        outcome(body.trailers().filter(|trailers| trailers.contains_key("grpc-status")).unwrap_or(&first.headers))?;
        read(&body.to_bytes())
    };
    let (mut answer, mut connection) = (pin!(answer), pin!(connection));
    let mut ended = false;
    poll_fn(|context| {
        if let Poll::Ready(done) = answer.as_mut().poll(context) {
            return Poll::Ready(done.map(Some));
        }
        tasks.poll(context);
        // What came before its end is still to be read.
        if !ended && let Poll::Ready(end) = connection.as_mut().poll(context) {
            if let Err(error) = end {
                return Poll::Ready(Err(words(error)));
            }
            ended = true;
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

fn head(message: &[u8]) -> [u8; HEAD] {
    let [a, b, c, d] = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [0, a, b, c, d]
}

fn outcome(fields: &HeaderMap) -> Result<(), String> {
    let text = |name: &str| fields.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    match text("grpc-status").as_deref() {
        Some("0") => Ok(()),
        Some(code) => Err(format!("status {code}: {}", text("grpc-message").unwrap_or_default())),
        None => Err("it answered without a status".to_owned()),
    }
}

fn read(body: &[u8]) -> Result<Vec<PodName>, String> {
    let Some((said, message)) = body.split_at_checked(HEAD) else { return Err("its answer has no message".to_owned()) };
    if said != head(message) {
        return Err("its answer is compressed, or not of the length that it says".to_owned());
    }
    let listed = Listed::decode(message).map_err(|error| format!("its answer cannot be read: {error}"))?;
    let mut pods: BTreeMap<String, PodName> = BTreeMap::new();
    for Container { id, mut labels } in listed.containers {
        // What kubelet has not made is no pod's.
        let mut label = |name: &str| labels.remove(&format!("io.kubernetes.{name}"));
        let (Some(namespace), Some(pod), Some(uid), Some(container)) =
            (label("pod.namespace"), label("pod.name"), label("pod.uid"), label("container.name"))
        else {
            continue;
        };
        let new = || PodName { namespace, pod, uid: uid.clone(), containers: Vec::new(), ids: BTreeMap::new() };
        pods.entry(uid.clone()).or_insert_with(new).ids.insert(id, container);
    }
    Ok(pods.into_values().collect())
}

#[cfg(test)]
mod tests;
