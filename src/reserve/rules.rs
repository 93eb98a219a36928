//! The `[reserve]` settings. It refuses unknown keys, negative amounts and percentages over 100.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::custom::Formula;
use super::measured;
use crate::model::{Quantity, Resource};

/// `[reserve]`: how much is reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// The profile's name.
    pub profile: String,
    /// Pods, whatever else says so: 1 to 2147483647.
    #[serde(deserialize_with = "pods")]
    pub max_pods: Option<u32>,
    /// Which number of pods a profile that counts as nodeadm takes.
    pub pods_from: PodsFrom,
    /// What is done where kubelet would refuse the result.
    pub on_excess: OnExcess,
    /// How much of a resource's capacity all reservations and hard eviction may take together, once they would be refused.
    pub ceiling: Percent,
    /// In place of the profile's amounts, by resource.
    pub kube_reserved: BTreeMap<Resource, Amount>,
    /// In place of the profile's amounts, by resource. EKS reserves nothing here, and its pods can push sshd, journald and the
    /// SSM agent out of memory: 100m and 200Mi to 300Mi kept nodes Ready in the field's reports.
    pub system_reserved: BTreeMap<Resource, Amount>,
    /// The formula of the profile `custom`.
    pub custom: Option<Formula>,
    /// How the profile `measured` and `recommend` read a history.
    pub measured: measured::Rules,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            profile: super::DEFAULT.to_owned(),
            max_pods: None,
            pods_from: PodsFrom::default(),
            on_excess: OnExcess::default(),
            ceiling: Percent(5_000),
            kube_reserved: BTreeMap::new(),
            system_reserved: BTreeMap::new(),
            custom: None,
            measured: measured::Rules::default(),
        }
    }
}

fn pods<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number = i64::deserialize(deserializer)?;
    match i32::try_from(number).ok().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0) {
        Some(number) => Ok(Some(number)),
        None => Err(serde::de::Error::custom(format!("{number} is no number of pods; expected 1 to {}", i32::MAX))),
    }
}

/// Where the number of pods comes from in a profile that counts as nodeadm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PodsFrom {
    /// As nodeadm and Karpenter count: expression, ENI table, 110.
    #[default]
    Profile,
    /// kubelet's real maxPods. Tell the autoscaler, or it predicts other numbers.
    Effective,
}

/// What is done with a result that kubelet would refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnExcess {
    /// Lower it to the ceiling, with a warning.
    #[default]
    Lower,
    /// Refuse, and write nothing.
    Fail,
}

/// A share in hundredths of a per cent, from 0 to 100 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

impl Percent {
    /// So many per cent.
    pub(super) const fn of(percent: u32) -> Self {
        Self(percent * 100)
    }

    /// Hundredths of a per cent.
    pub fn hundredths(self) -> u32 {
        self.0
    }
}

impl FromStr for Percent {
    type Err = String;

    /// Takes `25`, `0.25` and `6%`: at most two decimals.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("{text:?} is not a percentage; expected 0 to 100 with at most two decimals, such as 5% or 0.25%")
        };
        let number = text.strip_suffix('%').unwrap_or(text);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 2 {
            return Err(wrong());
        }
        let hundredths: u32 = format!("{whole}{fraction:0<2}").parse().map_err(|_| wrong())?;
        if hundredths > 10_000 { Err(wrong()) } else { Ok(Self(hundredths)) }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, part) => write!(f, "{whole}.{part:02}%"),
        }
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "percent", "description": "0 to 100 with at most two decimals, such as \"5%\""})
    }
}

/// A fixed quantity, or a share of the machine's capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So much.
    Fixed(Quantity),
    /// So much of what kubelet counts as capacity.
    Share(Percent),
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.ends_with('%') {
            return text.parse().map(Self::Share);
        }
        let quantity: Quantity = text.parse()?;
        if quantity.is_negative() {
            Err(format!("{text:?} is negative; nothing less than 0 can be reserved"))
        } else {
            Ok(Self::Fixed(quantity))
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(quantity) => quantity.serialize(serializer),
            Self::Share(percent) => percent.serialize(serializer),
        }
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "quantity or percent", "description": "A Kubernetes quantity such as \"100m\" or \"300Mi\", or a share of the machine such as \"6%\""})
    }
}
