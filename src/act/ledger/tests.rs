//! A fleet's ledger in memory: claims, ends, clocks that lie, lines that nobody can read. It refuses a budget that is kept by luck: each step is counted.

use super::*;

const DAY: i64 = DAY_MS;
const T: i64 = 1_700_000_000_000;

fn claim(node: &str, reason: &str) -> Claim {
    Claim { node: node.to_owned(), uid: format!("uid-{node}"), reason: reason.to_owned(), ..Claim::default() }
}

fn local() -> Limits {
    Limits::local(1, 3)
}

fn ask(map: &ConfigMap, limits: &Limits, claim: &Claim, now: i64) -> Answer {
    weigh(map, limits, claim, Wall(now), &BTreeSet::new())
}

/// Claims and writes; the refusal's name where there is one.
fn take(map: &mut ConfigMap, limits: &Limits, claim: &Claim, now: i64) -> &'static str {
    match ask(map, limits, claim, now) {
        Answer::Write(new) => {
            *map = new;
            "written"
        }
        Answer::Trip(new, _) => {
            *map = new;
            "tripped"
        }
        Answer::Held => "held",
        Answer::Full(_) => "full",
        Answer::No(why, _) => why.name(),
    }
}

fn release(map: &mut ConfigMap, node: &str, now: i64) {
    *map = settle(map, node, &format!("uid-{node}"), false, Wall(now)).expect("a line to release");
}

fn map(pairs: &[(&str, &str)]) -> ConfigMap {
    let data = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ConfigMap { data, ..ConfigMap::default() }
}

#[test]
fn one_at_a_time_and_three_a_day() {
    let mut ledger = map(&[]);
    assert_eq!(take(&mut ledger, &local(), &claim("a", "A"), T), "written");
    assert_eq!(take(&mut ledger, &local(), &claim("a", "A"), T + 1), "held", "an attempt that was cut short goes on");
    assert_eq!(take(&mut ledger, &local(), &claim("b", "B"), T + 1), "full");
    // It never expires.
    assert_eq!(take(&mut ledger, &local(), &claim("b", "B"), T + 400 * DAY), "full");
    release(&mut ledger, "a", T + 1000);
    assert_eq!(take(&mut ledger, &local(), &claim("b", "B"), T + 2000), "written");
    release(&mut ledger, "b", T + 3000);
    assert_eq!(take(&mut ledger, &local(), &claim("c", "C"), T + 4000), "written");
    release(&mut ledger, "c", T + 5000);
    assert_eq!(take(&mut ledger, &local(), &claim("d", "D"), T + 6000), "BudgetIsSpent");
    assert_eq!(take(&mut ledger, &local(), &claim("d", "D"), T + DAY + 1500), "written", "the first is a day old");
}

#[test]
fn a_node_that_begins_again_is_counted_again() {
    let mut ledger = map(&[]);
    for (at, reason) in [(0, "A"), (1, "B"), (2, "C")] {
        let at = T + at * 6 * 3_600_000;
        assert_eq!(take(&mut ledger, &local(), &claim("a", reason), at), "written", "{reason}");
        release(&mut ledger, "a", at + 1000);
    }
    assert_eq!(line(&ledger, "a").unwrap().starts.len(), 3);
    assert_eq!(take(&mut ledger, &local(), &claim("b", "D"), T + 13 * 3_600_000), "BudgetIsSpent");
}

#[test]
fn the_third_of_a_kind_stops_all_until_a_person_says_so() {
    let wide = Limits::local(100, 100);
    for by_owner in [false, true] {
        let mut ledger = map(&[]);
        let sick = |node: &str, number: usize| Claim {
            reason: if by_owner { format!("R{number}") } else { "DiskStalled".to_owned() },
            owner: if by_owner { "unit backup.service".to_owned() } else { String::new() },
            ..claim(node, "")
        };
        assert_eq!(take(&mut ledger, &wide, &sick("a", 1), T), "written");
        assert_eq!(take(&mut ledger, &wide, &sick("b", 2), T + 1), "written");
        assert_eq!(take(&mut ledger, &wide, &sick("c", 3), T + 2), "tripped");
        assert_eq!(take(&mut ledger, &wide, &claim("d", "Another"), T + 3), "BreakerIsOpen");
        // Time does not close it, nor does the end of those that began.
        release(&mut ledger, "a", T + 4);
        release(&mut ledger, "b", T + 4);
        assert_eq!(take(&mut ledger, &wide, &claim("d", "Another"), T + 90 * DAY), "BreakerIsOpen");
        assert_eq!(settle(&ledger, "c", "uid-c", false, Wall(T + 90 * DAY)), None, "its line stays");
        let cleared = wide.with(&map(&[("breakerClearedAt", &Wall(T + 60_000).to_string())])).unwrap();
        assert_eq!(take(&mut ledger, &cleared, &sick("d", 4), T + 120_000), "written", "and counts anew");
        assert_eq!(take(&mut ledger, &cleared, &sick("e", 5), T + 120_001), "written");
        assert_eq!(take(&mut ledger, &cleared, &sick("f", 6), T + 120_002), "tripped");
    }
}

