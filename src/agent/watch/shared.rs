//! What the conversation with the API server and the daemon share: the connection, the reporter, what was learned, and what people want done. It refuses to
//! ask or to send anything by itself.

use std::cell::RefCell;
use std::path::PathBuf;

use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use super::drained::Drained;
use super::keep::Keep;
use super::orders::{self, Orders};
use super::saved::Past;
use crate::act::actor::Actor;
use crate::act::{DrainRules, Reporter, Sent, hold};
use crate::agent::Settings;
use crate::api::Code;
use crate::cluster::{Cluster, Error, Node, Patience, Request, Rules};
use crate::host::{Priority, clock};
use crate::model::cluster::{Hold, PermissionStatus};
use crate::model::time::{Mono, Now, Wall};
use crate::model::watch::Offer;

/// Where the server lets us see our Node but not watch it: how often we look; and the longest that the conversation rests.
pub(super) const LOOK_MS: u64 = 300_000;

/// What the conversation and the daemon share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cluster: Cluster,
    pub(super) reporter: RefCell<Reporter>,
    pub(super) facts: RefCell<Facts>,
    pub(super) actor: RefCell<Actor>,
    /// The drain that goes on, or the last one.
    pub(super) drained: RefCell<Drained>,
    pub(super) drain_rules: RefCell<DrainRules>,
    /// Something has happened that a drain should know.
    pub(super) drain_wake: Notify,
    /// Where one waits until the state is saved.
    pub(super) keep: Keep,
    /// What people want done.
    pub(super) orders: RefCell<Orders>,
    /// For the log.
    pub(super) said: RefCell<Vec<(Priority, String)>>,
    /// There may be something new to say.
    pub(super) wake: Notify,
    pub(super) rules: Rules,
    pub(super) hostname: String,
    pub(super) boot_id: String,
}

/// What was learned.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) node: Option<String>,
    pub(super) user: String,
    pub(super) version: String,
    pub(super) kubelet_version: String,
    /// What our Node offered when it was seen last.
    pub(super) offer: Option<Offer>,
    pub(super) permissions: Vec<PermissionStatus>,
    pub(super) missing_rbac: String,
    pub(super) reported: Option<Wall>,
    /// Whose cordon is on it.
    pub(super) cordon: Option<Hold>,
    /// When to tidy up after somebody who took our cordon off.
    pub(super) tidy: Option<Mono>,
    /// Whether our Node is before our eyes.
    pub(super) connected: bool,
    /// Why not.
    pub(super) failure: Option<String>,
    pub(super) review: Mono,
    pub(super) generation: Option<u64>,
    /// The version of the newest sight of our Node.
    newest: Option<u64>,
}

impl Shared {
    /// Nothing is known yet.
    pub(super) fn new(hostname: String, boot_id: String, settings: &Settings, kept: Past) -> Self {
        let rules = settings.cluster.clone();
        let salt = rules.node_name.as_ref().unwrap_or(&hostname);
        let mut actor = Actor::new(settings.policy.clone(), settings.report.every.ms(), salt);
        let drained = Drained::resumed(kept.drain);
        actor.resumed(drained.cordoned(), kept.lasting);
        Self {
            cluster: Cluster::new(salt, rules.kubeconfig.clone().map(PathBuf::from), Patience::default()),
            reporter: RefCell::new(Reporter::new(settings.report.clone(), kept.report)),
            facts: RefCell::default(),
            actor: RefCell::new(actor),
            drained: RefCell::new(drained),
            drain_rules: RefCell::new(settings.drain.clone()),
            drain_wake: Notify::new(),
            keep: Keep::default(),
            orders: RefCell::default(),
            said: RefCell::default(),
            wake: Notify::new(),
            rules,
            hostname,
            boot_id,
        }
    }

    /// The server cannot be asked for our Node any more.
    pub(super) fn parted(&self, error: &Error) {
        for ordered in self.orders.take() {
            orders::refuse(self, ordered, Code::ClusterFailed, &error.to_string());
        }
        self.reporter.borrow_mut().lost();
        self.drain_wake.notify_one();
        let mut facts = self.facts.borrow_mut();
        facts.connected = false;
        // What is held back says nothing new.
        if !matches!(error, Error::HeldBack { .. }) || facts.failure.is_none() {
            facts.failure = Some(error.to_string());
        }
    }

    /// Our Node as the watch tells it, which may lag behind what our own requests were answered: an older sight is no news, and a cordon that it does not show
    /// is no cordon taken off.
    pub(super) fn heard(&self, node: &Node) {
        let newest = self.facts.borrow().newest;
        if version(node).zip(newest).is_none_or(|(heard, newest)| heard >= newest) {
            self.saw(Some(node));
        }
    }

