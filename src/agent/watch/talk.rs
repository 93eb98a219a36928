//! The conversation with the API server: one watch of our own Node, and what the reporter has to say. It refuses to judge, to retry at once, and to borrow
//! anything while it waits.

use std::rc::Rc;

use serde::de::IgnoredAny;
use tokio::time::{Duration, sleep, sleep_until};

use super::deeds;
use super::drains;
use super::orders;
use super::shared::{LOOK_MS, Shared, now};
use crate::act::ledger;
use crate::cluster::{
    Cluster, Error, Need, Node, Nodes, Request, Seen, Stream, Version, Watch, WhoAmI, jitter, needs, rbac_yaml,
};
use crate::host::clock;
use crate::model::cluster::PermissionStatus;
use crate::policy::{Budget, Mode};

/// At least so long from one attempt to the next.
const AGAIN_MS: u64 = 1_000;
/// At most, where the server is well and refuses us.
const LONGEST_MS: u64 = 60_000;
/// What the server allows is asked for once a day, the first time within this many ms, by the node's name.
const REVIEW_WITHIN_MS: u64 = 30_000;
const REVIEW_EVERY_MS: u64 = 86_400_000;
const REVIEW: u64 = 3;
/// Where something is missing, or the server cannot even say so, it is asked again after this long.
const REVIEW_AGAIN_MS: u64 = 600_000;

/// Goes on for ever.
pub(super) async fn talk(shared: Rc<Shared>) {
    tokio::join!(drains::attend(Rc::clone(&shared)), go_on(shared));
}

async fn go_on(shared: Rc<Shared>) {
    let mut refused = 0_u32;
    loop {
        let began = clock::monotonic();
        let mut least = AGAIN_MS;
        if let Err(error) = &converse(&shared).await {
            shared.parted(error);
            // From a server that is unwell the sender keeps its own distance; one that refuses is well.
            let unwell = error.asks_for_distance() || matches!(error, Error::HeldBack { .. } | Error::NotReady(_));
            refused = if unwell { 0 } else { refused.saturating_add(1) };
            least = (AGAIN_MS << refused.min(6)).min(LONGEST_MS);
            // Whoever may not even see its Node is to know what it lacks.
            if matches!(error, Error::Forbidden(_)) {
                review(&shared).await;
            }
        } else {
            refused = 0;
        }
        let waited = clock::monotonic().since_ms(began);
        sleep(Duration::from_millis(shared.cluster.held_for_ms().max(least.saturating_sub(waited)))).await;
    }
}

/// Until the watch ends in good order or the credential changes, or something fails.
async fn converse(shared: &Shared) -> Result<(), Error> {
    let cluster = &shared.cluster;
    let name = who(shared).await?;
    let generation = cluster.generation();
    let (node, from) = find(cluster, &name).await?;
    shared.saw(node.as_ref());
    let watch = Watch::Node { name: name.clone(), from: from.clone().unwrap_or_default() };
    let mut stream = match from {
        None => None,
        Some(_) => match cluster.watch::<Node>(&watch).await {
            Ok(stream) => Some(stream),
            Err(Error::Forbidden(_)) => None,
            Err(error) => return Err(error),
        },
    };
    let look_again = clock::monotonic().plus_ms(LOOK_MS);
    loop {
        orders::see_to(shared, &name).await;
        orders::tidy(shared, &name).await;
        deeds::act(shared, &name).await;
        speak(shared).await;
        if cluster.generation() != generation {
            return Ok(());
        }
        tokio::select! {
            seen = next(&mut stream) => match seen {
                Ok(Some(Seen::Now(node))) => shared.heard(&node),
                Ok(Some(Seen::Gone(_))) => shared.saw(None),
                Ok(Some(Seen::Mark)) => {}
                // The list that follows begins anew.
                Ok(None) | Err(Error::Expired(_)) => return Ok(()),
                Err(error) => return Err(error),
            },
            () = shared.wake.notified() => {}
            () = sleep_until(shared.next()) => {}
        }
        if stream.is_none() && clock::monotonic() >= look_again {
            return Ok(());
        }
    }
}

