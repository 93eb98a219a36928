//! What the actor wants done by itself, request by request: the Node is looked at afresh, the ledger is asked and written, all is judged anew, and then there
//! is one PATCH. It refuses to cordon on a ledger that was written a while ago, and to leave a line behind that nothing came of.

use std::collections::BTreeSet;

use super::orders::{Hindrance, TRIES};
use super::shared::Shared;
use crate::act::actor::{Outcome, Task, long_enough};
use crate::act::hold::{self, For, Held, Mark};
use crate::act::ledger::{self, Answer, Claim, Limits};
use crate::cluster::{ConfigMap, Error, Node, Request};
use crate::host::{Priority, clock};
use crate::model::drain::DrainState;
use crate::model::time::{Mono, Wall};
use crate::policy::{Budget, Mode, Rules, Want, Withheld};

/// From the ledger's answer to the cordon: what takes longer is judged anew.
const SOON_MS: u64 = 60_000;
/// So many lines of others are doubted at a time, and so many are named.
const MOST_DOUBTS: usize = 50;
const NAMED: usize = 5;

type Refused = (Withheld, String);

/// Does what is due.
pub(super) async fn act(shared: &Shared, name: &str) {
    let task = shared.actor.borrow().task(clock::monotonic());
    let Some(task) = task else { return };
    let rules = shared.actor.borrow().rules().clone();
    let outcome = match &task {
        Task::Begin(want) => begin(shared, name, &rules, &task, want).await.map(|()| Outcome::Done),
        Task::End(reason) => end(shared, name, &rules, &task, reason).await,
        Task::Drain(cordoned) => drain(shared, name, &rules, &task, cordoned).await.map(|()| Outcome::Done),
        Task::Settle => settle(shared, name).await.map(|line| if line { Outcome::Released } else { Outcome::Done }),
    };
    let outcome = outcome.unwrap_or_else(|(no, why)| Outcome::Not(no, why));
    let news = shared.actor.borrow_mut().answered(clock::monotonic(), &task, outcome.clone());
    match (&task, &outcome) {
        (Task::Begin(want), Outcome::Not(no, why)) if news => {
            let words = format!("not cordoned for {} {}: {}: {why}", want.kind, want.subject, no.name());
            shared.tell(Priority::Warning, "CordonRefused", &words);
        }
        (Task::Begin(want), Outcome::Done) => {
            let words = format!("cordoned by node-steward for {} {}", want.kind, want.subject);
            shared.tell(Priority::Warning, "Cordoned", &words);
        }
        (Task::Drain(_), Outcome::Not(no, why)) if news => {
            shared.tell(Priority::Warning, "DrainRefused", &format!("not drained: {}: {why}", no.name()));
        }
        (Task::End(reason), Outcome::Done | Outcome::Released) => {
            let words = format!("uncordoned by node-steward: {reason} is over");
            shared.tell(Priority::Notice, "Uncordoned", &words);
        }
        (Task::End(reason), Outcome::Not(no, why)) if news => {
            let words = format!("not uncordoned though {reason} is over: {}: {why}", no.name());
            shared.tell(Priority::Warning, "UncordonRefused", &words);
        }
        _ => {}
    }
}

async fn begin(shared: &Shared, name: &str, rules: &Rules, task: &Task, want: &Want) -> Result<(), Refused> {
    let node = look(shared, name).await?;
    against(&node, rules, &shared.boot_id, server_time(shared)?)?;
    let by_ledger = rules.budget == Budget::Ledger;
    let until = clock::monotonic().plus_ms(SOON_MS);
    if by_ledger {
        claim(shared, rules, &node, want).await?;
    } else {
        allowed(shared, rules, Mode::Cordon).await?;
    }
    let cordoned = cordon(shared, name, rules, task, want, until).await;
    if by_ledger && cordoned.as_ref().is_err_and(|(no, _)| *no != Withheld::NodeNotPatched) {
        // Where this fails as well, the actor looks after the line before long.
        let _ = settle(shared, name).await;
    }
    // A patch without an answer may still come to be: its line stands until the actor looks after it.
    cordoned
}

