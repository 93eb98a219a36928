//! What writing logs costs: bytes and write calls of journald and of syslog daemons in a window, and their part of what the disk of /var/log writes. Shared
//! by the detectors of logging. It refuses a window across a restart of the writer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::mounted;
use super::scene::{Scene, disks_of};
use super::window::ratio;
use crate::model::problem::Evidence;
use crate::model::status::LogWriterStatus;
use crate::model::time::Mono;
use crate::model::watch::{Answer, JOURNALD, LogWriter, Samples};

/// Shorter windows say little.
const SHORTEST_MS: u64 = 500;
/// Ticks of a process's start time.
const TICKS_PER_S: u64 = 100;
const SECTOR: u64 = 512;

/// What is kept: the newest counters, and the newest window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    taken: Mono,
    writers: BTreeMap<String, LogWriter>,
    disk: Option<(String, u64)>,
    window_ms: u64,
    done: BTreeMap<String, (u64, u64)>,
    disk_bytes: Option<u64>,
}

/// What one writer costs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cost {
    /// Bytes and write calls per second in the newest window.
    pub rate: Option<(f64, f64)>,
    /// Its part of the bytes that the disk wrote in that window, 0 to 1, and the disk; none where the disk wrote nothing.
    pub share: Option<(f64, String)>,
    /// Bytes since it was started, and for how many seconds that is.
    pub since_start: Option<(u64, u64)>,
}

impl Kept {
    /// Takes the turn's counters, where they are new; true where a new window has ended.
    pub fn take(&mut self, samples: &Samples) -> bool {
        let taken = samples.log_writers.taken;
        let Some(writers) = samples.log_writers.value() else {
            return false;
        };
        if taken <= self.taken || taken.since_ms(self.taken) < SHORTEST_MS {
            return false;
        }
        let now: BTreeMap<String, LogWriter> = writers.iter().map(|one| (one.unit.clone(), one.clone())).collect();
        self.done.clear();
        for (unit, after) in &now {
            let same =
                self.writers.get(unit).filter(|one| (one.pid, one.start_ticks) == (after.pid, after.start_ticks));
            let bytes = same.and_then(|before| after.write_bytes.checked_sub(before.write_bytes));
            let writes = same.and_then(|before| after.writes.checked_sub(before.writes));
            if let Some(done) = bytes.zip(writes) {
                self.done.insert(unit.clone(), done);
            }
        }
        self.window_ms = taken.since_ms(self.taken);
        let disk = disk(samples);
        self.disk_bytes = match (&self.disk, &disk) {
            (Some((before, sectors)), Some((after, more))) if before == after => {
                more.checked_sub(*sectors).map(|sectors| sectors.saturating_mul(SECTOR))
            }
            _ => None,
        };
        (self.taken, self.writers, self.disk) = (taken, now, disk);
        !self.done.is_empty()
    }

    /// Takes the turn's counters, and says what every writer costs that is known in them.
    pub fn status(&mut self, samples: &Samples) -> Vec<LogWriterStatus> {
        self.take(samples);
        let known = samples.log_writers.value().map_or(&[][..], Vec::as_slice);
        let one = |writer: &LogWriter| {
            let cost = self.cost(&writer.unit);
            let (rate, share) = (cost.rate.unzip(), cost.share.unzip());
            LogWriterStatus {
                unit: writer.unit.clone(),
                written_bytes: writer.write_bytes,
                write_calls: writer.writes,
                bytes_per_s: rate.0,
                write_calls_per_s: rate.1,
                disk: share.1,
                disk_percent: share.0.map(|share| share * 100.0),
            }
        };
        known.iter().map(one).collect()
    }

