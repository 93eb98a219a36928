//! A node whose owner has asked for the names, before an API server made of values.

use crate::act::report::scene::Scene;
use crate::act::{Kept, Rules};
use crate::cluster::NodeCondition;
use crate::detect::Changes;
use crate::model::problem::{Kind, Severity};
use crate::model::status::Standing;
use crate::model::time::Span;

fn asked(repair: &str) -> Scene {
    let rules: Rules = toml::from_str(repair).unwrap();
    Scene::with(Kept::default(), Rules { settle: Span::millis(0), ..rules })
}

fn of<'a>(scene: &'a Scene, kind: &str) -> Option<(&'a str, &'a str)> {
    scene.server.get(kind).map(|one| (one.status.as_str(), one.reason.as_str()))
}

const STORAGE: &str = "repair = { StorageReady = [\"DiskStalled\"] }";

#[test]
fn none_is_written_that_was_not_asked_for() {
    let mut scene = asked("");
    scene.connect();
    scene.grave = vec![(Kind::new("DiskStalled"), "sda".to_owned())];
    scene.begin("DiskStalled", "sda", Severity::Critical);
    scene.pass(60_000);
    assert!(scene.server.keys().all(|kind| kind.starts_with("NodeSteward")), "{:?}", scene.server.keys());
    assert!(toml::from_str::<Rules>("repair = { AcceleratedHardwareReady = [] }").is_err());
    assert!(toml::from_str::<Rules>("repair = { Ready = [] }").is_err());
}

#[test]
fn it_is_false_for_what_is_grave_alone_and_from_the_moment_when_it_is() {
    let mut scene = asked(STORAGE);
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(20_000);
    assert_eq!(of(&scene, "StorageReady"), Some(("True", "DiskIsReady")));
    assert_eq!(of(&scene, "KernelReady"), None);
    scene.begin("DiskStalled", "sda", Severity::Critical);
    scene.begin("FilesystemFull", "/", Severity::Critical);
    scene.pass(60_000);
    assert_eq!(of(&scene, "NodeStewardDiskIO"), Some(("True", "DiskStalled")));
    assert_eq!(of(&scene, "StorageReady"), Some(("True", "DiskIsReady")), "it may still end");
    let since = scene.server["StorageReady"].last_transition_time.clone();
    // Grave, of another kind.
    scene.grave = vec![(Kind::new("FilesystemFull"), "/".to_owned())];
    scene.turn(Changes::default());
    scene.pass(60_000);
    assert_eq!(of(&scene, "StorageReady"), Some(("True", "DiskIsReady")));
    scene.grave = vec![(Kind::new("DiskStalled"), "sda".to_owned())];
    scene.turn(Changes::default());
    scene.pass(60_000);
    assert_eq!(of(&scene, "StorageReady"), Some(("False", "DiskStalled")));
    assert!(scene.server["StorageReady"].message.starts_with("node-steward: sda"));
    assert!(scene.server["StorageReady"].last_transition_time > since);
    // Nobody can tell any more: neither ready nor not.
    scene.grave.clear();
    scene.problems[0].unknown = Some("no counters".to_owned());
    scene.turn(Changes::default());
    scene.pass(60_000);
    assert_eq!(of(&scene, "StorageReady"), Some(("Unknown", "CannotJudge")));
    scene.end("sda");
    scene.pass(60_000);
    assert_eq!(of(&scene, "StorageReady"), Some(("True", "DiskIsReady")));
}

#[test]
fn without_eyes_it_is_unknown_and_without_detectors_not_there() {
    let mut scene = asked(STORAGE);
    scene.looked = false;
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(20_000);
    assert_eq!(of(&scene, "StorageReady"), Some(("Unknown", "NotLookedYet")));
    scene.looked = true;
    scene.parts[0].standing = Standing::Unknown { why: "no counters".to_owned() };
    scene.turn(Changes::default());
    scene.pass(20_000);
    assert_eq!(of(&scene, "StorageReady"), Some(("Unknown", "CannotJudge")));
    scene.parts[0].standing = Standing::Off;
    scene.turn(Changes::default());
    scene.pass(20_000);
    assert_eq!(of(&scene, "StorageReady"), None);
}

#[test]
fn what_was_asked_for_no_longer_is_removed_also_by_a_next_run() {
    let mut scene = asked(STORAGE);
    scene.turn(Changes::default());
    scene.connect();
    scene.pass(20_000);
    let kept = scene.reporter.kept().clone();
    let server = scene.server.clone();
    let mut next = Scene::with(kept, Rules { settle: Span::millis(0), ..Rules::default() });
    next.server = server;
    next.turn(Changes::default());
    next.connect();
    next.pass(20_000);
    assert_eq!(next.patches.last().unwrap().2, ["StorageReady"]);
    assert_eq!(of(&next, "StorageReady"), None);
}

#[test]
fn what_another_agent_writes_is_left_to_it() {
    let theirs = NodeCondition {
        kind: "StorageReady".to_owned(),
        status: "True".to_owned(),
        reason: "DiskIsReady".to_owned(),
        message: "Monitoring for the Storage system is active".to_owned(),
        ..NodeCondition::default()
    };
    for settings in [STORAGE, ""] {
        let mut scene = asked(settings);
        scene.server.insert(theirs.kind.clone(), theirs.clone());
        scene.turn(Changes::default());
        scene.connect();
        scene.grave = vec![(Kind::new("DiskStalled"), "sda".to_owned())];
        scene.begin("DiskStalled", "sda", Severity::Critical);
        scene.pass(700_000);
        assert_eq!(scene.server["StorageReady"], theirs);
        assert!(
            scene
                .patches
                .iter()
                .all(|(_, set, removed)| { removed.is_empty() && set.iter().all(|one| one.kind != theirs.kind) })
        );
        let others: Vec<_> = scene.reporter.others().collect();
        assert_eq!(others, if settings.is_empty() { vec![] } else { vec!["StorageReady"] }, "it is said");
        // Once in the beginning, once for the problem, and one beat of five minutes or two.
        assert!(scene.patches.len() < 6, "nobody writes against another: {}", scene.patches.len());
    }
}
