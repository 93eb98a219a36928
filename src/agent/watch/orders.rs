//! What people ask to be done to the Node, and what is tidied up after them: looked at afresh, judged, one PATCH bound to what was judged. It refuses to
//! leave anybody without an answer, and to try again where it was not told that somebody else was first.

use std::collections::VecDeque;
use std::convert::Infallible;

use serde_json::Value;
use tokio::sync::oneshot;

use super::shared::{Shared, now};
use crate::act::hold::{self, For, Refusal, Step, Wish};
use crate::api::{Act, Code, Done, Order};
use crate::cluster::{Error, Node, Request};
use crate::host::{Priority, clock};
use crate::model::drain::DrainState;

/// kubelet writes its Node every few minutes: more than one conflict is rare, five are somebody's fight.
pub(super) const TRIES: u32 = 5;
/// After a failure to tidy up.
const TIDY_AGAIN_MS: u64 = 60_000;

/// What comes of an order, and where it is told.
pub(super) type Answer = Result<Done, (Code, String)>;
pub(super) type Reply = oneshot::Sender<Answer>;

/// An order and whoever waits for its end.
#[derive(Debug)]
pub(super) struct Ordered {
    pub(super) order: Order,
    pub(super) reply: Reply,
}

/// Those that wait.
pub(super) type Orders = VecDeque<Ordered>;

impl Ordered {
    /// It is not done.
    pub(super) fn refuse(self, code: Code, why: &str) {
        // Whoever asked may have gone.
        let _ = self.reply.send(Err((code, why.to_owned())));
    }
}

/// Sees to all that wait.
pub(super) async fn see_to(shared: &Shared, node: &str) {
    loop {
        let next = shared.orders.borrow_mut().pop_front();
        let Some(ordered) = next else { return };
        // Nobody waits for it any more: doing it now would surprise.
        if ordered.reply.is_closed() {
            continue;
        }
        let result = carry_out(shared, node, &ordered.order).await;
        tell(shared, &ordered.order, &result);
        let _ = ordered.reply.send(result);
    }
}

fn failed(error: Error) -> (Code, String) {
    (Code::ClusterFailed, error.to_string())
}

async fn carry_out(shared: &Shared, name: &str, order: &Order) -> Answer {
    let done = |changed, drain| Done { node: name.to_owned(), changed, drain };
    match &order.act {
        Act::Cordon => hold_or_release(shared, name, order, true).await.map(|changed| done(changed, None)),
        Act::Uncordon => {
            // First: what it would evict meanwhile is nobody's wish any more.
            shared.end_drain(DrainState::Cancelled, &format!("{} has asked for the end of the cordon", order.by));
            hold_or_release(shared, name, order, false).await.map(|changed| done(changed, None))
        }
        Act::Plan { allow } => {
            let plan = shared.plan_drain(name, order, allow).await.map_err(failed)?;
            Ok(done(false, Some(plan)))
        }
        Act::Drain { allow, deadline } if shared.drains() => {
            if !shared.drains_by(allow, *deadline) {
                let words = "a drain goes on already, by other rules: `drain --cancel` first";
                return Err((Code::DrainGoesOn, words.to_owned()));
            }
            // One that goes with a problem is a person's from now on, and does not end with it.
            hold_or_release(shared, name, order, true).await.map(|_| done(false, shared.drain_status()))
        }
        Act::Drain { allow, deadline } => {
            shared.announce_drain(&order.by, &order.reason, allow, *deadline, For::Person).await;
            if let Err(refused) = hold_or_release(shared, name, order, true).await {
                shared.forget_drain().await;
                return Err(refused);
            }
            shared.go_and_drain();
            Ok(done(true, shared.drain_status()))
        }
        // A report never comes so far: the daemon takes it itself.
        Act::CancelDrain | Act::ShowDrain | Act::Report(_) => at_once(shared, order),
    }
}

/// What needs no server: it must work while there is none.
pub(super) fn at_once(shared: &Shared, order: &Order) -> Answer {
    let changed = match order.act {
        Act::CancelDrain => {
            shared.end_drain(DrainState::Cancelled, &format!("{} asked for it: {}", order.by, order.reason))
        }
        _ => false,
    };
    let node = shared.facts.borrow().node.clone().unwrap_or_default();
    match shared.drain_status() {
        None => Err((Code::NoDrain, "there was no drain since this node has started".to_owned())),
        drain => Ok(Done { node, changed, drain }),
    }
}

