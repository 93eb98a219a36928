//! The machine's clocks. It refuses a clock that jumps for differences: those are made of CLOCK_MONOTONIC alone.

use std::path::Path;

use nix::time::{ClockId, clock_gettime};

use super::error::{HostError, HostResult, Reason};
use super::root::Host;
use crate::model::time::{Mono, Wall};

/// Milliseconds since boot, suspended time left out.
pub fn monotonic() -> Mono {
    Mono(u64::try_from(milliseconds(ClockId::CLOCK_MONOTONIC)).unwrap_or(0))
}

/// Microseconds since boot, to measure what takes less than a millisecond.
pub fn monotonic_us() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        seconds.saturating_mul(1_000_000).saturating_add(u64::try_from(time.tv_nsec()).unwrap_or(0) / 1000)
    })
}

/// The time of day.
pub fn wall() -> Wall {
    Wall(milliseconds(ClockId::CLOCK_REALTIME))
}

fn milliseconds(clock: ClockId) -> i64 {
    clock_gettime(clock).map_or(0, |time| time.tv_sec().saturating_mul(1000).saturating_add(time.tv_nsec() / 1_000_000))
}

impl Host {
    /// Which boot this is.
    pub fn boot_id(&self) -> HostResult<String> {
        let path = Path::new("/proc/sys/kernel/random/boot_id");
        self.read_text(path)?.filter(|id| !id.is_empty()).ok_or_else(|| HostError {
            act: "read",
            path: path.to_owned(),
            reason: Reason::Other("there is none".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_run_and_agree() {
        let (before, us, after) = (monotonic(), monotonic_us(), monotonic());
        assert!(before.0 > 0 && before <= after);
        assert!(us / 1000 >= before.0 && us / 1000 <= after.0);
        assert!(wall() > Wall(1_700_000_000_000));
    }
}
