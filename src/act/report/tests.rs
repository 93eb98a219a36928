//! The reporter against a Node made of values: what is written when, how often, and since when it says that it is so. It refuses a look inside: only what is
//! sent counts.

use super::scene::{Scene, at};
use super::*;
use crate::act::PREFIX;
use crate::model::problem::Condition;
use crate::model::status::Standing;

#[test]
fn only_own_types_are_written_and_only_those_that_somebody_speaks_for() {
    let mut scene = Scene::new();
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(1000);
    let kinds: Vec<&str> = scene.patches[0].1.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, ["NodeStewardAgentHealth", "NodeStewardDiskIO", "NodeStewardNodeResources"]);
    assert!(scene.patches[0].1.iter().all(|one| one.kind.starts_with(PREFIX) && one.status == "False"));
    assert_eq!(scene.patches.len(), 1);
}

#[test]
fn nothing_is_written_before_the_node_was_seen() {
    let mut scene = Scene::new();
    scene.begin("DiskStalled", "sda", Severity::Critical);
    scene.pass(3_600_000);
    assert!(scene.patches.is_empty() && scene.events.is_empty() && scene.reporter.next().is_none());
}

#[test]
fn unknown_until_the_first_full_look() {
    let mut scene = Scene::new();
    scene.looked = false;
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(1000);
    assert_eq!(scene.has(Condition::DiskIO).0, "Unknown");
    scene.looked = true;
    scene.turn(Changes::default());
    scene.looked = false;
    // A turn that only heard the kernel's log is no step back.
    scene.turn(Changes::default());
    scene.pass(20_000);
    assert_eq!(scene.has(Condition::DiskIO).0, "False");
}

#[test]
fn a_problem_is_written_once_and_since_when_it_began() {
    let mut scene = Scene::new();
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(60_000);
    let began = scene.now;
    scene.begin("DiskStalled", "sda", Severity::Critical);
    for _ in 0..5 {
        scene.pass(10_000);
        // Other numbers in the sentence are no news.
        scene.problems[0].finding.summary.push('!');
        scene.turn(Changes::default());
    }
    assert_eq!(scene.has(Condition::DiskIO), ("True", "DiskStalled", at(began).as_str()));
    assert_eq!(scene.patches.len(), 2, "one for the start, one for the problem");
    assert_eq!(scene.events.len(), 1);
    // A second problem changes what it says, and not since when it is so.
    scene.begin("DiskStalled", "sdb", Severity::Critical);
    scene.pass(30_000);
    assert_eq!(scene.patches.len(), 3);
    assert_eq!(scene.has(Condition::DiskIO).2, at(began));
    assert!(scene.server["NodeStewardDiskIO"].message.contains("also DiskStalled sdb"));
    let ended = scene.now;
    scene.end("sda");
    scene.end("sdb");
    scene.pass(30_000);
    assert_eq!(scene.has(Condition::DiskIO), ("False", "NoProblem", at(ended).as_str()));
    assert_eq!(scene.has(Condition::NodeResources).2, at(1000), "of others nothing changed");
}

#[test]
fn advice_is_neither_a_condition_nor_an_event() {
    let mut scene = Scene::new();
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(1000);
    scene.begin("FilesystemFull", "/data", Severity::Advice);
    scene.pass(60_000);
    assert_eq!((scene.patches.len(), scene.events.len()), (1, 0));
    // It becomes a problem, and advice again.
    let mut problem = scene.problems[0].clone();
    problem.finding.severity = Severity::Warning;
    scene.problems = vec![problem.clone()];
    scene.turn(Changes { changed: vec![(Severity::Advice, problem.clone())], ..Changes::default() });
    scene.pass(60_000);
    assert_eq!(scene.has(Condition::NodeResources).0, "True");
    problem.finding.severity = Severity::Advice;
    scene.problems = vec![problem.clone()];
    scene.turn(Changes { changed: vec![(Severity::Warning, problem)], ..Changes::default() });
    scene.pass(60_000);
    assert_eq!(scene.has(Condition::NodeResources).0, "False");
    let reasons: Vec<&str> = scene.events.iter().map(|event| event.2.as_str()).collect();
    assert_eq!(reasons, ["FilesystemFull", "FilesystemFullEnded"]);
}