#[test]
fn anothers_line_counts_unless_it_was_seen_not_to() {
    let mut ledger = map(&[]);
    take(&mut ledger, &local(), &claim("a", "A"), T);
    let Answer::Full(holders) = ask(&ledger, &local(), &claim("b", "B"), T + 1) else { panic!() };
    assert_eq!(holders, [("a".to_owned(), "uid-a".to_owned())]);
    let held = line(&ledger, "a");
    let free = |seen, later| is_free(seen, "uid-a", held.as_ref(), Wall(T + later));
    assert!(free(None, 1), "the Node is gone");
    assert!(free(Some(("uid-2", true)), 1), "it is another one");
    assert!(!free(Some(("uid-a", true)), DAY), "it is cordoned");
    assert!(!free(Some(("uid-a", false)), 60_000), "it may be about to be");
    assert!(free(Some(("uid-a", false)), 600_000), "it takes pods");
    let freed = BTreeSet::from([("a".to_owned(), "uid-a".to_owned())]);
    assert!(matches!(weigh(&ledger, &local(), &claim("b", "B"), Wall(T + 1), &freed), Answer::Write(_)));
}

#[test]
fn a_line_that_others_may_doubt_is_no_ground_to_cordon_on() {
    let (mut ledger, limits) = (map(&[]), Limits::local(1, 10));
    assert_eq!(take(&mut ledger, &limits, &claim("a", "A"), T), "written");
    assert_eq!(take(&mut ledger, &limits, &claim("a", "A"), T + 119_000), "held");
    // It was killed before it cordoned; another has seen its Node take pods.
    let freed = BTreeSet::from([("a".to_owned(), "uid-a".to_owned())]);
    let now = Wall(T + BEGINNING_MS + 1000);
    assert!(is_free(Some(("uid-a", false)), "uid-a", line(&ledger, "a").as_ref(), now));
    let Answer::Write(taken) = weigh(&ledger, &limits, &claim("b", "B"), now, &freed) else { panic!() };
    ledger = taken;
    assert_eq!(take(&mut ledger, &limits, &claim("a", "A"), now.0 + 1000), "full", "it is back, and has to ask again");
    release(&mut ledger, "b", now.0 + 2000);
    assert_eq!(take(&mut ledger, &limits, &claim("a", "A"), now.0 + 3000), "written");
    assert_eq!(line(&ledger, "a").unwrap().starts.len(), 2, "and is counted again");
    // A line from a time ahead is not its own word either.
    let mut ahead = map(&[]);
    take(&mut ahead, &limits, &claim("a", "A"), T + DAY);
    assert_eq!(take(&mut ahead, &limits, &claim("a", "A"), T), "written");
}

#[test]
fn groups_have_a_budget_each_and_one_breaker() {
    let mut ledger = map(&[]);
    let zoned = |node: &str, zone: &str, reason: &str| Claim { group: zone.to_owned(), ..claim(node, reason) };
    assert_eq!(take(&mut ledger, &local(), &zoned("a", "z1", "A"), T), "written");
    assert_eq!(take(&mut ledger, &local(), &zoned("b", "z1", "B"), T), "full");
    assert_eq!(take(&mut ledger, &local(), &zoned("c", "z2", "A"), T), "written");
    assert_eq!(take(&mut ledger, &local(), &zoned("d", "z3", "A"), T), "tripped");
}

