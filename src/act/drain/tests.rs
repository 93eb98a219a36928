//! A node's pods, a server that answers as it is told, and a drain between them. It refuses a pod that ends without an eviction.

use super::*;
use crate::act::hold::For;
use crate::model::drain::Allow;
use serde_json::json;

const UNTIL: u64 = 600_000;

fn job(allow: &[Allow]) -> Job {
    Job {
        whose: For::Person,
        by: "alice".to_owned(),
        reason: "a new disk".to_owned(),
        allow: allow.to_vec(),
        cordoned: "2026-01-01T00:00:00Z".to_owned(),
        began: Wall(0),
        until_wall: Wall(600_000),
        until: Mono(UNTIL),
    }
}

fn pod(name: &str, owner: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "n", "uid": format!("uid-{name}"),
            "ownerReferences": [{"kind": owner, "name": "o", "uid": "o", "controller": true}]},
        "status": {"phase": "Running"},
    }))
    .unwrap()
}

fn apps(count: usize) -> Vec<Pod> {
    (0..count).map(|number| pod(&format!("p{number:02}"), "ReplicaSet")).collect()
}

fn budget() -> Error {
    Error::TooManyRequests {
        retry_after_ms: None,
        cause: Some("DisruptionBudget".to_owned()),
        message: "Cannot evict pod: The disruption budget web needs 2 healthy pods and has 2 currently".to_owned(),
    }
}

fn several() -> Error {
    Error::Unavailable { code: Some(500), message: "This pod has more than one PodDisruptionBudget".to_owned() }
}

/// All that are to be asked for now.
fn asks(drain: &mut Drain, now: u64) -> Vec<String> {
    std::iter::from_fn(|| drain.take(Mono(now)).map(|(uid, _)| uid)).collect()
}

#[test]
fn nothing_goes_before_all_were_listed_and_at_most_five_at_once() {
    let mut drain = Drain::new(job(&[]));
    assert_eq!(asks(&mut drain, 0), Vec::<String>::new());
    assert!(!drain.settle(Mono(0), Wall(0)), "no list is no empty list");
    drain.listed(Mono(0), &apps(12));
    let mut gone = 0;
    let mut now = 0;
    let mut asked = asks(&mut drain, now);
    assert_eq!(asked.len(), AT_ONCE);
    while let Some(uid) = asked.pop() {
        drain.answered(Mono(now), &uid, None);
        assert_eq!(asks(&mut drain, now), Vec::<String>::new(), "it is still ending");
        now += 1000;
        drain.gone(&uid);
        gone += 1;
        asked.extend(asks(&mut drain, now));
        assert!(asked.len() <= AT_ONCE);
        assert_eq!(drain.settle(Mono(now), Wall(0)), gone == 12, "{gone}");
    }
    assert_eq!((gone, drain.status().state), (12, DrainState::Drained));
    assert!(drain.is_to_be_followed());
}

#[test]
fn an_eviction_names_the_pod_that_was_judged() {
    let mut drain = Drain::new(job(&[]));
    drain.listed(Mono(0), &apps(1));
    let (uid, request) = drain.take(Mono(0)).unwrap();
    let wanted = Request::Evict { namespace: "n".to_owned(), name: "p00".to_owned(), uid: "uid-p00".to_owned() };
    assert_eq!((uid.as_str(), request), ("uid-p00", wanted));
}

#[test]
fn a_budget_is_asked_again_after_five_seconds_or_as_long_as_it_says() {
    for (said, least) in [(None, AGAIN_MS), (Some(1000), AGAIN_MS), (Some(30_000), 30_000)] {
        let mut drain = Drain::new(job(&[]));
        drain.listed(Mono(0), &apps(1));
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..8 {
            let (uid, _) = drain.take(Mono(now)).unwrap();
            let mut error = budget();
            if let Error::TooManyRequests { retry_after_ms, .. } = &mut error {
                *retry_after_ms = said;
            }
            drain.answered(Mono(now), &uid, Some(&error));
            let next = drain.next(Mono(now));
            assert!(drain.take(Mono(next.0 - 1)).is_none());
            let wait = next.0 - now;
            assert!((least..=least + AGAIN_MS / 2).contains(&wait), "{said:?}: {wait}");
            waits.push(wait);
            now = next.0;
        }
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 3, "jitter: {waits:?}");
        let shown = &drain.status().pods[0];
        assert!(shown.step == PodStep::Waits && shown.why.contains("disruption budget web"), "{shown:?}");
    }
}

