//! The one sender. It refuses to send while the gate is closed, to wait beyond its patience, to retry, and to take an answer beyond a size.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER, USER_AGENT};
use kube::Client;
use kube::client::Body;
use serde::de::DeserializeOwned;

use super::body::whole;
use super::error::Error;
use super::figures::Figures;
use super::gate::Gate;
use super::keeper::Credentials;
use super::link::link;
use super::request::{Request, Wire};
use crate::host::clock;
use crate::model::time::{Mono, Wall};

const AGENT: &str = concat!("node-steward/", env!("CARGO_PKG_VERSION"));
/// A hundred pods at their largest; everything else is far below.
const MOST_BODY: usize = 8 << 20;

/// How long what may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// A request, from the connection to the last byte.
    pub request: Duration,
    /// A connection with its handshake.
    pub connect: Duration,
    /// How long a connection without work is kept.
    pub keep: Duration,
    /// How long a watch may be silent; the server sends a mark each minute or so.
    pub silence: Duration,
    /// How often the files that hold the credential are looked at.
    pub look: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            keep: Duration::from_secs(30),
            silence: Duration::from_secs(180),
            // kubelet's certificates overlap by weeks, tokens in files by minutes.
            look: Duration::from_secs(60),
        }
    }
}

/// See the head of this file.
#[derive(Debug)]
pub struct Sender {
    node: String,
    patience: Patience,
    gate: RefCell<Gate>,
    figures: RefCell<Figures>,
    link: RefCell<Option<Link>>,
    server_time: Cell<Option<(Mono, Wall)>>,
}

struct Link {
    client: Client,
    made_of: Credentials,
    bearer: Option<HeaderValue>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("made_of", &self.made_of).finish_non_exhaustive()
    }
}

impl Sender {
    /// Connected to nobody; `node` makes the jitter.
    pub fn new(node: &str, patience: Patience) -> Self {
        Self {
            node: node.to_owned(),
            patience,
            gate: RefCell::new(Gate::new(node)),
            figures: RefCell::default(),
            link: RefCell::default(),
            server_time: Cell::new(None),
        }
    }

