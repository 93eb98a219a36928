//! What one turn sees, read at the least cost: a look without wishes touches memory alone, and parses only what has changed.
//! It refuses every call that may wait for a disk; those come through [`guarded`].

mod allowances;
mod cpu;
mod daemons;
mod devices;
mod diskstats;
mod ext4;
mod groups;
pub mod guarded;
mod image;
pub mod journal;
mod limits;
pub mod logging;
mod mounts;
mod nvme;
mod outside;
mod parts;
mod pods;
mod pressure;
mod processes;
mod raw;
mod resources;
mod sources;
mod stat;
mod tasks;
mod units;
mod writers;

use crate::host::Host;
use crate::model::Reading;
use crate::model::time::Mono;
use crate::model::watch::{KernelLog, Offer, Sampled, Samples, Thresholds, Wants};
use guarded::{Guarded, Pending};
use raw::{Came, Raw};
pub use sources::sources;

/// Devices and controllers are looked at again after so long, although nothing says that they have changed.
const LOOK_AGAIN_MS: u64 = 300_000;

/// The sources with what they keep from turn to turn.
#[derive(Debug, Default)]
pub struct Watcher {
    samples: Samples,
    counters: Raw,
    partitions: Raw,
    devices_read: Option<Mono>,
    pressure: pressure::Source,
    cpu: Raw,
    mounts: Raw,
    mounts_read: Option<Mono>,
    /// The table is another one than at the look before.
    mounted: bool,
    ext_names: Option<Vec<String>>,
    ext_failed: Option<String>,
    nvme_read: Option<Mono>,
    groups: Raw,
    groups_checked: Option<Mono>,
    why_no_groups: Option<String>,
    processes: Option<processes::Scan>,
    tasks: Option<tasks::Scan>,
    names: pods::Source,
    resources: resources::Source,
    writers: writers::Source,
}

impl Watcher {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was read last.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// What the Node offers, from whoever sees it.
    pub fn told(&mut self, offer: Sampled<Offer>) {
        self.samples.offer = offer;
    }

    /// What is mounted, which the look of the same moment takes over.
    pub fn look_at_mounts(&mut self, host: &Host, at: Mono) {
        let (mounts, absent) = (&mut self.samples.mounts, "there is no /proc/self/mountinfo");
        self.mounted |= self.mounts.keep((host, at), mounts::PATH, mounts, absent, mounts::parse) != Came::Same;
        self.mounts_read = Some(at);
    }

    /// The next look reads everything, also what is not due.
    pub fn look_again(&mut self) {
        (self.devices_read, self.nvme_read, self.groups_checked, self.mounted) = (None, None, None, true);
    }

    /// One look, at the moment `at`, with what came through the guard since the last one.
    pub fn look(&mut self, host: &Host, at: Mono, wants: Wants, guarded: Guarded) -> &Samples {
        self.read(host, at, wants);
        self.fold(host, at, guarded);
        &self.samples
    }

    /// Between two looks: nothing is read, only the kernel's new records are there.
    pub fn hear(&mut self, kernel_log: KernelLog) -> &Samples {
        self.samples.kernel_log = kernel_log;
        &self.samples
    }

    /// One whole look in this process, the guarded parts too: for recordings, and where hanging is the caller's risk.
    pub fn look_whole(
        &mut self,
        host: &Host,
        at: Mono,
        wants: Wants,
        pending: &mut Pending,
        kernel_log: KernelLog,
        thresholds: impl Fn(&Host) -> Reading<Thresholds>,
    ) -> &Samples {
        self.read(host, at, wants);
        self.controllers(host, at);
        pending.ask_all(host, &self.samples, wants, thresholds);
        self.fold(host, at, pending.take(kernel_log));
        &self.samples
    }

    fn read(&mut self, host: &Host, at: Mono, wants: Wants) {
        let door = (host, at);
        let samples = &mut self.samples;
        self.counters.keep(
            door,
            diskstats::PATH,
            &mut samples.counters,
            "there is no /proc/diskstats",
            diskstats::parse,
        );
        self.cpu.keep(door, cpu::PATH, &mut samples.cpu, "there is no /proc/stat", cpu::parse);
        if self.mounts_read != Some(at) {
            self.look_at_mounts(host, at);
        }
        let mounted = std::mem::take(&mut self.mounted);
        self.devices(host, at);
        let table = self.samples.mounts.value().map_or(&[][..], Vec::as_slice);
        let root = groups::root(table);
        self.pressure.read(host, at, root, &mut self.samples.pressure);
        self.ext4(host, at, mounted);
        self.resources.read(host, at, &mut self.samples);
        self.contributors(host, at, wants.contributors);
        self.samples.tasks.taken = if wants.blocked_tasks { at } else { self.samples.tasks.taken };
        if wants.blocked_tasks {
            self.samples.tasks.reading = self.tasks.get_or_insert_default().read(host);
        } else {
            self.tasks = None;
        }
    }

