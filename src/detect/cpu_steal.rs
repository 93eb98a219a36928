//! `CpuSteal`: the hypervisor gives this machine less CPU than it asks for. A warning on burstable types, whose credits end; advice elsewhere. It refuses to
//! guess credits: nothing on the host tells them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hold::{Hold, Patience, Sign};
use super::scene::Scene;
use super::slot::{Detector, Look};
use super::window::ratio;
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::status::Standing;
use crate::model::time::{Mono, Span};

/// The name of the problem.
pub const CPU_STEAL: Kind = Kind::new("CpuSteal");

/// Percent of each CPU that a burstable type may use for ever, by family and size, as Amazon's documentation has them.
const BASELINES: [(&str, &[(&str, &str)]); 2] = [
    (
        "t2",
        &[
            ("nano", "5"),
            ("micro", "10"),
            ("small", "20"),
            ("medium", "20"),
            ("large", "30"),
            ("xlarge", "22.5"),
            ("2xlarge", "17"),
        ],
    ),
    (
        "",
        &[
            ("nano", "5"),
            ("micro", "10"),
            ("small", "20"),
            ("medium", "20"),
            ("large", "30"),
            ("xlarge", "40"),
            ("2xlarge", "40"),
        ],
    ),
];

/// The detector.
pub struct CpuSteal;

/// `[detect.cpu_steal]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// The share is measured over so long.
    pub window: Span,
    /// It begins when this percentage of the CPUs' time was taken away...
    pub percent: f64,
    /// ...in so many windows in a row.
    pub enter_windows: u32,
    /// It ends below this percentage...
    pub clear_percent: f64,
    /// ...in so many windows in a row.
    pub clear_windows: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { window: Span::minutes(1), percent: 10.0, enter_windows: 5, clear_percent: 5.0, clear_windows: 5 }
    }
}

/// What is kept: the counters at the beginning of the window, and how the last one was.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    from: Mono,
    total: u64,
    steal: u64,
    idle: u64,
    /// Of the last window: taken away, idle; parts of 1.
    last: Option<(f64, f64)>,
    hold: Hold,
}

impl Detector for CpuSteal {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "cpu_steal";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: CPU_STEAL,
        severity: Severity::Warning,
        condition: Condition::NodeResources,
        may_cordon: false,
        meaning: "The hypervisor runs something else while this machine has work to do. On burstable types (EC2 T) it means that the CPU credits are spent: the machine is held \
                  at a fraction of its CPUs, kubelet and all pods with it, although its CPUs look half idle to the scheduler.",
        advice: "Use a type that is not burstable for nodes, or let it burst for money (unlimited credits), or put less on it. On other machines the host is overcommitted.",
    }];

    fn look(rules: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        let cpu = &scene.samples.cpu;
        let Some(now) = cpu.value() else { return Look::unknown(cpu.reading.origin()) };
        let moved_back = now.total < memory.total || now.steal < memory.steal || now.idle < memory.idle;
        if memory.from == Mono(0) || moved_back {
            (memory.from, memory.total, memory.steal, memory.idle) = (cpu.taken, now.total, now.steal, now.idle);
        } else if cpu.taken.since_ms(memory.from) >= rules.window.ms() {
            let of = |part: u64| ratio(part, now.total - memory.total);
            let last = (of(now.steal - memory.steal), of(now.idle - memory.idle));
            (memory.from, memory.total, memory.steal, memory.idle) = (cpu.taken, now.total, now.steal, now.idle);
            memory.last = Some(last);
            let patience =
                Patience { enter: rules.enter_windows, among: rules.enter_windows, clear: rules.clear_windows };
            let percent = last.0 * 100.0;
            let sign = match (percent >= rules.percent, percent < rules.clear_percent) {
                (true, _) => Sign::Sick,
                (false, true) => Sign::Well,
                (false, false) => Sign::Neither,
            };
            memory.hold.take(sign, patience);
        }
        let Some(last) = memory.last else {
            let why = format!("the first window of {} is not over", rules.window);
            return Look { standing: Standing::Learning { why }, ..Look::at(Vec::new()) };
        };
        if !memory.hold.is_on() {
            return Look::at(Vec::new());
        }
        let kind = scene.samples.instance_type.value().map(String::as_str);
        Look::at(vec![finding(rules, last, kind, now.cpus)])
    }
}