#[test]
fn a_condition_whose_detectors_are_all_off_is_removed() {
    let mut scene = Scene::new();
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(1000);
    scene.parts[0].standing = Standing::Off;
    scene.turn(Changes::default());
    scene.pass(30_000);
    assert_eq!(scene.patches[1].2, ["NodeStewardDiskIO"]);
    assert!(!scene.server.contains_key("NodeStewardDiskIO"));
    scene.pass(700_000);
    assert!(scene.patches.iter().skip(2).all(|patch| patch.2.is_empty()), "once is enough");
}

#[test]
fn who_cannot_look_is_unknown_and_an_agent_that_sees_nothing_is_sick() {
    let mut scene = Scene::new();
    scene.parts[0].standing = Standing::Unknown { why: "no counters".to_owned() };
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(1000);
    assert_eq!((scene.has(Condition::DiskIO).0, scene.has(Condition::AgentHealth).0), ("Unknown", "False"));
    scene.parts[1].standing = Standing::Unknown { why: "no mounts".to_owned() };
    scene.turn(Changes::default());
    scene.pass(20_000);
    assert_eq!((scene.has(Condition::AgentHealth).0, scene.has(Condition::AgentHealth).1), ("True", "AgentIsBlind"));
}

#[test]
fn the_beat_is_five_minutes_and_each_nodes_own() {
    let mut scene = Scene::new();
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(24 * 3_600_000);
    let count = scene.patches.len();
    assert!((280..=296).contains(&count), "{count} patches in a day");
    let gaps: Vec<u64> = scene.patches.windows(2).map(|two| two[1].0 - two[0].0).collect();
    assert!(gaps.iter().all(|gap| (270_000..=330_100).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().max().unwrap() - gaps.iter().min().unwrap() > 30_000, "no jitter");
}

#[test]
fn changes_settle_and_those_that_follow_go_together() {
    let rules = Rules::default();
    let mut scene = Scene::with(Kept::default(), rules.clone());
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(60_000);
    let before = scene.patches.len();
    let began = scene.now;
    for number in 0..100 {
        scene.begin("DiskStalled", &format!("sd{number}"), Severity::Critical);
        scene.pass(500);
    }
    let times: Vec<u64> = scene.patches[before..].iter().map(|patch| patch.0).collect();
    assert!(times[0] - began <= rules.settle.ms() + 100, "{times:?}");
    assert!(times.windows(2).all(|two| two[1] - two[0] >= rules.coalesce.ms()), "{times:?}");
    assert!((4..=6).contains(&times.len()), "{times:?}");
    // By the node's name: the whole span is used.
    let settle: Vec<u64> = (0..1000).map(|node| jitter(&format!("n{node}"), SETTLE, 2000)).collect();
    assert!(settle.iter().any(|ms| *ms < 100) && settle.iter().any(|ms| *ms > 1900));
}

#[test]
fn what_happened_while_the_server_was_away_has_its_own_times() {
    let mut scene = Scene::new();
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(60_000);
    scene.down = true;
    scene.reporter.lost();
    let began = scene.now;
    scene.begin("DiskStalled", "sda", Severity::Critical);
    scene.pass(600_000);
    let ended = scene.now;
    scene.end("sda");
    scene.pass(600_000);
    let again = scene.now;
    scene.begin("DiskStalled", "sda", Severity::Critical);
    scene.pass(600_000);
    assert_eq!((scene.patches.iter().filter(|patch| patch.0 > began).count(), scene.events.len()), (0, 0));
    scene.down = false;
    scene.connect();
    scene.pass(30_000);
    assert_eq!(scene.has(Condition::DiskIO), ("True", "DiskStalled", at(again).as_str()));
    let mut told = scene
        .events
        .iter()
        .map(|(_, new, reason, count, first, last)| (*new, reason.as_str(), *count, first.clone(), last.clone()));
    assert_eq!(told.next(), Some((true, "DiskStalled", 2, at(began), at(again))));
    assert_eq!(told.next(), Some((true, "DiskStalledEnded", 1, at(ended), at(ended))));
    assert_eq!(told.next(), None);
}

#[test]
fn a_server_that_is_back_is_not_told_what_it_knows() {
    let mut scene = Scene::new();
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(60_000);
    for _ in 0..20 {
        scene.reporter.lost();
        scene.pass(1000);
        scene.connect();
        scene.pass(1000);
    }
    assert_eq!(scene.patches.len(), 1);
}

#[test]
fn what_another_took_away_is_put_back_but_not_in_a_fight() {
    let mut scene = Scene::new();
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(200_000);
    for _ in 0..60 {
        scene.server.remove("NodeStewardDiskIO");
        scene.connect();
        scene.pass(5_000);
    }
    let count = scene.patches.len();
    assert!((5..=8).contains(&count), "{count} patches in five minutes against somebody who always takes it away");
    // An old sight of our Node that comes late is nothing that somebody did.
    scene.pass(60_000);
    let before = scene.patches.len();
    scene.server.remove("NodeStewardDiskIO");
    scene.connect();
    let whole = scene.patches.last().unwrap().1.iter().map(|one| (one.kind.clone(), one.clone())).collect();
    scene.server = whole;
    scene.connect();
    scene.pass(100_000);
    assert_eq!(scene.patches.len(), before);
}

#[test]
fn one_reason_speaks_less_and_less_and_keeps_no_other_from_speaking() {
    let mut scene = Scene::new();
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(1000);
    let start = scene.now;
    for round in 0..3600 {
        scene.begin("DiskStalled", "sda", Severity::Critical);
        scene.problems.clear();
        if round == 1800 {
            scene.begin("FilesystemFull", "/", Severity::Warning);
        }
        scene.pass(1000);
    }
    scene.pass(300_000);
    let of = |reason: &str| scene.events.iter().filter(|event| event.2 == reason).cloned().collect::<Vec<_>>();
    let flapping = of("DiskStalled");
    assert!(flapping.len() <= 20, "{} requests for one reason in an hour", flapping.len());
    assert_eq!(flapping.iter().filter(|event| event.1).count(), 1, "it is the same Event all the time");
    assert_eq!(flapping.last().unwrap().3, 3600, "nothing is lost");
    assert_eq!(flapping[0].0 - start, 100, "the first word is at once");
    let other = of("FilesystemFull");
    assert!(other[0].0 - start <= 1_800_000 + 1000, "{other:?}");
}

#[test]
fn an_event_whose_hour_is_over_is_made_anew_and_one_whose_answer_was_lost_is_not() {
    let mut scene = Scene::new();
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(1000);
    scene.begin("DiskStalled", "sda", Severity::Critical);
    scene.pass(1000);
    scene.problems.clear();
    scene.pass(600_000);
    scene.begin("DiskStalled", "sda", Severity::Critical);
    let sent = scene.reporter.take(&scene.moment()).unwrap();
    let sent = if matches!(sent.request, Request::PatchConditions { .. }) {
        scene.reporter.answered(Mono(scene.now), &sent, None);
        scene.reporter.take(&scene.moment()).unwrap()
    } else {
        sent
    };
    assert!(matches!(&sent.request, Request::PatchEvent(event) if event.count == 2), "{sent:?}");
    scene.reporter.answered(Mono(scene.now), &sent, Some(&Error::NotFound(String::new())));
    let anew = scene.reporter.take(&scene.moment()).unwrap();
    let Request::CreateEvent(event) = &anew.request else { panic!("{anew:?}") };
    assert_eq!(event.count, 1);
    // Nor has a cluster that has just begun the namespace: it is not asked without end.
    scene.reporter.answered(Mono(scene.now), &anew, Some(&Error::NotFound(String::new())));
    assert_eq!(scene.reporter.take(&scene.moment()), None);
    scene.now += 10_000;
    let anew = scene.reporter.take(&scene.moment()).unwrap();
    scene.reporter.answered(Mono(scene.now), &anew, Some(&Error::AlreadyExists(String::new())));
    let again = scene.reporter.take(&scene.moment()).unwrap();
    assert!(matches!(&again.request, Request::PatchEvent(other) if other.name == event.name && other.count == 1));
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut scene = Scene::new();
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(1000);
    let began = scene.now;
    scene.begin("DiskStalled", "sda", Severity::Critical);
    scene.pass(20_000);
    let text = serde_json::to_string(scene.reporter.kept()).unwrap();
    let mut next = Scene::with(serde_json::from_str(&text).unwrap(), Rules::default());
    (next.now, next.server, next.looked) = (scene.now + 5000, scene.server.clone(), false);
    // Before the first full look it has nothing to say, and takes nothing back.
    next.turn(Changes::default());
    next.connect();
    next.pass(10_000);
    assert!(next.patches.is_empty());
    (next.problems, next.looked) = (scene.problems.clone(), true);
    next.turn(Changes::default());
    next.pass(60_000);
    assert!(next.patches.is_empty() && next.events.is_empty());
    assert_eq!(next.has(Condition::DiskIO).2, at(began));
}

#[test]
fn after_a_boot_the_nodes_own_word_says_since_when() {
    let mut scene = Scene::new();
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(1000);
    let mut next = Scene::new();
    (next.now, next.server) = (900_000, scene.server.clone());
    next.turn(Changes::default());
    next.begin("FilesystemFull", "/", Severity::Warning);
    next.connect();
    next.pass(1000);
    assert_eq!(next.has(Condition::DiskIO), ("False", "NoProblem", at(1000).as_str()));
    assert_eq!(next.has(Condition::NodeResources).2, at(900_000));
}

#[test]
fn who_is_refused_does_not_ask_all_the_time() {
    let mut scene = Scene::new();
    scene.turn(Changes::default());
    scene.connect();
    let mut asked = 0;
    for _ in 0..6000 {
        scene.now += 100;
        while scene.reporter.next().is_some_and(|next| next.0 <= scene.now) {
            let sent = scene.reporter.take(&scene.moment()).unwrap();
            scene.reporter.answered(Mono(scene.now), &sent, Some(&Error::Forbidden(String::new())));
            asked += 1;
        }
    }
    assert!((9..=11).contains(&asked), "{asked} requests in ten minutes");
}

#[test]
fn a_server_that_fails_each_time_is_asked_less_and_less_often() {
    let mut scene = Scene::new();
    scene.connect();
    scene.turn(Changes::default());
    let failed = Error::Unavailable { code: Some(500), message: "failed calling webhook".to_owned() };
    let mut tries = Vec::new();
    for _ in 0..6000 {
        scene.now += 100;
        if scene.reporter.next().is_none_or(|next| next.0 > scene.now) {
            continue;
        }
        let sent = scene.reporter.take(&scene.moment()).unwrap();
        scene.reporter.answered(Mono(scene.now), &sent, Some(&failed));
        tries.push(scene.now);
    }
    assert!((8..=25).contains(&tries.len()), "{tries:?}");
    assert!(tries.last().unwrap() + 90_000 > scene.now, "but it is asked: {tries:?}");
    scene.pass(90_000);
    assert_eq!(scene.patches.len(), 1);
}

#[test]
fn an_event_that_is_there_and_is_not_there_is_no_reason_to_ask_all_the_time() {
    let mut scene = Scene::new();
    scene.connect();
    let now = scene.moment();
    let mut notices = Notices::default();
    notices.say(&now, "Cordoned", true, "node", "words");
    let mut asked = 0;
    while let Some((reason, said, request)) = notices.take(now.mono, "n") {
        asked += 1;
        assert!(asked < 10, "there is no end to it");
        let error = match &request {
            Request::CreateEvent(_) => Error::AlreadyExists(String::new()),
            _ => Error::NotFound(String::new()),
        };
        notices.answered(now.mono, &reason, said, &request, Some(&error));
    }
    assert!(notices.next().is_some_and(|next| next > now.mono), "it is tried again");
}
