//! What kubelet counts as the machine's capacity, and what it will report as allocatable. It refuses to reserve for what it does not know:
//! a resource whose size is unknown is left out.

use std::collections::BTreeMap;

use crate::kubelet::config::{Effective, Threshold};
use crate::model::{Bytes, Machine, Millicores, Quantity, Resource};
use crate::reserve::Capacity;

/// kubelet's capacity, and what hard eviction keeps free of it.
pub(super) fn capacity(
    machine: &Machine,
    memory: Bytes,
    cores: u32,
    effective: &Effective,
    eviction_patch: &[(String, String)],
) -> Capacity {
    let mut capacity = Capacity::default();
    capacity.total.insert(Resource::Cpu, Quantity::count(u64::from(cores)));
    capacity.total.insert(Resource::Memory, Quantity::bytes(memory));
    if let Some(size) = machine.node_filesystem.value() {
        capacity.total.insert(Resource::EphemeralStorage, Quantity::bytes(Bytes(size.total_bytes)));
    }
    if let Some(pids) = machine.pids.value() {
        capacity.total.insert(Resource::Pid, Quantity::count(*pids));
    }
    let mut thresholds = effective.eviction_hard();
    for (signal, text) in eviction_patch {
        if let Ok(threshold) = Threshold::parse(text) {
            thresholds.insert(signal.clone(), threshold);
        }
    }
    for (signal, resource) in [("memory.available", Resource::Memory), ("nodefs.available", Resource::EphemeralStorage)]
    {
        if let (Some(threshold), Some(total)) = (thresholds.get(signal), capacity.total.get(&resource)) {
            capacity.eviction.insert(resource, Quantity::bytes(Bytes(threshold.of(total.to_u64()))));
        }
    }
    capacity
}

/// What kubelet will report: capacity less both reservations, hard eviction and huge pages, never below 0.
pub(super) fn allocatable(
    machine: &Machine,
    memory: Bytes,
    cores: u32,
    pods: u32,
    effective: &Effective,
) -> BTreeMap<String, String> {
    let reserved = |resource| {
        let of = |field| effective.resources(field).map(|list| list.get(resource)).unwrap_or(Quantity::ZERO);
        of("kubeReserved").plus(of("systemReserved"))
    };
    let positive = |quantity: Quantity| if quantity.is_negative() { quantity.minus(quantity) } else { quantity };
    let thresholds = effective.eviction_hard();
    let evicted = |signal: &str, total: u64| thresholds.get(signal).map_or(0, |threshold| threshold.of(total));
    let huge: u64 = machine
        .huge_pages
        .value()
        .into_iter()
        .flatten()
        .map(|pages| pages.size_bytes.saturating_mul(pages.count))
        .sum();

    let mut list = BTreeMap::new();
    let cpu = Quantity::millicores(Millicores(u64::from(cores) * 1_000)).minus(reserved(Resource::Cpu));
    list.insert("cpu".to_owned(), positive(cpu).to_string());
    let bytes = |total: u64, taken: u64, resource| {
        positive(Quantity::bytes(Bytes(total)).minus(reserved(resource)).minus(Quantity::bytes(Bytes(taken))))
            .to_string()
    };
    let taken = evicted("memory.available", memory.0).saturating_add(huge);
    list.insert("memory".to_owned(), bytes(memory.0, taken, Resource::Memory));
    if let Some(size) = machine.node_filesystem.value() {
        let taken = evicted("nodefs.available", size.total_bytes);
        list.insert("ephemeral-storage".to_owned(), bytes(size.total_bytes, taken, Resource::EphemeralStorage));
    }
    list.insert("pods".to_owned(), pods.to_string());
    list
}
