//! `EnaAllowanceExceeded`: the cloud holds back or drops packets of an interface because the machine's type allows no more: bandwidth, packets, tracked
//! connections, or packets to link-local addresses such as the DNS resolver. It refuses to count what was there before its first reading.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hold::{Hold, Patience, Sign};
use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::status::Standing;
use crate::model::time::Mono;
use crate::model::watch::Allowances;

/// The name of the problem.
pub const ENA_ALLOWANCE_EXCEEDED: Kind = Kind::new("EnaAllowanceExceeded");

/// Connections that can still be tracked; only newer drivers tell.
const CONNECTIONS_LEFT: &str = "conntrack_allowance_available";

/// One of the allowances.
struct Allowance {
    /// The driver's counter.
    counter: &'static str,
    /// The same for people.
    evidence: &'static str,
    /// What is over, with the number of packets before it.
    what: &'static str,
    /// Packets are lost and not merely late: one is enough.
    drops: bool,
    advice: &'static str,
}

const ALLOWANCES: [Allowance; 5] = [
    Allowance {
        counter: "linklocal_allowance_exceeded",
        evidence: "dropped on the way to link-local addresses",
        what: "packets to link-local addresses were dropped",
        drops: true,
        advice: "An interface may send 1,024 packets a second to link-local addresses, which are the VPC's DNS resolver, instance metadata and the time service together: names are looked up \
                 faster than that. Cache them on the node (NodeLocal DNSCache), let pods ask less (ndots: 2, names with a dot at their end), and spread CoreDNS over more nodes.",
    },
    Allowance {
        counter: "conntrack_allowance_exceeded",
        evidence: "dropped for want of tracked connections",
        what: "packets were dropped because the machine may track no more connections",
        drops: true,
        advice: "Security groups track connections, so many for each type of machine, and new ones now fail. Close idle ones sooner (the interface's idle timeouts), let a rule be untracked \
                 (all traffic from and to 0.0.0.0/0 on that port, both ways), or use a larger type.",
    },
    Allowance {
        counter: "pps_allowance_exceeded",
        evidence: "queued or dropped by the limit of packets",
        what: "packets were held back by the machine's limit of packets a second",
        drops: false,
        advice: "The type's limit is packets, both ways together, not bytes: use a larger type or one for networks (n), spread what sends small packets, or enlarge them (jumbo frames within the VPC).",
    },
    Allowance {
        counter: "bw_in_allowance_exceeded",
        evidence: "queued or dropped by the bandwidth in",
        what: "incoming packets were held back by the machine's bandwidth",
        drops: false,
        advice: "All pods share the machine's bandwidth, and types with \"up to\" some bandwidth have it only for a while: use a larger type or one for networks (n), or spread what receives so much.",
    },
    Allowance {
        counter: "bw_out_allowance_exceeded",
        evidence: "queued or dropped by the bandwidth out",
        what: "outgoing packets were held back by the machine's bandwidth",
        drops: false,
        advice: "All pods share the machine's bandwidth, and types with \"up to\" some bandwidth have it only for a while: use a larger type or one for networks (n), or spread what sends so much.",
    },
];

/// The detector.
pub struct EnaAllowanceExceeded;

/// `[detect.ena_allowance_exceeded]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Held back by bandwidth or packets a second: so many a minute are too many...
    pub packets_per_minute: u64,
    /// ...in so many readings...
    pub enter_readings: u32,
    /// ...among so many. One packet that was dropped for tracked connections or link-local addresses is enough at once.
    pub among_readings: u32,
    /// It ends after so many readings in a row without any.
    pub clear_readings: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { packets_per_minute: 100, enter_readings: 3, among_readings: 5, clear_readings: 5 }
    }
}

/// What is kept of one interface.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    taken: Mono,
    counters: BTreeMap<String, u64>,
    /// By counter: what the newest reading brought, and how it stands.
    allowances: BTreeMap<String, (u64, Hold)>,
    /// What the newest reading covers.
    over_ms: u64,
}

