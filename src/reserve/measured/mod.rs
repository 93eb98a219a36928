//! `measured`: what this node's own history says that the system and the kube daemons need when it is full, with a margin, between a floor and a ceiling.
//! It refuses to go by a history that is too short: then it is `eks`.

mod estimate;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use estimate::{Demand, Estimate, Line};

use super::eks;
use super::rules::Percent;
use super::{Input, Profile, Reserved};
use crate::model::time::Span;
use crate::model::{Bytes, Millicores, Quantity, Resource, Resources, quantity::GIB};

/// See the head of this file.
#[derive(Debug)]
pub struct Measured;

/// `[reserve.measured]`: how a node's own history becomes a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// With a shorter history the profile `measured` is `eks`, and `recommend` says nothing.
    pub least_history: Span,
    /// So much more than was needed.
    pub margin_percent: u32,
    /// How much of the machine's CPU or memory the two may take at most, but for the floor: 60m and 255 MiB for kube, 50m and 128 MiB for the system.
    pub ceiling: Percent,
    /// Keep the history on disk as well (/var/lib/node-steward/history.json, written once an hour): without it a reboot forgets, and the profile `measured`, which is applied at boot, is `eks`.
    pub keep: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { least_history: Span::minutes(24 * 60), margin_percent: 15, ceiling: Percent::of(25), keep: false }
    }
}

/// How an amount of a resource comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Never less, whatever was seen: kubelet and a runtime without any pod, and a system that somebody logs in to.
    pub floor: u32,
    /// So much besides the margin.
    pub besides: u32,
    /// It is given in such steps.
    pub step: u32,
}

/// MiB.
const MEMORY: [Terms; 2] = [Terms { floor: 255, besides: 16, step: 16 }, Terms { floor: 128, besides: 16, step: 16 }];
/// Millicores.
const CPU: [Terms; 2] = [Terms { floor: 60, besides: 0, step: 10 }, Terms { floor: 50, besides: 0, step: 10 }];
/// Task ids.
const TASKS: [Terms; 2] = [Terms { floor: 500, besides: 0, step: 100 }; 2];

impl Terms {
    /// Of kube and of the system; none for what no history has.
    pub fn of(resource: Resource) -> Option<[Self; 2]> {
        match resource {
            Resource::Memory => Some(MEMORY),
            Resource::Cpu => Some(CPU),
            Resource::Pid => Some(TASKS),
            Resource::EphemeralStorage => None,
        }
    }
}

/// What a line asks for on a node with so many containers, before floor and ceiling.
pub fn wanted(line: &Line, containers: u32, terms: Terms, rules: &Rules) -> u64 {
    // What leaks is reserved for as far as the line has it; the rest of it is no need.
    let seen = if line.leak_a_day > 0 { 0 } else { line.p99 };
    let need = u64::from(line.at(containers).max(seen));
    need + need * u64::from(rules.margin_percent) / 100 + u64::from(terms.besides)
}

/// What is reserved by an estimate for a node that is full: for kube and for the system. What was not counted is as `otherwise` has it.
pub fn reserved(estimate: &Estimate, input: &Input, rules: &Rules, otherwise: &Reserved) -> (Resources, Resources) {
    let containers = estimate.containers(input.max_pods);
    let need = |line: &Line, terms: Terms| {
        wanted(line, containers, terms, rules).max(terms.floor.into()).next_multiple_of(terms.step.into())
    };
    let parts = [(&estimate.kube, 0, &otherwise.kube), (&estimate.system, 1, &otherwise.system)];
    let [kube, system] = parts.map(|(demand, who, otherwise)| {
        let as_otherwise = || otherwise.get(Resource::Cpu).to_millis();
        (
            demand.cpu.as_ref().map_or_else(as_otherwise, |line| need(line, CPU[who])),
            need(&demand.memory, MEMORY[who]),
            demand.tasks.as_ref().map(|line| need(line, TASKS[who])),
        )
    });
    let share = |total: Quantity| total.share(rules.ceiling.hundredths());
    let cpu = share(Quantity::millicores(Millicores(u64::from(input.cores) * 1000))).to_millis();
    let mib = Bytes(share(Quantity::bytes(input.memory)).to_u64()).mib();
    // The floor holds on a machine of which it is more than the ceiling: without it the daemons do not run at all.
    let least = |terms: [Terms; 2]| u64::from(terms[0].floor + terms[1].floor);
    let (cpu, mib) = (cpu.max(least(CPU)), mib.max(least(MEMORY)));
    let list = |part: (u64, u64, Option<u64>), who: usize, other: (u64, u64, Option<u64>)| {
        let cpu = within((part.0, CPU[who].floor), (other.0, CPU[1 - who].floor), cpu);
        let mib = within((part.1, MEMORY[who].floor), (other.1, MEMORY[1 - who].floor), mib);
        let mut list = Resources::of(Millicores(cpu), Bytes::from_mib(mib), None);
        list.0.extend(part.2.map(|tasks| (Resource::Pid, Quantity::count(tasks))));
        list
    };
    let (mut of_kube, of_system) = (list(kube, 0, system), list(system, 1, kube));
    of_kube.0.insert(Resource::EphemeralStorage, Quantity::bytes(Bytes(GIB)));
    (of_kube, of_system)
}