async fn look(shared: &Shared, name: &str) -> Result<Node, Refused> {
    let node = shared.node(name).await.map_err(|error| (Withheld::NoCluster, error.to_string()))?;
    shared.saw(Some(&node));
    Ok(node)
}

/// The API server's time. The node's own clock is no ground to act on: it may be a year ahead.
fn server_time(shared: &Shared) -> Result<Wall, Refused> {
    let silent = || (Withheld::NoCluster, "the API server does not tell the time".to_owned());
    shared.cluster.server_time().ok_or_else(silent)
}

/// What the Node itself says against it.
fn against(node: &Node, rules: &Rules, boot_id: &str, now: Wall) -> Result<(), Refused> {
    // A credential that is not kubelet's leaves the name to the settings, and those go from image to image.
    let theirs = &node.status.node_info.boot_id;
    if !theirs.is_empty() && theirs != boot_id {
        return Err((Withheld::AnotherMachine, format!("the Node is of the boot {theirs}, and this one is {boot_id}")));
    }
    match hold::held(node) {
        Held::Open => {}
        Held::Another(why) => return Err((Withheld::HeldByAnother, why)),
        Held::Ours(_) => return Err((Withheld::HeldByAnother, "it is cordoned already".to_owned())),
        Held::TakenOff(_) => return Err((Withheld::HandsOff, "somebody has taken our cordon off just now".to_owned())),
    }
    if let Some(why) = hold::stands_down(node) {
        return Err((Withheld::StandsDown, why));
    }
    if let Some(until) = hold::hands_off(node, now) {
        return Err((Withheld::HandsOff, format!("a person has taken our cordon off: until {until}")));
    }
    let last = node.metadata.annotations.get(hold::LAST).map(String::as_str);
    if !long_enough(last, rules.apart.ms(), now) {
        let last = last.unwrap_or_default();
        return Err((Withheld::CordonedRecently, format!("last {last}, and {} must be between two", rules.apart)));
    }
    Ok(())
}

/// Writes our line of the ledger.
async fn claim(shared: &Shared, rules: &Rules, node: &Node, want: &Want) -> Result<(), Refused> {
    let limits = limits(shared, rules).await?;
    let map = fetch(shared, ledger::LEDGER).await?;
    let now = server_time(shared)?;
    let group = rules.group_label.as_ref().and_then(|label| node.metadata.labels.get(label));
    let claim = Claim {
        node: node.metadata.name.clone(),
        uid: node.metadata.uid.clone(),
        group: group.cloned().unwrap_or_default(),
        reason: want.kind.to_string(),
        owner: want.owner.clone(),
    };
    let mut answer = ledger::weigh(&map, &limits, &claim, now, &BTreeSet::new());
    if let Answer::Full(holders) = &answer {
        let freed = doubt(shared, &map, holders, now).await;
        if !freed.is_empty() {
            answer = ledger::weigh(&map, &limits, &claim, now, &freed);
        }
    }
    match answer {
        Answer::Held => Ok(()),
        Answer::Write(map) => put(shared, map).await,
        Answer::Trip(map, alike) => {
            put(shared, map).await?;
            Err((Withheld::BreakerIsOpen, format!("this would be the third for {alike} in 24 h")))
        }
        Answer::Full(holders) => {
            let names: Vec<&str> = holders.iter().take(NAMED).map(|(node, _)| node.as_str()).collect();
            let words = format!("{} held, by {}; {} may be", holders.len(), names.join(", "), limits.held);
            Err((Withheld::BudgetIsHeld, words))
        }
        Answer::No(no, why) => Err((no, why)),
    }
}

async fn limits(shared: &Shared, rules: &Rules) -> Result<Limits, Refused> {
    let local = Limits::local(rules.max_held, rules.max_started_per_day);
    let map = match ask(shared, ledger::LIMITS).await {
        // Each node for itself: people who have made no limits, or let no node read them, have set none.
        Err(Error::NotFound(_) | Error::Forbidden(_)) if rules.budget == Budget::None => return Ok(local),
        asked => understood(asked, ledger::LIMITS)?,
    };
    local.with(&map).map_err(|why| (Withheld::LedgerUnreadable, why))
}

