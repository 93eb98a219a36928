//! The settings of the watch itself. It refuses a period that no watchdog or detector could live with.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::time::Span;

/// `[watch]`: how often and how the node is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Time from one regular turn to the next, 1 s to 1 min. Detectors are tuned to 10 s.
    pub period: Span,
    /// How long a probe of a directory or a device may take before it counts as stuck, 100 ms to 1 min.
    pub probe_deadline: Span,
    /// Which of the program's pages stay in memory, so that a disk that hangs cannot stop it: "off", "touched" or "whole".
    pub lock_memory: LockMemory,
    /// A turn is made at once when some task waited for I/O for so many percent of 2 s; 0 switches this off.
    pub pressure_some_percent: u8,
    /// The same for all tasks at a time.
    pub pressure_full_percent: u8,
}

/// Which pages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LockMemory {
    /// None.
    Off,
    /// Those that were used by the end of a drill of the alarm path, and whatever is used later.
    Touched,
    /// All of the program.
    Whole,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            period: Span::seconds(10),
            probe_deadline: Span::seconds(5),
            lock_memory: LockMemory::Touched,
            pressure_some_percent: 40,
            pressure_full_percent: 15,
        }
    }
}

impl Rules {
    /// What serde cannot say: the key and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let within = |key, span: Span, least: u64, most: Span| {
            if (least..=most.ms()).contains(&span.ms()) {
                Ok(())
            } else {
                Err((key, format!("{span} is not between {least} ms and {most}")))
            }
        };
        within("period", self.period, 1000, Span::minutes(1))?;
        within("probe_deadline", self.probe_deadline, 100, Span::minutes(1))?;
        for (key, percent) in [
            ("pressure_some_percent", self.pressure_some_percent),
            ("pressure_full_percent", self.pressure_full_percent),
        ] {
            if percent > 100 {
                return Err((key, format!("{percent} percent is more than all")));
            }
        }
        Ok(())
    }

    /// Shortens the period to half of the service manager's patience, at the start as at a reload; says so where it did. A watchdog with less patience
    /// than two periods would end a daemon that does all it should.
    pub fn keep_within(&mut self, watchdog: Option<Duration>) -> Option<String> {
        let longest_ms = u64::try_from(watchdog?.as_millis()).ok()? / 2;
        if self.period.ms() <= longest_ms {
            return None;
        }
        let asked = self.period;
        // No shorter than any settings could have it.
        self.period = Span::seconds((longest_ms / 1000).max(1));
        (self.period != asked).then(|| {
            format!(
                "watch.period is {asked}; WatchdogSec= asks for a turn every {longest_ms} ms: it is {} now",
                self.period
            )
        })
    }

    /// The keys in which new settings are others than those of the start, and that only a start reads.
    pub fn later(&self, new: &Self) -> Vec<&'static str> {
        let mut keys = Vec::new();
        keys.extend((self.lock_memory != new.lock_memory).then_some("watch.lock_memory"));
        // An alarm is written to the kernel once, before the watch begins.
        keys.extend((self.pressure_some_percent != new.pressure_some_percent).then_some("watch.pressure_some_percent"));
        keys.extend((self.pressure_full_percent != new.pressure_full_percent).then_some("watch.pressure_full_percent"));
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_kept_within_the_watchdogs_patience() {
        let kept = |period: Span, watchdog| {
            let mut rules = Rules { period, ..Rules::default() };
            let said = rules.keep_within(watchdog);
            assert_eq!(said.is_some(), rules.period != period, "{said:?}");
            (rules.period, said)
        };
        let patience = |ms| Some(Duration::from_millis(ms));
        assert_eq!(kept(Span::minutes(1), None), (Span::minutes(1), None));
        assert_eq!(kept(Span::seconds(10), patience(20_000)), (Span::seconds(10), None));
        let (period, said) = kept(Span::minutes(1), patience(30_000));
        assert_eq!(period, Span::seconds(15));
        assert!(said.unwrap().contains("WatchdogSec= asks for a turn every 15000 ms"));
        assert_eq!(kept(Span::seconds(10), patience(5000)).0, Span::seconds(2));
        // Less patience than any period has.
        assert_eq!(kept(Span::seconds(10), patience(900)).0, Span::seconds(1));
        assert_eq!(kept(Span::seconds(1), patience(900)), (Span::seconds(1), None));
    }
}
