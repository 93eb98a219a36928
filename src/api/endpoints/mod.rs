//! What can be asked: one endpoint a file, one line in the list. It refuses a path that is not in the list.

mod cordon;
mod decisions;
mod drain;
mod health;
mod metrics;
mod problems;
mod reload;
mod report;
mod reservations;
mod status;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use hyper::{Method, StatusCode};
use serde_json::Value;

use super::request::{Answer, Asked, json_answer};
use super::{Act, Api};

/// What it takes to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To be in the group of readers.
    Read,
    /// To be root, or in the group that the settings name.
    Write,
}

pub(super) type Run = fn(Rc<Api>, Asked) -> Pin<Box<dyn Future<Output = Answer>>>;

/// One of them.
pub struct Endpoint {
    /// Its method; GET answers HEAD as well.
    pub method: Method,
    /// Its path.
    pub path: &'static str,
    /// Who may.
    pub right: Right,
    pub(super) run: Run,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

const fn get(path: &'static str, run: Run) -> Endpoint {
    Endpoint { method: Method::GET, path, right: Right::Read, run }
}

const fn post(path: &'static str, run: Run) -> Endpoint {
    Endpoint { method: Method::POST, path, right: Right::Write, run }
}

/// All of them.
pub static ENDPOINTS: [Endpoint; 13] = [
    get("/v1/status", |api, _| now(status::show(&api))),
    get("/v1/problems", |api, _| now(problems::show(&api))),
    get("/v1/decisions", |api, _| now(decisions::show(&api))),
    get("/v1/reservations", |api, _| now(reservations::show(&api))),
    get("/metrics", |api, asked| now(metrics::show(&api, &asked))),
    get("/healthz", |api, _| now(health::healthz(&api))),
    get("/readyz", |api, _| now(health::readyz(&api))),
    get("/v1/drain", |api, _| Box::pin(drain::show(api))),
    post("/v1/cordon", |api, asked| Box::pin(cordon::run(api, asked, Act::Cordon))),
    post("/v1/uncordon", |api, asked| Box::pin(cordon::run(api, asked, Act::Uncordon))),
    post("/v1/drain", |api, asked| Box::pin(drain::run(api, asked))),
    post("/v1/problems", |api, asked| Box::pin(report::run(api, asked))),
    post("/v1/reload", |api, asked| Box::pin(reload::run(api, asked))),
];

/// An answer that is there at once.
fn now(answer: Answer) -> Pin<Box<dyn Future<Output = Answer>>> {
    Box::pin(std::future::ready(answer))
}

fn fine(value: &Value) -> Answer {
    json_answer(StatusCode::OK, value)
}
