//! Each reason on a problem that nothing else speaks against. It refuses a reason that could never be seen.

use super::*;
use crate::model::problem::{Contributor, Finding, Source};

static STALLED: Entry = entry("DiskStalled", Condition::DiskIO, true);
static ERRORS: Entry = entry("FilesystemErrors", Condition::DiskHealth, true);
static FULL: Entry = entry("FilesystemFull", Condition::NodeResources, false);
const HOUR: u64 = 3_600_000;

const fn entry(kind: &'static str, condition: Condition, may_cordon: bool) -> Entry {
    Entry { kind: Kind::new(kind), severity: Severity::Critical, condition, may_cordon, meaning: "", advice: "" }
}

fn problem(kind: &'static str) -> Problem {
    Problem {
        finding: Finding {
            kind: Kind::new(kind),
            subject: "sda".to_owned(),
            severity: Severity::Critical,
            summary: "it is so".to_owned(),
            advice: String::new(),
            evidence: Vec::new(),
            device: None,
        },
        source: Source::Detector,
        since: Mono(HOUR),
        since_wall: Wall(1_000_000),
        last_seen: Mono(HOUR),
        samples: 1,
        unknown: None,
        contributors: Vec::new(),
    }
}

fn by(who: Who) -> Contributor {
    Contributor {
        who,
        share_of_bytes: 1.0,
        share_of_operations: None,
        read_bytes_per_s: 0.0,
        write_bytes_per_s: 0.0,
        estimated: false,
    }
}

struct Case {
    rules: Rules,
    ground: Ground,
    now: u64,
    problem: Problem,
}

/// One that is done.
fn case() -> Case {
    Case {
        rules: Rules { mode: Mode::Cordon, ..Rules::default() },
        ground: Ground { nodes_own: BTreeSet::from(["sda".to_owned()]), cluster: true, ..Ground::default() },
        now: 2 * HOUR,
        problem: problem("DiskStalled"),
    }
}

impl Case {
    fn catalogue() -> [&'static Entry; 3] {
        [&STALLED, &ERRORS, &FULL]
    }

    fn moment(&self) -> Now {
        Now { mono: Mono(self.now), wall: Wall(10_000_000), boot_id: String::new() }
    }

    fn decision(&self) -> Decision {
        let problems = std::slice::from_ref(&self.problem);
        decide(&self.rules, &Self::catalogue(), &self.ground, &self.moment(), problems).remove(0)
    }

    fn wanted(&self) -> Option<Want> {
        want(&self.rules, &Self::catalogue(), &self.ground, &self.moment(), std::slice::from_ref(&self.problem))
    }
}

#[test]
fn grave_is_what_is_critical_certain_lasting_and_the_nodes_own_whatever_may_cordon() {
    let grave = |change: &dyn Fn(&mut Case)| {
        let mut case = case();
        case.rules = Rules::default();
        change(&mut case);
        let problems = std::slice::from_ref(&case.problem);
        !super::grave(&case.rules, &Case::catalogue(), &case.ground, &case.moment(), problems).is_empty()
    };
    assert!(grave(&|_| {}), "in mode observe as well");
    assert!(grave(&|case| case.problem = problem("FilesystemErrors")));
    assert!(!grave(&|case| case.problem.finding.subject = "sdb".to_owned()), "a pod's own disk");
    assert!(!grave(&|case| case.ground.nodes_own.clear()), "nobody knows whose disk it is");
    assert!(grave(&|case| {
        case.problem = problem("FilesystemFull");
        case.problem.finding.subject = "node".to_owned();
    }));
    assert!(!grave(&|case| {
        case.problem = problem("FilesystemFull");
        case.problem.finding.subject = "dm-9".to_owned();
        case.problem.finding.device = Some(crate::model::watch::Dev { major: 253, minor: 9 });
    }));
    let pod = || Who::Container {
        namespace: "a".to_owned(),
        pod: "b".to_owned(),
        container: String::new(),
        uid: "u".to_owned(),
        id: String::new(),
    };
    assert!(!grave(&|case| case.problem.contributors = vec![by(pod())]));
    assert!(!grave(&|case| case.problem.unknown = Some("blind".to_owned())));
    assert!(!grave(&|case| case.problem.finding.severity = Severity::Warning));
    assert!(!grave(&|case| case.now = HOUR + 599_999) && grave(&|case| case.now = HOUR + 600_000));
    assert!(!grave(&|case| case.problem.source = Source::Companion));
}

