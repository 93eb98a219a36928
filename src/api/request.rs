//! From a request to an answer: path, method, permission, body, in this order. It refuses bodies over 64 KiB and bodies that trickle.

use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::Value;

use super::endpoints::{ENDPOINTS, Right};
use super::{Api, Code};
use crate::host::Peer;

/// What is sent back.
pub(super) type Answer = Response<Full<Bytes>>;

const MOST_BODY: usize = 64 << 10;
const BODY_BUDGET: Duration = Duration::from_secs(5);

/// What an endpoint gets to see of a request.
#[derive(Debug, Default)]
pub struct Asked {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; an empty object where there is none.
    pub body: Value,
    /// Who asks, by the kernel's word; nobody over TCP.
    pub uid: Option<u32>,
}

/// Answers one request of a peer; `None` stands for the TCP address, which has metrics and nothing else.
pub(super) async fn answer(api: &Rc<Api>, peer: Option<&Peer>, request: Request<Incoming>) -> Answer {
    Api::count(&api.requests);
    let path = request.uri().path();
    let on_path: Vec<_> =
        ENDPOINTS.iter().filter(|one| one.path == path && (peer.is_some() || one.path == "/metrics")).collect();
    if on_path.is_empty() {
        return Code::UnknownPath.answer(&format!("there is no {path:?} here"));
    }
    // A HEAD is a GET whose body is not sent; hyper leaves it out.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let Some(endpoint) = on_path.iter().find(|one| one.method == *method) else {
        let allowed: Vec<_> =
            on_path.iter().map(|one| if one.method == Method::GET { "GET, HEAD" } else { "POST" }).collect();
        let allowed = allowed.join(", ");
        let mut answer = Code::WrongMethod.answer(&format!("{path} answers {allowed}"));
        if let Ok(value) = HeaderValue::from_str(&allowed) {
            answer.headers_mut().insert(ALLOW, value);
        }
        return answer;
    };
    if let Some(refusal) = peer.and_then(|peer| refuse(api, endpoint.right, peer)) {
        Api::count(&api.refused);
        return Code::Forbidden.answer(&refusal);
    }
    let (head, body) = request.into_parts();
    let body = match endpoint.right {
        Right::Read => Ok(Value::Null),
        Right::Write => read_body(body).await,
    };
    match body {
        Ok(body) => {
            (endpoint.run)(Rc::clone(api), Asked { headers: head.headers, body, uid: peer.map(|peer| peer.uid) }).await
        }
        Err((code, message)) => code.answer(&message),
    }
}

fn refuse(api: &Api, right: Right, peer: &Peer) -> Option<String> {
    let gate = api.gate.borrow();
    match right {
        Right::Read if !gate.may_read(peer) => {
            Some(format!("user {} is neither root nor in the group {}", peer.uid, super::READERS))
        }
        Right::Write if !gate.may_write(peer) => {
            Some(format!("user {} is neither root nor in the group that api.write_group names", peer.uid))
        }
        Right::Read | Right::Write => None,
    }
}

async fn read_body(body: Incoming) -> Result<Value, (Code, String)> {
    let collected = tokio::time::timeout(BODY_BUDGET, Limited::new(body, MOST_BODY).collect()).await;
    let bytes = match collected {
        Err(_) => return Err((Code::BodyTooSlow, format!("the body did not come within {} s", BODY_BUDGET.as_secs()))),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err((Code::BodyTooLarge, format!("the body has more than {MOST_BODY} bytes")));
        }
        Ok(Err(error)) => return Err((Code::BadJson, format!("the body ended early: {error}"))),
        Ok(Ok(collected)) => collected.to_bytes(),
    };
    if bytes.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_slice(&bytes).map_err(|error| (Code::BadJson, format!("the body is not JSON: {error}")))
}

/// One JSON document.
pub(super) fn json_answer(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            with_type(status, "application/json", bytes)
        }
        Err(_) => with_type(
            Code::Internal.status(),
            "application/json",
            format!("{{\"code\":\"{}\",\"message\":\"the answer could not be written\"}}\n", Code::Internal.word())
                .into_bytes(),
        ),
    }
}

/// Any document.
pub(super) fn with_type(status: StatusCode, kind: &'static str, bytes: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(bytes)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // What is true now is not true in ten seconds.
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
