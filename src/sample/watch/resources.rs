//! Sources of the node's resources, each as often as it is needed. It refuses to read what changes seldom at every look.

use std::path::Path;

use super::{daemons, limits, outside};
use crate::host::Host;
use crate::model::Reading;
use crate::model::time::Mono;
use crate::model::watch::{Memory, Mount, Sampled, Samples};

/// Counts against limits: every second look of the usual beat.
const COUNTS_MS: u64 = 15_000;
/// The clock: it gets worse by half a millisecond a second.
const CLOCK_MS: u64 = 60_000;
/// How much memory is left, while nobody waits for it.
const MEMORY_MS: u64 = 60_000;
/// Of a look's time spent waiting for memory: from here on memory is read at every look.
const WAITING_SHARE: u64 = 100;

/// The first looks read everything: what that needs of the program is then in memory while it is locked, and not first read from a disk that hangs.
const FIRST_LOOKS: u32 = 4;

/// What is kept between reads.
#[derive(Debug, Default)]
pub(super) struct Source {
    looks: u32,
    limits: limits::Source,
    daemons: daemons::Source,
    outside: outside::Source,
    /// The last look, and how long all had waited for memory by then, us.
    waited: (Mono, u64),
}

impl Source {
    /// Reads what is due.
    pub(super) fn read(&mut self, host: &Host, at: Mono, samples: &mut Samples) {
        let first = self.looks < FIRST_LOOKS;
        self.looks = self.looks.saturating_add(1);
        let mounts: &[Mount] = samples.mounts.value().map_or(&[], Vec::as_slice);
        if first || due(&samples.conntrack, at, COUNTS_MS) {
            samples.conntrack = Sampled::at(at, limits::conntrack(host));
            samples.files = Sampled::at(at, limits::files(host));
            self.limits.tasks(host, at, mounts, &mut samples.task_room);
        }
        self.daemons.read(host, at, first, mounts, &mut samples.daemons);
        self.outside.read(host, (at, first), mounts, samples.thresholds.value(), &mut samples.outside_pods);
        if first || due(&samples.clock, at, CLOCK_MS) {
            samples.clock = Sampled::at(
                at,
                match host.clock_state() {
                    Ok(Some(state)) => Reading::fresh(state, "adjtimex"),
                    Ok(None) => Reading::absent("this recording has no note on its clock"),
                    Err(error) => Reading::failed(error.to_string()),
                },
            );
        }
        if self.waiting(at, samples) || first || due(&samples.memory, at, MEMORY_MS) {
            samples.memory = Sampled::at(at, memory(host));
        }
        if samples.instance_type.taken == Mono(0) {
            samples.instance_type = Sampled::at(at, super::super::dmi::instance_type(host));
        }
    }

    /// Whether everybody waited for memory for a hundredth of the time since the last look.
    fn waiting(&mut self, at: Mono, samples: &Samples) -> bool {
        let (before, waited) = self.waited;
        let memory = samples.pressure.value().and_then(|pressure| pressure.node.memory);
        let now = memory.map_or(0, |stall| stall.full_us);
        self.waited = (at, now);
        now.saturating_sub(waited).saturating_mul(WAITING_SHARE) > at.since_ms(before).saturating_mul(1000)
    }
}

fn due<T>(slot: &Sampled<T>, at: Mono, every_ms: u64) -> bool {
    slot.taken == Mono(0) || at.since_ms(slot.taken) >= every_ms
}

fn memory(host: &Host) -> Reading<Memory> {
    const PATH: &str = "/proc/meminfo";
    match host.read_text(Path::new(PATH)) {
        Ok(Some(text)) => match parse(&text) {
            Some(memory) => Reading::fresh(memory, PATH),
            None => Reading::failed(format!("{PATH} lacks MemTotal or MemAvailable in kB")),
        },
        Ok(None) => Reading::absent(format!("there is no {PATH}")),
        Err(error) => Reading::failed(error.to_string()),
    }
}

fn parse(text: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(Memory { total_bytes: bytes("MemTotal")?, available_bytes: bytes("MemAvailable")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::watch::{NodePressure, Pressure, Stall};

    #[test]
    fn memory_is_read_at_once_while_somebody_waits_for_it() {
        let mut source = Source::default();
        let mut waiting = |at: u64, full_us: u64| {
            let memory = Some(Stall { some_us: full_us, full_us });
            let pressure = NodePressure { node: Pressure { memory, ..Pressure::default() }, groups: Vec::new() };
            let samples =
                Samples { pressure: Sampled::at(Mono(at), Reading::fresh(pressure, "x")), ..Samples::default() };
            source.waiting(Mono(at), &samples)
        };
        assert!(!waiting(100_000, 1000));
        assert!(!waiting(110_000, 90_000));
        assert!(waiting(120_000, 300_000));
        assert!(!waiting(130_000, 5), "counted anew");
        let text = "MemTotal:       24576000 kB\nMemFree: 1 kB\nMemAvailable:   20480000 kB\n";
        assert_eq!(parse(text), Some(Memory { total_bytes: 24_576_000 << 10, available_bytes: 20_480_000 << 10 }));
        for text in [
            "",
            "MemTotal: 5 kB",
            "MemTotal: x kB\nMemAvailable: 1 kB",
            "MemTotal: 18446744073709551615 kB\nMemAvailable: 1 kB",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
