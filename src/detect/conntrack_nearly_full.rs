//! `ConntrackNearlyFull`: the kernel's table of tracked connections runs full; what finds no room is dropped. It refuses to speak of the cloud's own
//! table, which is another one with another limit.

use super::fill::{Kept, Rules, percent};
use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::watch::Conntrack;

/// The name of the problem.
pub const CONNTRACK_NEARLY_FULL: Kind = Kind::new("ConntrackNearlyFull");

/// kube-proxy sets the limit to so much for each core...
const KUBE_PROXY_PER_CORE: u64 = 32_768;
/// ...and at least this.
const KUBE_PROXY_MIN: u64 = 131_072;
/// Bytes of an entry with its extensions: the kernel's object has 256, and lies in slabs with others.
const BYTES_EACH: u64 = 320;

/// The detector.
pub struct ConntrackNearlyFull;

impl Detector for ConntrackNearlyFull {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "conntrack_nearly_full";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: CONNTRACK_NEARLY_FULL,
        severity: Severity::Critical,
        condition: Condition::NodeResources,
        may_cordon: false,
        meaning: "The kernel keeps every connection through NAT, Services and stateful rules in one table for the whole node. When it is full, new connections of all \
                  pods are dropped without an answer, and log lines say `nf_conntrack: table full, dropping packet`.",
        advice: "Raise net.netfilter.nf_conntrack_max, or kube-proxy's conntrack.maxPerCore, which sets it at each start; find the pod that opens so many \
                 connections (conntrack -L), and let it keep them open.",
    }];

    fn look(rules: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        let table = &scene.samples.conntrack;
        let Some(now) = table.value() else { return Look::unknown(table.reading.origin()) };
        let Some(severity) = memory.judge(rules, table.taken, now.count, now.max) else { return Look::at(Vec::new()) };
        let (count, max, used) = (now.count, now.max, percent(now.count, now.max));
        let mut evidence = vec![
            Evidence::count("tracked connections", count, ""),
            Evidence::count("nf_conntrack_max", max, ""),
            Evidence::number("used", used, "%"),
        ];
        evidence.extend(
            now.dropped.map(|dropped| Evidence::count("dropped for want of room since boot", dropped, "connections")),
        );
        let dropped = now.dropped.filter(|dropped| *dropped > 0);
        let dropped =
            dropped.map_or_else(String::new, |dropped| format!("; {dropped} were dropped for want of room since boot"));
        Look::at(vec![Finding {
            kind: CONNTRACK_NEARLY_FULL,
            subject: "node".to_owned(),
            severity,
            summary: format!("{count} of {max} tracked connections ({used:.0} %){dropped}"),
            advice: advice(now, scene.samples.cpu.value().map_or(0, |cpu| cpu.cpus)),
            evidence,
            device: None,
        }])
    }
}

fn advice(now: &Conntrack, cpus: u32) -> String {
    let doubled = now.max.saturating_mul(2);
    let mib = doubled.saturating_mul(BYTES_EACH) >> 20;
    let mut advice =
        format!("sysctl -w net.netfilter.nf_conntrack_max={doubled} takes up to {mib} MiB of kernel memory.");
    if cpus > 0 {
        let theirs = u64::from(cpus).saturating_mul(KUBE_PROXY_PER_CORE).max(KUBE_PROXY_MIN);
        advice.push_str(&format!(
            " Where kube-proxy runs, it sets it to {theirs} at its start on {cpus} CPUs ({KUBE_PROXY_PER_CORE} each, {KUBE_PROXY_MIN} at least), so \
             raise its conntrack.maxPerCore too."
        ));
    }
    advice.push_str(" `conntrack -L` lists who holds them.");
    advice
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::{CpuTimes, Samples};

    #[test]
    fn a_full_table_is_told_with_this_hosts_numbers() {
        let samples = |at: u64, count: u64| Samples {
            conntrack: made::fresh(at, Conntrack { count, max: 131_072, dropped: Some(7) }),
            cpu: made::fresh(at, CpuTimes { cpus: 8, ..CpuTimes::default() }),
            ..Samples::default()
        };
        let mut kept = Kept::default();
        assert!(made::turn::<ConntrackNearlyFull>(&mut kept, 10, &samples(10, 104_857)).is_empty());
        assert_eq!(
            made::turn::<ConntrackNearlyFull>(&mut kept, 20, &samples(20, 104_858)),
            ["ConntrackNearlyFull node warning"]
        );
        let look = made::look::<ConntrackNearlyFull>(&mut kept, 30, &samples(30, 131_072), &Default::default());
        assert_eq!(
            look.findings[0].summary,
            "131072 of 131072 tracked connections (100 %); 7 were dropped for want of room since boot"
        );
        assert!(
            look.findings[0].advice.contains("sets it to 262144 at its start on 8 CPUs"),
            "{}",
            look.findings[0].advice
        );
        assert!(look.findings[0].advice.contains("=262144 takes up to 80 MiB"), "{}", look.findings[0].advice);
        let blind = made::look::<ConntrackNearlyFull>(&mut kept, 40, &Samples::default(), &Default::default());
        assert!(matches!(blind.standing, crate::model::status::Standing::Unknown { .. }));
    }
}
