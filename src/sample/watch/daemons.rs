//! Daemons that the node needs, found by their units' cgroups: open files against their limit, and whether their executable is still there. It refuses
//! to walk over all processes, and to read what needs a process's memory.

use std::path::Path;

use super::raw::{Raw, text};
use super::stat;
use crate::host::Host;
use crate::model::Reading;
use crate::model::time::Mono;
use crate::model::watch::{Daemon, JOURNALD, KUBE_UNITS, Mount, Sampled};

/// From one look to the next.
const EVERY_MS: u64 = 60_000;
/// Units that come are seen after so long.
const LOOK_AGAIN_MS: u64 = 300_000;
/// Open files are counted one by one where the table of them has so large a part of the limit.
const COUNT_FROM_PERCENT: u64 = 70;
/// Units beside those of kubelet and the runtimes, and the name of their main process: a cgroup may hold others (a containerd has a shim for each pod).
const OTHERS: [(&str, &str); 8] = [
    (JOURNALD, "systemd-journal"),
    ("dbus.service", "dbus-daemon"),
    ("dbus-broker.service", "dbus-broker"),
    ("ssh.service", "sshd"),
    ("sshd.service", "sshd"),
    ("chronyd.service", "chronyd"),
    ("chrony.service", "chronyd"),
    ("rsyslog.service", "rsyslogd"),
];

/// What is kept between reads.
#[derive(Debug, Default)]
pub(super) struct Source {
    raw: Raw,
    read: Option<Mono>,
    looked: Option<Mono>,
    /// Unit, name of its process, the file that lists the unit's processes.
    there: Vec<(&'static str, &'static str, String)>,
}

impl Source {
    /// Looks at them where it is time, or where it is to be done now.
    pub(super) fn read(&mut self, host: &Host, at: Mono, now: bool, mounts: &[Mount], slot: &mut Sampled<Vec<Daemon>>) {
        if !now && self.read.is_some_and(|read| at.since_ms(read) < EVERY_MS) {
            return;
        }
        self.read = Some(at);
        let Some(root) = hierarchy(mounts) else {
            *slot = Sampled::at(at, Reading::absent("no hierarchy of cgroups with systemd's units is mounted here"));
            return;
        };
        if self.looked.is_none_or(|looked| at.since_ms(looked) >= LOOK_AGAIN_MS) {
            self.looked = Some(at);
            self.find(host, root);
        }
        let known = slot.value().cloned().unwrap_or_default();
        *slot =
            Sampled::at(at, self.daemons(host, &known).map_or_else(Reading::failed, |all| Reading::fresh(all, root)));
    }

    fn find(&mut self, host: &Host, root: &str) {
        self.there.clear();
        for (unit, name) in KUBE_UNITS.into_iter().chain(OTHERS) {
            let lists = ["system.slice", "runtime.slice"].map(|slice| format!("{root}/{slice}/{unit}/cgroup.procs"));
            let list = lists.into_iter().find(|list| host.exists(Path::new(list)));
            self.there.extend(list.map(|list| (unit, name, list)));
        }
    }

    fn daemons(&mut self, host: &Host, known: &[Daemon]) -> Result<Vec<Daemon>, String> {
        let mut all = Vec::with_capacity(self.there.len());
        let mut refused = None;
        for (unit, name, list) in std::mem::take(&mut self.there) {
            let daemon = match self.main(host, known, unit, name, &list) {
                Ok(Some((pid, start_ticks))) => self.daemon(host, unit, pid, start_ticks),
                Ok(None) => Ok(None),
                Err(why) => Err(why),
            };
            match daemon {
                Ok(daemon) => all.extend(daemon),
                Err(why) => refused = Some(why),
            }
            self.there.push((unit, name, list));
        }
        // Half a list would call the other half well.
        refused.map_or(Ok(all), Err)
    }

    /// The main process of a unit: the one of the last look, or the first of its name.
    fn main(
        &mut self,
        host: &Host,
        known: &[Daemon],
        unit: &str,
        name: &str,
        list: &str,
    ) -> Result<Option<(u32, u64)>, String> {
        let old = known.iter().find(|daemon| daemon.unit == unit);
        if let Some(old) = old
            && self.process(host, old.pid, name) == Some(old.start_ticks)
        {
            return Ok(Some((old.pid, old.start_ticks)));
        }
        let Some(pids) = host.read_text(Path::new(list)).map_err(|error| error.to_string())? else { return Ok(None) };
        let mut pids = pids.lines().filter_map(|pid| pid.parse().ok());
        Ok(pids.find_map(|pid| Some((pid, self.process(host, pid, name)?))))
    }

    /// When a process of that name was started.
    fn process(&mut self, host: &Host, pid: u32, name: &str) -> Option<u64> {
        let stat = stat::read(host, &mut self.raw, &format!("/proc/{pid}/stat")).ok()??;
        (stat.comm == name).then_some(stat.start_ticks)
    }