/// Our Node's name: as set, as the credential has it, or the host's.
async fn who(shared: &Shared) -> Result<String, Error> {
    let generation = shared.cluster.generation();
    {
        let facts = shared.facts.borrow();
        if let Some(node) = facts.node.as_ref().filter(|_| facts.generation == Some(generation)) {
            return Ok(node.clone());
        }
    }
    let user = match shared.cluster.send::<WhoAmI>(&Request::WhoAmI).await {
        Ok(who) => who.status.user_info.username,
        // A server before 1.28 has no answer.
        Err(Error::NotFound(_) | Error::Forbidden(_)) => String::new(),
        Err(error) => return Err(error),
    };
    let named = shared.rules.node_name.clone().or_else(|| user.strip_prefix("system:node:").map(str::to_owned));
    let node = named.unwrap_or_else(|| shared.hostname.clone());
    let mut facts = shared.facts.borrow_mut();
    if facts.node.is_none() {
        facts.review = clock::monotonic().plus_ms(jitter(&node, REVIEW, REVIEW_WITHIN_MS));
    }
    (facts.user, facts.node) = (user, Some(node.clone()));
    // The first request may have begun the first pool.
    facts.generation = Some(shared.cluster.generation());
    Ok(node)
}

/// Our Node, and the version that a watch goes on from; none where the server lets us look only.
async fn find(cluster: &Cluster, name: &str) -> Result<(Option<Node>, Option<String>), Error> {
    match cluster.send::<Nodes>(&Request::ListNode { name: name.to_owned() }).await {
        Ok(nodes) => Ok((nodes.items.into_iter().next(), Some(nodes.metadata.resource_version))),
        Err(Error::Forbidden(_)) => match cluster.send(&Request::GetNode { name: name.to_owned() }).await {
            Ok(node) => Ok((Some(node), None)),
            Err(Error::NotFound(_)) => Ok((None, None)),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

async fn next(stream: &mut Option<Stream<Node>>) -> Result<Option<Seen<Node>>, Error> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

/// Says all that is due, one after the other.
async fn speak(shared: &Shared) {
    loop {
        let now = now();
        let sent = shared.reporter.borrow_mut().take(&now);
        let Some(sent) = sent else { break };
        let result: Result<IgnoredAny, Error> = shared.cluster.send(&sent.request).await;
        shared.answered(&sent, result.err());
    }
    review(shared).await;
}

/// Asks what the server allows, where it is time to.
async fn review(shared: &Shared) {
    let (node, user) = {
        let facts = shared.facts.borrow();
        if facts.review > clock::monotonic() {
            return;
        }
        (facts.node.clone().unwrap_or_default(), facts.user.clone())
    };
    let maps = [(ledger::NAMESPACE, ledger::LEDGER, true), (ledger::NAMESPACE, ledger::LIMITS, false)];
    let by_ledger = {
        let actor = shared.actor.borrow();
        actor.rules().mode > Mode::Observe && actor.rules().budget == Budget::Ledger
    };
    let wanted = needs(&node, if by_ledger { &maps } else { &[] });
    let reviewed = match shared.cluster.send::<Version>(&Request::Version).await {
        Ok(version) => {
            shared.facts.borrow_mut().version = version.git_version;
            shared.cluster.missing(&wanted).await
        }
        Err(error) => Err(error),
    };
    let mut facts = shared.facts.borrow_mut();
    let complete = reviewed.as_ref().is_ok_and(Vec::is_empty);
    let wait = if complete { REVIEW_EVERY_MS } else { REVIEW_AGAIN_MS };
    facts.review = clock::monotonic().plus_ms(wait + jitter(&node, REVIEW, wait / 10));
    let Ok(missing) = reviewed else { return };
    let shown = |need: &Need| PermissionStatus {
        what: need.permission.to_string(),
        purpose: need.purpose.to_owned(),
        allowed: !missing.contains(need),
    };
    facts.permissions = wanted.iter().map(shown).collect();
    let missing: Vec<_> = missing.iter().map(|need| need.permission.clone()).collect();
    facts.missing_rbac = rbac_yaml(&missing, &user);
}