fn finding(rules: &Rules, (steal, idle): (f64, f64), kind: Option<&str>, cpus: u32) -> Finding {
    let percent = steal * 100.0;
    let baseline = kind.and_then(baseline).map(|share| match share {
        A_PART => A_PART.to_owned(),
        percent => format!("{percent} %"),
    });
    let mut evidence = vec![
        Evidence::number("taken by the hypervisor", percent, "%"),
        Evidence::number("idle", idle * 100.0, "%"),
        Evidence::count("in a window of at least", rules.window.ms() / 1000, "s"),
        Evidence::count("CPUs", u64::from(cpus), ""),
    ];
    evidence.extend(kind.map(|kind| Evidence::text("instance type", kind)));
    let (severity, advice) = match (kind, baseline) {
        (Some(kind), Some(baseline)) => (
            Severity::Warning,
            format!(
                "{kind} may use {baseline} of each of its {cpus} CPUs for ever; more costs credits, and unless it is in unlimited mode they are probably spent. Let it burst for money \
                 (aws ec2 modify-instance-credit-specification, CpuCredits=unlimited), or run this node on a type that is not burstable."
            ),
        ),
        _ => (
            Severity::Advice,
            format!(
                "The host of this machine is overcommitted: {percent:.0} % of {cpus} CPUs go to others. Move it to another host (stop and start), or to one of its own."
            ),
        ),
    };
    let of = kind.map_or_else(String::new, |kind| format!(" of this {kind}"));
    Finding {
        kind: CPU_STEAL,
        subject: "node".to_owned(),
        severity,
        summary: format!("the hypervisor takes {percent:.0} % of the CPU time{of}"),
        advice,
        evidence,
        device: None,
    }
}

/// Of a size that is not known here.
const A_PART: &str = "a part";

/// What a burstable type may use of each CPU for ever; none for other types.
fn baseline(kind: &str) -> Option<&'static str> {
    let (family, size) = kind.split_once('.')?;
    let mut letters = family.bytes();
    let burstable = letters.next() == Some(b't') && letters.next().is_some_and(|digit| digit.is_ascii_digit());
    let sizes = BASELINES.iter().find(|(of, _)| of.is_empty() || *of == family).filter(|_| burstable)?.1;
    Some(sizes.iter().find(|(name, _)| *name == size).map_or(A_PART, |(_, percent)| percent))
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::{CpuTimes, Samples};

    /// Percent of each minute that was taken away; what was found after each.
    fn play(kind: Option<&str>, percents: &[u64]) -> Vec<String> {
        let (mut kept, mut steal) = (Kept::default(), 0);
        let mut seen = Vec::new();
        for (minute, percent) in (1..).zip(percents) {
            steal += percent * 60;
            let cpu = CpuTimes { total: minute * 6000, idle: minute * 600, steal, iowait: 0, cpus: 2 };
            let mut samples = Samples { cpu: made::fresh(minute * 60, cpu), ..Samples::default() };
            if let Some(kind) = kind {
                samples.instance_type = made::fresh(1, kind.to_owned());
            }
            let look = made::look::<CpuSteal>(&mut kept, minute * 60, &samples, &Default::default());
            if minute == 1 {
                assert!(matches!(look.standing, Standing::Learning { .. }));
            }
            seen.push(
                look.findings
                    .first()
                    .map_or(String::new(), |one| format!("{}: {} {}", one.severity, one.summary, one.advice)),
            );
        }
        seen
    }

    #[test]
    fn five_minutes_begin_it_and_five_end_it() {
        let seen = play(Some("t3.large"), &[[0].as_slice(), &[35; 5], &[7, 4, 4, 4, 4, 4, 4]].concat());
        let on: Vec<usize> = (0..seen.len()).filter(|minute| !seen[*minute].is_empty()).collect();
        assert_eq!(on, [5, 6, 7, 8, 9, 10]);
        assert!(seen[5].starts_with("warning: the hypervisor takes 35 % of the CPU time of this t3.large t3.large may use 30 % of each of its 2 CPUs"), "{}", seen[5]);
        assert!(play(Some("t3.large"), &[0, 35, 35, 35, 35, 3, 35, 35, 35, 35]).iter().all(String::is_empty));
        assert!(
            play(None, &[0, 35, 35, 35, 35, 35])[5]
                .starts_with("advice: the hypervisor takes 35 % of the CPU time The host")
        );
    }

    #[test]
    fn burstable_types_are_known() {
        for (kind, expected) in [
            ("t3.micro", Some("10")),
            ("t2.2xlarge", Some("17")),
            ("t4g.xlarge", Some("40")),
            ("t9.huge", Some("a part")),
            ("m5.large", None),
            ("trn1.2xlarge", None),
            ("t", None),
        ] {
            assert_eq!(baseline(kind), expected, "{kind}");
        }
    }
}
