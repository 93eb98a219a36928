//! `ReservationExceeded`: the system and the kube daemons hold more memory than kubelet keeps from pods for them. Advice where nothing is kept at all.
//! It refuses to count page cache: the kernel gives that back by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::quantity::MIB;
use crate::model::time::{Mono, Span};
use crate::model::watch::{GroupUse, OutsidePods, Reserved};

/// The name of the problem.
pub const RESERVATION_EXCEEDED: Kind = Kind::new("ReservationExceeded");

/// The detector.
pub struct ReservationExceeded;

/// `[detect.reservation_exceeded]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// It begins when more than all that is reserved was held for so long.
    pub enter_after: Span,
    /// It ends when so many percent less than that are held...
    pub clear_percent: u32,
    /// ...for so long.
    pub clear_after: Span,
}

impl Default for Rules {
    fn default() -> Self {
        Self { enter_after: Span::minutes(15), clear_percent: 5, clear_after: Span::minutes(5) }
    }
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    /// Of the sample that was judged last.
    taken: Mono,
    /// Since when every sample was above.
    above: Option<Mono>,
    /// Since when every sample was far enough beneath.
    beneath: Option<Mono>,
    on: bool,
}

impl Detector for ReservationExceeded {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "reservation_exceeded";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: RESERVATION_EXCEEDED,
        severity: Severity::Warning,
        condition: Condition::NodeResources,
        may_cordon: false,
        meaning: "kubelet offers pods all memory but what kubeReserved, systemReserved and the hard eviction threshold keep. The system, kubelet and the container runtime hold \
                  more than that, caches apart, so the node has promised memory to pods that it does not have: once they use what they were promised, kubelet evicts them or the \
                  kernel kills, and the daemons that hold the node together are among what it may kill.",
        advice: "Reserve what is really used: `node-steward check` shows what each profile reserves on this machine. Or find the unit that grew (systemd-cgtop --order=memory). \
                 kubelet reads reservations when it starts: change them in the node's image or user data, and tell the autoscaler, which computes allocatable by itself.",
    }];

    fn look(rules: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        let (outside, thresholds) = (&scene.samples.outside_pods, &scene.samples.thresholds);
        let Some(seen) = outside.value() else { return Look::unknown(outside.reading.origin()) };
        let Some(config) = thresholds.value() else { return Look::unknown(thresholds.reading.origin()) };
        let Some(reserved) = config.reserved.value() else { return Look::unknown(config.reserved.origin()) };
        let (held, limit) = (seen.held_bytes(), reserved.memory_bytes());
        if outside.taken > memory.taken || memory.taken == Mono(0) {
            memory.judge(rules, outside.taken, held, limit);
        }
        if !memory.on {
            return Look::at(Vec::new());
        }
        let minutes = memory.above.map(|above| outside.taken.since_ms(above) / 60_000);
        Look::at(vec![finding(seen, reserved, config.reserved.origin(), minutes)])
    }
}

impl Kept {
    fn judge(&mut self, rules: &Rules, at: Mono, held: u64, limit: u64) {
        self.taken = at;
        let beneath = limit.saturating_sub(limit / 100 * u64::from(rules.clear_percent.min(100)));
        self.above = if held > limit { self.above.or(Some(at)) } else { None };
        self.beneath = if held <= beneath { self.beneath.or(Some(at)) } else { None };
        let long = |since: Option<Mono>, enough: Span| since.is_some_and(|since| at.since_ms(since) >= enough.ms());
        self.on = match self.on {
            true => !long(self.beneath, rules.clear_after),
            false => long(self.above, rules.enter_after),
        };
    }
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(MIB)
}

