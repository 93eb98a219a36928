//! The cluster room, driven line by line from a pipe, so that a script can change the world between two requests. One JSON object answers each line.
//! It refuses a judgement of its own: it sends what it is told to, once, and shows what came of it.
//!
//!     cluster-client KUBECONFIG|- [request-ms=N] [connect-ms=N] [keep-ms=N] [look-ms=N] [imds=ADDR]      `-` looks in the usual places
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, clippy::disallowed_types)] // A test's tool.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use node_steward::cluster::{
    Cluster, ConfigMap, Error, Event, Node, NodeCondition, Nodes, Patience, Permission, Pods, Request, Review, Seen,
    Stream, Version, Watch, WhoAmI, needs, rbac, rbac_yaml, run, run_here,
};
use node_steward::host::Host;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, listen());
}

async fn listen() {
    let mut args = std::env::args().skip(1);
    let asked = args.next().filter(|path| path != "-").map(PathBuf::from);
    let (mut patience, mut imds) = (Patience::default(), None);
    for arg in args {
        let (name, value) = arg.split_once('=').expect("NAME=VALUE");
        let time = || Duration::from_millis(value.parse().expect("a number"));
        match name {
            "request-ms" => patience.request = time(),
            "connect-ms" => patience.connect = time(),
            "look-ms" => patience.look = time(),
            "keep-ms" => patience.keep = time(),
            "imds" => imds = Some(vec![value.parse().expect("an address")]),
            _ => panic!("{arg}"),
        }
    }
    let mut cluster = Cluster::new("act", asked, patience);
    if let Some(imds) = imds {
        cluster = cluster.with_imds(imds);
    }
    let cluster = Rc::new(cluster);
    tokio::task::spawn_local(errands(cluster.clone()));
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let mut lines = BufReader::new(pipe::Receiver::from_owned_fd(stdin).expect("stdin must be a pipe")).lines();
    let mut watch = None;
    while let Some(line) = lines.next_line().await.unwrap() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let start = Instant::now();
        let outcome =
            if words == ["wait"] { Ok(wait(&cluster).await) } else { obey(&cluster, &words, &mut watch).await };
        let mut answer = outcome.unwrap_or_else(|error| json!({"error": error.name(), "why": error.to_string()}));
        answer["ms"] = json!(u64::try_from(start.elapsed().as_millis()).unwrap());
        println!("{answer}");
    }
}

