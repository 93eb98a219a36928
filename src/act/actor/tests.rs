//! A node and its turns, a second apart. It refuses a task that nothing in the turns calls for.

use super::*;
use crate::act::hold::Mark;
use crate::model::problem::Kind;
use crate::model::time::Span;

fn want() -> Option<Want> {
    Some(Want { kind: Kind::new("DiskStalled"), subject: "sda".to_owned(), owner: String::new() })
}

fn rules() -> Rules {
    Rules { mode: Mode::Cordon, ..Rules::default() }
}

fn ours(whose: For) -> Held {
    Held::Ours(Mark {
        whose,
        by: "sda".to_owned(),
        reason: "DiskStalled".to_owned(),
        since: "2023-11-14T22:13:20Z".to_owned(),
        boot_id: "b".to_owned(),
    })
}

fn wrong(wrong: bool) -> Bears {
    if wrong { Bears::Passing } else { Bears::Nothing }
}

struct Scene {
    actor: Actor,
    now: u64,
}

impl Scene {
    fn new(rules: Rules) -> Self {
        Self { actor: Actor::new(rules, 300_000, "n"), now: 1_000_000 }
    }

    /// Turns until a task is due, at most so many seconds; the seconds that it took.
    fn until(&mut self, most: u64, wanted: &Option<Want>, bears: bool, ends: bool) -> Option<(u64, Task)> {
        for second in 0..most {
            self.now += 1000;
            self.actor.observe(Mono(self.now), wanted.clone(), wrong(bears), |_| ends);
            while let Some(task) = self.actor.task(Mono(self.now)) {
                if task != Task::Settle {
                    return Some((second, task));
                }
                self.actor.answered(Mono(self.now), &task, Outcome::Done);
            }
            assert!(self.actor.next(Mono(self.now)).is_none_or(|next| next > Mono(self.now)), "nothing is due");
        }
        None
    }

    fn answer(&mut self, task: &Task, outcome: Outcome) -> bool {
        self.actor.answered(Mono(self.now), task, outcome)
    }
}

#[test]
fn it_waits_half_a_minute_to_two_and_not_the_same_each_time() {
    let mut waits = Vec::new();
    for start in 0..20 {
        let mut scene = Scene::new(rules());
        scene.now += start * 3_600_000;
        let (took, task) = scene.until(200, &want(), true, true).unwrap();
        assert!(matches!(task, Task::Begin(_)));
        assert!((30..=120).contains(&took), "{took}");
        waits.push(took);
    }
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 10, "{waits:?}");
}

#[test]
fn nothing_begins_where_nothing_may() {
    let none = || Rules { mode: Mode::Observe, ..Rules::default() };
    assert_eq!(Scene::new(none()).until(3600, &want(), true, true), None);
    assert_eq!(Scene::new(rules()).until(3600, &None, true, true), None);
    for held in [ours(For::Person), ours(For::Problem), Held::Another("kubectl".to_owned()), Held::TakenOff(None)] {
        let mut scene = Scene::new(rules());
        scene.actor.saw(Mono(0), held);
        assert_eq!(scene.until(3600, &want(), true, true), None);
    }
    // What was wanted and is not any more.
    let mut scene = Scene::new(rules());
    assert_eq!(scene.until(25, &want(), true, true), None);
    assert_eq!(scene.until(600, &None, false, true), None);
    // A daemon that has not looked for a while.
    let mut scene = Scene::new(rules());
    scene.actor.observe(Mono(scene.now), want(), wrong(true), |_| true);
    let later = Mono(scene.now + 3_600_000);
    assert_eq!(scene.actor.task(later), Some(Task::Settle));
    assert!(!scene.actor.still(later, &Task::Begin(want().unwrap())));
}

