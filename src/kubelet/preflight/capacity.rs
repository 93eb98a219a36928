//! Reservations against what the machine has. It refuses to count pids: kubelet does not.

use super::Rule;
use super::case::{Case, Report};
use super::cpus::reserved;
use crate::kubelet::config::Threshold;
use crate::model::{Bytes, Millicores, Quantity, Resource, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "over-capacity",
        severity: Weight::Fatal,
        meaning: "kube + system reservation + hard eviction is more than the machine has",
        look: over_capacity,
    },
    Rule {
        code: "nothing-left",
        severity: Weight::Warning,
        meaning: "kube + system reservation + hard eviction takes all of a resource, so no pod fits",
        look: nothing_left,
    },
    Rule {
        code: "pids-over-capacity",
        severity: Weight::Warning,
        meaning: "more process ids are reserved than the kernel gives; pods get none",
        look: pids_over_capacity,
    },
];

/// What is kept from pods of one resource, with the eviction threshold that reduces it.
pub(super) fn kept(case: &Case<'_>, resource: Resource, capacity: u64) -> Option<Quantity> {
    let signal = match resource {
        Resource::Memory => "memory.available",
        Resource::EphemeralStorage => "nodefs.available",
        Resource::Cpu | Resource::Pid => "",
    };
    let ignored = case.flag_on("experimental-allocatable-ignore-eviction");
    let threshold = case.effective.eviction_hard().get(signal).copied().filter(|_| !ignored).unwrap_or(Threshold::Off);
    Some(reserved(case, resource)?.plus(Quantity::bytes(Bytes(threshold.of(capacity)))))
}

/// Each resource that kubelet counts, with its capacity as far as it is known.
fn capacities(case: &Case<'_>) -> Vec<(Resource, u64, Quantity)> {
    let ground = case.ground;
    let bytes = |n: u64| (n, Quantity::bytes(Bytes(n)));
    // Without isolation of local storage kubelet knows no capacity of it.
    let storage = ground.ephemeral_storage.filter(|_| case.truth("localStorageCapacityIsolation", true));
    [
        (Resource::Cpu, ground.cores.map(|n| (n.into(), Quantity::millicores(Millicores(u64::from(n) * 1000))))),
        (Resource::Memory, ground.memory.map(bytes)),
        (Resource::EphemeralStorage, storage.map(bytes)),
    ]
    .into_iter()
    .filter_map(|(resource, capacity)| capacity.map(|(n, quantity)| (resource, n, quantity)))
    .collect()
}

/// Where the largest part of the reservation stands.
fn place(case: &Case<'_>, resource: Resource) -> String {
    let of = |field| case.effective.resources(field).map(|list| list.get(resource)).unwrap_or(Quantity::ZERO);
    let field = if of("systemReserved") > of("kubeReserved") { "systemReserved" } else { "kubeReserved" };
    format!("{field}.{resource}")
}

fn parts(case: &Case<'_>, resource: Resource, kept: Quantity) -> String {
    let of = |field| case.effective.resources(field).map(|list| list.get(resource)).unwrap_or(Quantity::ZERO);
    let (kube, system) = (of("kubeReserved"), of("systemReserved"));
    format!("{kept} (kube {kube}, system {system}, hard eviction {})", kept.minus(kube).minus(system))
}

fn over_capacity(case: &Case<'_>, report: &mut Report<'_>) {
    for (resource, units, capacity) in capacities(case) {
        if let Some(kept) = kept(case, resource, units).filter(|kept| *kept > capacity) {
            report.add(
                &place(case, resource),
                parts(case, resource, kept),
                format!("at most the capacity, {capacity}"),
                "reserve less",
            );
        }
    }
}

fn nothing_left(case: &Case<'_>, report: &mut Report<'_>) {
    for (resource, units, capacity) in capacities(case) {
        if let Some(kept) = kept(case, resource, units).filter(|kept| *kept == capacity) {
            report.add(
                &place(case, resource),
                parts(case, resource, kept),
                format!("less than the capacity, {capacity}"),
                "reserve less",
            );
        }
    }
}

fn pids_over_capacity(case: &Case<'_>, report: &mut Report<'_>) {
    let (Some(pids), Some(kept)) = (case.ground.pids, reserved(case, Resource::Pid)) else { return };
    if kept.to_u64() >= pids {
        report.add(&place(case, Resource::Pid), kept, format!("less than the capacity, {pids}"), "reserve less");
    }
}
