//! /proc/PID/io where cgroups do not count I/O, in slices: on a large host a turn reads the busy processes and a part of the others.
//! It refuses to take the counters of one process for those of another with the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::raw::{Came, Raw};
use super::{mounts, stat};
use crate::host::Host;
use crate::model::Reading;
use crate::model::time::Mono;
use crate::model::watch::{Dev, Mount, ProcessIo};

/// Processes read in a turn.
const SLICE: usize = 1000;
/// Of so many, the open files tell which devices they work on.
const BUSIEST: usize = 5;
/// Open files looked at per process.
const MOST_FILES: usize = 128;

#[derive(Debug, Clone)]
struct Known {
    io: ProcessIo,
    moved: u64,
}

/// What is kept while somebody wants to know.
#[derive(Debug, Default)]
pub(super) struct Scan {
    raw: Raw,
    known: BTreeMap<u32, Known>,
    next: u32,
}

impl Scan {
    /// One turn's slice.
    pub(super) fn read(&mut self, host: &Host, at: Mono, mounts: &[Mount]) -> Reading<Vec<ProcessIo>> {
        let pids = match stat::pids(host) {
            Ok(pids) => pids,
            Err(why) => return Reading::failed(why),
        };
        let alive: BTreeSet<u32> = pids.iter().copied().collect();
        self.known.retain(|pid, _| alive.contains(pid));
        let mut chosen: BTreeSet<u32> =
            self.known.values().filter(|known| known.moved > 0).map(|known| known.io.pid).take(SLICE).collect();
        let from = pids.partition_point(|pid| *pid < self.next);
        for pid in pids[from..].iter().chain(&pids[..from]) {
            if chosen.len() >= SLICE.min(pids.len()) {
                break;
            }
            chosen.insert(*pid);
            self.next = pid.saturating_add(1);
        }
        let mut refused = 0;
        for pid in &chosen {
            match self.one(host, *pid, at) {
                Ok(()) => {}
                Err(Refused::NotOurs) => refused += 1,
                Err(Refused::Odd(why)) => return Reading::failed(why),
            }
        }
        // A few belong to other namespaces; where most are, whoever is behind a disk's work is not among the rest.
        if refused * 2 > chosen.len() {
            let of = chosen.len();
            return Reading::failed(format!("{refused} of {of} processes do not show their I/O (run as root)"));
        }
        self.devices_of_the_busiest(host, mounts);
        let all = self.known.values().filter(|known| known.io.read_bytes + known.io.write_bytes > 0);
        Reading::fresh(all.map(|known| known.io.clone()).collect(), "/proc/PID/io")
    }

    fn one(&mut self, host: &Host, pid: u32, at: Mono) -> Result<(), Refused> {
        let path = format!("/proc/{pid}/io");
        let (read_bytes, write_bytes) = match self.raw.read(host, &path) {
            Came::Same | Came::New => parse(self.raw.bytes()).map_err(|why| Refused::Odd(format!("{path}: {why}")))?,
            Came::Gone => return Ok(()),
            // Gone in between, or somebody else's.
            Came::Failed(_) if !host.exists(Path::new(&path)) => return Ok(()),
            Came::Failed(_) => return Err(Refused::NotOurs),
        };
        if let Some(known) = self.known.get_mut(&pid)
            && (known.io.read_bytes, known.io.write_bytes) == (read_bytes, write_bytes)
        {
            (known.moved, known.io.taken) = (0, at);
            return Ok(());
        }
        let old = self.known.remove(&pid);
        let Ok(Some(stat)) = stat::read(host, &mut self.raw, &format!("/proc/{pid}/stat")) else { return Ok(()) };
        let known = match old.filter(|old| old.io.start_ticks == stat.start_ticks) {
            Some(mut old) => {
                let before = old.io.read_bytes.saturating_add(old.io.write_bytes);
                old.moved = read_bytes.saturating_add(write_bytes).saturating_sub(before);
                (old.io.read_bytes, old.io.write_bytes, old.io.taken) = (read_bytes, write_bytes, at);
                old
            }
            None => Known {
                io: ProcessIo {
                    pid,
                    start_ticks: stat.start_ticks,
                    comm: stat.comm,
                    cgroup: stat::cgroup(host, &mut self.raw, pid),
                    taken: at,
                    read_bytes,
                    write_bytes,
                    devices: Vec::new(),
                },
                moved: 0,
            },
        };
        self.known.insert(pid, known);
        Ok(())
    }

    fn devices_of_the_busiest(&mut self, host: &Host, mounts: &[Mount]) {
        let mut busy: Vec<(u64, u32)> =
            self.known.values().filter(|known| known.moved > 0).map(|known| (known.moved, known.io.pid)).collect();
        busy.sort_unstable_by(|a, b| b.cmp(a));
        for (_, pid) in busy.into_iter().take(BUSIEST) {
            let devices = devices(host, &mut self.raw, pid, mounts);
            if let Some(known) = self.known.get_mut(&pid).filter(|_| !devices.is_empty()) {
                known.io.devices = devices;
            }
        }
    }
}

enum Refused {
    NotOurs,
    Odd(String),
}

/// Bytes read, and bytes written less those that were given up before they reached the disk.
fn parse(bytes: &[u8]) -> Result<(u64, u64), String> {
    let text = super::raw::text(bytes)?;
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(|| format!("no line {name}"))?;
        line.trim().parse::<u64>().map_err(|_| format!("{name}{line:?} is not a number"))
    };
    let written = number("write_bytes:")?.saturating_sub(number("cancelled_write_bytes:")?);
    Ok((number("read_bytes:")?, written))
}

