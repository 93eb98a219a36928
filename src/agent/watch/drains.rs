//! Drains, request by request: the node's pods by list and watch, evictions, and what makes a drain stop. It refuses to evict while it cannot see that the
//! cordon is still ours, and to read a pod by its name: a server says "forbidden" of one that is gone.

use std::rc::Rc;

use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep_until};

use super::aftermath::in_the_way;
use super::deeds;
use super::shared::Shared;
use crate::act::drain::Keeps;
use crate::act::hold::For;
use crate::api::Order;
use crate::cluster::{Error, Pod, Pods, Request, Seen, Watch};
use crate::host::clock;
use crate::model::drain::{Allow, DrainState, DrainStatus};
use crate::model::time::Mono;
use crate::policy::Withheld;

/// From one failure of the list or the watch to the next attempt, at least; the sender keeps its own distance beyond that.
const AGAIN_MS: u64 = 1_000;
/// So often the fleet's limits are asked whether a drain of our own may go on.
const ASK_MS: u64 = 60_000;
/// The same after there was no answer: nothing is evicted meanwhile.
const ASK_AGAIN_MS: u64 = 5_000;
/// After a refusal, and how many in a row are enough: a server that has just begun refuses whom it will know in a moment.
const REFUSED_MS: u64 = 5_000;
const ENOUGH: u32 = 3;
const NOT_SEEN: &str = "our Node is not before our eyes";
/// More pages than any node has pods for.
const MOST_PAGES: usize = 100;

type Evictions = JoinSet<(String, Result<(), Error>)>;

/// Sees to whatever drain there is, for ever.
pub(super) async fn attend(shared: Rc<Shared>) {
    let mut out = Evictions::new();
    // What an earlier conversation has asked for has gone with it.
    shared.with_drain(|drain| drain.unanswered(clock::monotonic()));
    let mut refused = 0_u32;
    loop {
        let node = shared.facts.borrow().node.clone();
        let Some(node) = node.filter(|_| shared.drain_goes()) else {
            shared.drain_wake.notified().await;
            continue;
        };
        let (began, number) = (clock::monotonic(), shared.drain_number());
        let result = round(&shared, &node, &mut out).await;
        if !shared.drains() || shared.drain_number() != number {
            // Aborted where they are: what the server has accepted it does.
            out = Evictions::new();
            refused = 0;
            continue;
        }
        let refuses = matches!(result, Err(Error::Forbidden(_) | Error::Invalid { .. }));
        refused = if refuses { refused.saturating_add(1) } else { 0 };
        let mut held = 0;
        if let Err(error) = result {
            if refused >= ENOUGH {
                shared.end_drain(DrainState::Failed, &error.to_string());
                continue;
            }
            // What is held back says nothing new.
            if !matches!(error, Error::HeldBack { .. }) {
                shared.with_drain(|drain| drain.hold(Keeps::Pods, &error.to_string()));
            }
            held = shared.cluster.held_for_ms().min(ASK_MS);
        }
        // A watch that ends at once, however well, is no reason to begin the next one at once.
        let apart = if refuses { REFUSED_MS } else { AGAIN_MS };
        let least = apart.saturating_sub(clock::monotonic().since_ms(began));
        let until = Instant::now() + Duration::from_millis(least.max(held));
        // Its time may be over meanwhile, or somebody cancels it.
        while Instant::now() < until && shared.drains() {
            tokio::select! {
                () = sleep_until(until.min(shared.drain_next())) => {}
                () = shared.drain_wake.notified() => {}
            }
            shared.guard();
            shared.settle_drain();
        }
    }
}

/// From a list of all pods until the watch ends or something fails; good where the drain is at its end or the list is to be made anew.
async fn round(shared: &Rc<Shared>, node: &str, out: &mut Evictions) -> Result<(), Error> {
    let (generation, number) = (shared.cluster.generation(), shared.drain_number());
    // What an earlier run has made known may never have had its cordon.
    shared.guard();
    if !shared.drains() {
        return Ok(());
    }
    let (pods, from) = list(shared, node).await?;
    if shared.drain_number() != number || !shared.drains() {
        return Ok(());
    }
    let now = clock::monotonic();
    shared.with_drain(|drain| drain.listed(now, &pods));
    drop(pods);
    shared.tell_plan();
    let mut stream = shared.cluster.watch::<Pod>(&Watch::Pods { node: node.to_owned(), from }).await?;
    let mut ask = Mono(0);
    loop {
        if clock::monotonic() >= ask && shared.drains() {
            ask = clock::monotonic().plus_ms(allowed(shared).await);
        }
        if shared.drain_number() != number {
            return Ok(());
        }
        // Last, right before something goes out.
        shared.guard();
        shared.evict(out);
        if shared.settle_drain() || !shared.drains() {
            return Ok(());
        }
        if shared.cluster.generation() != generation {
            return Ok(());
        }
        let asks_at = Instant::now() + Duration::from_millis(ask.since_ms(clock::monotonic()).min(ASK_MS));
        tokio::select! {
            Some(answer) = out.join_next() => match answer {
                Ok((uid, answer)) => shared.with_drain(|drain| drain.answered(clock::monotonic(), &uid, answer.as_ref().err())),
                // It failed in itself: asked for again after a while.
                Err(_) => shared.with_drain(|drain| drain.unanswered(clock::monotonic())),
            },
            seen = stream.next() => match seen {
                Ok(Some(Seen::Now(pod))) => shared.with_drain(|drain| drain.saw(clock::monotonic(), &pod)),
                Ok(Some(Seen::Gone(pod))) => shared.with_drain(|drain| drain.gone(&pod.metadata.uid)),
                Ok(Some(Seen::Mark)) => {}
                Ok(None) | Err(Error::Expired(_)) => return Ok(()),
                Err(error) => return Err(error),
            },
            () = shared.drain_wake.notified() => {}
            () = sleep_until(shared.drain_next().min(asks_at)) => {}
        }
    }
}

