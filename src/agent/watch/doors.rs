//! Where the daemon can be asked: the local API's socket, and metrics over TCP where that is wanted. It refuses to stop the watch where a door
//! cannot be opened: it says so and goes on.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

use super::reload::Asker;
use crate::agent::Settings;
use crate::api::{Api, Gate, Published, Reload};
use crate::host::{Host, Log, Priority, clock};

/// Opens them and serves until the runtime ends; gives the socket's path as well. It needs a runtime and a `LocalSet`.
pub async fn open(
    host: &Host,
    log: &Log,
    settings: &Settings,
    directory: Option<&Path>,
    published: Rc<RefCell<Published>>,
    reloads: mpsc::UnboundedSender<Asker>,
) -> (Rc<Api>, Option<PathBuf>) {
    let said = |words: &str| log.line(Priority::Warning, words, &[("NODE_STEWARD_EVENT", "api")]);
    let (gate, missing) =
        Gate::new(host, &settings.api).unwrap_or_else(|error| (Gate::default(), Some(error.to_string())));
    if let Some(missing) = missing {
        said(&missing);
    }
    let readers = gate.readers;
    let api = Api::new(published, gate, clock::monotonic, reload(reloads));
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
pub fn closed(published: Rc<RefCell<Published>>, reloads: mpsc::UnboundedSender<Asker>) -> Rc<Api> {
    Api::new(published, Gate::default(), clock::monotonic, reload(reloads))
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