#[test]
fn the_tighter_limit_holds_and_the_kill_switch_kills() {
    let limits = Limits::local(5, 10);
    let with = |pairs: &[(&str, &str)]| limits.with(&map(pairs));
    assert_eq!(with(&[]).unwrap(), limits);
    let both = with(&[("maxHeld", "2"), ("maxStartedPerDay", "50")]).unwrap();
    assert_eq!((both.held, both.started), (2, 10));
    let mut ledger = map(&[]);
    let paused = with(&[("pause", "true")]).unwrap();
    assert_eq!(take(&mut ledger, &paused, &claim("a", "A"), T), "Paused");
    let capped = with(&[("maxMode", "observe")]).unwrap();
    assert_eq!(take(&mut ledger, &capped, &claim("a", "A"), T), "ModeIsCapped");
    let none = with(&[("maxHeld", "0")]).unwrap();
    assert_eq!(take(&mut ledger, &none, &claim("a", "A"), T), "full");
    let ahead = with(&[("breakerClearedAt", &Wall(T + DAY).to_string())]).unwrap();
    assert_eq!(take(&mut ledger, &ahead, &claim("a", "A"), T), "LedgerUnreadable", "it would clear breakers to come");
    for wrong in
        [("maxHeld", "one"), ("pause", "yes"), ("maxMode", "all"), ("breakerClearedAt", "now"), ("maxheld", "1")]
    {
        assert!(with(&[wrong]).is_err(), "{wrong:?}");
    }
}

#[test]
fn what_cannot_be_read_is_no_room() {
    let mut ledger = map(&[("x", "half a {")]);
    assert_eq!(take(&mut ledger, &local(), &claim("a", "A"), T), "LedgerUnreadable");
    let mut strange = map(&[("x", r#"{"uid":"u","starts":[{"at":"sometime","reason":"A"}],"released":"then"}"#)]);
    let one = Limits::local(1, 1);
    assert_eq!(take(&mut strange, &one, &claim("a", "B"), T), "BudgetIsSpent", "a start at no time is recent");
    // A year ahead: so is that.
    let ahead = Line {
        uid: "u".to_owned(),
        starts: vec![Start { at: Wall(T + 365 * DAY).to_string(), reason: "A".to_owned(), owner: String::new() }],
        released: Some(Wall(T).to_string()),
        ..Line::default()
    };
    let mut ledger = map(&[("x", &serde_json::json!(ahead).to_string())]);
    assert_eq!(take(&mut ledger, &one, &claim("a", "B"), T), "BudgetIsSpent");
}

#[test]
fn a_line_ends_a_day_after_it_was_released_and_only_then() {
    let mut ledger = map(&[]);
    take(&mut ledger, &local(), &claim("a", "A"), T);
    assert_eq!(settle(&ledger, "a", "uid-a", true, Wall(T + 99 * DAY)), None, "it holds");
    release(&mut ledger, "a", T + 1000);
    assert_eq!(settle(&ledger, "a", "uid-a", false, Wall(T + DAY)), None);
    let ended = settle(&ledger, "a", "uid-a", false, Wall(T + DAY + 1000)).unwrap();
    assert!(!has_line(&ended, "a"));
    // A new Node of the same name releases what the old one held, and begins with its starts.
    let mut ledger = map(&[]);
    take(&mut ledger, &local(), &claim("a", "A"), T);
    let released = settle(&ledger, "a", "uid-2", true, Wall(T + 5)).unwrap();
    assert!(line(&released, "a").unwrap().released.is_some());
}

/// Two hundred nodes that all want to, in any order, each with the newest map: never more than the budget.
#[test]
fn a_fleet_never_exceeds_it() {
    let mut ledger = map(&[]);
    let limits = Limits::local(3, 10);
    let mut most = 0;
    let mut held: Vec<String> = Vec::new();
    let mut started = 0;
    for round in 0..2000_usize {
        let now = T + i64::try_from(round).unwrap() * 60_000;
        let node = format!("n{}", (round * 7919) % 200);
        if let Some(at) = held.iter().position(|one| *one == node) {
            held.remove(at);
            release(&mut ledger, &node, now);
            continue;
        }
        if take(&mut ledger, &limits, &claim(&node, &format!("R{round}")), now) == "written" {
            held.push(node);
            started += 1;
        }
        most = most.max(held.len());
        let day = |start: &Start| Wall::parse(&start.at).unwrap().0 > now - DAY;
        let begun: usize =
            read(&ledger).unwrap().values().map(|line| line.starts.iter().filter(|one| day(one)).count()).sum();
        assert!(held.len() <= 3 && begun <= 10, "{} held, {begun} begun", held.len());
    }
    assert_eq!(most, 3);
    assert!(started > 10, "only {started} began");
}
