//! What journald and syslog daemons have written, from /proc/PID/io: two small files, read as often as limits are. It refuses to take the counters of one
//! process for those of another with the same id.

use super::raw::{Came, Raw, text};
use super::stat;
use crate::host::Host;
use crate::model::Reading;
use crate::model::time::Mono;
use crate::model::watch::{JOURNALD, LogWriter, SYSLOG_UNITS, Sampled, Samples};

const EVERY_MS: u64 = 15_000;
/// The first looks read it: `check` makes two, and what reading needs is in memory while it is locked.
const FIRST_LOOKS: u32 = 4;

/// What is kept between reads.
#[derive(Debug, Default)]
pub(super) struct Source {
    raw: Raw,
    looks: u32,
}

impl Source {
    /// Reads them where it is time.
    pub(super) fn read(&mut self, host: &Host, at: Mono, samples: &mut Samples) {
        let first = self.looks < FIRST_LOOKS;
        self.looks = self.looks.saturating_add(1);
        let taken = samples.log_writers.taken;
        if !first && taken != Mono(0) && at.since_ms(taken) < EVERY_MS {
            return;
        }
        let mut known: Vec<(&str, u32, u64)> = Vec::new();
        for daemon in samples.daemons.value().into_iter().flatten() {
            if daemon.unit == JOURNALD || SYSLOG_UNITS.iter().any(|(unit, _)| *unit == daemon.unit) {
                known.push((&daemon.unit, daemon.pid, daemon.start_ticks));
            }
        }
        for daemon in samples.logging.value().into_iter().flat_map(|logging| &logging.daemons) {
            match known.iter_mut().find(|(unit, ..)| *unit == daemon.unit) {
                // Whichever was started later is the one that runs.
                Some(one) if one.2 < daemon.start_ticks => (one.1, one.2) = (daemon.pid, daemon.start_ticks),
                Some(_) => {}
                None => known.push((&daemon.unit, daemon.pid, daemon.start_ticks)),
            }
        }
        let mut writers = Vec::with_capacity(known.len());
        let mut refused = None;
        for (unit, pid, start_ticks) in known {
            match self.one(host, pid, start_ticks) {
                Ok(Some((write_bytes, writes))) => {
                    writers.push(LogWriter { unit: unit.to_owned(), pid, start_ticks, write_bytes, writes });
                }
                Ok(None) => {}
                Err(why) => refused = Some(why),
            }
        }
        let reading = match refused {
            Some(why) => Reading::failed(why),
            None if writers.is_empty() => Reading::absent("neither journald nor a syslog daemon was found"),
            None => Reading::fresh(writers, "/proc/PID/io"),
        };
        samples.log_writers = Sampled::at(at, reading);
    }

    /// Nothing where it has ended.
    fn one(&mut self, host: &Host, pid: u32, start_ticks: u64) -> Result<Option<(u64, u64)>, String> {
        let stat = stat::read(host, &mut self.raw, &format!("/proc/{pid}/stat"))?;
        if stat.is_none_or(|stat| stat.start_ticks != start_ticks) {
            return Ok(None);
        }
        let path = format!("/proc/{pid}/io");
        match self.raw.read(host, &path) {
            Came::Same | Came::New => {
                parse(text(self.raw.bytes())?).map(Some).ok_or_else(|| format!("{path} lacks syscw or write_bytes"))
            }
            Came::Gone => Ok(None),
            Came::Failed(why) => Err(why),
        }
    }
}

fn parse(text: &str) -> Option<(u64, u64)> {
    let number = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    let written = number("write_bytes:")?.saturating_sub(number("cancelled_write_bytes:")?);
    Some((written, number("syscw:")?))
}
