//! The daemon's way to its cluster: what is to be fetched goes to probes, what turns show goes to the reporter, and how it stands to the status and the log.
//! It refuses to cost anything where there is no cluster: until a kubeconfig is found there is nothing but the question for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;
use tokio::task::{JoinHandle, spawn_local};

use super::ask::Ask;
use super::engine::{Against, Engine, Outcome};
use super::orders::{self, Answer, Ordered, Reply};
use super::probes::Probes;
use super::saved::Past;
use super::shared::{Facts, Shared};
use super::talk::talk;
use crate::act::{View, hold, note, skew};
use crate::agent::Settings;
use crate::api::{Act, Code};
use crate::cluster::{Errand, Fetched, Standing, run_here};
use crate::host::{Host, Log, Priority};
use crate::model::Reading;
use crate::model::cluster::{ApiServer, RequestStatus};
use crate::model::status::Status;
use crate::model::time::{Mono, Now};
use crate::model::watch::{Offer, Sampled, Thresholds};

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Envoy {
    /// Why there is no way; the rest is then not used.
    shut: Option<&'static str>,
    shared: Rc<Shared>,
    task: Option<JoinHandle<()>>,
    told: String,
    /// Whether it is known that the conversation has begun.
    begun: bool,
    /// Conversations that ended, which none should.
    pub(super) failed: u64,
}

/// Where errands go on the desk: one of a kind at a time.
fn place(errand: &Errand) -> &'static str {
    match errand {
        Errand::Look { .. } => "kubeconfig",
        Errand::Token { .. } => "credential plugin",
        Errand::Resolve { .. } => "name server",
    }
}

impl Envoy {
    /// Sets out; `shut` says why it must not.
    pub(super) fn new(host: &Host, boot_id: &str, settings: &Settings, shut: Option<&'static str>, kept: Past) -> Self {
        let hostname = host.read_text(Path::new("/proc/sys/kernel/hostname")).ok().flatten().unwrap_or_default();
        Self::named(hostname.trim().to_ascii_lowercase(), boot_id.to_owned(), settings, shut, kept)
    }

    pub(super) fn named(
        hostname: String,
        boot_id: String,
        settings: &Settings,
        shut: Option<&'static str>,
        kept: Past,
    ) -> Self {
        let shared = Shared::new(hostname, boot_id, settings, kept);
        let shut = shut.or_else(|| (!settings.cluster.enabled).then_some("cluster.enabled is false"));
        Self { shut, shared: Rc::new(shared), task: None, told: String::new(), begun: false, failed: 0 }
    }

    /// Other settings: where the way itself changes, it is begun anew.
    pub(super) fn configure(&mut self, settings: &Settings, dry_run: Option<&'static str>) {
        self.shared.actor.borrow_mut().configure(settings.policy.clone(), settings.report.every.ms());
        self.shared.drain_rules.borrow_mut().clone_from(&settings.drain);
        let mut facts = self.shared.facts.borrow_mut();
        if facts.node.is_some() {
            // Another mode may need other rights.
            facts.review = Mono(0);
        }
        drop(facts);
        self.shared.wake.notify_one();
        if settings.cluster == self.shared.rules {
            return self.shared.reporter.borrow_mut().configure(settings.report.clone());
        }
        let kept = self.kept();
        let (hostname, boot_id) = (self.shared.hostname.clone(), self.shared.boot_id.clone());
        let mut anew = Self::named(hostname, boot_id, settings, dry_run, kept);
        (anew.told, anew.failed) = (std::mem::take(&mut self.told), self.failed);
        *self = anew;
    }

    /// When there is something to fetch next.
    pub(super) fn next(&self) -> Option<Mono> {
        self.shut.is_none().then(|| self.shared.cluster.next_errand())
    }

