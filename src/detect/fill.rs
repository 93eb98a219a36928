//! How full something is that the node has only so much of: shared by the detectors of tables and limits. It refuses to flicker: what began at one
//! percentage ends at a lower one, some samples in a row.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hold::{Hold, Patience, Sign};
use super::window::ratio;
use crate::model::problem::Severity;
use crate::model::time::Mono;

/// Settings of such a detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Warning from this percentage of the limit on.
    pub warn_percent: u32,
    /// Critical from this percentage on.
    pub critical_percent: u32,
    /// Both end when so many percent less are used...
    pub clear_percent: u32,
    /// ...for so many samples in a row.
    pub clear_samples: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { warn_percent: 80, critical_percent: 95, clear_percent: 10, clear_samples: 4 }
    }
}

/// What is kept of one limit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    taken: Mono,
    warned: Hold,
    critical: Hold,
}

impl Kept {
    /// Takes a sample where it is new; how bad it is.
    pub fn judge(&mut self, rules: &Rules, taken: Mono, used: u64, max: u64) -> Option<Severity> {
        if taken > self.taken || self.taken == Mono(0) {
            self.taken = taken;
            let patience = Patience { enter: 1, among: 1, clear: rules.clear_samples };
            let sign = |from: u32| {
                let above = |percent: u32| at_least(used, max, percent);
                match (above(from), above(from.saturating_sub(rules.clear_percent))) {
                    (true, _) => Sign::Sick,
                    (false, true) => Sign::Neither,
                    (false, false) => Sign::Well,
                }
            };
            self.warned.take(sign(rules.warn_percent), patience);
            self.critical.take(sign(rules.critical_percent), patience);
        }
        match (self.critical.is_on(), self.warned.is_on()) {
            (true, _) => Some(Severity::Critical),
            (_, true) => Some(Severity::Warning),
            _ => None,
        }
    }
}

/// Whether `used` is so many percent of `max`; a limit of 0 is none.
fn at_least(used: u64, max: u64, percent: u32) -> bool {
    max > 0 && u128::from(used) * 100 >= u128::from(max) * u128::from(percent)
}

/// For words.
pub fn percent(used: u64, max: u64) -> f64 {
    ratio(used, max) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_at_once_and_ends_lower_and_later() {
        let mut kept = Kept::default();
        let mut at = 0;
        let mut play = |used: u64| {
            at += 10_000;
            kept.judge(&Rules::default(), Mono(at), used, 1000).map_or('.', |worst| match worst {
                Severity::Critical => '#',
                _ => '+',
            })
        };
        let seen: String =
            [799, 800, 700, 699, 700, 699, 699, 699, 960, 699, 699, 699, 690, 799].map(&mut play).iter().collect();
        assert_eq!(seen, ".+++++++####..");
        assert_eq!(kept.judge(&Rules::default(), Mono(at), 1000, 1000), None, "the same sample again");
        assert!(!at_least(5, 0, 80) && at_least(u64::MAX, u64::MAX, 100));
    }
}