#[test]
fn a_refusal_is_news_once_and_is_tried_again_a_beat_later() {
    let mut scene = Scene::new(rules());
    let (_, task) = scene.until(200, &want(), true, true).unwrap();
    assert!(scene.answer(&task, Outcome::Not(Withheld::BudgetIsHeld, "by n1".to_owned())));
    assert_eq!(scene.actor.against(), Some((Withheld::BudgetIsHeld, "by n1".to_owned())));
    let (took, task) = scene.until(600, &want(), true, true).unwrap();
    assert!((299..=451).contains(&took), "{took}");
    assert!(!scene.answer(&task, Outcome::Not(Withheld::BudgetIsHeld, "by n2".to_owned())));
    assert!(scene.answer(&task, Outcome::Not(Withheld::BudgetIsSpent, String::new())));
}

#[test]
fn it_ends_after_half_an_hour_without_a_doubt() {
    let mut scene = Scene::new(rules());
    scene.actor.saw(Mono(0), ours(For::Problem));
    assert_eq!(scene.actor.against(), None, "it is done");
    assert_eq!(scene.until(1000, &None, false, true), None);
    assert_eq!(scene.until(1, &None, true, true), None, "something is wrong again");
    assert_eq!(scene.until(1790, &None, false, true), None);
    assert_eq!(scene.until(1, &None, false, false), None, "nobody can see the end");
    let (took, task) = scene.until(2000, &None, false, true).unwrap();
    assert_eq!((took, &task), (1800, &Task::End("DiskStalled".to_owned())));
    assert!(scene.actor.still(Mono(scene.now), &task));
    scene.answer(&task, Outcome::Released);
    scene.actor.saw(Mono(scene.now), Held::Open);
    assert_eq!(scene.until(3600, &None, false, true), None);
}

#[test]
fn what_a_person_asked_for_does_not_end() {
    let mut scene = Scene::new(rules());
    scene.actor.saw(Mono(0), ours(For::Person));
    assert_eq!(scene.until(7200, &None, false, true), None);
    // Nor what we put on, where we no longer act.
    let mut scene = Scene::new(rules());
    scene.actor.saw(Mono(0), ours(For::Problem));
    scene.actor.configure(Rules { mode: Mode::Observe, ..Rules::default() }, 300_000);
    assert_eq!(scene.until(7200, &None, false, true), None);
}

#[test]
fn our_line_is_looked_after_at_the_start_each_day_and_when_somebody_took_the_cordon_off() {
    let mut scene = Scene::new(rules());
    let mut looks = Vec::new();
    for second in 0..100_000 {
        scene.now += 1000;
        scene.actor.observe(Mono(scene.now), None, wrong(false), |_| true);
        if let Some(task) = scene.actor.task(Mono(scene.now)) {
            assert_eq!(task, Task::Settle);
            looks.push(second);
            scene.answer(&task, Outcome::Done);
        }
        if second == 50_000 {
            scene.actor.saw(Mono(scene.now), ours(For::Problem));
            scene.actor.saw(Mono(scene.now), Held::TakenOff(None));
        }
    }
    assert!(looks[0] <= 61 && looks[1] == 50_001 && looks.len() == 2, "{looks:?}");
    let mut alone = Scene::new(Rules { budget: Budget::None, ..rules() });
    alone.actor.observe(Mono(alone.now), None, wrong(false), |_| true);
    assert_eq!(alone.actor.task(Mono(alone.now + 100_000)), None);
}

#[test]
fn six_hours_apart_by_the_nodes_own_word() {
    let apart = Span::minutes(360).ms();
    let at = Wall::parse("2023-11-14T22:13:20Z").unwrap();
    assert!(long_enough(None, apart, at));
    assert!(!long_enough(Some("2023-11-14T22:13:20Z"), apart, Wall(at.0 + 21_599_999)));
    assert!(long_enough(Some("2023-11-14T22:13:20Z"), apart, Wall(at.0 + 21_600_000)));
    assert!(!long_enough(Some("2024-11-14T22:13:20Z"), apart, at), "a time ahead");
    assert!(!long_enough(Some("yesterday"), apart, at));
}