    /// Puts what is due where it can be fetched; whether there is something for the probes to send.
    pub(super) fn send(&mut self, now: Mono, probes: &mut Probes) -> bool {
        if self.next().is_none_or(|next| next > now) {
            return false;
        }
        for errand in self.shared.cluster.errands() {
            if !errand.may_block() {
                let shared = Rc::clone(&self.shared);
                drop(spawn_local(async move { shared.cluster.learn(run_here(&errand).await) }));
            } else if probes.is_alive() {
                probes.put(place(&errand), Ask::Cluster { errand });
            } else {
                self.in_vain(&errand);
            }
        }
        true
    }

    /// What an errand brought; null where its child ended without an answer.
    pub(super) fn learned(&mut self, errand: &Errand, body: Value) {
        // The settings have changed since it was sent out.
        if matches!(errand, Errand::Look { asked } if *asked != self.asked()) {
            return;
        }
        let fetched = serde_json::from_value::<Fetched>(body).unwrap_or_else(|_| errand.stuck());
        self.shared.cluster.learn(fetched);
        let known = matches!(self.shared.cluster.standing(), Standing::Known { .. });
        if known && self.task.is_none() && self.shut.is_none() {
            self.task = Some(spawn_local(talk(Rc::clone(&self.shared))));
        }
    }

    fn asked(&self) -> Option<PathBuf> {
        self.shared.rules.kubeconfig.clone().map(PathBuf::from)
    }

    /// Nobody will bring it.
    pub(super) fn in_vain(&mut self, errand: &Errand) {
        self.shared.cluster.learn(errand.stuck());
    }

    /// What speaks against acting; none where there is no cluster to act in.
    pub(super) fn against(&self) -> Option<Against> {
        let connected = self.shut.is_none() && self.shared.facts.borrow().connected;
        connected.then(|| self.shared.actor.borrow().against())
    }

    /// Takes an order, or says why it cannot be seen to; what is done already is given back, to be answered.
    pub(super) fn obey(&self, ordered: Ordered) -> Option<(Reply, Answer)> {
        if matches!(ordered.order.act, Act::CancelDrain | Act::ShowDrain) {
            let answer = orders::at_once(&self.shared, &ordered.order);
            return Some((ordered.reply, answer));
        }
        let (kind, sentence, _) = self.standing();
        match kind {
            "local-only" => orders::refuse(&self.shared, ordered, Code::NoCluster, &sentence),
            "connected" => {
                self.shared.orders.borrow_mut().push_back(ordered);
                self.shared.wake.notify_one();
            }
            _ => orders::refuse(&self.shared, ordered, Code::ClusterFailed, &sentence),
        }
        None
    }

    /// Until somebody waits for the state to be saved.
    pub(super) async fn wants_saving(&self) {
        self.shared.keep.wanted().await;
    }

    /// All that was there to be saved has been.
    pub(super) fn saved(&self) {
        self.shared.keep.saved();
    }

    /// Shows a turn to the reporter.
    pub(super) fn observe(&mut self, now: &Now, engine: &Engine, outcome: &Outcome, looked: bool) {
        if self.task.as_ref().is_some_and(JoinHandle::is_finished) {
            self.failed = self.failed.saturating_add(1);
            self.task = Some(spawn_local(talk(Rc::clone(&self.shared))));
        }
        if self.task.is_none() {
            return;
        }
        let view = View {
            looked,
            parts: &engine.status().detectors,
            speakers: &engine.speakers(),
            catalogue: &engine.catalogue(),
            problems: engine.problems(),
            grave: &outcome.grave,
        };
        self.shared.reporter.borrow_mut().observe(now, &view, &outcome.turn.changes);
        let ends = |mark: &hold::Mark| engine.sees_the_end_of(&mark.reason, &mark.by);
        self.shared.actor.borrow_mut().observe(now.mono, outcome.wanted.clone(), outcome.bears, ends);
        self.shared.wake.notify_one();
    }

    /// Whether the conversation has begun, told once.
    pub(super) fn begins(&mut self) -> bool {
        self.task.is_some() && !std::mem::replace(&mut self.begun, true)
    }