#[test]
fn a_pod_that_waits_for_its_budget_holds_nobody_up() {
    let mut drain = Drain::new(job(&[]));
    drain.listed(Mono(0), &apps(8));
    for uid in asks(&mut drain, 0) {
        drain.answered(Mono(0), &uid, Some(&budget()));
    }
    assert_eq!(asks(&mut drain, 0).len(), 3, "the others have their turn");
}

#[test]
fn several_budgets_are_reported_and_not_asked_for_ever() {
    let mut drain = Drain::new(job(&[]));
    drain.listed(Mono(0), &apps(2));
    let mut now = 0;
    let mut attempts = 0;
    loop {
        for uid in asks(&mut drain, now) {
            if uid == "uid-p01" {
                drain.answered(Mono(now), &uid, None);
                drain.gone(&uid);
                continue;
            }
            attempts += 1;
            drain.answered(Mono(now), &uid, Some(&several()));
        }
        if drain.settle(Mono(now), Wall(7)) {
            break;
        }
        now = drain.next(Mono(now)).0;
    }
    assert_eq!(attempts, ENOUGH);
    assert!(now < UNTIL);
    let status = drain.status();
    assert_eq!((status.state, status.ended_wall_ms), (DrainState::Partial, Some(Wall(7))));
    assert!(status.why.contains("n/p00 (This pod has more than one PodDisruptionBudget)"), "{}", status.why);
    assert!(!drain.is_to_be_followed(), "it was not full");
}

#[test]
fn at_its_time_it_stops_and_says_who_is_in_the_way() {
    let mut drain = Drain::new(job(&[]));
    drain.listed(Mono(0), &apps(2));
    let mut now = 0;
    while now < UNTIL {
        for uid in asks(&mut drain, now) {
            // One is held by its budget, one never ends.
            drain.answered(Mono(now), &uid, (uid == "uid-p00").then(budget).as_ref());
        }
        assert!(!drain.settle(Mono(now), Wall(0)));
        now = drain.next(Mono(now)).0;
    }
    assert_eq!(asks(&mut drain, UNTIL), Vec::<String>::new(), "nothing goes after its time");
    assert!(drain.settle(Mono(UNTIL), Wall(1)));
    let status = drain.status();
    assert_eq!(status.state, DrainState::Blocked);
    assert!(status.why.contains("n/p00 (Cannot evict pod: The disruption budget web"), "{}", status.why);
    assert!(status.why.contains("n/p01"), "{}", status.why);
    assert!(!drain.settle(Mono(UNTIL), Wall(2)), "it ends once");
}

#[test]
fn what_stays_stays_and_what_is_not_its_business_is_left() {
    let mut drain = Drain::new(job(&[]));
    drain.listed(Mono(0), &[pod("a", "ReplicaSet"), pod("d", "DaemonSet"), pod("j", "Job")]);
    let asked = asks(&mut drain, 0);
    assert_eq!(asked, ["uid-a"]);
    drain.answered(Mono(0), "uid-a", None);
    // One that comes late is judged like the others.
    drain.saw(Mono(1), &pod("late", "ReplicaSet"));
    drain.gone("uid-a");
    assert!(!drain.settle(Mono(1), Wall(0)));
    assert_eq!(asks(&mut drain, 1), ["uid-late"]);
    drain.answered(Mono(1), "uid-late", Some(&Error::NotFound("gone".to_owned())));
    assert!(!drain.settle(Mono(2), Wall(0)), "the watch has not said so");
    drain.gone("uid-late");
    drain.gone("uid-d");
    assert!(drain.settle(Mono(2), Wall(0)));
    let status = drain.status();
    assert_eq!((status.state, status.count(PodStep::Gone), status.going()), (DrainState::Partial, 2, 2));
    assert!(status.why.contains("stay: n/j (it is a Job's"), "{}", status.why);
    // With the word for it, it goes.
    let mut drain = Drain::new(job(&[Allow::Jobs]));
    drain.listed(Mono(0), &[pod("j", "Job")]);
    assert_eq!(asks(&mut drain, 0), ["uid-j"]);
}

