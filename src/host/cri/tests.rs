//! The runtime's socket, played by a real HTTP/2 server, and answers that are not one.

use std::convert::Infallible;

use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper::{Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixListener;

use super::*;

fn listed() -> Vec<u8> {
    let container = |id: &str, labels: &[(&str, &str)]| Container {
        id: id.repeat(32),
        labels: labels.iter().map(|(name, value)| (format!("io.kubernetes.{name}"), (*value).to_owned())).collect(),
    };
    let of = |id, name| {
        container(id, &[("pod.namespace", "shop"), ("pod.name", "web-0"), ("pod.uid", "u-1"), ("container.name", name)])
    };
    Listed { containers: vec![of("5f", "app"), container("aa", &[("pod.name", "odd")]), of("6f", "proxy")] }
        .encode_to_vec()
}

/// What `ask` makes of a runtime that answers so; the server also says what it was asked.
fn asked(body: Vec<u8>, status: Option<&'static str>) -> (Result<Option<Vec<PodName>>, String>, Vec<u8>) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("cri.sock");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    runtime.block_on(async {
        let listener = UnixListener::bind(&path).unwrap();
        let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = |request: Request<Incoming>| {
                let (heard, body) = (heard.clone(), body.clone());
                async move {
                    assert_eq!(request.uri().path(), "/runtime.v1.RuntimeService/ListContainers");
                    assert_eq!(request.headers()["content-type"], "application/grpc");
                    heard.send(request.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
                    let mut frames = vec![Ok::<_, Infallible>(Frame::data(Bytes::from(body)))];
                    if let Some(status) = status {
                        let fields = [("grpc-status", status), ("grpc-message", "unknown service")];
                        let fields = fields.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
                        frames.push(Ok(Frame::trailers(HeaderMap::from_iter(fields))));
                    }
                    Ok::<_, Infallible>(Response::new(StreamBody::new(Frames(frames.into_iter()))))
                }
            };
            let _ = server::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
            std::future::pending::<()>().await;
        };
        let answer = tokio::select! { answer = ask(&path) => answer, () = serve => unreachable!() };
        (answer, hears.recv().await.unwrap())
    })
}

struct Frames(std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>);

impl futures_core::Stream for Frames {
    type Item = Result<Frame<Bytes>, Infallible>;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}

#[test]
fn running_containers_are_named_by_kubelets_labels() {
    let message = listed();
    let body = [&head(&message)[..], &message].concat();
    let (answer, question) = asked(body.clone(), Some("0"));
    let pods = answer.unwrap().unwrap();
    assert_eq!(pods.len(), 1);
    assert_eq!((pods[0].namespace.as_str(), pods[0].pod.as_str(), pods[0].uid.as_str()), ("shop", "web-0", "u-1"));
    let ids: Vec<_> = pods[0].ids.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect();
    assert_eq!(ids, [(&*"5f".repeat(32), "app"), (&*"6f".repeat(32), "proxy")]);
    // filter { state { state: CONTAINER_RUNNING } }, as protobuf writes it.
    assert_eq!(question, [0, 0, 0, 0, 6, 0x0a, 4, 0x12, 2, 0x08, 1]);
    assert_eq!(asked(vec![0; HEAD], Some("0")).0, Ok(Some(Vec::new())));
}

#[test]
fn what_is_no_list_is_an_error() {
    let message = listed();
    let whole = [&head(&message)[..], &message].concat();
    assert_eq!(asked(Vec::new(), Some("12")).0, Err("status 12: unknown service".to_owned()));
    assert_eq!(asked(whole.clone(), None).0, Err("it answered without a status".to_owned()));
    let mut compressed = whole.clone();
    compressed[0] = 1;
    for body in [&whole[..whole.len() - 1], &compressed, &whole[..3], &[], &[0, 0, 0, 0, 2, 0x0a, 9]] {
        assert!(asked(body.to_vec(), Some("0")).0.is_err(), "{body:?}");
    }
}

#[test]
fn no_socket_is_nothing_and_a_dead_one_an_error() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("cri.sock");
    let once = || ask_within(PATIENCE, ask(&path));
    assert_eq!(once(), Ok(None));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    // Taken, and never answered.
    let from = crate::host::clock::monotonic();
    assert_eq!(once(), Err("it did not answer within 2 s".to_owned()));
    assert!(crate::host::clock::monotonic().since_ms(from) < 10_000);
    drop(listener);
    assert!(once().is_err());
}

#[test]
fn a_recording_tells_what_it_has() {
    let root = tempfile::tempdir().unwrap();
    let host = Host::new(root.path()).unwrap();
    assert_eq!(host.containers().unwrap(), None);
    crate::host::made::put(
        root.path(),
        ".recorded/told/containers",
        r#"[{"namespace":"shop","pod":"web-0","uid":"u-1","containers":[],"ids":{"5f":"app"}}]"#,
    );
    assert_eq!(host.containers().unwrap().unwrap()[0].ids["5f"], "app");
    crate::host::made::put(root.path(), ".recorded/told/containers", "x");
    assert!(host.containers().is_err());
}