    /// Uses these from now on. Where they changed, a new pool is begun and the old one's idle connections are dropped; a token alone needs none.
    pub(super) fn connect(&self, credentials: Credentials) -> Result<(), Error> {
        let mut link_now = self.link.borrow_mut();
        let bearer = match &credentials.bearer {
            None => None,
            Some(token) => {
                let mut value = HeaderValue::try_from(format!("Bearer {}", token.reveal()))
                    .map_err(|_| Error::NotReady("the token cannot stand in a header".to_owned()))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        if let Some(now) = link_now.as_mut() {
            let same = now.made_of.material.server == credentials.material.server
                && now.made_of.material.authority == credentials.material.authority
                && now.made_of.certificate == credentials.certificate
                && now.made_of.addresses == credentials.addresses;
            if same {
                if now.bearer != bearer {
                    // The new one is given its chance at once.
                    self.gate.borrow_mut().succeeded();
                }
                (now.bearer, now.made_of) = (bearer, credentials);
                return Ok(());
            }
        }
        let client = link(&credentials, &self.patience)?;
        *link_now = Some(Link { client, made_of: credentials, bearer });
        self.figures.borrow_mut().pools += 1;
        self.gate.borrow_mut().succeeded();
        Ok(())
    }

    /// Stops using what it has: the last token has ended.
    pub(super) fn disconnect(&self) {
        *self.link.borrow_mut() = None;
    }

    pub(super) fn generation(&self) -> u64 {
        self.figures.borrow().pools
    }

    pub(super) fn is_connected(&self) -> bool {
        self.link.borrow().is_some()
    }

    /// Sends one request and reads its answer.
    pub async fn send<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Error> {
        let kind = request.kind();
        let wire = request.http()?;
        // An eviction of a pod that has been replaced is tried by the server itself for ten seconds before it says so.
        let times = if matches!(request, Request::Evict { .. }) { 3 } else { 1 };
        let patience = self.patience.request * times;
        let body = self.measured(kind, patience, self.exchange(wire)).await?;
        self.figures.borrow_mut().of(kind).bytes += u64::try_from(body.len()).unwrap_or(0);
        // serde would take a list for a structure.
        let read = match body.trim_ascii_start().first() {
            Some(b'{') => serde_json::from_slice(&body).map_err(|error| Error::Garbage(format!("{kind}: {error}"))),
            _ => Err(Error::Garbage(format!("{kind}: it is no JSON object"))),
        };
        self.judge(kind, &read);
        read
    }

    /// Opens a stream.
    pub(super) async fn open(&self, kind: &'static str, wire: Wire) -> Result<Body, Error> {
        let opened = self.measured(kind, self.patience.request, self.begin(wire)).await.map(http::Response::into_body);
        self.judge(kind, &opened);
        opened
    }

    /// What was asked so far.
    pub fn figures(&self) -> Figures {
        self.figures.borrow().clone()
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.figures.borrow_mut());
    }

    /// How long nothing will be sent.
    pub fn held_for_ms(&self) -> u64 {
        self.gate.borrow().closed_for(clock::monotonic())
    }

    /// The API server's own time, from its last answer on; none where it never gave one. It is exact to a second and the way there.
    pub fn server_time(&self) -> Option<Wall> {
        let (at, told) = self.server_time.get()?;
        let passed = i64::try_from(clock::monotonic().since_ms(at)).unwrap_or(i64::MAX);
        Some(Wall(told.0.saturating_add(passed)))
    }

    pub(super) fn node(&self) -> &str {
        &self.node
    }

    pub(super) fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Within patience, unless the gate is closed; failures are judged here, successes by whoever has read them.
    async fn measured<T>(
        &self,
        kind: &'static str,
        patience: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let start = clock::monotonic();
        let closed = self.gate.borrow().closed_for(start);
        if closed > 0 {
            self.figures.borrow_mut().held_back += 1;
            return Err(Error::HeldBack { ms: closed });
        }
        if self.link.borrow().is_none() {
            return Err(Error::NotReady("there is no connection yet".to_owned()));
        }
        self.figures.borrow_mut().of(kind).sent += 1;
        let result = tokio::time::timeout(patience, work).await;
        let result = result.unwrap_or(Err(Error::Timeout { ms: milliseconds(patience) }));
        self.figures.borrow_mut().of(kind).ms += clock::monotonic().since_ms(start);
        if result.is_err() {
            self.judge(kind, &result);
        }
        result
    }

    fn judge<T>(&self, kind: &'static str, result: &Result<T, Error>) {
        let mut figures = self.figures.borrow_mut();
        match result {
            Ok(_) => {
                figures.of(kind).good += 1;
                self.gate.borrow_mut().succeeded();
            }
            Err(error) => {
                *figures.of(kind).failed.entry(error.name()).or_default() += 1;
                let asked = match error {
                    Error::TooManyRequests { retry_after_ms, .. } => *retry_after_ms,
                    _ => None,
                };
                if error.asks_for_distance() {
                    self.gate.borrow_mut().failed(clock::monotonic(), asked);
                } else {
                    self.gate.borrow_mut().succeeded();
                }
            }
        }
    }

    async fn exchange(&self, wire: Wire) -> Result<Vec<u8>, Error> {
        let response = self.begin(wire).await?;
        whole(response.into_body(), MOST_BODY, milliseconds(self.patience.request)).await
    }

    /// Until the answer's head; an answer that is no success is an error.
    async fn begin(&self, wire: Wire) -> Result<http::Response<Body>, Error> {
        let (client, request) = self.prepare(wire)?;
        let patience_ms = milliseconds(self.patience.request);
        let response = client.send(request).await.map_err(|error| Error::of_transport(&error, patience_ms))?;
        let (code, headers) = (response.status(), response.headers());
        if let Some(date) = headers.get(DATE).and_then(|value| value.to_str().ok()).and_then(date) {
            self.server_time.set(Some((clock::monotonic(), date)));
        }
        if code.is_success() {
            return Ok(response);
        }
        let seconds: Option<u64> =
            headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok());
        let retry_after = seconds.map(|seconds| seconds.saturating_mul(1000));
        let body = whole(response.into_body(), MOST_BODY, patience_ms).await.unwrap_or_default();
        Err(Error::of_answer(code.as_u16(), retry_after, &body))
    }

    fn prepare(&self, wire: Wire) -> Result<(Client, http::Request<Body>), Error> {
        let link = self.link.borrow();
        let link = link.as_ref().ok_or_else(|| Error::NotReady("there is no connection yet".to_owned()))?;
        let mut request = http::Request::builder()
            .method(wire.method)
            .uri(format!("{}{}", link.made_of.material.server.url, wire.path))
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, AGENT);
        if let Some(bearer) = &link.bearer {
            request = request.header(AUTHORIZATION, bearer.clone());
        }
        let body = match wire.body {
            None => Body::empty(),
            Some(body) => {
                request = request.header(CONTENT_TYPE, wire.media);
                Body::from(body.to_string().into_bytes())
            }
        };
        let request = request.body(body).map_err(|error| Error::Invalid { code: 0, message: error.to_string() })?;
        Ok((link.client.clone(), request))
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A Date header, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(text: &str) -> Option<Wall> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Wall(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Wall(784_111_777_000)));
        assert_eq!(date("yesterday"), None);
    }
}
