//! The settings of the watch itself. It refuses a period that no watchdog or detector could live with.

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
}
