//! A watch: one line of JSON per change. It refuses a line beyond a size, and to be silent for longer than the server's marks are apart.

use std::marker::PhantomData;
use std::time::Duration;

use kube::client::Body;
use kube::core::WatchEvent;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::body::piece;
use super::error::Error;
use super::gate::jitter;
use super::objects::{Node, Pod};
use super::request::{Wire, segment};
use super::sender::{Sender, milliseconds};

/// The server ends a watch itself after half an hour to an hour, at a time of each node's own.
const SHORTEST_S: u64 = 1800;
const MOST_LINE: usize = 4 << 20;

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watch {
    /// A Node, our own.
    Node {
        /// Its name.
        name: String,
        /// The version to go on from, of the list that was read. ("0", for what the server has at hand, is refused before etcd 3.4.25.)
        from: String,
    },
    /// The pods of a node, our own.
    Pods {
        /// The node's name.
        node: String,
        /// The version to go on from, of the list that was read.
        from: String,
    },
}

impl Watch {
    /// Its name in metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Node { .. } => "watchNode",
            Self::Pods { .. } => "watchPods",
        }
    }

    fn http(&self, seconds: u64) -> Result<Wire, Error> {
        let (what, field, name, from) = match self {
            Self::Node { name, from } => ("nodes", "metadata.name", name, from),
            Self::Pods { node, from } => ("pods", "spec.nodeName", node, from),
        };
        let path = format!(
            "/api/v1/{what}?watch=true&allowWatchBookmarks=true&fieldSelector={field}%3D{}&resourceVersion={}&timeoutSeconds={seconds}",
            segment(name)?,
            segment(from)?
        );
        Ok(Wire { method: "GET", path, media: "application/json", body: None })
    }
}

/// What has a version.
pub trait Versioned {
    /// It.
    fn version(&self) -> &str;
}

impl Versioned for Node {
    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

impl Versioned for Pod {
    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen<T> {
    /// It is like this now.
    Now(T),
    /// It was like this and is there no more.
    Gone(T),
    /// Nothing happened up to here: the watch lives.
    Mark,
}

/// An open watch.
#[derive(Debug)]
pub struct Stream<T> {
    body: Body,
    unread: Vec<u8>,
    silence: Duration,
    /// When the server was heard last: whoever waits in many short pieces must not make it look alive.
    heard: Instant,
    version: String,
    of: PhantomData<T>,
}

impl<T: DeserializeOwned + Versioned> Stream<T> {
    /// Opens it.
    pub async fn open(sender: &Sender, watch: &Watch) -> Result<Self, Error> {
        let wire = watch.http(SHORTEST_S + jitter(sender.node(), 7, SHORTEST_S))?;
        let body = sender.open(watch.kind(), wire).await?;
        let (Watch::Node { from, .. } | Watch::Pods { from, .. }) = watch;
        Ok(Self {
            body,
            unread: Vec::new(),
            silence: sender.patience().silence,
            heard: Instant::now(),
            version: from.clone(),
            of: PhantomData,
        })
    }

    /// The version to go on from.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The next change; none where the server ended the watch in good order. Nothing is lost where this is dropped half-way.
    pub async fn next(&mut self) -> Result<Option<Seen<T>>, Error> {
        let silence_ms = milliseconds(self.silence);
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return self.read(&line).map(Some);
            }
            if self.unread.len() > MOST_LINE {
                return Err(Error::Garbage(format!("a change larger than {MOST_LINE} bytes")));
            }
            let until = self.heard + self.silence;
            match tokio::time::timeout_at(until, piece(&mut self.body, silence_ms)).await {
                Err(_) => return Err(Error::Timeout { ms: silence_ms }),
                Ok(Ok(None)) if self.unread.is_empty() => return Ok(None),
                Ok(Ok(None)) => return Err(Error::Garbage("the watch ended within a line".to_owned())),
                Ok(Ok(Some(bytes))) => {
                    self.heard = Instant::now();
                    self.unread.extend_from_slice(&bytes);
                }
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    fn read(&mut self, line: &[u8]) -> Result<Seen<T>, Error> {
        let event: WatchEvent<T> =
            serde_json::from_slice(line).map_err(|error| Error::Garbage(format!("watch: {error}")))?;
        let seen = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => Seen::Now(object),
            WatchEvent::Deleted(object) => Seen::Gone(object),
            WatchEvent::Bookmark(mark) => {
                self.version = mark.metadata.resource_version;
                return Ok(Seen::Mark);
            }
            WatchEvent::Error(status) => {
                let body = serde_json::to_vec(&status).unwrap_or_default();
                return Err(Error::of_answer(status.code, None, &body));
            }
        };
        if let Seen::Now(object) | Seen::Gone(object) = &seen {
            self.version = object.version().to_owned();
        }
        Ok(seen)
    }
}
