//! `custom`: the operator's own formula: shares by size, a slope by pods, a base, a floor and a ceiling, all in the settings.
//! It refuses a formula without numbers. With it, GKE on-prem's and OpenShift's earlier rules are a few lines of TOML.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::brackets::{Bracket, floor_each, floor_sum};
use super::rules::Percent;
use super::{Input, Profile, Reserved, Rules};
use crate::model::{Bytes, Quantity, Resource, Resources, quantity::MIB};

/// See the head of this file.
#[derive(Debug)]
pub struct Custom;

/// `[reserve.custom]`: a formula of your own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Formula {
    /// How much CPU; in millicores inside.
    pub cpu: Option<Line>,
    /// How much memory; in bytes inside.
    pub memory: Option<Line>,
    /// A fixed amount of ephemeral storage.
    pub ephemeral_storage: Option<Quantity>,
    /// Which memory the shares are of.
    pub memory_of: MemoryOf,
    /// Which of kubelet's two lists the result goes to.
    pub into: Into,
}

/// One resource's formula: `base + shares + per_pod * pods`, rounded, then held between `floor` and `ceiling`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Line {
    /// Added whatever the size.
    pub base: Option<Quantity>,
    /// Added for each pod.
    pub per_pod: Option<Quantity>,
    /// Shares that fall with size, in rising order.
    pub brackets: Vec<Share>,
    /// Whether each share or the sum is cut off.
    pub cut: Cut,
    /// The result is a multiple of this (default 1m and 1Mi); the size is cut off to it as well where `whole_input` is set.
    pub unit: Option<Quantity>,
    /// How the result comes to that multiple.
    pub rounding: Rounding,
    /// Cut the machine's size off to `unit` first.
    pub whole_input: bool,
    /// Never less than this.
    pub floor: Option<Quantity>,
    /// Never more than this.
    pub ceiling: Option<Quantity>,
}

/// `{ up_to = "4Gi", percent = "25" }`; without `up_to`, the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Where the share ends.
    pub up_to: Option<Quantity>,
    /// How much of what lies between the share before and this end.
    pub percent: Percent,
}

/// Where fractions are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// Each share by itself, as EKS and GKE do.
    #[default]
    EachShare,
    /// The sum, as AKS before 1.29 did.
    Sum,
}

/// How a result becomes a multiple of the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// Cut off.
    #[default]
    Down,
    /// To the nearest, halves up.
    HalfUp,
    /// To the next.
    Up,
}

/// Which memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryOf {
    /// MemTotal.
    #[default]
    Total,
    /// The size on the label.
    Installed,
}

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Into {
    /// kubeReserved.
    #[default]
    Kube,
    /// systemReserved.
    System,
}

impl Line {
    /// The amount in the line's own whole units (millicores or bytes), given the machine's size in them.
    fn amount(&self, size: u64, pods: u32, of: Scale) -> Result<u64, String> {
        let unit = self.unit.map_or(of.unit, |unit| (of.count)(unit)).max(1);
        let size = if self.whole_input { size / unit * unit } else { size };
        let mut brackets = Vec::new();
        let mut below = 0;
        for share in &self.brackets {
            let up_to = share.up_to.map_or(u64::MAX, |end| (of.count)(end) / of.step);
            if up_to <= below {
                return Err("the brackets must rise, and only the last may lack up_to".to_owned());
            }
            brackets.push(Bracket { up_to, rate: share.percent.hundredths() });
            below = up_to;
        }
        let shares = match self.cut {
            Cut::EachShare => floor_each(size / of.step, &brackets),
            Cut::Sum => floor_sum(size / of.step, &brackets),
        };
        let count = |quantity: Option<Quantity>| quantity.map_or(0, |quantity| (of.count)(quantity));
        let slope = count(self.per_pod).saturating_mul(u64::from(pods));
        let sum = count(self.base).saturating_add(slope).saturating_add(shares.saturating_mul(of.step));
        let rounded = match self.rounding {
            Rounding::Down => sum / unit * unit,
            Rounding::HalfUp => sum.saturating_add(unit / 2) / unit * unit,
            Rounding::Up => sum.div_ceil(unit).saturating_mul(unit),
        };
        let ceiling = self.ceiling.map_or(u64::MAX, |ceiling| (of.count)(ceiling));
        Ok(rounded.max(count(self.floor)).min(ceiling))
    }
}

/// How a resource is counted: its smallest unit of arithmetic and its default multiple, both in whole counts.
#[derive(Clone, Copy)]
struct Scale {
    count: fn(Quantity) -> u64,
    step: u64,
    unit: u64,
}

const CPU: Scale = Scale { count: Quantity::to_millis, step: 1, unit: 1 };
const MEMORY: Scale = Scale { count: Quantity::to_u64, step: MIB, unit: MIB };

impl Profile for Custom {
    fn name(&self) -> &'static str {
        "custom"
    }

    fn summary(&self) -> &'static str {
        "the formula under [reserve.custom]: base, shares by size, slope by pods, floor, ceiling"
    }

    fn wants_installed_memory(&self) -> bool {
        true
    }

    fn reserve(&self, input: &Input, rules: &Rules) -> Result<Reserved, String> {
        let formula = rules.custom.as_ref().ok_or("the profile custom needs a formula under [reserve.custom]")?;
        let mut list = BTreeMap::new();
        if let Some(line) = &formula.cpu {
            let amount = line.amount(u64::from(input.cores) * 1_000, input.max_pods, CPU);
            let amount = amount.map_err(|why| format!("[reserve.custom.cpu]: {why}"))?;
            list.insert(Resource::Cpu, Quantity::millicores(crate::model::Millicores(amount)));
        }
        if let Some(line) = &formula.memory {
            let size = match formula.memory_of {
                MemoryOf::Total => input.memory,
                MemoryOf::Installed => input.label_memory(),
            };
            let amount = line.amount(size.0, input.max_pods, MEMORY);
            let amount = amount.map_err(|why| format!("[reserve.custom.memory]: {why}"))?;
            list.insert(Resource::Memory, Quantity::bytes(Bytes(amount)));
        }
        list.extend(formula.ephemeral_storage.map(|amount| (Resource::EphemeralStorage, amount)));
        if list.is_empty() {
            return Err("[reserve.custom] reserves nothing: give cpu, memory or ephemeral_storage".to_owned());
        }
        let list = Resources(list);
        Ok(match formula.into {
            Into::Kube => Reserved { kube: list, ..Reserved::default() },
            Into::System => Reserved { system: list, ..Reserved::default() },
        })
    }
}
