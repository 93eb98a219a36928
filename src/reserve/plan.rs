//! From a profile's formula to what is written: overrides, then the check that kubelet will make, then the ceiling.
//! It refuses to hand on a result that kubelet would refuse on this machine.

use std::collections::BTreeMap;

use super::rules::{Amount, OnExcess, Rules};
use super::{Input, Reserved, profile};
use crate::model::{Bytes, Millicores, Quantity, Resource, Resources};

/// What the machine has, as kubelet counts it, and what hard eviction takes of it. A resource that is missing is unknown and not checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capacity {
    /// All of it.
    pub total: BTreeMap<Resource, Quantity>,
    /// Kept free by the hard eviction thresholds for memory.available and nodefs.available.
    pub eviction: BTreeMap<Resource, Quantity>,
}

/// What others have set and what stays as it is; it counts in the sums, and only our own part is ever lowered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// In kubeReserved.
    pub kube: Resources,
    /// In systemReserved.
    pub system: Resources,
}

/// A resource for which kubelet would have refused the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// Which.
    pub resource: Resource,
    /// kube, system and hard eviction together, as asked for.
    pub asked: Quantity,
    /// What they were lowered to.
    pub lowered: Quantity,
    /// What the machine has.
    pub capacity: Quantity,
}

/// What is to be written, and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The formula's own words.
    pub profile: Reserved,
    /// What goes to kubeReserved.
    pub kube: Resources,
    /// What goes to systemReserved.
    pub system: Resources,
    /// What had to be lowered.
    pub excesses: Vec<Excess>,
}

/// Computes the reservations. The error is a sentence for the operator: a profile that is not there, a formula without
/// numbers, or an excess with `on_excess = "fail"`.
pub fn plan(input: &Input, capacity: &Capacity, kept: &Kept, rules: &Rules) -> Result<Plan, String> {
    let reserved = profile(&rules.profile)?.reserve(input, rules)?;
    let mut kube = overridden(&reserved.kube, &rules.kube_reserved, capacity, "kube_reserved")?;
    let mut system = overridden(&reserved.system, &rules.system_reserved, capacity, "system_reserved")?;
    kube.0.extend(&kept.kube.0);
    system.0.extend(&kept.system.0);
    let mut excesses = Vec::new();
    for resource in Resource::ALL {
        let Some(total) = capacity.total.get(&resource).copied() else { continue };
        let eviction = capacity.eviction.get(&resource).copied().unwrap_or(Quantity::ZERO);
        let asked = kube.get(resource).plus(system.get(resource)).plus(eviction);
        let mut ours: Vec<&mut Quantity> = [(&mut kube, &kept.kube), (&mut system, &kept.system)]
            .into_iter()
            .filter(|(_, kept)| !kept.0.contains_key(&resource))
            .filter_map(|(list, _)| list.0.get_mut(&resource))
            .collect();
        let flexible = ours.iter().fold(Quantity::ZERO, |sum, part| part.plus(sum));
        // Equal is allowed: kubelet then has nothing left for pods, but starts.
        if asked <= total || flexible.is_zero() {
            continue;
        }
        if rules.on_excess == OnExcess::Fail {
            return Err(format!(
                "{resource}: reservations and hard eviction ({eviction}) make {asked}, but this machine has {total}; \
                 lower them, or let them be lowered with on_excess = \"lower\""
            ));
        }
        let fixed = asked.minus(flexible);
        let room = total.share(rules.ceiling.hundredths()).minus(fixed);
        let room = if room.is_negative() { Quantity::ZERO } else { room };
        let mut lowered = fixed;
        for part in &mut ours {
            **part = proportional(resource, room, **part, flexible);
            lowered = part.plus(lowered);
        }
        excesses.push(Excess { resource, asked, lowered, capacity: total });
    }
    Ok(Plan { profile: reserved, kube, system, excesses })
}

/// Cut off to a unit that reads well: 1m, 1Mi, 1.
fn whole(resource: Resource, amount: Quantity) -> Quantity {
    proportional(resource, amount, Quantity::count(1), Quantity::count(1))
}

/// `room * part / whole`, cut off to a unit that reads well: 1m, 1Mi, 1.
fn proportional(resource: Resource, room: Quantity, part: Quantity, whole: Quantity) -> Quantity {
    let ratio = |room: u64, part: u64, whole: u64| {
        u64::try_from(u128::from(room) * u128::from(part) / u128::from(whole.max(1))).unwrap_or(u64::MAX)
    };
    match resource {
        Resource::Cpu => Quantity::millicores(Millicores(ratio(room.to_millis(), part.to_millis(), whole.to_millis()))),
        Resource::Memory | Resource::EphemeralStorage => {
            Quantity::bytes(Bytes::from_mib(Bytes(ratio(room.to_u64(), part.to_u64(), whole.to_u64())).mib()))
        }
        Resource::Pid => Quantity::count(ratio(room.to_u64(), part.to_u64(), whole.to_u64())),
    }
}

fn overridden(
    list: &Resources,
    amounts: &BTreeMap<Resource, Amount>,
    capacity: &Capacity,
    key: &str,
) -> Result<Resources, String> {
    let mut list = list.clone();
    for (resource, amount) in amounts {
        let quantity = match amount {
            Amount::Fixed(quantity) => *quantity,
            Amount::Share(percent) => capacity
                .total
                .get(resource)
                .ok_or_else(|| {
                    format!("[reserve.{key}] {resource} = \"{percent}\": this machine's capacity of {resource} is unknown; give a quantity")
                })
                .map(|total| whole(*resource, total.share(percent.hundredths())))?,
        };
        list.0.insert(*resource, quantity);
    }
    Ok(list)
}
