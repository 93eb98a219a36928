//! What a detector is shown: this turn's samples, the windows since the last one, and what was wrong before. It refuses to be built from two boots.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::blame::Tally;
use super::log_cost;
use super::window::{DiskWindow, ratio};
use crate::model::problem::{Contributor, Evidence, Kind};
use crate::model::status::{LogWriterStatus, PressureStatus};
use crate::model::time::{Mono, Now};
use crate::model::watch::{BlockDevice, CpuTimes, Dev, DiskCounters, Layer, Samples, Stall};

/// A cgroup is named from this share of the window on.
const WAITS: f64 = 0.05;

/// What is kept of the last turn, to make windows of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Past {
    counters_taken: Mono,
    counters: BTreeMap<String, DiskCounters>,
    pressure_taken: Mono,
    io: Option<Stall>,
    /// By cgroup.
    group_io: BTreeMap<String, Stall>,
    cpu_taken: Mono,
    cpu: CpuTimes,
    tally: Tally,
    logs: log_cost::Kept,
}

/// One turn, as detectors see it.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The moment.
    pub now: &'a Now,
    /// What was read.
    pub samples: &'a Samples,
    /// Windows that ended in this turn, of the devices that are judged: whole disks, and loop devices that carry a writable mount.
    pub disks: Vec<DiskWindow>,
    /// I/O pressure of the window that ended in this turn, 0 to 1: some, full. None where there was no new sample.
    pub io_pressure: Option<(f64, f64)>,
    /// Which of the node's own cgroups, and of the pods' as a whole, waited for I/O in that window, and for how much of it, 0 to 1; the longest first.
    pub waiting: Vec<(String, f64)>,
    /// Share of the CPUs' time spent idle while somebody waited for I/O, and taken by the hypervisor, 0 to 1.
    pub cpu: Option<(f64, f64)>,
    /// Who did the I/O of the window that ended in this turn, by device; empty where it was not asked for.
    pub blame: BTreeMap<Dev, Vec<Contributor>>,
    /// What writing the host's logs costs, as of the newest window.
    pub log_writers: Vec<LogWriterStatus>,
    /// Kinds and subjects that were problems after the last turn.
    pub active: &'a BTreeSet<(Kind, String)>,
}

impl<'a> Scene<'a> {
    /// The scene of a turn; `past` takes what the next one needs.
    pub fn new(now: &'a Now, samples: &'a Samples, active: &'a BTreeSet<(Kind, String)>, past: &mut Past) -> Self {
        let disks = past.disks(samples);
        let waiting = past.waiting(samples);
        let io_pressure = past.pressure(samples);
        let cpu = past.cpu(samples);
        let blame = past.tally.blame(samples);
        let log_writers = past.logs.status(samples);
        Self { now, samples, disks, io_pressure, waiting, cpu, blame, log_writers, active }
    }

    /// The block devices, empty where they are unknown.
    pub fn devices(&self) -> &'a [BlockDevice] {
        self.samples.devices.value().map_or(&[], Vec::as_slice)
    }

    /// Names and numbers of the devices that are judged: whole disks, and loop devices that carry a writable mount.
    pub fn judged(&self) -> BTreeMap<&'a str, Dev> {
        judged(self.samples)
    }

    /// Why no disk can be judged; none where they can.
    pub fn blind(&self) -> Option<String> {
        let samples = self.samples;
        match (samples.counters.value(), samples.devices.value()) {
            (None, _) => Some(format!("no disk counters: {}", samples.counters.reading.origin())),
            (_, None) => Some(format!("no list of block devices: {}", samples.devices.reading.origin())),
            (Some(_), Some(_)) => None,
        }
    }

    /// A block device by number.
    pub fn device(&self, dev: Dev) -> Option<&'a BlockDevice> {
        self.devices().iter().find(|device| device.dev == dev)
    }

    /// A block device by name.
    pub fn named(&self, name: &str) -> Option<&'a BlockDevice> {
        self.devices().iter().find(|device| device.name == name)
    }

    /// The whole disks beneath the device number of a file; empty where there is none (tmpfs, overlay, network).
    pub fn disks_beneath(&self, dev: Dev) -> &'a [String] {
        disks_of(self.samples, dev)
    }

    /// Who of the node's own waits, as evidence: the node's pressure is an average over its CPUs, in which kubelet alone hardly shows.
    pub fn waiters(&self) -> impl Iterator<Item = Evidence> {
        self.waiting.iter().map(|(path, share)| {
            let name = path.rsplit('/').next().unwrap_or(path);
            Evidence::text("waits for I/O", format!("{name}, {:.0} % of the time", share * 100.0))
        })
    }

    /// Pressure as it is shown.
    pub fn pressure_status(&self) -> PressureStatus {
        PressureStatus {
            io_some_percent: self.io_pressure.map(|(some, _)| some * 100.0),
            io_full_percent: self.io_pressure.map(|(_, full)| full * 100.0),
        }
    }
}

