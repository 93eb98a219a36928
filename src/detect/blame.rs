//! Who is behind a device's I/O: charges of cgroups, or of processes where cgroups do not count I/O, in the window of the device.
//! It refuses to count a byte twice: a cgroup's counters hold those of all cgroups beneath it, and only what is its own is its.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::scene::{disks_of, judged};
use super::shares::{Sure, Work, divide, less, more, muldiv};
use super::window::DiskWindow;
use crate::model::problem::{Contributor, Who};
use crate::model::time::Mono;
use crate::model::watch::{Dev, DiskCounters, GroupIo, IoCounters, PodName, ProcessIo, Samples};

/// Counters that nobody asked for during so long are forgotten, ms.
const STALE_MS: u64 = 60_000;
/// A process that is younger than the window by its start time, which is rounded, ms.
const START_SLACK_MS: u64 = 100;
/// Ticks per second of start times in /proc: USER_HZ, which is 100 on every platform that Kubernetes runs on.
const TICK_MS: u64 = 10;

type Charges = Vec<(Dev, IoCounters)>;

/// A twentieth of what a group and its children did may be the moment between their readings.
const SKEW_PART: u64 = 20;

/// Cumulative counters of the last sample, to make windows of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tally {
    taken: Mono,
    counters_taken: Mono,
    counters: Vec<(Dev, DiskCounters)>,
    /// By a hash of the path: a thousand paths would be most of the memory.
    groups: BTreeMap<u64, Charges>,
    /// By pid and start.
    processes: Vec<Seen>,
}

/// A process as it was read last, and what it did between the two readings before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    pid: u32,
    start: u64,
    taken: Mono,
    read: u64,
    written: u64,
    /// Read, written, and in how many ms; none before the second reading.
    did: Option<(u64, u64, u64)>,
}

impl Tally {
    /// Contributors by device, where new charges were read in this turn and in an earlier one.
    pub fn blame(&mut self, samples: &Samples) -> BTreeMap<Dev, Vec<Contributor>> {
        let by_groups = samples.groups.value().is_some_and(|groups| !groups.is_empty());
        let taken = if by_groups { samples.groups.taken } else { samples.processes.taken };
        if samples.counters.taken.since_ms(taken) > STALE_MS {
            *self = Self::default();
            return BTreeMap::new();
        }
        if taken <= self.taken {
            return BTreeMap::new();
        }
        let now = Self::of(samples, taken, by_groups, self);
        let before = std::mem::replace(self, now);
        let windows = self.windows_since(&before);
        if windows.is_empty() || (before.groups.is_empty() && before.processes.is_empty()) {
            return BTreeMap::new();
        }
        let names = samples.names.value().map_or(&[][..], Vec::as_slice);
        let mut works = match (samples.groups.value(), samples.processes.value()) {
            (Some(groups), _) if by_groups && !before.groups.is_empty() => {
                by_group(groups, &self.groups, &before.groups, names)
            }
            (_, Some(processes)) if !by_groups && !before.processes.is_empty() => {
                by_process(processes, &self.processes, &windows, samples, names)
            }
            _ => return BTreeMap::new(),
        };
        let blame = windows
            .iter()
            .map(|window| (window.dev, divide(window, &works.remove(&window.dev).unwrap_or_default(), by_groups)));
        blame.filter(|(_, list)| !list.is_empty()).collect()
    }

    fn of(samples: &Samples, taken: Mono, by_groups: bool, before: &Self) -> Self {
        let judged = judged(samples);
        let counters = samples.counters.value().map_or(&[][..], Vec::as_slice);
        let counters: Vec<_> =
            counters.iter().filter_map(|line| judged.get(line.name.as_str()).map(|dev| (*dev, line.clone()))).collect();
        let mut tally = Self { taken, counters_taken: samples.counters.taken, counters, ..Self::default() };
        let matters = |(dev, _): &&(Dev, IoCounters)| tally.counters.iter().any(|(judged, _)| judged == dev);
        if by_groups {
            let groups = samples.groups.value().map_or(&[][..], Vec::as_slice);
            tally.groups = groups
                .iter()
                .map(|group| (hash(&group.path), group.by_device.iter().filter(matters).copied().collect()))
                .collect();
        } else {
            let processes = samples.processes.value().map_or(&[][..], Vec::as_slice);
            tally.processes = processes.iter().map(|one| before.seen(one)).collect();
            tally.processes.sort_unstable_by_key(|seen| (seen.pid, seen.start));
        }
        tally
    }