impl Detector for EnaAllowanceExceeded {
    type Rules = Rules;
    type Memory = BTreeMap<String, Kept>;
    const NAME: &'static str = "ena_allowance_exceeded";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: ENA_ALLOWANCE_EXCEEDED,
        severity: Severity::Warning,
        condition: Condition::NodeResources,
        may_cordon: false,
        meaning: "EC2 gives each type of machine so much network: bandwidth in and out, packets a second, tracked connections, and 1,024 packets a second from an interface to link-local \
                  addresses (DNS, metadata, time). What is over is queued or dropped outside of the machine, where nothing on it shows why: names do not resolve, connections time out, \
                  all pods of the node at once.",
        advice: "Find what sends so much (by pods' own metrics), spread it or use a larger type; for link-local addresses cache names on the node and ask for fewer.",
    }];

    fn look(rules: &Rules, memory: &mut Self::Memory, scene: &Scene<'_>) -> Look {
        let samples = &scene.samples.allowances;
        let Some(now) = samples.value() else { return Look::unknown(samples.reading.origin()) };
        memory.retain(|name, _| now.iter().any(|one| one.interface == *name));
        let mut findings = Vec::new();
        for one in now {
            let kept = memory.entry(one.interface.clone()).or_default();
            if samples.taken > kept.taken || kept.taken == Mono(0) {
                kept.take(rules, samples.taken, one);
            }
            findings.extend(finding(kept, one, scene.samples.instance_type.value()));
        }
        let standing = if memory.values().all(|kept| kept.over_ms == 0) {
            Standing::Learning { why: "what was counted before the first reading is not judged".to_owned() }
        } else {
            Standing::Working
        };
        Look { standing, ..Look::at(findings) }
    }
}

impl Kept {
    fn take(&mut self, rules: &Rules, at: Mono, now: &Allowances) {
        let first = self.taken == Mono(0);
        self.over_ms = if first { 0 } else { at.since_ms(self.taken) };
        for allowance in &ALLOWANCES {
            let pair = (self.counters.get(allowance.counter), now.counters.get(allowance.counter));
            let (Some(before), Some(after)) = pair else { continue };
            // A driver that was loaded anew counts from nothing: that is a new beginning, not a difference.
            let Some(more) = after.checked_sub(*before) else { continue };
            let (last, hold) = self.allowances.entry(allowance.counter.to_owned()).or_default();
            *last = more;
            let enough = u128::from(rules.packets_per_minute) * u128::from(self.over_ms);
            let much = more > 0 && (allowance.drops || u128::from(more) * 60_000 >= enough);
            let sign = match (much, more) {
                (true, _) => Sign::Sick,
                (false, 0) => Sign::Well,
                (false, _) => Sign::Neither,
            };
            let clear = rules.clear_readings;
            hold.take(
                sign,
                match allowance.drops {
                    true => Patience { enter: 1, among: 1, clear },
                    false => Patience { enter: rules.enter_readings, among: rules.among_readings, clear },
                },
            );
        }
        self.taken = at;
        self.counters.clone_from(&now.counters);
    }
}

