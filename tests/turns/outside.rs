//! Made-up use of memory, CPU and tasks outside of pods, and what is reserved for it. It refuses chance of its own: the dice are thrown.

use node_steward::model::watch::{GroupUse, OutsidePods, Part};
use node_steward::model::{Bytes, Millicores, Resources};

use super::dice::Dice;

impl Dice {
    pub fn resources(&mut self) -> Resources {
        Resources::of(Millicores(self.number()), Bytes(self.number()), None)
    }

    pub fn part(&mut self) -> Part {
        Part {
            held_bytes: self.number(),
            cpu_us: (self.roll(2) > 0).then(|| self.number()),
            tasks: (self.roll(2) > 0).then(|| self.number()),
            peak_bytes: (self.roll(2) > 0).then(|| self.number()),
        }
    }

    pub fn used(&mut self, index: u32) -> GroupUse {
        GroupUse { path: format!("/g{index}"), held_bytes: self.number(), working_set_bytes: self.number() }
    }

    pub fn outside(&mut self) -> OutsidePods {
        OutsidePods {
            groups: self.many(3, Self::used),
            largest: self.many(3, Self::used),
            kube: self.part(),
            system: self.part(),
            pods: self.small(),
            containers: self.small(),
        }
    }
}
