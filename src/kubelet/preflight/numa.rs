//! `reservedMemory` and the Static memory manager. It refuses a judgement on sums where the machine's memory is unknown
//! and a threshold is a percentage.

use std::collections::{BTreeMap, BTreeSet};

use super::Rule;
use super::capacity::kept;
use super::case::{Case, Report};
use crate::kubelet::config::Threshold;
use crate::model::{Node, Quantity, Resource, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "reserved-memory-entry",
        severity: Weight::Fatal,
        meaning: "an entry of reservedMemory names something else than memory, or zero, or a thing twice",
        look: entries_are_sound,
    },
    Rule {
        code: "reserved-memory-node",
        severity: Weight::Fatal,
        meaning: "reservedMemory names a NUMA node that this machine does not have",
        look: nodes_exist,
    },
    Rule {
        code: "reserved-memory-sum",
        severity: Weight::Fatal,
        meaning: "with the Static memory manager reservedMemory must add up to exactly what is reserved",
        look: sums_agree,
    },
];

const PATH: &str = "reservedMemory";

/// One limit: where it stands, its NUMA node, its resource, its quantity.
struct Limit<'c> {
    path: String,
    numa: i64,
    resource: &'c str,
    quantity: Quantity,
}

fn limits<'c>(case: &'c Case<'_>) -> Vec<Limit<'c>> {
    let quantity = |node: &Node| match node {
        Node::String(text) => text.trim().parse().ok(),
        Node::Number(number) => number.to_string().parse().ok(),
        Node::Null => Some(Quantity::ZERO),
        _ => None,
    };
    let entry = |(at, entry): (usize, &'c Node)| {
        let numa = entry.get("numaNode").and_then(Node::as_i64).unwrap_or(0);
        let limits = entry.get("limits").map(Node::entries).unwrap_or_default();
        limits.iter().filter_map(move |(resource, value)| {
            let path = format!("{PATH}[{at}].limits.{resource}");
            Some(Limit { path, numa, resource, quantity: quantity(value)? })
        })
    };
    case.list(PATH).iter().enumerate().flat_map(entry).collect()
}

fn entries_are_sound(case: &Case<'_>, report: &mut Report<'_>) {
    let mut seen = BTreeSet::new();
    for limit in limits(case) {
        if limit.resource != "memory" && !limit.resource.starts_with("hugepages-") {
            report.add(&limit.path, format!("{:?}", limit.resource), "memory or hugepages-SIZE", "remove it");
        }
        if limit.quantity.is_zero() {
            report.add(&limit.path, "zero", "a quantity that is not zero", "remove it");
        }
        if !seen.insert((limit.numa, limit.resource)) {
            report.add(
                &limit.path,
                format!("{} of NUMA node {} again", limit.resource, limit.numa),
                "each once",
                "leave one of them",
            );
        }
    }
}

fn is_static(case: &Case<'_>) -> bool {
    case.text("memoryManagerPolicy", "None") == "Static"
}

fn nodes_exist(case: &Case<'_>, report: &mut Report<'_>) {
    let Some(nodes) = case.ground.numa_nodes.as_ref().filter(|_| is_static(case)) else { return };
    for (at, entry) in case.list(PATH).iter().enumerate() {
        let numa = entry.get("numaNode").and_then(Node::as_i64).unwrap_or(0);
        if !u32::try_from(numa).is_ok_and(|numa| nodes.0.contains(&numa)) {
            report.add(
                &format!("{PATH}[{at}].numaNode"),
                numa,
                format!("one of the NUMA nodes {nodes}"),
                "correct the number",
            );
        }
    }
}

/// What the machine's reservation of memory comes to, where that can be known.
fn reserved_memory(case: &Case<'_>) -> Option<Quantity> {
    let share = matches!(case.effective.eviction_hard().get("memory.available"), Some(Threshold::Share(_)));
    match case.ground.memory {
        None if share => None,
        memory => kept(case, Resource::Memory, memory.unwrap_or(0)),
    }
}

fn sums_agree(case: &Case<'_>, report: &mut Report<'_>) {
    if !is_static(case) {
        return;
    }
    let mut sums: BTreeMap<&str, Quantity> = BTreeMap::from([("memory", Quantity::ZERO)]);
    let limits = limits(case);
    for limit in &limits {
        let sum = sums.entry(limit.resource).or_insert(Quantity::ZERO);
        *sum = sum.plus(limit.quantity);
    }
    for (resource, sum) in sums {
        // Huge pages cannot be reserved elsewhere, so none may be reserved here.
        let wanted = if resource == "memory" { reserved_memory(case) } else { Some(Quantity::ZERO) };
        let Some(wanted) = wanted else { continue };
        if sum != wanted {
            let expected = format!("exactly {wanted}, which is kube + system reservation and hard eviction together");
            report.add(
                PATH,
                format!("{sum} of {resource} in all NUMA nodes"),
                expected,
                "make the sums equal, to the byte",
            );
        } else if sum.is_zero() && resource == "memory" {
            report.add(
                PATH,
                "no memory reserved",
                "memory above zero on some NUMA node",
                "reserve memory, or use memoryManagerPolicy None",
            );
        }
    }
}