impl Past {
    fn disks(&mut self, samples: &Samples) -> Vec<DiskWindow> {
        let taken = samples.counters.taken;
        let Some(counters) = samples.counters.value().filter(|_| taken > self.counters_taken) else {
            return Vec::new();
        };
        let judged = judged(samples);
        let mut windows = Vec::new();
        let mut kept = BTreeMap::new();
        for line in counters {
            let Some(dev) = judged.get(line.name.as_str()) else { continue };
            if let Some(before) = self.counters.get(&line.name) {
                windows.extend(DiskWindow::between(*dev, (self.counters_taken, before), (taken, line)));
            }
            kept.insert(line.name.clone(), line.clone());
        }
        self.counters = kept;
        self.counters_taken = taken;
        windows
    }

    /// Before [`Self::pressure`], which ends the window.
    fn waiting(&mut self, samples: &Samples) -> Vec<(String, f64)> {
        let taken = samples.pressure.taken;
        if taken <= self.pressure_taken {
            return Vec::new();
        }
        let window_us = taken.since_ms(self.pressure_taken).saturating_mul(1000);
        let groups = samples.pressure.value().map_or(&[][..], |pressure| pressure.groups.as_slice());
        let totals = groups.iter().filter_map(|(path, pressure)| Some((path, pressure.io?)));
        let waited = |(path, io): (&String, Stall)| {
            let some = io.some_us.checked_sub(self.group_io.get(path)?.some_us)?;
            Some((path.clone(), ratio(some, window_us).min(1.0)))
        };
        let mut waiting: Vec<_> = totals.clone().filter_map(waited).filter(|(_, share)| *share >= WAITS).collect();
        waiting.sort_by(|a, b| b.1.total_cmp(&a.1));
        self.group_io = totals.map(|(path, io)| (path.clone(), io)).collect();
        waiting
    }

    fn pressure(&mut self, samples: &Samples) -> Option<(f64, f64)> {
        let taken = samples.pressure.taken;
        if taken <= self.pressure_taken {
            return None;
        }
        let io = samples.pressure.value().and_then(|pressure| pressure.node.io);
        let window_us = taken.since_ms(self.pressure_taken).saturating_mul(1000);
        let shares = match (self.io, io) {
            (Some(before), Some(after)) => {
                let some = after.some_us.checked_sub(before.some_us);
                let full = after.full_us.checked_sub(before.full_us);
                some.zip(full).map(|(some, full)| (ratio(some, window_us).min(1.0), ratio(full, window_us).min(1.0)))
            }
            _ => None,
        };
        self.io = io;
        self.pressure_taken = taken;
        shares
    }

    fn cpu(&mut self, samples: &Samples) -> Option<(f64, f64)> {
        let taken = samples.cpu.taken;
        let now = samples.cpu.value().filter(|_| taken > self.cpu_taken)?;
        let first = self.cpu_taken == Mono(0);
        let (before, total) = (self.cpu, now.total.saturating_sub(self.cpu.total));
        self.cpu = *now;
        self.cpu_taken = taken;
        let share = |before: u64, after: u64| ratio(after.saturating_sub(before), total);
        (!first && total > 0).then(|| (share(before.iowait, now.iowait), share(before.steal, now.steal)))
    }
}