/// A part, lowered with the other where both are more than there may be: each keeps its floor, and they share what is left by what they want above it.
fn within((part, floor): (u64, u32), (other, others_floor): (u64, u32), most: u64) -> u64 {
    if part.saturating_add(other) <= most {
        return part;
    }
    let (floor, others_floor) = (u64::from(floor).min(part), u64::from(others_floor).min(other));
    let wanted = (part - floor).saturating_add(other - others_floor);
    let left = most.saturating_sub(floor + others_floor);
    let share = u128::from(part - floor) * u128::from(left) / u128::from(wanted.max(1));
    floor + u64::try_from(share).unwrap_or_default()
}

impl Profile for Measured {
    fn name(&self) -> &'static str {
        "measured"
    }

    fn summary(&self) -> &'static str {
        "this node's own history: base and slope by containers, 99th percentile and a margin; eks while that is too short"
    }

    fn wants_history(&self) -> bool {
        true
    }

    fn counts_pods_as_nodeadm(&self) -> bool {
        true
    }

    fn reserve(&self, input: &Input, rules: &super::Rules) -> Result<Reserved, String> {
        let as_eks = eks::Eks.reserve(input, rules)?;
        let Some(estimate) = &input.measured else { return Ok(as_eks) };
        let (kube, system) = reserved(estimate, input, &rules.measured, &as_eks);
        Ok(Reserved { kube, system, eviction_hard: as_eks.eviction_hard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(measured: Option<Estimate>) -> Input {
        Input {
            cores: 4,
            memory: Bytes::from_mib(16_000),
            installed_memory: None,
            max_pods: 58,
            node_filesystem: None,
            measured,
        }
    }

    fn memory(list: &Resources) -> u64 {
        Bytes(list.get(Resource::Memory).to_u64()).mib()
    }

    fn line(base: u32, slope: u32) -> Line {
        Line { base, slope, ..Line::default() }
    }

    #[test]
    fn a_full_node_a_margin_a_floor_and_a_ceiling() {
        let rules = super::super::Rules::default();
        let eks = eks::Eks.reserve(&input(None), &rules).unwrap();
        assert_eq!(Measured.reserve(&input(None), &rules).unwrap(), eks, "without a history");
        let mut estimate = Estimate { containers_of_ten_pods: 20, ..Estimate::default() };
        estimate.kube.memory = line(200, 2048);
        estimate.kube.cpu = Some(line(40, 1024));
        estimate.kube.tasks = Some(line(100, 0));
        let both = Measured.reserve(&input(Some(estimate)), &rules).unwrap();
        // 200 + 2 * 116 and 15 %, 16 more, in steps of 16; the system at its floor.
        assert_eq!((memory(&both.kube), memory(&both.system)), (512, 128));
        assert_eq!(both.kube.get(Resource::Cpu).to_millis(), 180);
        assert_eq!(
            (both.kube.get(Resource::Pid).to_u64(), both.kube.get(Resource::EphemeralStorage).to_u64()),
            (500, GIB)
        );
        assert_eq!(both.eviction_hard, eks.eviction_hard);
        estimate.kube.memory = line(12_000, 0);
        estimate.system.memory = line(4_000, 0);
        let both = Measured.reserve(&input(Some(estimate)), &rules).unwrap();
        assert_eq!(memory(&both.kube) + memory(&both.system), 3999, "a quarter of the machine");
        estimate.system.memory = line(0, 0);
        let both = Measured.reserve(&input(Some(estimate)), &rules).unwrap();
        assert_eq!((memory(&both.kube), memory(&both.system)), (3872, 128), "and nobody goes beneath the floor");
        let tiny = Input { memory: Bytes::from_mib(900), ..input(Some(estimate)) };
        let both = Measured.reserve(&tiny, &rules).unwrap();
        assert_eq!((memory(&both.kube), memory(&both.system)), (255, 128), "of which the floor is more than a quarter");
    }

    #[test]
    fn what_was_not_counted_is_as_eks_has_it() {
        let rules = super::super::Rules::default();
        let eks = eks::Eks.reserve(&input(None), &rules).unwrap();
        let both = Measured.reserve(&input(Some(Estimate::default())), &rules).unwrap();
        let cpu = |list: &Resources| list.get(Resource::Cpu).to_millis();
        assert_eq!((cpu(&both.kube), cpu(&both.system)), (cpu(&eks.kube), 0));
        assert_eq!(both.kube.0.get(&Resource::Pid), None);
    }

    #[test]
    fn of_a_leak_no_more_is_reserved_than_the_line_has() {
        let rules = super::super::Rules::default();
        let mut estimate = Estimate::default();
        estimate.kube.memory = Line { p99: 2000, leak_a_day: 80, ..line(500, 0) };
        let with = |estimate| memory(&Measured.reserve(&input(Some(estimate)), &rules).unwrap().kube);
        assert_eq!(with(estimate), 592, "500 and 15 %, and 16 more");
        estimate.kube.memory.leak_a_day = 0;
        assert_eq!(with(estimate), 2320);
    }
}