    /// What our Node offers to pods, as far as it is before our eyes.
    pub(super) fn offer(&self, at: Mono) -> Sampled<Offer> {
        let facts = self.shared.facts.borrow();
        let seen = facts.offer.as_ref().filter(|_| facts.connected);
        let reading = match (seen, &self.task) {
            (Some(offer), _) => Reading::fresh(offer.clone(), "the Node"),
            (None, Some(_)) => Reading::absent("the API server does not show our Node"),
            (None, None) => Reading::absent("there is no API server to ask for our Node"),
        };
        Sampled::at(at, reading)
    }

    /// Shows what kubelet keeps from pods.
    pub(super) fn reserves(&mut self, now: Mono, thresholds: &Sampled<Thresholds>) {
        if self.task.is_some() {
            let reserved = thresholds.value().and_then(|config| config.reserved.value().zip(Some(&config.reserved)));
            let text = reserved.map(|(reserved, reading)| note::text(reserved, reading.origin()));
            self.shared.reporter.borrow_mut().reserved(now, text);
        }
    }

    /// To be saved.
    pub(super) fn kept(&self) -> Past {
        Past {
            report: self.shared.reporter.borrow().kept().clone(),
            drain: self.shared.drain_kept(),
            lasting: self.shared.actor.borrow().lasting().map(str::to_owned),
        }
    }

    /// The program that follows a full drain, once.
    pub(super) fn take_after(&self) -> Option<Vec<String>> {
        self.shared.take_after()
    }

    /// What came of it.
    pub(super) fn after_drain(&self, command: &[String], result: &Result<(), String>) {
        self.shared.after_drain(command, result);
    }

    /// Whether there is anything new to be saved.
    pub(super) fn is_unsaved(&self) -> bool {
        let drain = self.shared.take_drain_unsaved();
        self.shared.reporter.borrow_mut().take_unsaved() || drain
    }

    /// Puts how it stands into the status, and into the log where that has changed.
    pub(super) fn show(&mut self, status: &mut Status, log: &Log) {
        for (priority, words) in self.shared.said.take() {
            log.line(priority, &words, &[("NODE_STEWARD_EVENT", "act")]);
        }
        let (kind, sentence, server) = self.standing();
        // The first look is under way: what comes of it is worth a line.
        if kind != self.told && (kind != "waiting" || status.turns.count > 1) {
            let priority = if kind == "failing" { Priority::Warning } else { Priority::Info };
            log.line(priority, &sentence, &[("NODE_STEWARD_EVENT", "cluster")]);
            self.told = kind.to_owned();
        }
        (status.cluster, status.api_server) = (sentence, server.map(Box::new));
    }

    /// One word, one sentence, and all of it.
    fn standing(&self) -> (&'static str, String, Option<ApiServer>) {
        if let Some(why) = self.shut {
            return ("local-only", format!("local-only: {why}"), None);
        }
        let facts = self.shared.facts.borrow();
        match self.shared.cluster.standing() {
            Standing::LocalOnly { why } => ("local-only", format!("local-only: {why}"), None),
            Standing::Waiting { why } => {
                let state = if facts.node.is_some() { "failing" } else { "waiting" };
                let server = ApiServer { trouble: vec![why.clone()], ..self.server(state, &facts) };
                (state, format!("no way to the API server yet: {why}"), Some(server))
            }
            Standing::Known { kubeconfig, server, credential, mut trouble } => {
                trouble.extend(facts.failure.iter().filter(|why| !trouble.contains(why)).cloned().collect::<Vec<_>>());
                let state = match (facts.connected, &facts.failure) {
                    (true, _) => "connected",
                    (false, Some(_)) => "failing",
                    (false, None) => "waiting",
                };
                let node = facts.node.as_deref().unwrap_or("(not known yet)");
                let words = match trouble.first() {
                    None => format!("Node {node} at {server}, by {credential}: {state}"),
                    Some(why) => format!("Node {node} at {server}, by {credential}: {state}: {why}"),
                };
                let shown = ApiServer {
                    server,
                    kubeconfig: kubeconfig.display().to_string(),
                    credential: credential.to_owned(),
                    trouble,
                    ..self.server(state, &facts)
                };
                (state, words, Some(shown))
            }
        }
    }

