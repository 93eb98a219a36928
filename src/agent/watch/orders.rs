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
/// Lines for the log from one turn to the next: more than so many have one cause.
const MOST_LINES: usize = 64;
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

/// It is not done for want of a server, which is told as what the server refuses is: the Event waits until there is one, with its own time.
pub(super) fn refuse(shared: &Shared, ordered: Ordered, code: Code, why: &str) {
    let answer = Err((code, why.to_owned()));
    match told(&ordered.order, &answer) {
        // Nobody would ever read an Event.
        Some((priority, _, words)) if code == Code::NoCluster => shared.say(priority, words),
        Some((priority, reason, words)) => shared.tell(priority, reason, &words),
        None => {}
    }
    // Whoever asked may have gone.
    let _ = ordered.reply.send(answer);
}

/// Sees to all that wait.
pub(super) async fn see_to(shared: &Shared, node: &str) {
    loop {
        let next = shared.orders.borrow_mut().pop_front();
        let Some(ordered) = next else { return };
        // Nobody waits for it any more: doing it now would surprise.
        if ordered.reply.is_closed() {
            refuse(shared, ordered, Code::ClusterFailed, "nobody waited any more when its turn came");
            continue;
        }
        let result = carry_out(shared, node, &ordered.order).await;
        if let Some((priority, reason, words)) = told(&ordered.order, &result) {
            shared.tell(priority, reason, &words);
        }
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

/// What the log and an Event say of it.
fn told(order: &Order, result: &Answer) -> Option<(Priority, &'static str, String)> {
    let (did, refused) = match order.act {
        Act::Cordon => ("Cordoned", "CordonRefused"),
        Act::Uncordon => ("Uncordoned", "UncordonRefused"),
        // A drain speaks for itself once it has its plan.
        Act::Drain { .. } if result.is_ok() => return None,
        Act::Drain { .. } => ("", "DrainRefused"),
        Act::Plan { .. } | Act::CancelDrain | Act::ShowDrain | Act::Report(_) => return None,
    };
    let asked = format!("{} asked for it: {}", order.by, order.reason);
    match result {
        Ok(Done { changed: false, .. }) => None,
        Ok(_) => Some((Priority::Notice, did, format!("{} by node-steward; {asked}", did.to_lowercase()))),
        Err((_, why)) => {
            let what = refused.trim_end_matches("Refused").to_lowercase();
            Some((Priority::Warning, refused, format!("not {what}ed: {why}; {asked}")))
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
        self.say(priority, words.to_owned());
        self.wake.notify_one();
    }

    /// To the log with the next turn; what is said again and again until then is one line.
    fn say(&self, priority: Priority, words: String) {
        let mut said = self.said.borrow_mut();
        let line = (priority, words);
        if !said.contains(&line) && said.len() < MOST_LINES {
            said.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Settings;
    use crate::agent::watch::saved::Past;
    use crate::model::time::{Now, Wall};
    use crate::settings::Merged;
    use serde_json::json;

    fn shared() -> Shared {
        Shared::new("n".to_owned(), "b".to_owned(), &Settings::of(Merged::of(&[]).unwrap()).unwrap(), Past::default())
    }

    fn ordered(act: Act) -> (Ordered, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        (Ordered { order: Order { act, by: "alice".to_owned(), reason: "a new disk".to_owned() }, reply }, answer)
    }

    #[test]
    fn what_is_refused_without_a_server_is_an_event_when_it_is_back() {
        let shared = shared();
        let before = clock::wall();
        let mut answers = Vec::new();
        for act in [Act::Cordon, Act::Cordon, Act::Uncordon, Act::Drain { allow: Vec::new(), deadline: None }] {
            let (ordered, answer) = ordered(act);
            shared.orders.borrow_mut().push_back(ordered);
            answers.push(answer);
        }
        shared.parted(&Error::Garbage("nobody answers".to_owned()));
        let after = clock::wall();
        for mut answer in answers {
            assert!(matches!(answer.try_recv(), Ok(Err((Code::ClusterFailed, why))) if why.contains("nobody answers")));
        }
        let said: Vec<_> = shared.said.take().into_iter().map(|(_, words)| words).collect();
        assert_eq!(said.len(), 3, "the same twice is one line: {said:?}");
        assert!(
            said[0].starts_with("not cordoned: ") && said[0].ends_with("; alice asked for it: a new disk"),
            "{said:?}"
        );

        let back = Now { mono: clock::monotonic(), wall: Wall(after.0 + 3_600_000), boot_id: String::new() };
        assert!(shared.reporter.borrow_mut().take(&back).is_none(), "nobody to tell");
        let node = json!({"metadata": {"name": "n", "uid": "u", "resourceVersion": "1"}});
        shared.saw(Some(&serde_json::from_value(node).unwrap()));
        let mut events = Vec::new();
        loop {
            let sent = shared.reporter.borrow_mut().take(&back);
            let Some(sent) = sent else { break };
            if let Request::CreateEvent(event) = &sent.request {
                let at = Wall::parse(&event.last_timestamp).unwrap();
                assert!(at.0 >= before.0 / 1000 * 1000 && at <= after, "{event:?}");
                events.push((event.reason.clone(), event.count));
            }
            shared.answered(&sent, None);
        }
        events.sort();
        let expected = [("CordonRefused", 2), ("DrainRefused", 1), ("UncordonRefused", 1)];
        assert_eq!(events, expected.map(|(reason, count)| (reason.to_owned(), count)));
    }

    #[test]
    fn where_there_is_no_cluster_the_log_alone_is_told() {
        let shared = shared();
        let (one, mut answer) = ordered(Act::Cordon);
        refuse(&shared, one, Code::NoCluster, "local-only");
        assert!(matches!(answer.try_recv(), Ok(Err((Code::NoCluster, _)))));
        assert_eq!((shared.said.take().len(), shared.reporter.borrow().waiting()), (1, 0));
        // A plan is a question.
        let (one, _) = ordered(Act::Plan { allow: Vec::new() });
        refuse(&shared, one, Code::ClusterFailed, "away");
        assert_eq!((shared.said.take().len(), shared.reporter.borrow().waiting()), (0, 0));
        for round in 0..200 {
            shared.tell(Priority::Warning, "CordonRefused", &format!("round {round}"));
        }
        assert_eq!((shared.said.take().len(), shared.reporter.borrow().waiting()), (MOST_LINES, 1));
    }
}