    fn find(&self, one: &ProcessIo) -> Option<&Seen> {
        let at = self.processes.binary_search_by_key(&(one.pid, one.start_ticks), |seen| (seen.pid, seen.start));
        at.ok().and_then(|at| self.processes.get(at))
    }

    /// What becomes of a process that was read again, or was not due this time.
    fn seen(&self, one: &ProcessIo) -> Seen {
        let started = Mono(one.start_ticks.saturating_mul(TICK_MS));
        let did = match self.find(one) {
            Some(earlier) if one.taken <= earlier.taken => earlier.did,
            Some(earlier) => Some((
                one.read_bytes.saturating_sub(earlier.read),
                one.write_bytes.saturating_sub(earlier.written),
                one.taken.since_ms(earlier.taken),
            )),
            // All of a life that is shorter than the window is in it. How much of a longer one is, nobody knows.
            None if started.plus_ms(START_SLACK_MS) >= self.taken && self.taken > Mono(0) => {
                Some((one.read_bytes, one.write_bytes, one.taken.since_ms(self.taken)))
            }
            None => None,
        };
        Seen {
            pid: one.pid,
            start: one.start_ticks,
            taken: one.taken,
            read: one.read_bytes,
            written: one.write_bytes,
            did,
        }
    }

    fn windows_since(&self, before: &Self) -> Vec<DiskWindow> {
        let windows = self.counters.iter().filter_map(|(dev, line)| {
            let (_, earlier) = before.counters.iter().find(|(_, earlier)| earlier.name == line.name)?;
            DiskWindow::between(*dev, (before.counters_taken, earlier), (self.counters_taken, line))
        });
        windows.collect()
    }
}

type Works = BTreeMap<Dev, BTreeMap<Who, Work>>;

fn by_group(
    groups: &[GroupIo],
    now: &BTreeMap<u64, Charges>,
    before: &BTreeMap<u64, Charges>,
    names: &[PodName],
) -> Works {
    let mut own: BTreeMap<&str, Charges> = BTreeMap::new();
    for group in groups {
        let key = hash(&group.path);
        let Some(after) = now.get(&key) else { continue };
        own.insert(&group.path, since(after, before.get(&key).map_or(&[][..], Vec::as_slice)));
    }
    // A child that is gone is in its parent's counters, which are its parent's own from now on: nothing is lost, but the name.
    let all = own.clone();
    for (path, charges) in &all {
        if let Some(parent) = ancestor(path, &all).and_then(|parent| own.get_mut(parent)) {
            for (dev, charged) in charges {
                if let Some((_, theirs)) = parent.iter_mut().find(|(theirs, _)| theirs == dev) {
                    *theirs = less(*theirs, *charged);
                }
            }
        }
    }
    for (path, left) in &mut own {
        let of = all.get(path).map_or(&[][..], Vec::as_slice);
        left.retain(|one| !of.iter().any(|of| is_skew(one, of)));
    }
    let mut works = Works::new();
    // The root's counters are the devices' own: what is left there was done by the kernel, or by nobody known.
    for (path, charges) in own.into_iter().filter(|(path, _)| *path != "/") {
        let who = Who::of_group(path, names);
        for (dev, charged) in charges {
            let work = works.entry(dev).or_default().entry(who.clone()).or_default();
            work.done = more(work.done, charged);
        }
    }
    works
}

/// Whether what is left of a group after its children is no more than the moment between the readings of both: only what is too much of that would
/// be seen, never what is too little, and somebody else would be short of it.
fn is_skew((dev, left): &(Dev, IoCounters), (of_dev, of): &(Dev, IoCounters)) -> bool {
    let little = |left: u64, of: u64| left <= of / SKEW_PART;
    let total = |io: &IoCounters| (io.read_bytes.saturating_add(io.write_bytes), io.reads.saturating_add(io.writes));
    let ((bytes, operations), (of_bytes, of_operations)) = (total(left), total(of));
    dev == of_dev && little(bytes, of_bytes) && little(operations, of_operations)
}

