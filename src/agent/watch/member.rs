//! One node's conversation with its cluster without a daemon around it: a fleet's tests run many in one process. It refuses to look at the machine: what its
//! node has is told from outside; all else is the daemon's own code.

use std::rc::Rc;

use tokio::task::{JoinHandle, spawn_local};

use super::engine::Against;
use super::saved::Past;
use super::shared::Shared;
use super::talk::talk;
use crate::agent::Settings;
use crate::cluster::Cluster;
use crate::model::cluster::Hold;
use crate::model::time::Mono;
use crate::policy::{Bears, Want};

/// See the head of this file. It ends where it is dropped, as a process ends that is killed.
#[derive(Debug)]
pub struct Member {
    shared: Rc<Shared>,
    task: JoinHandle<()>,
}

impl Member {
    /// Begins to talk. It needs a `LocalSet`.
    pub fn begin(node: &str, settings: &Settings) -> Self {
        let shared = Rc::new(Shared::new(node.to_owned(), "a boot".to_owned(), settings, Past::default()));
        let ours = Rc::clone(&shared);
        let task = spawn_local(async move {
            tokio::join!(talk(Rc::clone(&ours)), ours.keep.never());
        });
        Self { task, shared }
    }

    /// Its connection: what is to be fetched for it is the caller's to fetch.
    pub fn cluster(&self) -> &Cluster {
        &self.shared.cluster
    }

    /// What a turn would have shown.
    pub fn show(&self, now: Mono, wanted: Option<Want>) {
        let bears = if wanted.is_some() { Bears::Passing } else { Bears::Nothing };
        self.shared.actor.borrow_mut().observe(now, wanted, bears, |_| true);
        self.shared.wake.notify_one();
    }

    /// What speaks against acting; none while the Node is not before its eyes.
    pub fn against(&self) -> Option<Against> {
        self.shared.facts.borrow().connected.then(|| self.shared.actor.borrow().against())
    }

    /// Whose cordon is on its Node.
    pub fn hold(&self) -> Option<Hold> {
        self.shared.facts.borrow().cordon.clone()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.task.abort();
    }
}