#[test]
fn pods_that_others_have_deleted_are_waited_for_and_not_asked_for() {
    let mut drain = Drain::new(job(&[]));
    let mut ending = pod("a", "ReplicaSet");
    ending.metadata.deletion_timestamp = Some("2026-01-01T00:00:00Z".to_owned());
    let mut pods = apps(6);
    pods.push(ending);
    drain.listed(Mono(0), &pods);
    assert_eq!(asks(&mut drain, 0).len(), AT_ONCE, "it takes no place of ours");
    assert_eq!(drain.status().count(PodStep::Ending), 1);
    assert!(!drain.settle(Mono(0), Wall(0)));
}

#[test]
fn a_list_after_a_gap_says_who_is_gone() {
    let mut drain = Drain::new(job(&[]));
    let pods = apps(3);
    drain.listed(Mono(0), &pods);
    let asked = asks(&mut drain, 0);
    drain.answered(Mono(0), &asked[0], None);
    // The connection is lost with two evictions on their way.
    drain.unanswered(Mono(100));
    drain.hold(Keeps::Pods, "the API server is away");
    assert_eq!(drain.status().why, "the API server is away");
    assert_eq!(asks(&mut drain, 60_000), Vec::<String>::new(), "nothing goes out");
    drain.listed(Mono(60_000), &pods[2..]);
    assert_eq!(drain.status().count(PodStep::Gone), 2);
    assert_eq!(asks(&mut drain, 60_000), ["uid-p02"]);
    // An answer that comes after all changes nothing.
    drain.answered(Mono(60_001), "uid-p00", Some(&budget()));
    assert_eq!(drain.status().count(PodStep::Gone), 2);
}

#[test]
fn a_restart_goes_on_with_the_same_end_and_an_end_stays_one() {
    let mut drain = Drain::new(job(&[Allow::Jobs]));
    drain.listed(Mono(0), &apps(2));
    let kept: Kept = serde_json::from_str(&serde_json::to_string(&drain.kept()).unwrap()).unwrap();
    let mut again = Drain::resumed(kept);
    assert!(again.is_running());
    assert_eq!((again.job(), again.status().pods.len()), (&job(&[Allow::Jobs]), 2), "shown as it was left");
    assert_eq!(asks(&mut again, 1), Vec::<String>::new(), "nothing before a new list");
    again.listed(Mono(1), &apps(2));
    assert_eq!(asks(&mut again, 1).len(), 2);
    assert_eq!(again.next(Mono(1)), Mono(UNTIL));
    again.end(DrainState::Cancelled, "bob", Wall(5));
    again.end(DrainState::Drained, "", Wall(6));
    assert_eq!(asks(&mut again, 99_000), Vec::<String>::new());
    let ended = Drain::resumed(again.kept());
    assert!(!ended.is_running() && !ended.is_to_be_followed());
    assert_eq!((ended.status().state, ended.status().why.as_str()), (DrainState::Cancelled, "bob"));
}

#[test]
fn a_store_that_is_away_is_waited_for() {
    let mut drain = Drain::new(job(&[]));
    drain.listed(Mono(0), &apps(1));
    let mut now = 0;
    for _ in 0..20 {
        let (uid, _) = drain.take(Mono(now)).expect("asked again");
        let error = Error::Unavailable { code: Some(500), message: "etcdserver: request timed out".to_owned() };
        drain.answered(Mono(now), &uid, Some(&error));
        let next = drain.next(Mono(now)).0;
        assert!((LATER_MS..=LATER_MS + LATER_MS / 2).contains(&(next - now)), "{}", next - now);
        now = next;
    }
    assert!(!drain.settle(Mono(now), Wall(0)));
    assert!(drain.status().pods[0].why.contains("etcdserver"), "{:?}", drain.status().pods);
}

#[test]
fn what_an_earlier_run_has_asked_for_keeps_its_places() {
    let mut pods = apps(7);
    for pod in &mut pods[..3] {
        pod.metadata.deletion_timestamp = Some("2026-01-01T00:00:00Z".to_owned());
    }
    let mut again = Drain::resumed(Drain::new(job(&[])).kept());
    again.listed(Mono(0), &pods);
    assert_eq!(asks(&mut again, 0), ["uid-p03", "uid-p04"], "three end already");
    again.gone("uid-p00");
    assert_eq!(asks(&mut again, 0), ["uid-p05"]);
    // What somebody deletes later is theirs.
    let mut late = pod("late", "ReplicaSet");
    late.metadata.deletion_timestamp = Some("2026-01-01T00:00:00Z".to_owned());
    again.saw(Mono(1), &late);
    again.gone("uid-p01");
    assert_eq!(asks(&mut again, 1), ["uid-p06"]);
}

