//! The room's front: what is known of the connection, and the sender on top of it. It refuses to fetch anything itself: it says what is due and is told
//! what came of it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::de::DeserializeOwned;

use super::errand::{Errand, Fetched};
use super::error::Error;
use super::figures::Figures;
use super::keeper::{Keeper, Standing};
use super::objects::Review;
use super::permissions::Need;
use super::plugin::Plugin;
use super::request::Request;
use super::sender::{Patience, Sender, milliseconds};
use super::watch::{Stream, Versioned, Watch};
use crate::host::clock;
use crate::model::time::{Mono, Wall};

/// See the head of this file.
#[derive(Debug)]
pub struct Cluster {
    keeper: RefCell<Keeper>,
    sender: Sender,
    /// Of the last answer, and of the last attempt to use what was read.
    trouble: RefCell<[Option<Error>; 2]>,
}

impl Cluster {
    /// `node` is this node's name as far as it is known (it makes the jitter), `asked` the kubeconfig that was asked for.
    pub fn new(node: &str, asked: Option<PathBuf>, patience: Patience) -> Self {
        Self {
            keeper: RefCell::new(Keeper::new(asked, milliseconds(patience.look))),
            sender: Sender::new(node, patience),
            trouble: RefCell::default(),
        }
    }

    /// The same with a metadata service elsewhere.
    #[must_use]
    pub fn with_imds(self, imds: Vec<SocketAddr>) -> Self {
        Self { keeper: RefCell::new(self.keeper.into_inner().with_imds(imds)), ..self }
    }

    /// What is to be fetched now: by [`run`](super::run) in a place where that may hang, or by [`run_here`](super::run_here).
    pub fn errands(&self) -> Vec<Errand> {
        let errands = self.keeper.borrow_mut().due(clock::monotonic());
        for errand in &errands {
            self.sender.count(|figures| match errand {
                Errand::Token { plugin: Plugin::Eks(_), .. } => figures.tokens += 1,
                Errand::Token { plugin: Plugin::Program { .. }, .. } => figures.plugins += 1,
                Errand::Look { .. } | Errand::Resolve { .. } => {}
            });
        }
        errands
    }

    /// When to ask for errands next.
    pub fn next_errand(&self) -> Mono {
        self.keeper.borrow().next(clock::monotonic())
    }

    /// Takes what an errand brought. It needs the runtime.
    pub fn learn(&self, fetched: Fetched) {
        let now = clock::monotonic();
        self.keeper.borrow_mut().learn(now, fetched);
        // What is missing is said by `standing`; what cannot be used is kept for it.
        let _ = self.join(now);
    }

    /// How it stands, for people.
    pub fn standing(&self) -> Standing {
        let standing = self.keeper.borrow().standing(clock::monotonic());
        match standing {
            Standing::Known { kubeconfig, server, credential, mut trouble } => {
                trouble.extend(self.trouble.borrow().iter().flatten().map(Error::to_string));
                Standing::Known { kubeconfig, server, credential, trouble }
            }
            standing => standing,
        }
    }

    /// Sends one request.
    pub async fn send<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Error> {
        self.join(clock::monotonic())?;
        let result = self.sender.send(request).await;
        self.heed(result.as_ref().err());
        result
    }

    /// Opens a watch.
    pub async fn watch<T: DeserializeOwned + Versioned>(&self, watch: &Watch) -> Result<Stream<T>, Error> {
        self.join(clock::monotonic())?;
        let result = Stream::open(&self.sender, watch).await;
        self.heed(result.as_ref().err());
        result
    }

    /// Which of these the server does not allow.
    pub async fn missing(&self, needs: &[Need]) -> Result<Vec<Need>, Error> {
        let mut missing = Vec::new();
        for need in needs {
            let review: Review = self.send(&Request::Review(need.permission.clone())).await?;
            if !review.status.allowed {
                missing.push(need.clone());
            }
        }
        Ok(missing)
    }

    /// Goes up with each new pool of connections: a watch that was opened before is one of the credential before, and is to be opened anew.
    pub fn generation(&self) -> u64 {
        self.sender.generation()
    }

    /// What was asked so far.
    pub fn figures(&self) -> Figures {
        self.sender.figures()
    }

    /// How long nothing will be sent, in milliseconds.
    pub fn held_for_ms(&self) -> u64 {
        self.sender.held_for_ms()
    }

    /// The API server's own time.
    pub fn server_time(&self) -> Option<Wall> {
        self.sender.server_time()
    }

    /// A token's end is noticed here too, not only when something new comes.
    fn join(&self, now: Mono) -> Result<(), Error> {
        let credentials = self.keeper.borrow().credentials(now);
        match credentials {
            Err(why) => {
                self.sender.disconnect();
                Err(Error::NotReady(why))
            }
            Ok(credentials) => {
                let joined = self.sender.connect(credentials);
                self.trouble.borrow_mut()[1] = joined.as_ref().err().cloned();
                if joined.is_err() {
                    // Half of a pair was written when it was read: the pool before stands.
                    self.keeper.borrow_mut().distrust();
                }
                if self.sender.is_connected() { Ok(()) } else { joined }
            }
        }
    }

    fn heed(&self, error: Option<&Error>) {
        match error {
            Some(Error::HeldBack { .. }) => return,
            Some(Error::Unauthorized(_) | Error::Tls(_)) => self.keeper.borrow_mut().distrust(),
            Some(Error::Unavailable { code: None, .. } | Error::Timeout { .. }) => {
                self.keeper.borrow_mut().unreachable()
            }
            _ => {}
        }
        self.trouble.borrow_mut()[0] = error.filter(|error| error.asks_for_distance()).cloned();
    }
}