    /// What a unit's writing costs.
    pub fn cost(&self, unit: &str) -> Cost {
        let done = self.done.get(unit);
        let per_s = |count: u64| ratio(count.saturating_mul(1000), self.window_ms);
        let name = self.disk.as_ref().map(|(name, _)| name.clone());
        let share =
            done.zip(self.disk_bytes.filter(|bytes| *bytes > 0)).map(|((bytes, _), all)| ratio(*bytes, all).min(1.0));
        Cost {
            rate: done.map(|(bytes, writes)| (per_s(*bytes), per_s(*writes))),
            share: share.zip(name),
            since_start: self.writers.get(unit).map(|one| {
                let age_s = (self.taken.0 / 1000).saturating_sub(one.start_ticks / TICKS_PER_S);
                (one.write_bytes, age_s)
            }),
        }
    }
}

impl Cost {
    /// In words, for a summary.
    pub fn words(&self) -> String {
        let mut words = match (self.rate, self.since_start) {
            (Some((bytes, writes)), _) => format!("{} and {writes:.1} write calls a second", size(bytes)),
            (None, Some((bytes, age_s))) => format!("{} in the {age_s} s since it was started", size(ratio(bytes, 1))),
            (None, None) => "its cost is not known yet".to_owned(),
        };
        if let Some((share, disk)) = &self.share {
            words.push_str(&format!(", {:.1} % of what {disk} writes", share * 100.0));
        }
        if let (Some(_), Some((bytes, _))) = (self.rate, self.since_start) {
            words.push_str(&format!("; {} since it was started", size(ratio(bytes, 1))));
        }
        words
    }

    /// The numbers, with the unit's name.
    pub fn evidence(&self, unit: &str) -> Vec<Evidence> {
        let who = unit.strip_suffix(".service").unwrap_or(unit).to_owned();
        let mut list = Vec::new();
        let mut add = |name: &str, mut one: Evidence| {
            one.name = format!("{name} by {who}").into();
            list.push(one);
        };
        if let Some((bytes, writes)) = self.rate {
            add("written", Evidence::number("", bytes, "bytes/s"));
            add("write calls", Evidence::number("", writes, "/s"));
        }
        if let Some((share, _)) = &self.share {
            add("share of the disk's writes", Evidence::number("", share * 100.0, "%"));
        }
        if let Some((bytes, age_s)) = self.since_start {
            add("written since its start", Evidence::count("", bytes, "bytes"));
            add("time since its start", Evidence::count("", age_s, "s"));
        }
        list
    }
}

/// What the writers of logs cost, as numbers beside a finding.
pub fn evidence(writers: &[LogWriterStatus]) -> Vec<Evidence> {
    let mut list = Vec::new();
    for writer in writers {
        let who = writer.unit.strip_suffix(".service").unwrap_or(&writer.unit);
        let mut add = |name: &str, value: Option<f64>, unit: &'static str| {
            list.extend(value.map(|value| Evidence {
                name: format!("{name} by {who}").into(),
                ..Evidence::number("", value, unit)
            }));
        };
        add("written", writer.bytes_per_s, "bytes/s");
        add("write calls", writer.write_calls_per_s, "/s");
        add("share of the disk's writes", writer.disk_percent, "%");
    }
    list
}

/// journald's own cost beside another's.
pub fn journald(kept: &Kept) -> Cost {
    kept.cost(JOURNALD)
}

/// The one disk that /var/log lies on, with the sectors it has written.
fn disk(samples: &Samples) -> Option<(String, u64)> {
    let name = disk_of_logs(samples)?;
    let line = samples.counters.value()?.iter().find(|line| line.name == name)?;
    Some((name, line.sectors_written))
}

/// The one disk that /var/log lies on.
pub fn disk_of_logs(samples: &Samples) -> Option<String> {
    // Before a directory was looked at, the table of mounts tells what it lies on.
    let place = samples.places.value().and_then(|places| places.iter().find(|place| place.role == "logs"));
    let dev = match place.map(|place| &place.answer) {
        Some(Answer::Looked { dev, .. }) => *dev,
        _ => mounted::holding(samples, "/var/log")?.dev,
    };
    let [disk] = disks_of(samples, dev) else { return None };
    Some(disk.clone())
}