fn finding(kept: &Kept, now: &Allowances, kind: Option<&String>) -> Option<Finding> {
    let on = |allowance: &&Allowance| kept.allowances.get(allowance.counter).is_some_and(|(_, hold)| hold.is_on());
    let over: Vec<&Allowance> = ALLOWANCES.iter().filter(on).collect();
    let first = over.first()?;
    let seconds = kept.over_ms / 1000;
    let last = |allowance: &Allowance| kept.allowances.get(allowance.counter).map_or(0, |(last, _)| *last);
    let all = |allowance: &Allowance| now.counters.get(allowance.counter).copied().unwrap_or_default();
    let said: Vec<String> = over.iter().map(|one| format!("{} {}", last(one), one.what)).collect();
    let mut evidence = vec![Evidence::text("interface", now.interface.clone())];
    for allowance in &over {
        evidence.push(Evidence::count(allowance.evidence, last(allowance), "packets"));
        evidence.push(Evidence::text("in all", format!("{} ({})", all(allowance), allowance.counter)));
    }
    evidence.push(Evidence::count("in the last", seconds, "s"));
    evidence.extend(now.counters.get(CONNECTIONS_LEFT).map(|left| Evidence::count("connections left", *left, "")));
    evidence.extend(kind.map(|kind| Evidence::text("instance type", kind.clone())));
    let told = |one: &&Allowance| {
        format!("{}: {} in the last {seconds} s, {} in all. {}", one.counter, last(one), all(one), one.advice)
    };
    let advice: Vec<String> = over.iter().map(told).collect();
    let of = kind.map_or_else(String::new, |kind| format!(" of this {kind}"));
    Some(Finding {
        kind: ENA_ALLOWANCE_EXCEEDED,
        subject: now.interface.clone(),
        severity: Severity::Warning,
        summary: format!("{}{of}: in the last {seconds} s {}", now.interface, said.join(", ")),
        advice: if first.drops {
            advice.join(" ")
        } else {
            format!("{} It is the cloud that holds them back: nothing on this node drops them.", advice.join(" "))
        },
        evidence,
        device: None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::Samples;

    fn samples(minute: u64, counters: &[(&str, u64)]) -> Samples {
        let counters = counters.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let one = Allowances { interface: "ens5".to_owned(), counters };
        Samples { allowances: made::fresh(minute * 60, vec![one]), ..Samples::default() }
    }

    fn play(name: &str, counts: &[u64]) -> String {
        let mut kept = BTreeMap::new();
        let turn = |(minute, count): (u64, &u64)| {
            let samples = samples(minute, &[(name, *count)]);
            if made::turn::<EnaAllowanceExceeded>(&mut kept, minute * 60, &samples).is_empty() { '.' } else { '#' }
        };
        (1..).zip(counts).map(turn).collect()
    }

    #[test]
    fn a_dropped_packet_is_enough_and_a_late_one_is_not() {
        let name = "linklocal_allowance_exceeded";
        assert_eq!(play(name, &[900, 900, 901, 901, 901, 901, 901, 901, 901]), "..#####..");
        assert_eq!(play("conntrack_allowance_exceeded", &[0, 5]), ".#");
        let name = "bw_out_allowance_exceeded";
        assert_eq!(play(name, &[0, 99, 198, 297, 396, 495, 594]), ".......", "a little all the time");
        assert_eq!(play(name, &[0, 900, 900, 1000, 1000, 1100, 1100, 1100, 1100, 1100, 1100]), ".....#####.");
        assert_eq!(play(name, &[70_000, 3, 3, 5]), "....", "a driver that was loaded anew");
    }

    #[test]
    fn what_is_over_is_named_with_what_to_do_against_it() {
        let mut kept = BTreeMap::new();
        let zero = [("linklocal_allowance_exceeded", 5), ("pps_allowance_exceeded", 7)];
        let look = |kept: &mut _, samples: &Samples, at| {
            made::look::<EnaAllowanceExceeded>(kept, at, samples, &Default::default())
        };
        assert!(matches!(look(&mut kept, &samples(1, &zero), 60).standing, Standing::Learning { .. }));
        let mut sick = samples(2, &[("linklocal_allowance_exceeded", 545), ("pps_allowance_exceeded", 7)]);
        sick.instance_type = made::fresh(1, "m5.large".to_owned());
        let found = look(&mut kept, &sick, 120).findings.remove(0);
        assert_eq!(
            found.summary,
            "ens5 of this m5.large: in the last 60 s 540 packets to link-local addresses were dropped"
        );
        assert!(found.advice.contains("1,024 packets a second") && found.advice.contains("NodeLocal DNSCache"));
        assert!(
            found.advice.starts_with("linklocal_allowance_exceeded: 540 in the last 60 s, 545 in all. An interface")
        );
        assert!(matches!(look(&mut kept, &Samples::default(), 180).standing, Standing::Unknown { .. }));
    }
}