/// Whether a drain that nobody has asked for may go on; after how many milliseconds to ask again.
async fn allowed(shared: &Shared) -> u64 {
    let by_itself = shared.drained.borrow().drain.as_ref().is_some_and(|drain| drain.job().whose == For::Problem);
    if !by_itself {
        return u64::MAX;
    }
    let rules = shared.actor.borrow().rules().clone();
    match deeds::may_drain(shared, &rules).await {
        Ok(()) => {
            shared.with_drain(|drain| drain.unhold(Keeps::Limits));
            ASK_MS
        }
        Err((no @ (Withheld::Paused | Withheld::ModeIsCapped), why)) => {
            shared.end_drain(DrainState::Stopped, &format!("{}: {why}", no.name()));
            ASK_MS
        }
        Err((no, why)) => {
            shared.with_drain(|drain| drain.hold(Keeps::Limits, &format!("{}: {why}", no.name())));
            ASK_AGAIN_MS
        }
    }
}

/// All pods of the node, and the version that a watch goes on from.
pub(super) async fn list(shared: &Shared, node: &str) -> Result<(Vec<Pod>, String), Error> {
    let (mut pods, mut rest) = (Vec::new(), String::new());
    for _ in 0..MOST_PAGES {
        let page: Pods = shared.cluster.send(&Request::ListPods { node: node.to_owned(), rest }).await?;
        // Without a version it is no list of the server's: what is not in it is not gone.
        if page.metadata.resource_version.is_empty() {
            return Err(Error::Garbage(format!("what was answered is not the list of {node}'s pods")));
        }
        pods.extend(page.items);
        if page.metadata.rest.is_empty() {
            return Ok((pods, page.metadata.resource_version));
        }
        rest = page.metadata.rest;
    }
    Err(Error::Garbage(format!("the list of {node}'s pods has no end")))
}

impl Shared {
    /// What one would do.
    pub(super) async fn plan_drain(&self, node: &str, order: &Order, allow: &[Allow]) -> Result<DrainStatus, Error> {
        let (pods, _) = list(self, node).await?;
        let allow: Vec<Allow> = allow.iter().chain(&self.drain_rules.borrow().allow).copied().collect();
        Ok(crate::act::plan::plan(&pods, &allow, &order.by, &order.reason))
    }

    fn drain_next(&self) -> Instant {
        let now = clock::monotonic();
        let next = self.drained.borrow().drain.as_ref().map_or(Mono(u64::MAX), |drain| drain.next(now));
        Instant::now() + Duration::from_millis(next.since_ms(now).min(ASK_MS))
    }

    /// Whether the cordon is there still, and ours; nothing goes out while we cannot see our Node.
    fn guard(&self) {
        if !self.drains() {
            return;
        }
        let (connected, hold) = {
            let facts = self.facts.borrow();
            (facts.connected, facts.cordon.clone())
        };
        match (connected, hold) {
            (false, _) | (_, None) => self.with_drain(|drain| drain.hold(Keeps::Node, NOT_SEEN)),
            (true, Some(hold)) => match in_the_way(&hold) {
                Some(why) => drop(self.end_drain(DrainState::Stopped, &why)),
                None => self.with_drain(|drain| drain.unhold(Keeps::Node)),
            },
        }
    }

    fn evict(self: &Rc<Self>, out: &mut Evictions) {
        loop {
            let next = self.drained.borrow_mut().drain.as_mut().and_then(|drain| drain.take(clock::monotonic()));
            let Some((uid, request)) = next else { return };
            let shared = Rc::clone(self);
            out.spawn_local(async move {
                let answer = shared.cluster.send::<serde::de::IgnoredAny>(&request).await;
                (uid, answer.map(drop))
            });
        }
    }
}