#[test]
fn a_cordon_of_our_own_is_drained_once_and_only_where_the_mode_says_so() {
    for (mode, held, drains) in [
        (Mode::Cordon, ours(For::Problem), false),
        (Mode::Drain, ours(For::Person), false),
        (Mode::Drain, Held::Another("kubectl".to_owned()), false),
        (Mode::Drain, ours(For::Problem), true),
    ] {
        let mut scene = Scene::new(Rules { mode, ..Rules::default() });
        scene.actor.saw(Mono(0), held.clone());
        let cordoned = "2023-11-14T22:13:20Z".to_owned();
        let due = scene.until(3600, &want(), true, true);
        assert_eq!(due, drains.then(|| (0, Task::Drain(cordoned.clone()))), "{mode:?} {held:?}");
        let Some((_, task)) = due else { continue };
        assert!(scene.actor.still(Mono(scene.now), &task));
        // Refused, it is tried again at the next beat; begun, it is not begun again.
        scene.answer(&task, Outcome::Not(Withheld::ModeIsCapped, String::new()));
        assert_eq!(scene.until(3600, &want(), true, true), Some((299, task.clone())));
        scene.answer(&task, Outcome::Done);
        assert_eq!(scene.until(3600, &want(), true, true), None);
        // Nor by the next run of this boot; but for another cordon.
        let mut next = Scene::new(Rules { mode, ..Rules::default() });
        next.actor.resumed(Some(cordoned), None);
        next.actor.saw(Mono(0), held.clone());
        assert_eq!(next.until(600, &want(), true, true), None);
        next.actor.resumed(Some("before".to_owned()), None);
        assert!(next.until(600, &want(), true, true).is_some());
        // While nothing is wrong any more there is nothing to drain for.
        let mut well = Scene::new(Rules { mode, ..Rules::default() });
        well.actor.saw(Mono(0), held);
        assert_eq!(well.until(600, &None, false, false), None);
    }
}

#[test]
fn half_an_hour_that_nobody_looked_at_is_none() {
    let mut scene = Scene::new(rules());
    scene.actor.saw(Mono(0), ours(For::Problem));
    assert_eq!(scene.until(600, &None, false, true), None);
    // The daemon was stopped for an hour.
    scene.now += 3_600_000;
    assert_eq!(scene.until(1790, &None, false, true), None);
    assert!(scene.until(20, &None, false, true).is_some());
    // Turns a minute apart are enough.
    let mut scene = Scene::new(rules());
    scene.actor.saw(Mono(0), ours(For::Problem));
    for _ in 0..31 {
        scene.now += 60_500;
        scene.actor.observe(Mono(scene.now), None, wrong(false), |_| true);
    }
    assert_eq!(scene.actor.task(Mono(scene.now)), Some(Task::End("DiskStalled".to_owned())));
}

#[test]
fn an_end_does_not_go_on_after_a_bad_turn_between_two_good_ones() {
    let mut scene = Scene::new(rules());
    scene.actor.saw(Mono(0), ours(For::Problem));
    let (_, task) = scene.until(2000, &None, false, true).unwrap();
    for bears in [true, false] {
        scene.now += 1000;
        scene.actor.observe(Mono(scene.now), None, wrong(bears), |_| true);
    }
    assert!(!scene.actor.still(Mono(scene.now), &task));
}

