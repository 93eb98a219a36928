//! Tests play a detector turn by turn on made-up disks. It refuses to be part of the program.

use std::collections::BTreeSet;

use super::scene::{Past, Scene};
use super::slot::{Detector, Look};
use crate::model::Reading;
use crate::model::problem::Kind;
use crate::model::time::{Mono, Now, Wall};
use crate::model::watch::{BlockDevice, Dev, DiskCounters, Layer, NodePressure, Pressure, Sampled, Samples, Stall};

/// A node with made-up disks and the detector that looks at it.
pub struct Play<D: Detector> {
    pub rules: D::Rules,
    pub memory: D::Memory,
    pub past: Past,
    pub samples: Samples,
    pub now: Now,
    pub active: BTreeSet<(Kind, String)>,
    pub devices: Vec<BlockDevice>,
    pub counters: Vec<DiskCounters>,
    pub io: Option<Stall>,
}

/// What a disk does in a window.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    /// Reads and writes, half each.
    pub operations: u64,
    /// Size of each.
    pub bytes: u64,
    /// Time of each, us.
    pub us: u64,
    /// In flight at its end.
    pub in_flight: u64,
    /// Time with anything in flight.
    pub busy_ms: u32,
}

pub fn disk(name: &str, minor: u32) -> BlockDevice {
    BlockDevice {
        name: name.to_owned(),
        dev: Dev { major: 259, minor },
        layer: Layer::Disk,
        disks: vec![name.to_owned()],
        bytes: 100 << 30,
        model: "Amazon Elastic Block Store".to_owned(),
        io_timeout_ms: Some(4_294_967_295),
        rotational: false,
        read_only: false,
    }
}

impl<D: Detector> Play<D> {
    pub fn new(names: &[&str]) -> Self {
        let mut play = Self {
            rules: D::Rules::default(),
            memory: D::Memory::default(),
            past: Past::default(),
            samples: Samples::default(),
            now: Now { mono: Mono(1_000_000), wall: Wall(1_700_000_000_000), boot_id: "boot".to_owned() },
            active: BTreeSet::new(),
            devices: names.iter().zip(0..).map(|(name, minor)| disk(name, minor)).collect(),
            counters: names
                .iter()
                .map(|name| DiskCounters { name: (*name).to_owned(), ..Default::default() })
                .collect(),
            io: Some(Stall::default()),
        };
        play.look();
        play
    }

    /// A window of so many ms in which the first disk does this, and some task waits for so many percent of it.
    pub fn window(&mut self, ms: u64, load: Load, some_percent: u64) -> Look {
        self.now.mono = self.now.mono.plus_ms(ms);
        if let Some(line) = self.counters.first_mut() {
            let half = load.operations / 2;
            line.reads += half;
            line.writes += load.operations - half;
            line.sectors_read += half * load.bytes / 512;
            line.sectors_written += (load.operations - half) * load.bytes / 512;
            line.write_ms = line.write_ms.wrapping_add(u32::try_from(load.operations * load.us / 1000).unwrap());
            line.busy_ms = line.busy_ms.wrapping_add(load.busy_ms);
            line.in_flight = load.in_flight;
        }
        if let Some(io) = &mut self.io {
            io.some_us += ms * 10 * some_percent;
        }
        self.look()
    }

    /// One turn on everything as it is.
    pub fn look(&mut self) -> Look {
        let at = self.now.mono;
        let pressure = NodePressure { node: Pressure { io: self.io, ..Pressure::default() }, groups: Vec::new() };
        self.samples.counters = Sampled::at(at, Reading::fresh(self.counters.clone(), "/proc/diskstats"));
        self.samples.devices = Sampled::at(at, Reading::fresh(self.devices.clone(), "/sys/block"));
        self.samples.pressure = Sampled::at(at, Reading::fresh(pressure, "/proc/pressure"));
        self.look_as_it_is()
    }

    /// One turn on the samples alone.
    pub fn look_as_it_is(&mut self) -> Look {
        let scene = Scene::new(&self.now, &self.samples, &self.active, &mut self.past);
        D::look(&self.rules, &mut self.memory, &scene)
    }
}
