//! Windows between two pages of one volume, and how long each limit has been exceeded in them. It refuses windows shorter than the settings say, so
//! that the share of a window means the same whatever the pages' own pace.

use serde::{Deserialize, Serialize};

use super::Rules;
use crate::detect::hold::{Hold, Patience, Sign};
use crate::detect::window::ratio;
use crate::model::time::Mono;
use crate::model::watch::EbsPage;

/// What is kept of a volume.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    start: Option<(Mono, Counters)>,
    /// The four limits, in the page's order.
    pub(super) quotas: [Quota; 4],
    /// Length of the newest window.
    pub(super) window_ms: u64,
    pub(super) queue_length: u64,
}

/// The page's counters, as far as they matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Counters {
    operations: u64,
    bytes: u64,
    exceeded_us: [u64; 4],
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Quota {
    any: Hold,
    heavy: Hold,
    on: bool,
    well: u32,
    /// Of the newest window, 0 to 1.
    pub(super) share: f64,
    /// The most that was done in a window in which the counter advanced.
    pub(super) iops: f64,
    pub(super) bytes_per_s: f64,
}

impl Kept {
    /// Takes a page read at `taken`.
    pub(super) fn take(&mut self, rules: &Rules, taken: Mono, page: &EbsPage) {
        self.queue_length = page.queue_length;
        let now = Counters {
            operations: page.reads.saturating_add(page.writes),
            bytes: page.read_bytes.saturating_add(page.write_bytes),
            exceeded_us: [
                page.volume_iops_exceeded_us,
                page.volume_throughput_exceeded_us,
                page.instance_iops_exceeded_us,
                page.instance_throughput_exceeded_us,
            ],
        };
        let Some((start, before)) = self.start else {
            self.start = Some((taken, now));
            return;
        };
        let Some(done) = now.since(&before) else {
            self.start = Some((taken, now));
            return;
        };
        let length_ms = taken.since_ms(start);
        // Pages come at their own pace, a little early or late.
        if length_ms + 2_000 < rules.window.ms() {
            return;
        }
        self.start = Some((taken, now));
        self.window_ms = length_ms;
        for (quota, exceeded_us) in self.quotas.iter_mut().zip(done.exceeded_us) {
            quota.share = ratio(exceeded_us, length_ms.saturating_mul(1000)).min(1.0);
            if exceeded_us > 0 {
                quota.iops = quota.iops.max(ratio(done.operations.saturating_mul(1000), length_ms));
                quota.bytes_per_s = quota.bytes_per_s.max(ratio(done.bytes.saturating_mul(1000), length_ms));
            }
            quota.judge(rules);
        }
    }
}

impl Counters {
    /// What was done since; nothing where any counter went back.
    fn since(&self, before: &Self) -> Option<Self> {
        let mut exceeded_us = [0; 4];
        for (done, (now, before)) in exceeded_us.iter_mut().zip(self.exceeded_us.iter().zip(before.exceeded_us)) {
            *done = now.checked_sub(before)?;
        }
        Some(Self {
            operations: self.operations.checked_sub(before.operations)?,
            bytes: self.bytes.checked_sub(before.bytes)?,
            exceeded_us,
        })
    }
}

impl Quota {
    fn judge(&mut self, rules: &Rules) {
        let sign = |sick: u32, well: u32| match self.share {
            share if share >= f64::from(sick) / 100.0 => Sign::Sick,
            share if share < f64::from(well) / 100.0 => Sign::Well,
            _ => Sign::Neither,
        };
        let slight = sign(rules.advice_percent, rules.clear_percent);
        // It is no longer heavy after a row of windows that are not.
        let strong = sign(rules.warn_percent, rules.warn_percent);
        let clear = rules.clear_windows;
        let row = Patience { enter: rules.advice_windows, among: rules.advice_windows, clear };
        let some = Patience { enter: rules.warn_windows, among: rules.warn_among, clear };
        self.on |= self.any.take(slight, row) | self.heavy.take(strong, some);
        self.well = if slight == Sign::Well { self.well.saturating_add(1) } else { 0 };
        if self.on && self.well >= clear.max(1) {
            *self = Self { share: self.share, ..Self::default() };
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    pub(super) fn is_heavy(&self) -> bool {
        self.on && self.heavy.is_on()
    }
}
