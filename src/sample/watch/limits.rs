//! What the kernel counts against a limit: tracked connections, tasks, open files. Small files of /proc and of a few cgroups, at every look.
//! It refuses to walk over cgroups: those that matter are known by name.

use std::path::Path;

use super::raw::{bad_line, needed, needed_number, whole_number, word};
use crate::host::Host;
use crate::model::Reading;
use crate::model::time::Mono;
use crate::model::watch::{Conntrack, FileTable, GroupTasks, Mount, Sampled, Tasks};

const CONNTRACK: &str = "/proc/sys/net/netfilter/nf_conntrack_";
/// A limit that was set since is seen after so long.
const LOOK_AGAIN_MS: u64 = 60_000;
/// Cgroups whose limit stops the node's own work, or all pods at once.
const GROUPS: [&str; 10] = [
    "/system.slice",
    "/runtime.slice",
    "/kubepods.slice",
    "/kubepods",
    "/system.slice/kubelet.service",
    "/runtime.slice/kubelet.service",
    "/system.slice/containerd.service",
    "/runtime.slice/containerd.service",
    "/system.slice/crio.service",
    "/system.slice/docker.service",
];

/// What is kept between reads.
#[derive(Debug, Default)]
pub(super) struct Source {
    looked: Option<Mono>,
    /// Directory, path in the hierarchy.
    limited: Vec<(String, &'static str)>,
}

/// The table of tracked connections of this network namespace.
pub(super) fn conntrack(host: &Host) -> Reading<Conntrack> {
    let file = |name: &str| needed_number(host, &format!("{CONNTRACK}{name}"));
    let (count, max) = match (file("count"), file("max")) {
        (Ok(Some(count)), Ok(Some(max))) => (count, max),
        (Err(why), _) | (_, Err(why)) => return Reading::failed(why),
        _ => return Reading::absent("this kernel tracks no connections (nf_conntrack is not loaded)"),
    };
    let busy = count >= max / 2;
    let dropped = busy.then(|| word(host, "/proc/net/stat/nf_conntrack")).flatten().and_then(|text| drops(&text));
    Reading::fresh(Conntrack { count, max, dropped }, CONNTRACK)
}

/// A header of names, then a line of hexadecimal numbers for each CPU.
fn drops(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next()?.split_ascii_whitespace().collect();
    // `early_drop` is a connection that was thrown out to make room for another; `drop` a packet for which none could be.
    let columns = ["drop", "early_drop"].map(|wanted| names.iter().position(|name| *name == wanted));
    let number = |line: &str, column: usize| u64::from_str_radix(line.split_ascii_whitespace().nth(column)?, 16).ok();
    lines.try_fold(0u64, |sum, line| {
        let one = number(line, columns[0]?)?.saturating_add(number(line, columns[1]?)?);
        Some(sum.saturating_add(one))
    })
}

/// The kernel's table of open files.
pub(super) fn files(host: &Host) -> Reading<FileTable> {
    const PATH: &str = "/proc/sys/fs/file-nr";
    match host.read_text(Path::new(PATH)) {
        Ok(Some(text)) => match parse_files(&text) {
            Ok(table) => Reading::fresh(table, PATH),
            Err(why) => Reading::failed(format!("{PATH}: {why}")),
        },
        Ok(None) => Reading::absent(format!("there is no {PATH}")),
        Err(error) => Reading::failed(error.to_string()),
    }
}

fn parse_files(text: &str) -> Result<FileTable, String> {
    let bad = || bad_line(0, text, "allocated, free and the most of file handles");
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    let mut next = || numbers.next().and_then(Result::ok).ok_or_else(bad);
    let (open, free, max) = (next()?, next()?, next()?);
    Ok(FileTable { open: open.saturating_sub(free), max })
}

impl Source {
    /// Tasks of the node, and of cgroups that have a limit.
    pub(super) fn tasks(&mut self, host: &Host, at: Mono, mounts: &[Mount], slot: &mut Sampled<Tasks>) {
        slot.taken = at;
        if self.looked.is_none_or(|looked| at.since_ms(looked) >= LOOK_AGAIN_MS) {
            self.looked = Some(at);
            self.find(host, mounts);
        }
        slot.reading = self.read(host).unwrap_or_else(Reading::failed);
    }

    fn find(&mut self, host: &Host, mounts: &[Mount]) {
        self.limited.clear();
        for root in hierarchies(mounts) {
            for group in GROUPS {
                let dir = format!("{root}{group}");
                // Most say "max"; one that cannot be read is asked at each look, which says so.
                if !matches!(limit(host, &dir), Ok(None)) {
                    self.limited.push((dir, group));
                }
            }
        }
    }