/// By the rules of ownership; whether there was anything to be done.
async fn hold_or_release(shared: &Shared, name: &str, order: &Order, cordon: bool) -> Result<bool, (Code, String)> {
    let wish = Wish { cordon, by: order.by.clone(), reason: order.reason.clone() };
    let judged = |node: &Node| match hold::grant(node, &wish, shared.wall(), &shared.boot_id) {
        Ok(Step::IsSo) => Ok(None),
        Ok(Step::Patch(patch)) => Ok(Some(patch)),
        Err(refusal) => {
            let code = match refusal {
                Refusal::HeldByAnother(_) => Code::HeldByAnother,
                Refusal::StandsDown(_) => Code::StandsDown,
            };
            Err((code, refusal.to_string()))
        }
    };
    shared.change(name, judged).await.map_err(|hindrance| match hindrance {
        Hindrance::Judged(refusal) => refusal,
        other => (Code::ClusterFailed, other.to_string()),
    })
}

/// To the log, and as an Event.
fn tell(shared: &Shared, order: &Order, result: &Answer) {
    let (did, refused) = match order.act {
        Act::Cordon => ("Cordoned", "CordonRefused"),
        Act::Uncordon => ("Uncordoned", "UncordonRefused"),
        // A drain speaks for itself once it has its plan.
        Act::Drain { .. } if result.is_ok() => return,
        Act::Drain { .. } => ("", "DrainRefused"),
        Act::Plan { .. } | Act::CancelDrain | Act::ShowDrain | Act::Report(_) => return,
    };
    let asked = format!("{} asked for it: {}", order.by, order.reason);
    match result {
        Ok(Done { changed: false, .. }) => {}
        Ok(_) => shared.tell(Priority::Notice, did, &format!("{} by node-steward; {asked}", did.to_lowercase())),
        Err((_, why)) => {
            let what = refused.trim_end_matches("Refused").to_lowercase();
            shared.tell(Priority::Warning, refused, &format!("not {what}ed: {why}; {asked}"));
        }
    }
}

/// Where somebody has taken our cordon off, the mark goes and the node is left alone for a day.
pub(super) async fn tidy(shared: &Shared, name: &str) {
    let now = clock::monotonic();
    if shared.facts.borrow().tidy.is_none_or(|at| at > now) {
        return;
    }
    shared.facts.borrow_mut().tidy = Some(now.plus_ms(TIDY_AGAIN_MS));
    let judged = |node: &Node| Ok::<_, Infallible>(hold::let_go(node, shared.wall()));
    if let Ok(true) = shared.change(name, judged).await {
        let words = "somebody has taken node-steward's cordon off: nothing is done without being asked for 24 h";
        shared.tell(Priority::Notice, "CordonTakenOff", words);
    }
}

/// Why the Node was not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Hindrance<R> {
    /// By what was judged.
    #[error("it was refused")]
    Judged(R),
    /// The Node could not be had.
    #[error("{0}")]
    Unread(Error),
    /// The server did not take the change.
    #[error("{0}")]
    Unwritten(Error),
    /// Somebody else was faster each time.
    #[error("the Node changed {TRIES} times while it was judged")]
    Contended,
}

impl Shared {
    /// One PATCH of our Node, bound to what was judged, and judged anew from each newer one; whether there was anything to change.
    pub(super) async fn change<R>(
        &self,
        name: &str,
        judge: impl Fn(&Node) -> Result<Option<Value>, R>,
    ) -> Result<bool, Hindrance<R>> {
        for _ in 0..TRIES {
            let node = self.node(name).await.map_err(Hindrance::Unread)?;
            self.saw(Some(&node));
            let Some(patch) = judge(&node).map_err(Hindrance::Judged)? else { return Ok(false) };
            let version = Some(node.metadata.resource_version);
            let request = Request::PatchNode { name: name.to_owned(), version, patch };
            match self.cluster.send::<Node>(&request).await {
                Ok(node) => {
                    self.saw(Some(&node));
                    return Ok(true);
                }
                Err(Error::Conflict(_)) => {}
                Err(error) => return Err(Hindrance::Unwritten(error)),
            }
        }
        Err(Hindrance::Contended)
    }

    /// A Node as it is. What stands between us and the server may answer anything: without its name, identity and version it is no ground to act on.
    pub(super) async fn node(&self, name: &str) -> Result<Node, Error> {
        let node: Node = self.cluster.send(&Request::GetNode { name: name.to_owned() }).await?;
        let head = &node.metadata;
        if head.name == name && !head.uid.is_empty() && !head.resource_version.is_empty() {
            Ok(node)
        } else {
            Err(Error::Garbage(format!("what was answered is not the Node {name}")))
        }
    }

    /// Something that we did, or did not do though somebody asked.
    pub(super) fn tell(&self, priority: Priority, reason: &'static str, words: &str) {
        let warning = priority == Priority::Warning;
        self.reporter.borrow_mut().tell(&now(), reason, warning, words);
        self.said.borrow_mut().push((priority, words.to_owned()));
        self.wake.notify_one();
    }
}
