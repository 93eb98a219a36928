//! The local API: HTTP/1.1 and JSON on a Unix socket; one endpoint a file. It shows what the turns have published and refuses to look for itself,
//! so that no request can make a turn late; who may ask is told by the kernel's peer credentials, never by the request.
//!
//! On bare hyper and one thread: the published status lives beside the turns without locks, which a server that moves handlers between threads
//! would need.
#![forbid(unsafe_code)]

mod code;
mod endpoints;
mod gate;
mod request;
mod rules;
mod serve;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use serde_json::Value;

use crate::model::drain::{Allow, DrainStatus};
use crate::model::problem::{Entry, Report};
use crate::model::status::Status;
use crate::model::time::{Mono, Span};

pub use code::Code;
pub use endpoints::ENDPOINTS;
pub use gate::{Gate, READERS};
pub use rules::Rules;

/// What the turns have said.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// The newest status.
    pub status: Status,
    /// This machine's reservations, as `reserve -o json` has them.
    pub reservations: Value,
    /// Every kind of problem.
    pub catalogue: Vec<&'static Entry>,
    /// Whether there was a full look.
    pub ready: bool,
    /// A newest turn older than this is late, ms.
    pub late_after_ms: u64,
}

/// Reads the settings anew; the error is a sentence that names file, line and key.
pub type Reload = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>>>>>;

/// What may be done to the Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// To cordon it.
    Cordon,
    /// To uncordon it.
    Uncordon,
    /// To cordon it, and to evict its pods.
    Drain {
        /// Pods that may go although they stay by default, beside those that the settings allow.
        allow: Vec<Allow>,
        /// In place of the settings' one.
        deadline: Option<Span>,
    },
    /// To say what a drain would do.
    Plan {
        /// As above.
        allow: Vec<Allow>,
    },
    /// To stop the drain that goes on; the cordon stays.
    CancelDrain,
    /// To say how far the drain is.
    ShowDrain,
    /// To take note of what another program reports.
    Report(Report),
}

/// What somebody wants done to the Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What.
    pub act: Act,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The Node.
    pub node: String,
    /// Whether there was anything to be done.
    pub changed: bool,
    /// The drain, where it is about one.
    pub drain: Option<DrainStatus>,
}

/// Sees to an order; the error is a code and a sentence.
pub type Obey = Box<dyn Fn(Order) -> Pin<Box<dyn Future<Output = Result<Done, (Code, String)>>>>>;

/// The API, ready to serve.
pub struct Api {
    published: Rc<RefCell<Published>>,
    gate: RefCell<Gate>,
    clock: Box<dyn Fn() -> Mono>,
    reload: Reload,
    obey: Obey,
    requests: Cell<u64>,
    refused: Cell<u64>,
}

impl Api {
    /// Shows `published`, lets in whom `gate` knows.
    pub fn new(
        published: Rc<RefCell<Published>>,
        gate: Gate,
        clock: impl Fn() -> Mono + 'static,
        reload: Reload,
        obey: Obey,
    ) -> Rc<Self> {
        Rc::new(Self {
            published,
            gate: RefCell::new(gate),
            clock: Box::new(clock),
            reload,
            obey,
            requests: Cell::new(0),
            refused: Cell::new(0),
        })
    }

    /// After new settings: who may ask from now on.
    pub fn set_gate(&self, gate: Gate) {
        *self.gate.borrow_mut() = gate;
    }

    /// The newest status, with this room's own counters.
    fn status(&self) -> Status {
        let mut status = self.published.borrow().status.clone();
        status.counters.insert("apiRequests".to_owned(), self.requests.get());
        status.counters.insert("apiRefused".to_owned(), self.refused.get());
        status
    }

    fn count(counter: &Cell<u64>) {
        counter.set(counter.get().saturating_add(1));
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("gate", &self.gate).finish_non_exhaustive()
    }
}