/// The devices of the file systems that a process has files open on.
fn devices(host: &Host, raw: &mut Raw, pid: u32, ours: &[Mount]) -> Vec<Dev> {
    let dir = format!("/proc/{pid}/fdinfo");
    let files = host.list(Path::new(&dir)).ok().flatten().unwrap_or_default();
    let mut ids = BTreeSet::new();
    for file in files.iter().take(MOST_FILES) {
        if matches!(raw.read(host, &format!("{dir}/{}", file.name)), Came::Same | Came::New) {
            ids.extend(mount_id(raw.bytes()));
        }
    }
    let mut devices: BTreeSet<Dev> = BTreeSet::new();
    ids.retain(|id| match ours.iter().find(|mount| mount.id == *id) {
        Some(mount) => {
            devices.insert(mount.dev);
            false
        }
        None => true,
    });
    // What is left is mounted in the process's own namespace alone, or is no file at all (sockets, pipes).
    if !ids.is_empty() && matches!(raw.read(host, &format!("/proc/{pid}/mountinfo")), Came::Same | Came::New) {
        let text = String::from_utf8_lossy(raw.bytes());
        devices.extend(text.lines().filter_map(mounts::parse_line).filter(|m| ids.contains(&m.id)).map(|m| m.dev));
    }
    // Major 0 has no block device: proc, tmpfs, overlay.
    devices.into_iter().filter(|dev| dev.major != 0).collect()
}

fn mount_id(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the processes that are read.
mod tests {
    use super::*;

    const IO: &str =
        "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 1000\n";

    #[test]
    fn bytes_that_reached_the_disk() {
        assert_eq!(parse(IO.as_bytes()), Ok((4096, 7192)));
        assert_eq!(parse(IO.replace("1000", "99999").as_bytes()), Ok((4096, 0)));
        assert!(parse(b"rchar: 1\n").unwrap_err().contains("write_bytes:"));
        assert!(parse(b"write_bytes: x\n").unwrap_err().contains("write_bytes:"));
        assert!(parse(b"\xff").is_err());
        for end in 0..IO.len() {
            let _ = parse(&IO.as_bytes()[..end]);
        }
    }

    #[test]
    fn a_reused_id_is_another_process_and_the_busy_show_their_devices() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| crate::host::made::put(&root.path().join("proc"), path, text);
        let io = |bytes: u64| format!("read_bytes: 0\nwrite_bytes: {bytes}\ncancelled_write_bytes: 0\n");
        let stat = |start: u64| format!("7 (dd) R 1 2 2 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 {start} 0");
        put("7/io", &io(100));
        put("7/stat", &stat(55));
        put("7/cgroup", "0::/system.slice/dd.service\n");
        put("7/fdinfo/1", "pos:\t0\nflags:\t0100001\nmnt_id:\t27\nino:\t5\n");
        put("7/fdinfo/2", "pos:\t0\nmnt_id:\t99\n");
        put("7/mountinfo", "99 1 259:4 / /data rw - ext4 /dev/nvme1n1 rw\n");
        put("8/io", &io(0));
        put("8/stat", &stat(56));
        let host = Host::new(root.path()).unwrap();
        let mounts: Vec<Mount> = mounts::parse_line("27 1 254:0 / / rw - ext4 /dev/vda rw").into_iter().collect();
        let mut scan = Scan::default();
        let first = scan.read(&host, Mono(10), &mounts);
        let [one] = &first.value().unwrap()[..] else { panic!() };
        assert_eq!((one.pid, one.comm.as_str(), one.write_bytes, one.taken), (7, "dd", 100, Mono(10)));
        assert_eq!((one.cgroup.as_str(), one.devices.len()), ("/system.slice/dd.service", 0));
        put("7/io", &io(300));
        let second = scan.read(&host, Mono(20), &mounts);
        let one = &second.value().unwrap()[0];
        let devices: Vec<_> = one.devices.iter().map(ToString::to_string).collect();
        assert_eq!(
            (one.write_bytes, one.taken, devices),
            (300, Mono(20), vec!["254:0".to_owned(), "259:4".to_owned()])
        );
        put("7/io", &io(500));
        put("7/stat", &stat(99));
        let third = scan.read(&host, Mono(30), &mounts);
        assert_eq!((third.value().unwrap()[0].start_ticks, third.value().unwrap()[0].devices.len()), (99, 0));
    }

    #[test]
    fn others_processes_that_may_not_be_read_are_no_answer() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join(".recorded")).unwrap();
        let refused: Vec<String> = (2..=4).map(|pid| format!("\"/proc/{pid}/io\": 13")).collect();
        std::fs::write(root.path().join(".recorded/errno.json"), format!("{{{}}}", refused.join(","))).unwrap();
        for pid in 1..=4 {
            let dir = root.path().join(format!("proc/{pid}"));
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("io"), IO).unwrap();
            std::fs::write(dir.join("stat"), format!("{pid} (x) R 1 2 2 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 5 0")).unwrap();
        }
        let host = Host::new(root.path()).unwrap();
        let Reading::Failed { why } = Scan::default().read(&host, Mono(1), &[]) else { panic!() };
        assert_eq!(why, "3 of 4 processes do not show their I/O (run as root)");
    }
}