/// As the daemon does it in a child process: somewhere else, and back as values.
async fn errands(cluster: Rc<Cluster>) {
    loop {
        for errand in cluster.errands() {
            let cluster = cluster.clone();
            if !errand.may_block() {
                tokio::task::spawn_local(async move { cluster.learn(run_here(&errand).await) });
                continue;
            }
            let (back, came) = tokio::sync::oneshot::channel();
            let stuck = errand.stuck();
            std::thread::spawn(move || back.send(run(&Host::new(Path::new("/")).unwrap(), &errand)));
            tokio::task::spawn_local(async move { cluster.learn(came.await.unwrap_or(stuck)) });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Until the first looks are through, and nothing is held back.
async fn wait(cluster: &Cluster) -> Value {
    let start = Instant::now();
    loop {
        let standing = json!(cluster.standing());
        let done = standing["state"] != "waiting" && cluster.held_for_ms() == 0;
        if done || start.elapsed() > Duration::from_secs(20) {
            return standing;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn obey(cluster: &Cluster, words: &[&str], watch: &mut Option<Stream<Node>>) -> Result<Value, Error> {
    let own = |word: &str| word.to_owned();
    match *words {
        ["standing"] => Ok(json!(cluster.standing())),
        ["held"] => Ok(json!({"held": cluster.held_for_ms()})),
        ["time"] => Ok(json!({"time": cluster.server_time().map(|time| time.to_string())})),
        ["who"] => {
            let who: WhoAmI = cluster.send(&Request::WhoAmI).await?;
            Ok(json!({"who": who.status.user_info.username}))
        }
        ["version"] => Ok(json!({"version": cluster.send::<Version>(&Request::Version).await?.git_version})),
        ["get", name] => show(cluster.send(&Request::GetNode { name: own(name) }).await?),
        ["patch", name, version, ref patch @ ..] => {
            let patch = serde_json::from_str(&patch.join(" ")).expect("JSON");
            let version = (version != "-").then(|| own(version));
            show(cluster.send(&Request::PatchNode { name: own(name), version, patch }).await?)
        }
        ["condition", name, kind, status] => {
            let condition =
                NodeCondition { kind: own(kind), status: own(status), reason: own("Lab"), ..NodeCondition::default() };
            show(
                cluster
                    .send(&Request::PatchConditions { name: own(name), set: vec![condition], remove: Vec::new() })
                    .await?,
            )
        }
        ["uncondition", name, kind] => show(
            cluster
                .send(&Request::PatchConditions { name: own(name), set: Vec::new(), remove: vec![own(kind)] })
                .await?,
        ),
        [verb @ ("event" | "event-again"), node, name, count] => {
            let time = own("2026-01-02T03:04:05Z");
            let event = Event {
                kind: own("Warning"),
                reason: own("Lab"),
                message: own("a message"),
                node: own(node),
                name: own(name),
                first_timestamp: time.clone(),
                last_timestamp: time,
                count: count.parse().expect("a number"),
            };
            let request = if verb == "event" { Request::CreateEvent(event) } else { Request::PatchEvent(event) };
            Ok(json!({"count": cluster.send::<Value>(&request).await?["count"]}))
        }
        ["pods", node] => {
            let (mut rest, mut names, mut pages, mut foreign, mut volumes) = (String::new(), Vec::new(), 0, 0, 0);
            loop {
                let page: Pods = cluster.send(&Request::ListPods { node: own(node), rest }).await?;
                pages += 1;
                foreign += page.items.iter().filter(|pod| pod.spec.node_name != *node).count();
                volumes +=
                    page.items.iter().flat_map(|pod| &pod.spec.volumes).filter(|one| one.empty_dir.is_some()).count();
                names.extend(page.items.into_iter().map(|pod| format!("{} {}", pod.metadata.name, pod.metadata.uid)));
                rest = page.metadata.rest;
                if rest.is_empty() {
                    break;
                }
            }
            Ok(
                json!({"pods": names.len(), "pages": pages, "foreign": foreign, "emptyDirs": volumes, "first": names.first()}),
            )
        }
        ["evict", namespace, name, uid] => {
            let request = Request::Evict { namespace: own(namespace), name: own(name), uid: own(uid) };
            let _: Value = cluster.send(&request).await?;
            Ok(json!({"evicted": name}))
        }
        ["map", namespace, name] => {
            let map: ConfigMap =
                cluster.send(&Request::GetConfigMap { namespace: own(namespace), name: own(name) }).await?;
            Ok(json!({"version": map.metadata.resource_version, "data": map.data}))
        }
        ["put", namespace, name, version, key, value] => {
            let mut map: ConfigMap =
                cluster.send(&Request::GetConfigMap { namespace: own(namespace), name: own(name) }).await?;
            if version != "-" {
                map.metadata.resource_version = own(version);
            }
            map.data.insert(own(key), own(value));
            let map: ConfigMap = cluster.send(&Request::PutConfigMap(map)).await?;
            Ok(json!({"version": map.metadata.resource_version, "data": map.data}))
        }
        ["may", verb, resource, ref rest @ ..] => {
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            let word = |at: usize| rest.get(at).filter(|word| **word != "-").map_or(String::new(), |word| own(word));
            let permission = Permission {
                verb: own(verb),
                group: word(2),
                field: (resource == "pods" && subresource.is_empty()).then(|| (own("spec.nodeName"), own("act-a"))),
                resource: own(resource),
                subresource: own(subresource),
                namespace: word(0),
                name: word(1),
            };
            Ok(json!({"may": cluster.send::<Review>(&Request::Review(permission)).await?.status.allowed}))
        }
        ["missing", node] => {
            let who: WhoAmI = cluster.send(&Request::WhoAmI).await?;
            let missing = cluster.missing(&needs(node, &[("kube-system", "ledger", true)])).await?;
            let names: Vec<_> = missing.iter().map(|need| need.permission.to_string()).collect();
            let missing: Vec<_> = missing.into_iter().map(|need| need.permission).collect();
            let user = who.status.user_info.username;
            Ok(json!({"missing": names, "rbac": rbac(&missing, &user), "yaml": rbac_yaml(&missing, &user)}))
        }
        ["watch", name] => {
            let nodes: Nodes = cluster.send(&Request::ListNode { name: own(name) }).await?;
            let from = nodes.metadata.resource_version;
            *watch = Some(cluster.watch(&Watch::Node { name: own(name), from }).await?);
            show(nodes.items.into_iter().next().expect("a Node"))
        }
        ["watch", name, from] => {
            *watch = Some(cluster.watch(&Watch::Node { name: own(name), from: own(from) }).await?);
            Ok(json!({}))
        }
        ["next"] => {
            let stream = watch.as_mut().expect("a watch");
            match tokio::time::timeout(Duration::from_secs(20), stream.next()).await {
                Err(_) => Ok(json!({"seen": "nothing"})),
                Ok(seen) => Ok(match seen? {
                    None => json!({"seen": "end"}),
                    Some(Seen::Mark) => json!({"seen": "mark"}),
                    Some(Seen::Gone(node)) => json!({"seen": "gone", "name": node.metadata.name}),
                    Some(Seen::Now(node)) => {
                        let mut shown = show(node)?;
                        shown["seen"] = json!("now");
                        shown
                    }
                }),
            }
        }
        ["figures"] => {
            let figures = cluster.figures();
            let kinds: serde_json::Map<_, _> = figures
                .requests
                .iter()
                .map(|(kind, count)| {
                    (
                        own(kind),
                        json!({"sent": count.sent, "good": count.good, "failed": count.failed, "bytes": count.bytes}),
                    )
                })
                .collect();
            Ok(json!({
                "requests": kinds, "sent": figures.sent(), "heldBack": figures.held_back, "pools": figures.pools,
                "plugins": figures.plugins, "tokens": figures.tokens,
            }))
        }
        ["memory"] => {
            let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap()
                + &std::fs::read_to_string("/proc/self/status").unwrap();
            let field = |name: &str| -> u64 {
                let line = text
                    .lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                    .expect("a field of the kernel's");
                line.trim().trim_end_matches(" kB").parse().expect("a number")
            };
            Ok(json!({"pss": field("Pss"), "anon": field("Pss_Anon"), "threads": field("Threads")}))
        }
        _ => panic!("not a command: {words:?}"),
    }
}

fn show(node: Node) -> Result<Value, Error> {
    Ok(json!({
        "name": node.metadata.name, "version": node.metadata.resource_version, "uid": node.metadata.uid,
        "unschedulable": node.spec.unschedulable, "annotations": node.metadata.annotations, "labels": node.metadata.labels,
        "conditions": node.status.conditions.iter().map(|one| format!("{}={}", one.kind, one.status)).collect::<Vec<_>>(),
        "managers": node.metadata.managed_fields.iter().map(|one| one.manager.clone()).collect::<Vec<_>>(),
    }))
}