/// The limits, where they let a node do as much by itself.
async fn allowed(shared: &Shared, rules: &Rules, least: Mode) -> Result<Limits, Refused> {
    let limits = limits(shared, rules).await?;
    if limits.pause {
        return Err((Withheld::Paused, Withheld::Paused.to_string()));
    }
    if limits.mode < least {
        return Err((Withheld::ModeIsCapped, format!("{} allows no more than {}", ledger::LIMITS, limits.mode.name())));
    }
    Ok(limits)
}

async fn ask(shared: &Shared, name: &str) -> Result<ConfigMap, Error> {
    let request = Request::GetConfigMap { namespace: ledger::NAMESPACE.to_owned(), name: name.to_owned() };
    shared.cluster.send(&request).await
}

async fn fetch(shared: &Shared, name: &str) -> Result<ConfigMap, Refused> {
    understood(ask(shared, name).await, name)
}

fn understood(asked: Result<ConfigMap, Error>, name: &str) -> Result<ConfigMap, Refused> {
    let failed = |error: Error| (Withheld::NoLedger, format!("{}/{name}: {error}", ledger::NAMESPACE));
    let map = asked.map_err(failed)?;
    if map.metadata.name == name && !map.metadata.resource_version.is_empty() {
        Ok(map)
    } else {
        Err((Withheld::LedgerUnreadable, format!("what was answered is not {}/{name}", ledger::NAMESPACE)))
    }
}

async fn put(shared: &Shared, map: ConfigMap) -> Result<(), Refused> {
    match shared.cluster.send::<ConfigMap>(&Request::PutConfigMap(map)).await {
        Ok(_) => Ok(()),
        Err(Error::Conflict(why)) => Err((Withheld::AnotherWasFirst, why)),
        Err(error) => Err((Withheld::NoLedger, format!("{}/{}: {error}", ledger::NAMESPACE, ledger::LEDGER))),
    }
}

/// Which of these lines are seen not to hold any more. Whoever may not look believes them all.
async fn doubt(
    shared: &Shared,
    map: &ConfigMap,
    holders: &[(String, String)],
    now: Wall,
) -> BTreeSet<(String, String)> {
    let mut freed = BTreeSet::new();
    for (name, uid) in holders.iter().take(MOST_DOUBTS) {
        let line = ledger::line(map, name);
        let seen = match shared.node(name).await {
            Ok(node) => Some((node.metadata.uid, node.spec.unschedulable)),
            // The server's own words: a 404 can come from anything on the way.
            Err(Error::NotFound(why)) if why == format!("nodes \"{name}\" not found") => None,
            Err(Error::Forbidden(_)) => break,
            Err(_) => continue,
        };
        let seen = seen.as_ref().map(|(uid, unschedulable)| (uid.as_str(), *unschedulable));
        if ledger::is_free(seen, uid, line.as_ref(), now) {
            freed.insert((name.clone(), uid.clone()));
        }
    }
    freed
}

/// The PATCH, judged anew right before it.
async fn cordon(
    shared: &Shared,
    name: &str,
    rules: &Rules,
    task: &Task,
    want: &Want,
    until: Mono,
) -> Result<(), Refused> {
    let mark = Mark {
        whose: For::Problem,
        by: want.subject.clone(),
        reason: want.kind.to_string(),
        since: server_time(shared)?.to_string(),
        boot_id: shared.boot_id.clone(),
    };
    patch(shared, name, |node| {
        against(node, rules, &shared.boot_id, server_time(shared)?)?;
        let now = clock::monotonic();
        if now > until || !shared.actor.borrow().still(now, task) {
            return Err((Withheld::NotJudged, "it was no longer so when all was ready".to_owned()));
        }
        Ok(hold::on(&mark))
    })
    .await
}