/// Names and numbers of the devices that are judged. A loop device doubles the disk that its file lies on, but one with a writable mount is
/// what programs wait for; read-only loops (snaps) are not.
pub(super) fn judged(samples: &Samples) -> BTreeMap<&str, Dev> {
    let devices = samples.devices.value().map_or(&[][..], Vec::as_slice);
    let mounts = samples.mounts.value().map_or(&[][..], Vec::as_slice);
    let writable: BTreeSet<Dev> = mounts
        .iter()
        .filter(|mount| mount.options.split(',').any(|option| option == "rw"))
        .map(|mount| mount.dev)
        .collect();
    let carries =
        |name: &String| devices.iter().any(|device| writable.contains(&device.dev) && device.disks.contains(name));
    devices
        .iter()
        .filter(|device| match device.layer {
            Layer::Disk => device.bytes > 0,
            Layer::Loop => device.bytes > 0 && carries(&device.name),
            Layer::Partition | Layer::Made => false,
        })
        .map(|device| (device.name.as_str(), device.dev))
        .collect()
}

/// The whole disks beneath the device number of a file. btrfs and its like have numbers of no block device: the mount's source tells there.
pub(super) fn disks_of(samples: &Samples, dev: Dev) -> &[String] {
    let devices = samples.devices.value().map_or(&[][..], Vec::as_slice);
    if let Some(device) = devices.iter().find(|device| device.dev == dev) {
        return &device.disks;
    }
    let mounts = samples.mounts.value().map_or(&[][..], Vec::as_slice);
    let source = mounts.iter().find(|mount| mount.dev == dev).and_then(|mount| mount.source.strip_prefix("/dev/"));
    let device = source.and_then(|name| devices.iter().find(|device| device.name == name));
    device.map_or(&[], |device| device.disks.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reading;
    use crate::model::watch::{NodePressure, Pressure, Sampled};

    #[test]
    fn who_of_the_nodes_own_waits_is_named_by_the_window_and_the_longest_first() {
        let now = Now { mono: Mono(0), wall: crate::model::time::Wall(0), boot_id: String::new() };
        let (active, mut past) = (BTreeSet::new(), Past::default());
        let mut look = |seconds: u64, totals: &[(&str, u64)]| {
            let of = |some_us| Pressure { io: Some(Stall { some_us, full_us: 0 }), ..Pressure::default() };
            let groups = totals.iter().map(|(path, some_us)| ((*path).to_owned(), of(*some_us))).collect();
            let pressure = NodePressure { node: of(0), groups };
            let at = Mono(seconds * 1000);
            let samples = Samples { pressure: Sampled::at(at, Reading::fresh(pressure, "made")), ..Samples::default() };
            let scene = Scene::new(&now, &samples, &active, &mut past);
            scene.waiters().map(|evidence| evidence.to_string()).collect::<Vec<_>>()
        };
        let (kubelet, pods, journal) =
            ("/system.slice/kubelet.service", "/kubepods.slice", "/system.slice/systemd-journald.service");
        assert_eq!(
            look(10, &[(kubelet, 7_000_000), (pods, 0)]),
            Vec::<String>::new(),
            "totals since the boot are no window"
        );
        assert_eq!(
            look(20, &[(kubelet, 10_000_000), (pods, 8_000_000), (journal, 9_000_000)]),
            ["waits for I/O kubepods.slice, 80 % of the time", "waits for I/O kubelet.service, 30 % of the time"]
        );
        // kubelet was started anew, and journald hardly waits.
        assert_eq!(look(30, &[(kubelet, 100), (pods, 8_000_000), (journal, 9_400_000)]), Vec::<String>::new());
        assert_eq!(look(30, &[(kubelet, 100)]), Vec::<String>::new(), "no new sample");
    }
}