    fn devices(&mut self, host: &Host, at: Mono) {
        // The table of partitions names every device that has a size: cheaper than the tree, and it shows what comes, goes and grows.
        let came = self.partitions.read(host, "/proc/partitions");
        let old = self.devices_read.is_none_or(|read| at.since_ms(read) >= LOOK_AGAIN_MS);
        if came != Came::Same || old {
            self.samples.devices.reading = devices::read(host);
            self.devices_read = Some(at);
        }
        self.samples.devices.taken = at;
    }

    fn ext4(&mut self, host: &Host, at: Mono, mounted: bool) {
        if mounted {
            (self.ext_names, self.ext_failed) = match ext4::devices(host) {
                Ok(names) => (names, None),
                Err(why) => (None, Some(why)),
            };
        }
        let reading = match (&self.ext_names, &self.ext_failed) {
            (Some(names), _) => ext4::read(host, names),
            (None, None) => Reading::absent("no ext4 file system is mounted (there is no /sys/fs/ext4)"),
            (None, Some(why)) => Reading::failed(why),
        };
        self.samples.ext = Sampled::at(at, reading);
    }

    fn contributors(&mut self, host: &Host, at: Mono, wanted: bool) {
        let mounts = self.samples.mounts.value().map_or(&[][..], Vec::as_slice);
        let root = groups::root(mounts).map(str::to_owned);
        if self.groups_checked.is_none_or(|checked| at.since_ms(checked) >= LOOK_AGAIN_MS) {
            self.groups_checked = Some(at);
            self.why_no_groups = groups::why_not(host, root.as_deref());
            if let Some(why) = &self.why_no_groups {
                self.samples.groups.reading = Reading::absent(why);
            }
        }
        if !wanted {
            self.processes = None;
            return;
        }
        self.samples.groups = Sampled::at(
            at,
            match (&self.why_no_groups, &root) {
                (None, Some(root)) => groups::read(host, root, &mut self.groups),
                (why, _) => Reading::absent(why.as_deref().unwrap_or("cgroup v2 is not mounted here")),
            },
        );
        self.samples.processes = if self.samples.groups.value().is_some() {
            self.processes = None;
            Sampled::at(at, Reading::absent("not needed: cgroups count I/O here"))
        } else {
            Sampled::at(at, self.processes.get_or_insert_default().read(host, at, mounts))
        };
    }

    fn controllers(&mut self, host: &Host, at: Mono) {
        let known = self.samples.nvme.value().map_or(&[][..], Vec::as_slice);
        let old = self.nvme_read.is_none_or(|read| at.since_ms(read) >= LOOK_AGAIN_MS);
        if old || nvme::changed(host, known) {
            self.nvme_read = Some(at);
            self.samples.nvme.reading = nvme::controllers(host, &self.samples.nvme.reading);
        } else if let Reading::Fresh { value, .. } = &mut self.samples.nvme.reading {
            for controller in value {
                nvme::state(host, controller);
            }
        }
        self.samples.nvme.taken = at;
    }

    fn fold(&mut self, host: &Host, at: Mono, guarded: Guarded) {
        self.controllers(host, at);
        if let Reading::Fresh { value, .. } = &mut self.samples.nvme.reading {
            for (name, pages) in guarded.pages {
                if let Some(controller) = value.iter_mut().find(|controller| controller.name == name) {
                    (controller.pages_taken, controller.ebs, controller.smart) = (at, pages.stats, pages.smart);
                }
            }
        }
        let samples = &mut self.samples;
        if let Some(places) = guarded.places {
            samples.places = Sampled::at(at, Reading::fresh(places, "probes"));
        }
        if let Some(names) = self.names.take(guarded.names, guarded.containers) {
            samples.names = Sampled::at(at, names);
        }
        if let Some(thresholds) = guarded.thresholds {
            samples.thresholds = Sampled::at(at, thresholds);
        }
        if let Some(allowances) = guarded.allowances {
            samples.allowances = Sampled::at(at, allowances);
        }
        if let Some(units) = guarded.units {
            samples.units = Sampled::at(at, units);
        }
        if let Some(image) = guarded.image {
            samples.image = Sampled::at(at, image);
        }
        if let Some(logging) = guarded.logging {
            samples.logging = Sampled::at(at, logging);
        }
        if let Some(journal) = guarded.journal {
            samples.journal = Sampled::at(at, journal);
        }
        self.writers.read(host, at, samples);
        samples.kernel_log = guarded.kernel_log;
    }
}