/// Servers that answer anything, in any order: it ends, never has more than five, and never asks for a pod twice within its pause.
#[test]
fn whatever_is_answered_it_ends_in_time() {
    let mut dice = 7_u64;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    let mut ends = BTreeMap::new();
    for _ in 0..300 {
        let mut drain = Drain::new(job(&[]));
        drain.listed(Mono(0), &apps(usize::try_from(roll(30)).unwrap()));
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        let mut out: Vec<String> = Vec::new();
        let mut ending: Vec<String> = Vec::new();
        let mut now = 0;
        while !drain.settle(Mono(now), Wall(0)) {
            assert!(now <= UNTIL, "it has an end");
            for uid in asks(&mut drain, now) {
                if let Some(before) = last.insert(uid.clone(), now) {
                    assert!(now - before >= AGAIN_MS, "{uid} after {} ms", now - before);
                }
                out.push(uid);
            }
            assert!(out.len() + ending.len() <= AT_ONCE);
            if !out.is_empty() && roll(2) == 0 {
                let uid = out.remove(0);
                let error = match roll(8) {
                    0..=3 => None,
                    4 => Some(budget()),
                    5 => Some(several()),
                    6 => Some(Error::Timeout { ms: 10_000 }),
                    _ => Some(Error::HeldBack { ms: roll(60_000) }),
                };
                drain.answered(Mono(now), &uid, error.as_ref());
                if error.is_none() {
                    ending.push(uid);
                }
            }
            if !ending.is_empty() && roll(20) == 0 {
                drain.gone(&ending.remove(0));
            }
            now += 500;
        }
        *ends.entry(drain.status().state.word()).or_insert(0) += 1;
    }
    assert!(ends.contains_key("drained") && ends.len() > 1, "{ends:?}");
}

#[test]
fn what_comes_back_each_time_is_given_up() {
    let mut drain = Drain::new(job(&[]));
    drain.listed(Mono(0), &apps(2));
    let (mut now, mut evicted) = (0, 0);
    for number in 0..50 {
        now += 1000;
        for uid in asks(&mut drain, now) {
            evicted += 1;
            drain.answered(Mono(now), &uid, None);
            drain.gone(&uid);
            drain.saw(Mono(now), &pod(&format!("new{number}-{uid}"), "ReplicaSet"));
        }
    }
    assert_eq!(evicted, 2 + LATE, "somebody tolerates the cordon and makes it anew here");
    assert!(drain.settle(Mono(now), Wall(0)));
    let status = drain.status();
    assert_eq!(status.state, DrainState::Partial);
    assert!(status.why.contains("comes back"), "{}", status.why);
    // Those who come and go without us are not kept.
    let before = status.pods.len();
    drain.saw(Mono(now), &pod("once", "ReplicaSet"));
    drain.gone("uid-once");
    assert_eq!(drain.status().pods.len(), before);
}

#[test]
fn a_word_for_ever_is_no_moment_in_the_past() {
    let mut drain = Drain::new(job(&[]));
    drain.listed(Mono(0), &apps(1));
    let (uid, _) = drain.take(Mono(0)).unwrap();
    let for_ever =
        Error::TooManyRequests { retry_after_ms: Some(u64::MAX), cause: None, message: "not now".to_owned() };
    drain.answered(Mono(0), &uid, Some(&for_ever));
    assert_eq!((asks(&mut drain, 5_000).len(), drain.next(Mono(0))), (0, Mono(UNTIL)));
}

#[test]
fn the_end_of_one_hindrance_is_not_the_end_of_another() {
    let mut drain = Drain::new(job(&[]));
    drain.listed(Mono(0), &apps(1));
    drain.hold(Keeps::Limits, "NoLedger: it does not answer");
    drain.hold(Keeps::Node, "our Node is not before our eyes");
    drain.unhold(Keeps::Node);
    drain.listed(Mono(0), &apps(1));
    assert_eq!(asks(&mut drain, 0), Vec::<String>::new(), "nobody has said that it may go on");
    assert_eq!(drain.status().why, "NoLedger: it does not answer");
    drain.unhold(Keeps::Limits);
    assert_eq!(asks(&mut drain, 0).len(), 1);
}
