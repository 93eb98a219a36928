//! Where the daemon can be asked: the local API's socket, and metrics over TCP where that is wanted. It refuses to stop the watch where a door
//! cannot be opened: it says so and goes on.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

use super::orders::Ordered;
use super::reload::Asker;
use crate::agent::Settings;
use crate::api::{Api, Code, Gate, Obey, Published, Reload};
use crate::host::{Host, Log, Priority, clock};

/// An order's time, below a connection's own.
const ORDER_PATIENCE: Duration = Duration::from_secs(15);

/// Ways from the API to the daemon.
pub struct Asks {
    pub(super) reloads: mpsc::UnboundedSender<Asker>,
    pub(super) orders: mpsc::UnboundedSender<Ordered>,
}

/// Opens them and serves until the runtime ends; gives the socket's path as well. It needs a runtime and a `LocalSet`.
pub async fn open(
    host: &Host,
    log: &Log,
    settings: &Settings,
    directory: Option<&Path>,
    published: Rc<RefCell<Published>>,
    asks: Asks,
) -> (Rc<Api>, Option<PathBuf>) {
    let said = |words: &str| log.line(Priority::Warning, words, &[("NODE_STEWARD_EVENT", "api")]);
    let (gate, missing) =
        Gate::new(host, &settings.api).unwrap_or_else(|error| (Gate::default(), Some(error.to_string())));
    if let Some(missing) = missing {
        said(&missing);
    }
    let readers = gate.readers;
    let api = Api::new(published, gate, clock::monotonic, reload(asks.reloads), obey(asks.orders));
    let mut open = None;
    match socket(settings, directory) {
        None => said("there is no local API: this user has no directory under /run; set api.socket"),
        Some(path) => match host.listen(&path, readers).map(UnixListener::from_std) {
            Ok(Ok(listener)) => {
                drop(spawn_local(Rc::clone(&api).serve(listener)));
                open = Some(path);
            }
            Ok(Err(error)) => said(&format!("there is no local API: {error}")),
            Err(error) => said(&format!("there is no local API: {error}")),
        },
    }
    if let Some(address) = settings.metrics.listen {
        match TcpListener::bind(address).await {
            Ok(listener) => drop(spawn_local(Rc::clone(&api).serve_metrics(listener))),
            Err(error) => said(&format!("no metrics on {address}: {error}")),
        }
    }
    (api, open)
}

/// An API that nobody can ask.
pub fn closed(published: Rc<RefCell<Published>>, asks: Asks) -> Rc<Api> {
    Api::new(published, Gate::default(), clock::monotonic, reload(asks.reloads), obey(asks.orders))
}

/// The settings' socket; where they leave it as it is, the one in this run's own directory.
fn socket(settings: &Settings, directory: Option<&Path>) -> Option<PathBuf> {
    if settings.merged.origin("api.socket").is_some() {
        return Some(PathBuf::from(&settings.api.socket));
    }
    directory.map(|directory| directory.join("api.sock"))
}

fn reload(reloads: mpsc::UnboundedSender<Asker>) -> Reload {
    Box::new(move || {
        let reloads = reloads.clone();
        Box::pin(async move {
            let (asker, answer) = oneshot::channel();
            let stopping = |_| "node-steward is stopping".to_owned();
            reloads.send(asker).map_err(|_| stopping(()))?;
            answer.await.map_err(|_| stopping(()))?
        })
    })
}

fn obey(orders: mpsc::UnboundedSender<Ordered>) -> Obey {
    Box::new(move |order| {
        let orders = orders.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let stopping = || (Code::NoCluster, "node-steward is stopping, or begins its connection anew".to_owned());
            orders.send(Ordered { order, reply }).map_err(|_| stopping())?;
            match tokio::time::timeout(ORDER_PATIENCE, answer).await {
                Ok(answer) => answer.map_err(|_| stopping())?,
                Err(_) => {
                    let patience = ORDER_PATIENCE.as_secs();
                    let why =
                        format!("the API server did not answer within {patience} s; `status` will say what came of it");
                    Err((Code::ClusterFailed, why))
                }
            }
        })
    })
}