#[test]
fn each_reason_is_seen() {
    let done = case();
    assert_eq!((done.decision().verdict, done.decision().reason.as_str()), (Verdict::Do, ""));
    let pod = Who::Container {
        namespace: "a".to_owned(),
        pod: "b".to_owned(),
        container: String::new(),
        uid: "u".to_owned(),
        id: String::new(),
    };
    type Change = Box<dyn Fn(&mut Case)>;
    let cases: Vec<(Withheld, Change)> = vec![
        (Withheld::KindMayNotAct, Box::new(|case| case.problem = problem("FilesystemFull"))),
        (Withheld::NotTheNodesDevice, Box::new(|case| case.ground.nodes_own.clear())),
        (Withheld::PodIsBehindIt, Box::new(move |case| case.problem.contributors = vec![by(pod.clone())])),
        (Withheld::NotJudged, Box::new(|case| case.problem.unknown = Some("the source is gone".to_owned()))),
        (Withheld::NotCritical, Box::new(|case| case.problem.finding.severity = Severity::Warning)),
        (Withheld::TooFresh, Box::new(|case| case.now = HOUR + 599_999)),
        (Withheld::ModeIsObserve, Box::new(|case| case.rules.mode = Mode::Observe)),
        (Withheld::WasThereBefore, Box::new(|case| case.ground.armed = Mono(HOUR))),
        (Withheld::TooSoonAfterBoot, Box::new(|case| case.rules.after_boot = Span::minutes(121))),
        (Withheld::NoCluster, Box::new(|case| case.ground.cluster = false)),
    ];
    for (reason, change) in cases {
        let mut case = case();
        change(&mut case);
        let decision = case.decision();
        assert_eq!((decision.verdict, decision.reason.as_str()), (Verdict::Withheld, reason.name()));
        assert_eq!(case.wanted(), None, "{reason:?}");
    }
}

#[test]
fn what_the_fleet_says_is_no_reason_not_to_want() {
    let mut case = case();
    case.ground.against = Some((Withheld::BudgetIsHeld, "by n1".to_owned()));
    let decision = case.decision();
    assert_eq!((decision.reason.as_str(), decision.why.as_str()), ("BudgetIsHeld", "by n1"));
    assert!(case.wanted().is_some());
    // It stands since the hold time was over.
    assert_eq!(decision.since_wall, Wall(1_600_000));
}

#[test]
fn the_list_can_be_widened_by_name_and_the_rest_holds() {
    let mut case = case();
    case.problem = problem("FilesystemFull");
    case.rules.cordon_for = vec!["FilesystemFull".to_owned()];
    assert_eq!(case.decision().verdict, Verdict::Do, "what is about no disk is the node's own");
    assert_eq!(bears(&case.rules, &Case::catalogue(), &case.ground, &[case.problem.clone()]), Bears::Passing);
    case.problem.finding.subject = "/data".to_owned();
    assert_eq!(case.decision().reason, "NotTheNodesDevice");
    assert_eq!(bears(&case.rules, &Case::catalogue(), &case.ground, &[case.problem.clone()]), Bears::Nothing);
    case.ground.nodes_own.insert("/data".to_owned());
    assert_eq!(case.decision().verdict, Verdict::Do);
}

#[test]
fn what_another_program_reports_cordons_only_where_it_is_named_as_such() {
    let mut case = case();
    case.problem.source = Source::Companion;
    assert_eq!(case.decision().reason, "KindMayNotAct", "a name of ours does not make it ours");
    case.problem.finding.kind = Kind::new("GpuLost");
    for (names, reason) in
        [(vec![], "KindMayNotAct"), (vec!["GpuLost"], "KindMayNotAct"), (vec!["companion:GpuLost"], "")]
    {
        case.rules.cordon_for = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(case.decision().reason, reason, "{names:?}");
    }
    case.problem.finding.subject = "gpu0".to_owned();
    assert_eq!(case.decision().verdict, Verdict::Do, "no disk");
    case.problem.finding.subject = "/mnt/claim".to_owned();
    assert_eq!(case.decision().reason, "NotTheNodesDevice");
    assert!(!ends_by_itself(&Case::catalogue(), "GpuLost"), "its end is not ours to judge");
}

#[test]
fn who_is_behind_it_goes_into_the_claim() {
    let mut case = case();
    case.problem.contributors = vec![by(Who::Unit { unit: "backup.service".to_owned() })];
    assert_eq!(case.wanted().unwrap().owner, "unit backup.service");
    case.problem.contributors = vec![by(Who::Process { pid: 7, comm: "dd".to_owned(), of: String::new() })];
    assert_eq!(case.wanted().unwrap().owner, "process dd");
}

#[test]
fn a_cordon_stays_while_anything_of_the_nodes_own_is_wrong() {
    let case = case();
    let stays = |problem: &Problem| bears(&case.rules, &Case::catalogue(), &case.ground, std::slice::from_ref(problem));
    let mut fresh = problem("DiskStalled");
    fresh.since = Mono(case.now);
    fresh.unknown = Some("the source is gone".to_owned());
    fresh.finding.severity = Severity::Warning;
    assert_eq!(stays(&fresh), Bears::Passing);
    assert_eq!(stays(&problem("FilesystemFull")), Bears::Nothing);
    assert_eq!(stays(&problem("FilesystemErrors")), Bears::Lasting, "hardware");
    let mut others = problem("DiskStalled");
    others.finding.subject = "a pod's".to_owned();
    assert_eq!(stays(&others), Bears::Nothing);
    let blind = Ground { nodes_own: BTreeSet::new(), ..case.ground.clone() };
    let seen = bears(&case.rules, &Case::catalogue(), &blind, &[others]);
    assert_eq!(seen, Bears::Passing, "nobody can tell whose it is");
    assert!(ends_by_itself(&Case::catalogue(), "DiskStalled"));
    assert!(!ends_by_itself(&Case::catalogue(), "FilesystemErrors"), "hardware");
    assert!(!ends_by_itself(&Case::catalogue(), "NoLongerKnown"));
}