/// What was charged since; everything, where the group is new or was made anew under its old path.
fn since(after: &[(Dev, IoCounters)], before: &[(Dev, IoCounters)]) -> Charges {
    let difference = |(dev, now): &(Dev, IoCounters)| {
        let earlier =
            before.iter().find(|(earlier, _)| earlier == dev).map(|(_, earlier)| *earlier).unwrap_or_default();
        let anew = now.read_bytes < earlier.read_bytes
            || now.write_bytes < earlier.write_bytes
            || now.reads < earlier.reads
            || now.writes < earlier.writes;
        (*dev, if anew { *now } else { less(*now, earlier) })
    };
    after.iter().map(difference).collect()
}

/// The nearest group above it that has counters.
fn ancestor<'a>(path: &str, all: &BTreeMap<&'a str, Charges>) -> Option<&'a str> {
    let mut path = path;
    loop {
        let (above, last) = path.rsplit_once('/')?;
        if last.is_empty() {
            return None;
        }
        path = if above.is_empty() { "/" } else { above };
        if let Some((found, _)) = all.get_key_value(path) {
            return Some(found);
        }
        if path == "/" {
            return None;
        }
    }
}

fn by_process(
    processes: &[ProcessIo],
    seen: &[Seen],
    windows: &[DiskWindow],
    samples: &Samples,
    names: &[PodName],
) -> Works {
    let mut works = Works::new();
    let length = windows.first().map_or(0, DiskWindow::length_ms);
    for one in processes {
        let at = seen.binary_search_by_key(&(one.pid, one.start_ticks), |seen| (seen.pid, seen.start));
        let Some((read, write, span)) = at.ok().and_then(|at| seen.get(at)).and_then(|seen| seen.did) else { continue };
        // On a large host a process is not read in every turn: what it did since is taken to have been even.
        let whole = span.abs_diff(length) <= length / 5;
        let part = |bytes| if whole { bytes } else { muldiv(bytes, length, span) };
        let (read, write) = (part(read), part(write));
        if read == 0 && write == 0 {
            continue;
        }
        let who = Who::Process { pid: one.pid, comm: one.comm.clone(), of: owner(&one.cgroup, names) };
        let disks: Vec<_> = one.devices.iter().flat_map(|dev| disks_of(samples, *dev)).collect();
        let on: Vec<_> = windows.iter().filter(|window| disks.iter().any(|disk| **disk == window.name)).collect();
        // Where nobody knows which files are open, any disk may be meant. What several share is divided by what each of them did.
        let guessed = on.is_empty();
        let on = if guessed { windows.iter().collect() } else { on };
        let all = on.iter().fold(IoCounters::default(), |all, window| more(all, window.done));
        let sure = match on.len() {
            _ if guessed => Sure::Guessed,
            1 if whole => Sure::Counted,
            _ => Sure::Divided,
        };
        let few = u64::try_from(on.len()).unwrap_or(u64::MAX);
        for window in &on {
            let part = |bytes: u64, did: u64, all: u64| if all > 0 { muldiv(bytes, did, all) } else { bytes / few };
            let read_bytes = part(read, window.done.read_bytes, all.read_bytes);
            let write_bytes = part(write, window.done.write_bytes, all.write_bytes);
            let done = IoCounters { read_bytes, write_bytes, reads: 0, writes: 0 };
            works.entry(window.dev).or_default().insert(who.clone(), Work { done, sure });
        }
    }
    works
}

/// The unit or pod of a process; empty where it is in neither.
fn owner(cgroup: &str, names: &[PodName]) -> String {
    match Who::of_group(cgroup, names) {
        Who::Group { .. } => String::new(),
        who => who.to_string(),
    }
}

/// FNV-1a, 64 bits: the same in every build, for the state outlives the program.
fn hash(path: &str) -> u64 {
    path.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