    /// Nothing where it ended in between.
    fn daemon(&mut self, host: &Host, unit: &str, pid: u32, start_ticks: u64) -> Result<Option<Daemon>, String> {
        let said = |what: &str| format!("{unit}: {what} (run as root)");
        let mut file = |name: &str| match self.raw.read(host, &format!("/proc/{pid}/{name}")) {
            super::raw::Came::Same | super::raw::Came::New => text(self.raw.bytes()).map(str::to_owned).map(Some),
            super::raw::Came::Gone => Ok(None),
            super::raw::Came::Failed(why) => Err(why),
        };
        let (Some(limits), Some(status)) = (file("limits")?, file("status")?) else { return Ok(None) };
        let Some(files_max) = files_max(&limits) else { return Err(said("its limit of open files cannot be read")) };
        let Some(mut files) = table(&status) else { return Err(said("its table of files cannot be read")) };
        if files.saturating_mul(100) >= files_max.saturating_mul(COUNT_FROM_PERCENT) {
            let path = format!("/proc/{pid}/fd");
            match host.count(Path::new(&path)).map_err(|error| error.to_string())? {
                Some(count) => files = count,
                None => return Ok(None),
            }
        }
        let exe = format!("/proc/{pid}/exe");
        let Some(exe) = host.link(Path::new(&exe)).map_err(|error| error.to_string())? else { return Ok(None) };
        let outdated = exe.ends_with(" (deleted)");
        Ok(Some(Daemon { unit: unit.to_owned(), pid, start_ticks, files_max, files, outdated }))
    }
}

/// Where systemd keeps its units: v2, or the v1 hierarchy that is named after it.
pub(super) fn hierarchy(mounts: &[Mount]) -> Option<&str> {
    let of = |kind: &str, option: &str| {
        let holds = |mount: &&Mount| {
            mount.kind == kind && mount.super_options.split(',').any(|one| option.is_empty() || one == option)
        };
        mounts.iter().find(holds).map(|mount| mount.point.as_str())
    };
    of("cgroup", "name=systemd").or_else(|| of("cgroup2", ""))
}

/// The soft limit, of `Max open files  1024  524288  files`.
fn files_max(limits: &str) -> Option<u64> {
    let word = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_ascii_whitespace().next()?;
    if word == "unlimited" { Some(u64::MAX) } else { word.parse().ok() }
}

/// How many files the process has room for now: never fewer than are open.
fn table(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("FDSize:"))?.trim().parse().ok()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the processes that are read.
mod tests {
    use super::*;

    #[test]
    fn the_main_process_is_found_followed_and_counted() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| crate::host::made::put(root.path(), path, text);
        let process = |pid: u32, name: &str, start: u32, table: u32| {
            put(
                &format!("proc/{pid}/stat"),
                &format!("{pid} ({name}) S 1 2 2 0 -1 0 1 2 3 4 5 6 7 8 20 0 9 0 {start} 0"),
            );
            put(
                &format!("proc/{pid}/limits"),
                "Limit  Soft  Hard  Units\nMax open files            1000                 524288               files\n",
            );
            put(&format!("proc/{pid}/status"), &format!("Name:\t{name}\nFDSize:\t{table}\n"));
            put(&format!(".recorded/told/proc/{pid}/exe"), "/usr/bin/x");
        };
        let mut mounts = Vec::new();
        super::super::mounts::parse("1 0 0:20 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", &mut mounts).unwrap();
        let host = Host::new(root.path()).unwrap();
        let (mut source, mut slot) = (Source::default(), Sampled::default());
        source.read(&host, Mono(1), false, &[], &mut slot);
        assert!(matches!(slot.reading, Reading::Absent { .. }));
        put("sys/fs/cgroup/runtime.slice/containerd.service/cgroup.procs", "70\n71\n72\n");
        process(70, "containerd-shim", 5, 64);
        process(71, "containerd", 6, 256);
        let mut look = |source: &mut Source, at: u64| {
            source.read(&host, Mono(at), false, &mounts, &mut slot);
            slot.value()
                .unwrap()
                .iter()
                .map(|one| (one.pid, one.files, one.files_max, one.outdated))
                .collect::<Vec<_>>()
        };
        assert_eq!(look(&mut source, 60_001), [(71, 256, 1000, false)]);
        process(71, "containerd", 6, 1024);
        put(".recorded/told/proc/71/fd", "930");
        put(".recorded/told/proc/71/exe", "/usr/bin/containerd (deleted)");
        assert_eq!(look(&mut source, 60_002), [(71, 256, 1000, false)], "not yet");
        assert_eq!(look(&mut source, 120_002), [(71, 930, 1000, true)]);
        // Started anew under another id, and its old id is another process's.
        process(71, "sleep", 9, 64);
        process(72, "containerd", 8, 64);
        assert_eq!(look(&mut source, 180_002), [(72, 64, 1000, false)]);
        // Units that come are seen in five minutes; that of a snap, and the one that runs all of rke2, with its containerd beside it.
        put("sys/fs/cgroup/system.slice/snap.kubelet-eks.daemon.service/cgroup.procs", "80\n");
        put("sys/fs/cgroup/system.slice/rke2-server.service/cgroup.procs", "81\n82\n");
        process(80, "kubelet", 9, 128);
        process(81, "containerd", 9, 64);
        process(82, "rke2", 9, 32);
        let found = [(72, 64, 1000, false), (82, 32, 1000, false), (80, 128, 1000, false)];
        assert_eq!(look(&mut source, 360_002), found);
        put("proc/72/limits", "nothing");
        source.read(&host, Mono(420_002), false, &mounts, &mut slot);
        assert!(matches!(slot.reading, Reading::Failed { .. }));
    }

    #[test]
    fn both_hierarchies_are_known() {
        let mut mounts = Vec::new();
        let table = "1 0 0:20 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n2 0 0:21 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n";
        super::super::mounts::parse(table, &mut mounts).unwrap();
        assert_eq!(hierarchy(&mounts), Some("/sys/fs/cgroup/systemd"));
        assert_eq!(hierarchy(&mounts[..1]), Some("/sys/fs/cgroup/unified"));
        assert_eq!(files_max("Max open files unlimited unlimited files\n"), Some(u64::MAX));
    }
}