/// Whether the settings and the fleet's limits let a node drain itself.
pub(super) async fn may_drain(shared: &Shared, rules: &Rules) -> Result<(), Refused> {
    if rules.mode < Mode::Drain {
        return Err((Withheld::ModeIsCapped, format!("the mode is {}", rules.mode.name())));
    }
    allowed(shared, rules, Mode::Drain).await.map(drop)
}

/// Begins to drain the node that we have cordoned by ourselves.
async fn drain(shared: &Shared, name: &str, rules: &Rules, task: &Task, cordoned: &str) -> Result<(), Refused> {
    may_drain(shared, rules).await?;
    let node = look(shared, name).await?;
    let mark = match hold::held(&node) {
        Held::Ours(mark) if mark.whose == For::Problem && mark.since == cordoned => mark,
        _ => return Err((Withheld::HeldByAnother, "the cordon is no longer the one that it was".to_owned())),
    };
    if let Some(why) = hold::stands_down(&node) {
        return Err((Withheld::StandsDown, why));
    }
    if shared.drains() || !shared.actor.borrow().still(clock::monotonic(), task) {
        return Err((Withheld::NotJudged, "it was no longer so when all was ready".to_owned()));
    }
    shared.announce_drain(&mark.by, &mark.reason, &[], None, For::Problem).await;
    shared.go_and_drain();
    Ok(())
}

/// Takes our own cordon off and releases its line.
async fn end(shared: &Shared, name: &str, rules: &Rules, task: &Task, reason: &str) -> Result<Outcome, Refused> {
    allowed(shared, rules, Mode::Cordon).await?;
    shared.end_drain(DrainState::Stopped, &format!("{reason} is over"));
    patch(shared, name, |node| {
        match hold::held(node) {
            Held::Ours(mark) if mark.whose == For::Problem && mark.reason == reason => {}
            _ => return Err((Withheld::HeldByAnother, "the cordon is no longer ours to take off".to_owned())),
        }
        if let Some(why) = hold::stands_down(node) {
            return Err((Withheld::StandsDown, why));
        }
        if !shared.actor.borrow().still(clock::monotonic(), task) {
            return Err((Withheld::NotJudged, "it was no longer so when all was ready".to_owned()));
        }
        Ok(hold::off(None))
    })
    .await?;
    Ok(match rules.budget == Budget::Ledger {
        true if settle(shared, name).await.unwrap_or(false) => Outcome::Released,
        _ => Outcome::Done,
    })
}

/// One PATCH of our Node, made anew from each newer one.
async fn patch(
    shared: &Shared,
    name: &str,
    make: impl Fn(&Node) -> Result<serde_json::Value, Refused>,
) -> Result<(), Refused> {
    let changed = shared.change(name, |node| make(node).map(Some)).await;
    changed.map(drop).map_err(|hindrance| match hindrance {
        Hindrance::Judged(refused) => refused,
        Hindrance::Unread(error) => (Withheld::NoCluster, error.to_string()),
        other => (Withheld::NodeNotPatched, other.to_string()),
    })
}

/// Puts our line of the ledger right, as the Node is now; whether it is to be looked after again in a day.
async fn settle(shared: &Shared, name: &str) -> Result<bool, Refused> {
    for _ in 0..TRIES {
        let map = fetch(shared, ledger::LEDGER).await?;
        if !ledger::has_line(&map, name) {
            return Ok(false);
        }
        let node = look(shared, name).await?;
        let holds = matches!(hold::held(&node), Held::Ours(_));
        let now = server_time(shared)?;
        let Some(map) = ledger::settle(&map, name, &node.metadata.uid, holds, now) else {
            return Ok(true);
        };
        match put(shared, map).await {
            Ok(()) => return Ok(true),
            Err((Withheld::AnotherWasFirst, _)) => {}
            Err(refused) => return Err(refused),
        }
    }
    Err((Withheld::AnotherWasFirst, "the ledger changed all the time".to_owned()))
}