    fn read(&self, host: &Host) -> Result<Reading<Tasks>, String> {
        let Some(load) = host.read_text(Path::new("/proc/loadavg")).map_err(|error| error.to_string())? else {
            return Ok(Reading::absent("there is no /proc/loadavg"));
        };
        let tasks = running(&load).ok_or_else(|| bad_line(0, &load, "three averages and RUNNING/TASKS"))?;
        let file = |name: &str| needed_number(host, &format!("/proc/sys/kernel/{name}"));
        let (Some(pid_max), Some(threads_max)) = (file("pid_max")?, file("threads-max")?) else {
            return Ok(Reading::absent("there is no /proc/sys/kernel/pid_max or threads-max"));
        };
        let mut groups = Vec::with_capacity(self.limited.len());
        for (dir, path) in &self.limited {
            // A cgroup that has gone, or has no limit any more, is left out; one that cannot be read is not taken for one with room.
            let (current, max) = (needed_number(host, &format!("{dir}/pids.current")), limit(host, dir));
            match current.and_then(|current| Ok(current.zip(max?))) {
                Ok(Some((tasks, max))) => groups.push(GroupTasks { path: (*path).to_owned(), tasks, max }),
                Ok(None) => {}
                Err(why) => return Err(why),
            }
        }
        Ok(Reading::fresh(Tasks { tasks, pid_max, threads_max, groups }, "/proc/loadavg"))
    }
}

/// The v2 hierarchy, or v1's of the pids controller; with both, whichever has the controller has the files.
fn hierarchies(mounts: &[Mount]) -> Vec<String> {
    let v1 = |mount: &&Mount| mount.kind == "cgroup" && mount.super_options.split(',').any(|option| option == "pids");
    let v2 = super::groups::root(mounts).map(str::to_owned);
    v2.into_iter().chain(mounts.iter().find(v1).map(|mount| mount.point.clone())).collect()
}

/// The number of all tasks, of `0.32 0.77 2.20 1/118 23885`.
fn running(load: &str) -> Option<u64> {
    load.split_ascii_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

/// The limit of a cgroup, given its directory; nothing where it has none, or is gone.
fn limit(host: &Host, dir: &str) -> Result<Option<u64>, String> {
    let path = format!("{dir}/pids.max");
    needed(host, &path)?.filter(|text| text != "max").map(|text| whole_number(&path, &text)).transpose()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the files that are read.
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_and_bad_ones_named() {
        assert_eq!(parse_files("517\t17\t2466170"), Ok(FileTable { open: 500, max: 2_466_170 }));
        assert_eq!(parse_files("1 0 9223372036854775807").unwrap().max, i64::MAX.unsigned_abs());
        for text in ["", "1 2", "1 2 x", "-1 0 3"] {
            assert!(parse_files(text).is_err(), "{text:?}");
        }
        assert_eq!(running("0.32 0.77 2.20 1/118 23885"), Some(118));
        for text in ["", "0 0 0", "0 0 0 118 2", "0 0 0 1/x 2"] {
            assert_eq!(running(text), None, "{text:?}");
        }
        let text =
            "entries  clashres drop early_drop\n000000ff 00000000 0000000a 00000001\n000000ff 00000000 00000010 0\n";
        assert_eq!(drops(text), Some(27));
        assert_eq!((drops("entries\n00"), drops("drop early_drop\nxyz 0"), drops("")), (None, None, None));
    }

    #[test]
    fn limits_are_found_where_there_are_any() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| crate::host::made::put(root.path(), path, text);
        let host = Host::new(root.path()).unwrap();
        let mut mounts = Vec::new();
        super::super::mounts::parse("1 0 0:20 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n2 0 0:21 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n", &mut mounts)
            .unwrap();
        let mut source = Source::default();
        let mut slot = Sampled::default();
        source.tasks(&host, Mono(1), &mounts, &mut slot);
        assert!(matches!(slot.reading, Reading::Absent { .. }), "{slot:?}");
        assert!(matches!(conntrack(&host), Reading::Absent { .. }) && matches!(files(&host), Reading::Absent { .. }));
        put("proc/loadavg", "0 0 0 1/200 7\n");
        put("proc/sys/kernel/pid_max", "32768\n");
        put("proc/sys/kernel/threads-max", "100000\n");
        put("sys/fs/cgroup/kubepods.slice/pids.max", "max\n");
        put("sys/fs/cgroup/system.slice/pids.max", "400\n");
        put("sys/fs/cgroup/system.slice/pids.current", "30\n");
        put("sys/fs/cgroup/pids/kubepods/pids.max", "1000\n");
        put("sys/fs/cgroup/pids/kubepods/pids.current", "999\n");
        source.tasks(&host, Mono(70_000), &mounts, &mut slot);
        let tasks = slot.value().unwrap();
        let seen: Vec<_> =
            tasks.groups.iter().map(|group| format!("{} {} {}", group.path, group.tasks, group.max)).collect();
        assert_eq!(seen, ["/system.slice 30 400", "/kubepods 999 1000"]);
        assert_eq!((tasks.tasks, tasks.pid_max, tasks.threads_max), (200, 32_768, 100_000));
        // Gone in between; then one that is there and tells nothing.
        std::fs::remove_dir_all(root.path().join("sys/fs/cgroup/pids/kubepods")).unwrap();
        source.tasks(&host, Mono(70_001), &mounts, &mut slot);
        assert_eq!(slot.value().unwrap().groups.len(), 1);
        put("sys/fs/cgroup/system.slice/pids.current", "\n");
        source.tasks(&host, Mono(70_001), &mounts, &mut slot);
        let Reading::Failed { why } = &slot.reading else { panic!("{slot:?}") };
        assert!(why.contains("system.slice/pids.current"), "{why}");
        put("sys/fs/cgroup/system.slice/pids.current", "30\n");
        put("proc/sys/kernel/pid_max", "many\n");
        source.tasks(&host, Mono(70_001), &mounts, &mut slot);
        assert!(matches!(slot.reading, Reading::Failed { .. }));
        put("proc/sys/net/netfilter/nf_conntrack_count", "70\n");
        put("proc/sys/net/netfilter/nf_conntrack_max", "100\n");
        put("proc/net/stat/nf_conntrack", "drop early_drop\n0e 1\n");
        assert_eq!(conntrack(&host).value(), Some(&Conntrack { count: 70, max: 100, dropped: Some(15) }));
    }
}