#[test]
fn a_node_that_somebody_gives_back_waits_its_turn_anew() {
    for held in [ours(For::Person), Held::Another("kubectl".to_owned())] {
        let mut scene = Scene::new(rules());
        scene.actor.saw(Mono(0), held);
        assert_eq!(scene.until(3600, &want(), true, true), None);
        scene.actor.saw(Mono(scene.now), Held::Open);
        let (took, _) = scene.until(200, &want(), true, true).unwrap();
        assert!((29..=120).contains(&took), "{took}");
        // What was refused a moment ago is not tried sooner for it.
        scene.answer(&Task::Begin(want().unwrap()), Outcome::Not(Withheld::BudgetIsHeld, String::new()));
        scene.actor.saw(Mono(scene.now), Held::Another("kubectl".to_owned()));
        scene.actor.saw(Mono(scene.now), Held::Open);
        let (took, _) = scene.until(600, &want(), true, true).unwrap();
        assert!(took >= 299, "{took}");
    }
}

#[test]
fn our_line_is_looked_after_where_a_person_took_the_cordon_over_and_off() {
    let mut scene = Scene::new(rules());
    assert_eq!(scene.until(100, &None, false, true), None);
    for held in [ours(For::Problem), ours(For::Person), Held::Open] {
        assert_eq!(scene.actor.task(Mono(scene.now)), None);
        scene.actor.saw(Mono(scene.now), held);
    }
    assert_eq!(scene.actor.task(Mono(scene.now)), Some(Task::Settle));
}

#[test]
fn a_cordon_that_may_not_end_and_a_drain_that_may_not_begin_are_news_once() {
    let mut scene = Scene::new(Rules { mode: Mode::Drain, ..Rules::default() });
    scene.actor.saw(Mono(0), ours(For::Problem));
    for task in [Task::End("DiskStalled".to_owned()), Task::Drain("2023-11-14T22:13:20Z".to_owned())] {
        let mut news = |no| scene.answer(&task, Outcome::Not(no, String::new()));
        assert!(news(Withheld::Paused) && !news(Withheld::Paused), "{task:?}");
        assert!(news(Withheld::NoLedger) && news(Withheld::Paused), "{task:?}");
    }
}

#[test]
fn hardware_that_failed_beside_it_keeps_a_cordon() {
    let mut scene = Scene::new(rules());
    scene.actor.saw(Mono(0), ours(For::Problem));
    scene.now += 1000;
    scene.actor.observe(Mono(scene.now), None, Bears::Lasting, |_| true);
    assert_eq!(scene.until(86_400, &None, false, true), None, "it has gone, and is not trusted");
    // Nor by the next run of the daemon.
    let kept = scene.actor.lasting().map(str::to_owned);
    let mut next = Scene::new(rules());
    next.actor.resumed(None, kept);
    next.actor.saw(Mono(0), ours(For::Problem));
    assert_eq!(next.until(86_400, &None, false, true), None);
    // Another cordon is another matter.
    next.actor.saw(Mono(next.now), Held::Open);
    let Held::Ours(mut mark) = ours(For::Problem) else { unreachable!() };
    mark.since = "2023-11-16T00:00:00Z".to_owned();
    next.actor.saw(Mono(next.now), Held::Ours(mark));
    assert!(next.until(2000, &None, false, true).is_some());
}

#[test]
fn a_line_is_given_back_after_the_mode_was_switched_off() {
    let observe = Rules { mode: Mode::Observe, ..Rules::default() };
    let settles = |scene: &mut Scene| {
        scene.now += 61_000;
        scene.actor.observe(Mono(scene.now), None, Bears::Nothing, |_| true);
        scene.actor.task(Mono(scene.now)) == Some(Task::Settle)
    };
    let mut scene = Scene::new(observe.clone());
    assert!(!settles(&mut scene) && !settles(&mut scene), "nothing was ever held");
    scene.actor.saw(Mono(scene.now), ours(For::Problem));
    assert!(!settles(&mut scene) && settles(&mut scene), "it may be held since before");
    scene.answer(&Task::Settle, Outcome::Done);
    scene.actor.saw(Mono(scene.now), Held::Open);
    assert!(settles(&mut scene), "a person has taken it off");
    let mut person = Scene::new(observe);
    person.actor.saw(Mono(0), ours(For::Person));
    assert!(!settles(&mut person) && !settles(&mut person));
}