    fn advice(&self, facts: &Facts) -> Vec<String> {
        let reporter = self.shared.reporter.borrow();
        let others = reporter.others().map(|kind| {
            format!("another agent writes the Node's condition {kind}: report.repair does nothing about it here")
        });
        skew::advice(&facts.version, &facts.kubelet_version).into_iter().chain(others).collect()
    }

    fn server(&self, state: &str, facts: &Facts) -> ApiServer {
        let figures = self.shared.cluster.figures();
        let text = |map: &BTreeMap<&'static str, u64>| map.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        let requests = figures.requests.iter().map(|(kind, count)| {
            let (sent, good, bytes, ms) = (count.sent, count.good, count.bytes, count.ms);
            ((*kind).to_owned(), RequestStatus { sent, good, failed: text(&count.failed), bytes, ms })
        });
        ApiServer {
            state: state.to_owned(),
            node: facts.node.clone().unwrap_or_default(),
            user: facts.user.clone(),
            version: facts.version.clone(),
            kubelet_version: facts.kubelet_version.clone(),
            advice: self.advice(facts),
            permissions: facts.permissions.clone(),
            missing_rbac: facts.missing_rbac.clone(),
            cordon: facts.cordon.clone(),
            drain: self.shared.drain_status(),
            reported_wall_ms: facts.reported,
            events_waiting: u64::try_from(self.shared.reporter.borrow().waiting()).unwrap_or(u64::MAX),
            requests: requests.collect(),
            held_back: figures.held_back,
            pools: figures.pools,
            plugins: figures.plugins,
            tokens: figures.tokens,
            ..ApiServer::default()
        }
    }

    /// The moment at which a conversation may have begun or ended: for tests of the daemon's wiring.
    #[cfg(test)]
    fn is_talking(&self) -> bool {
        self.task.is_some()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Look;
    use crate::host::clock;
    use crate::settings::Merged;

    fn settings(text: &str) -> Settings {
        let files = [(PathBuf::from("/s.toml"), text.as_bytes().to_vec())];
        Settings::of(Merged::of(&files).unwrap()).unwrap()
    }

    #[test]
    fn without_a_kubeconfig_it_says_so_once_and_talks_to_nobody() {
        let mut envoy = Envoy::named("n".to_owned(), "b".to_owned(), &settings(""), None, Past::default());
        assert!(envoy.next().is_some_and(|next| next <= clock::monotonic()), "it looks at once");
        let errand = Errand::Look { asked: None };
        envoy.learned(&errand, serde_json::to_value(Fetched::Look(Look::None("nothing there".to_owned()))).unwrap());
        let mut status = Status::default();
        envoy.show(&mut status, &Log::nowhere());
        assert_eq!((status.cluster.as_str(), status.api_server), ("local-only: nothing there", None));
        assert!(!envoy.is_talking());
    }

    #[test]
    fn an_order_that_finds_no_server_is_kept_for_it() {
        let envoy = Envoy::named("n".to_owned(), "b".to_owned(), &settings(""), None, Past::default());
        let (reply, mut answer) = tokio::sync::oneshot::channel();
        let order = crate::api::Order { act: Act::Cordon, by: "a".to_owned(), reason: "r".to_owned() };
        assert!(envoy.obey(Ordered { order, reply }).is_none());
        assert!(matches!(answer.try_recv(), Ok(Err((Code::ClusterFailed, _)))));
        assert_eq!((envoy.shared.said.borrow().len(), envoy.shared.reporter.borrow().waiting()), (1, 1));
    }

    #[test]
    fn the_settings_shut_it() {
        let mut envoy = Envoy::named(
            "n".to_owned(),
            "b".to_owned(),
            &settings("[cluster]\nenabled = false\n"),
            None,
            Past::default(),
        );
        assert_eq!(envoy.next(), None);
        envoy.configure(&settings("[cluster]\nenabled = true\n"), None);
        assert!(envoy.next().is_some());
        envoy.configure(&settings("[cluster]\nenabled = true\nkubeconfig = \"/k\"\n"), Some("a dry run"));
        assert_eq!(envoy.next(), None);
    }
}