/// The flushes of the disk of /var/log so far; for synced files.
pub fn flushes(scene: &Scene<'_>) -> Option<(String, u64)> {
    let (name, _) = disk(scene.samples)?;
    let line = scene.samples.counters.value()?.iter().find(|line| line.name == name)?;
    Some((name, line.flushes))
}

/// Bytes for people.
pub fn size(bytes: f64) -> String {
    let mut number = bytes;
    for unit in ["B", "kB", "MB", "GB"] {
        if number < 1000.0 {
            return format!("{number:.prec$} {unit}", prec = usize::from(unit != "B" && number < 100.0));
        }
        number /= 1000.0;
    }
    format!("{number:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::super::made::{self, ROOT};
    use super::*;
    use crate::model::watch::{DiskCounters, Place, Space};

    #[test]
    fn windows_of_one_process_and_its_part_of_the_disk() {
        let space =
            Space { total_bytes: 1 << 36, available_bytes: 1 << 35, inodes: 9, inodes_free: 8, read_only: false };
        let samples = |seconds: u64, writer: LogWriter, sectors_written: u64| {
            let place = Place {
                path: "/var/log".to_owned(),
                role: "logs".to_owned(),
                answer: Answer::Looked { dev: ROOT, space },
            };
            let line = DiskCounters { name: "nvme0n1".to_owned(), sectors_written, ..DiskCounters::default() };
            Samples {
                counters: made::fresh(seconds, vec![line]),
                devices: made::fresh(seconds, vec![made::device("nvme0n1", ROOT, "nvme0n1")]),
                places: made::fresh(seconds, vec![place]),
                log_writers: made::fresh(seconds, vec![writer]),
                ..Samples::default()
            }
        };
        let writer = |pid: u32, write_bytes: u64, writes: u64| LogWriter {
            unit: "rsyslog.service".to_owned(),
            pid,
            start_ticks: 1000,
            write_bytes,
            writes,
        };
        let mut kept = Kept::default();
        assert!(!kept.take(&samples(100, writer(7, 1_000_000, 50), 0)), "one sample is no window");
        let first = kept.cost("rsyslog.service");
        assert_eq!((first.rate, first.since_start), (None, Some((1_000_000, 90))));
        assert_eq!(first.words(), "1.0 MB in the 90 s since it was started");
        assert!(kept.take(&samples(110, writer(7, 1_200_000, 350), 1000)));
        let cost = kept.cost("rsyslog.service");
        assert_eq!(cost.rate, Some((20_000.0, 30.0)));
        assert_eq!(cost.share.as_ref().unwrap().1, "nvme0n1");
        assert_eq!(
            cost.words(),
            "20.0 kB and 30.0 write calls a second, 39.1 % of what nvme0n1 writes; 1.2 MB since it was started"
        );
        assert_eq!(cost.evidence("rsyslog.service").len(), 5);
        let status = kept.clone().status(&samples(110, writer(7, 1_200_000, 350), 1000));
        assert_eq!((status[0].bytes_per_s, status[0].write_calls, status.len()), (Some(20_000.0), 350, 1));
        assert_eq!(evidence(&status), cost.evidence("rsyslog.service")[..3]);
        assert!(kept.clone().status(&Samples::default()).is_empty());
        assert!(!kept.take(&samples(110, writer(7, 9_200_000, 350), 1000)), "the same sample again");
        assert!(!kept.take(&samples(120, writer(8, 1_300_000, 400), 2000)), "another process");
        assert_eq!(kept.cost("rsyslog.service").rate, None);
        assert_eq!(journald(&kept), Cost::default());
        assert_eq!([999.0, 1000.0, 123_456.0, 2e9, 5e12].map(size), ["999 B", "1.0 kB", "123 kB", "2.0 GB", "5.0 TB"]);
    }
}