fn finding(seen: &OutsidePods, reserved: &Reserved, from: &str, minutes: Option<u64>) -> Finding {
    let (held, limit) = (seen.held_bytes(), reserved.memory_bytes());
    let working_set = seen.groups.iter().fold(0u64, |sum, group| sum.saturating_add(group.working_set_bytes));
    let large = |groups: &[GroupUse]| {
        groups.iter().map(|one| format!("{} {} MiB", one.path, mib(one.held_bytes))).collect::<Vec<_>>().join(", ")
    };
    let mut evidence = vec![
        Evidence::count("held outside of pods", mib(held), "MiB"),
        Evidence::count("reserved", mib(limit), "MiB"),
        Evidence::text("reserved by", from),
        Evidence::count("as kubelet counts it", mib(working_set), "MiB"),
        Evidence::text("of it", large(&seen.groups)),
    ];
    if !seen.largest.is_empty() {
        evidence.push(Evidence::text("largest", large(&seen.largest)));
    }
    evidence.extend(minutes.map(|minutes| Evidence::count("so for", minutes, "min")));
    let first = seen.largest.first().map_or_else(String::new, |one| {
        let unit = one.path.rsplit('/').next().unwrap_or_default();
        format!(" The largest is {unit} with {} MiB.", mib(one.held_bytes))
    });
    // A fifth on top, to the next 64 MiB: a reservation is for the worst hour, not for this one.
    let enough = mib(held.saturating_add(held / 5)).div_ceil(64) * 64;
    let (severity, summary, advice) = if limit == 0 {
        (
            Severity::Advice,
            format!(
                "nothing is reserved for the system and the kube daemons, which hold {} MiB of memory besides caches",
                mib(held)
            ),
            format!(
                "kubelet offers pods all of this machine's memory. Reserve about {enough} MiB (kubeReserved or systemReserved, memory: {enough}Mi), in the image or user data, and \
                 tell the autoscaler.{first}"
            ),
        )
    } else {
        (
            Severity::Warning,
            format!(
                "the system and the kube daemons hold {} MiB of memory besides caches, {} MiB more than is reserved for them",
                mib(held),
                mib(held.saturating_sub(limit))
            ),
            format!(
                "kubelet keeps {} MiB from pods; about {enough} MiB would do ({from}): raise it where new nodes get it, and tell the autoscaler; or find why so much is held.{first}",
                mib(limit)
            ),
        )
    };
    Finding {
        kind: RESERVATION_EXCEEDED,
        subject: "node".to_owned(),
        severity,
        summary,
        advice,
        evidence,
        device: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::{Samples, Thresholds};
    use crate::model::{Bytes, Millicores, Reading, Resources};

    fn samples(minute: u64, held_mib: u64, reserved_mib: u64) -> Samples {
        let group = |path: &str, mib: u64| GroupUse {
            path: path.to_owned(),
            held_bytes: mib * MIB,
            working_set_bytes: (mib + 300) * MIB,
        };
        let groups = vec![group("/system.slice", held_mib - 100), group("/runtime.slice", 100)];
        let largest = vec![group("/system.slice/logs.service", held_mib / 2)];
        let kube = Resources::of(Millicores(0), Bytes::from_mib(reserved_mib), None);
        let reserved = Reserved { kube, system: Resources::default() };
        Samples {
            outside_pods: made::fresh(minute * 60, OutsidePods { groups, largest, ..OutsidePods::default() }),
            thresholds: made::fresh(
                1,
                Thresholds { reserved: Reading::fresh(reserved, "/etc/k.yaml"), ..Thresholds::default() },
            ),
            ..Samples::default()
        }
    }

    #[test]
    fn a_quarter_of_an_hour_above_begins_it_and_five_minutes_beneath_end_it() {
        let mut kept = Kept::default();
        let mut play = |from: u64, held: &[u64]| -> String {
            let turn = |(minute, held): (u64, &u64)| {
                let found = made::turn::<ReservationExceeded>(&mut kept, minute * 60, &samples(minute, *held, 700));
                if found.is_empty() { '.' } else { '#' }
            };
            (from..).zip(held).map(turn).collect()
        };
        assert_eq!(play(1, &[900; 10]), "..........");
        assert_eq!(play(11, &[700]), ".", "and anew from here");
        assert_eq!(play(12, &[701; 17]), "...............##");
        assert_eq!(play(29, &[680, 600, 600, 600, 600, 680, 600, 600, 600, 600, 600, 600, 600]), "###########..");
    }

    #[test]
    fn it_names_the_largest_and_what_would_do() {
        let mut kept = Kept { above: Some(Mono(60_000)), ..Kept::default() };
        let look = |kept: &mut Kept, samples: &Samples| {
            made::look::<ReservationExceeded>(kept, 1200, samples, &Default::default())
        };
        let one = look(&mut kept, &samples(20, 1000, 739)).findings.remove(0);
        assert_eq!(
            one.summary,
            "the system and the kube daemons hold 1000 MiB of memory besides caches, 261 MiB more than is reserved for them"
        );
        assert!(
            one.advice.starts_with("kubelet keeps 739 MiB from pods; about 1216 MiB would do (/etc/k.yaml)"),
            "{}",
            one.advice
        );
        assert!(one.advice.ends_with("The largest is logs.service with 500 MiB."), "{}", one.advice);
        let mut kept = Kept { above: Some(Mono(60_000)), ..Kept::default() };
        let none = look(&mut kept, &samples(20, 1000, 0)).findings.remove(0);
        assert_eq!(none.severity, Severity::Advice);
    }

    #[test]
    fn what_cannot_be_read_is_unknown() {
        let mut kept = Kept::default();
        let mut look =
            |samples: &Samples| made::look::<ReservationExceeded>(&mut kept, 60, samples, &Default::default()).standing;
        let mut all = samples(1, 1000, 700);
        all.thresholds =
            made::fresh(1, Thresholds { reserved: Reading::failed("no quantity"), ..Thresholds::default() });
        assert_eq!(look(&all), Look::unknown("no quantity").standing);
        all.outside_pods = Default::default();
        assert!(matches!(look(&all), crate::model::status::Standing::Unknown { .. }));
    }
}