    /// Our Node as it is; none where there is none.
    pub(super) fn saw(&self, node: Option<&Node>) {
        let mut facts = self.facts.borrow_mut();
        facts.newest = node.and_then(version);
        let mut reporter = self.reporter.borrow_mut();
        facts.connected = node.is_some();
        self.drain_wake.notify_one();
        match node {
            Some(node) => {
                facts.failure = None;
                self.actor.borrow_mut().saw(clock::monotonic(), hold::held(node));
                let hold = hold::shown(node, self.wall());
                let taken_off = hold.state == hold::TAKEN_OFF;
                facts.tidy = taken_off.then(|| facts.tidy.unwrap_or(Mono(0)));
                facts.cordon = Some(hold);
                let status = &node.status;
                facts.kubelet_version.clone_from(&status.node_info.kubelet_version);
                let offer = || Offer { capacity: status.capacity.clone(), allocatable: status.allocatable.clone() };
                facts.offer = (!status.allocatable.is_empty()).then(offer);
                reporter.saw(clock::monotonic(), node);
            }
            None => {
                let name = facts.node.as_deref().unwrap_or_default();
                facts.failure =
                    Some(format!("there is no Node {name}: kubelet has not made it yet, or it was deleted"));
                (facts.cordon, facts.tidy) = (None, None);
                reporter.lost();
            }
        }
    }

    /// The server's time, which no node can set; the machine's own where the server has told none.
    pub(super) fn wall(&self) -> Wall {
        self.cluster.server_time().unwrap_or_else(clock::wall)
    }

    pub(super) fn answered(&self, sent: &Sent, error: Option<Error>) {
        let now = now();
        self.reporter.borrow_mut().answered(now.mono, sent, error.as_ref());
        let mut facts = self.facts.borrow_mut();
        match error {
            None if matches!(sent.request, Request::PatchConditions { .. }) => {
                (facts.reported, facts.failure) = (Some(now.wall), None);
            }
            None | Some(Error::HeldBack { .. }) => {}
            Some(error) => facts.failure = Some(error.to_string()),
        }
    }

    /// When there is something to say or to ask next.
    pub(super) fn next(&self) -> Instant {
        let now = clock::monotonic();
        let facts = self.facts.borrow();
        let moments = [self.reporter.borrow().next(), self.actor.borrow().next(now), facts.tidy];
        let next = moments.into_iter().flatten().fold(facts.review, Mono::min);
        Instant::now() + Duration::from_millis(next.min(now.plus_ms(LOOK_MS)).since_ms(now))
    }
}

/// Versions can be compared as the numbers that every server gives; one that is none is taken as new.
fn version(node: &Node) -> Option<u64> {
    node.metadata.resource_version.parse().ok()
}

pub(super) fn now() -> Now {
    Now { mono: clock::monotonic(), wall: clock::wall(), boot_id: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Merged;
    use serde_json::json;

    #[test]
    fn a_watch_that_lags_behind_our_own_answers_takes_nothing_back() {
        let settings = Settings::of(Merged::of(&[]).unwrap()).unwrap();
        let shared = Shared::new("n".to_owned(), "b".to_owned(), &settings, Past::default());
        let node = |version: &str, cordoned: bool| -> Node {
            let mark =
                json!({"for": "person", "by": "a", "reason": "r", "since": "2026-01-01T00:00:00Z", "bootId": "b"});
            let mark = if cordoned { json!({hold::MARK: mark.to_string()}) } else { json!({}) };
            serde_json::from_value(json!({
                "metadata": {"name": "n", "uid": "u", "resourceVersion": version, "annotations": mark},
                "spec": {"unschedulable": cordoned},
            }))
            .unwrap()
        };
        let state = || shared.facts.borrow().cordon.as_ref().map(|hold| hold.state.clone()).unwrap_or_default();
        shared.saw(Some(&node("98", false)));
        shared.heard(&node("99", false));
        shared.saw(Some(&node("101", true)));
        shared.heard(&node("100", false));
        assert_eq!(state(), "ours", "what was told late is older");
        shared.heard(&node("101", true));
        shared.heard(&node("102", false));
        assert_eq!(state(), "open");
        // A list is the word of a server that may have lost what it knew.
        shared.saw(Some(&node("7", true)));
        shared.heard(&node("8", false));
        assert_eq!(state(), "open");
        shared.saw(Some(&node("9", true)));
        shared.heard(&node("x", false));
        assert_eq!(state(), "open");
    }
}
