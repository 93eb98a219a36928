//! Tasks in uninterruptible sleep, looked for in slices: a turn looks again at those it knows, and at a part of all others.
//! It refuses to wait for any of them: stat, wchan and cgroup are read, never what needs their memory.

use std::collections::BTreeMap;
use std::path::Path;

use super::raw::{Raw, word};
use super::stat;
use crate::host::Host;
use crate::model::Reading;
use crate::model::watch::BlockedTask;

/// Tasks looked at in a turn, besides those that wait already.
const SLICE: usize = 500;
/// Waiting tasks that are kept; a hung disk soon has thousands.
const MOST_KEPT: usize = 256;

/// What is kept while somebody wants to know.
#[derive(Debug, Default)]
pub(super) struct Scan {
    raw: Raw,
    waiting: BTreeMap<u32, BlockedTask>,
    next: u32,
}

impl Scan {
    /// One turn's slice.
    pub(super) fn read(&mut self, host: &Host) -> Reading<Vec<BlockedTask>> {
        for task in std::mem::take(&mut self.waiting).into_values() {
            self.look(host, task.pid, task.tid, Some(&task));
        }
        let pids = match stat::pids(host) {
            Ok(pids) => pids,
            Err(why) => return Reading::failed(why),
        };
        let from = pids.partition_point(|pid| *pid < self.next);
        let mut looked = 0;
        for pid in pids[from..].iter().chain(&pids[..from]) {
            if looked >= SLICE || self.waiting.len() >= MOST_KEPT {
                break;
            }
            looked += self.process(host, *pid);
            self.next = pid.saturating_add(1);
        }
        Reading::fresh(self.waiting.values().cloned().collect(), "/proc/PID/task/TID/stat")
    }

    /// All threads of a process; how many tasks were looked at.
    fn process(&mut self, host: &Host, pid: u32) -> usize {
        let threads = self.look(host, pid, pid, None);
        if threads <= 1 {
            return 1;
        }
        let names = host.list_dirs(Path::new(&format!("/proc/{pid}/task"))).ok().flatten().unwrap_or_default();
        let others = names.iter().filter_map(|name| name.parse().ok()).filter(|tid| *tid != pid);
        1 + others.map(|tid| self.look(host, pid, tid, None)).count()
    }

    /// Looks at one task and keeps it where it waits; how many threads its process has.
    fn look(&mut self, host: &Host, pid: u32, tid: u32, known: Option<&BlockedTask>) -> u32 {
        if self.waiting.contains_key(&tid) {
            // Looked at in this turn already; it may be the first of many threads.
            return if pid == tid { 2 } else { 1 };
        }
        let Ok(Some(stat)) = stat::read(host, &mut self.raw, &format!("/proc/{pid}/task/{tid}/stat")) else { return 0 };
        if stat.state == 'D' && self.waiting.len() < MOST_KEPT {
            let known = known.filter(|known| known.start_ticks == stat.start_ticks);
            let task = BlockedTask {
                tid,
                pid,
                start_ticks: stat.start_ticks,
                wchan: word(host, &format!("/proc/{pid}/task/{tid}/wchan")).unwrap_or_default(),
                cgroup: match known {
                    Some(known) => known.cgroup.clone(),
                    None => stat::cgroup(host, &mut self.raw, pid),
                },
                comm: stat.comm,
                switches: switches(&word(host, &format!("/proc/{pid}/task/{tid}/status")).unwrap_or_default()),
            };
            self.waiting.insert(tid, task);
        }
        stat.threads
    }
}

/// Both kinds of switches together; a kernel that tells one tells the other.
fn switches(status: &str) -> Option<u64> {
    let number = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    number("voluntary_ctxt_switches:")?.checked_add(number("nonvoluntary_ctxt_switches:")?)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the tasks that are read.
mod tests {
    use super::*;

    #[test]
    fn threads_are_looked_at_and_those_that_go_on_are_let_go() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| crate::host::made::put(&root.path().join("proc"), path, text);
        let stat = |id: u32, state: char, threads: u32| {
            format!("{id} (con (x) d) {state} 1 2 2 0 -1 0 1 2 3 4 5 6 7 8 20 0 {threads} 0 77 0")
        };
        put("10/task/10/stat", &stat(10, 'S', 2));
        put("10/task/12/stat", &stat(12, 'D', 2));
        put("10/task/12/wchan", "jbd2_log_wait_commit");
        put("10/cgroup", "0::/system.slice/containerd.service\n");
        put("11/task/11/stat", &stat(11, 'D', 1));
        put("11/task/11/wchan", "0");
        put("11/task/11/status", "Name:\tx\nvoluntary_ctxt_switches:\t30\nnonvoluntary_ctxt_switches:\t12\n");
        put("13/task/13/stat", "garbage");
        put("sys/kernel/x", "");
        let host = Host::new(root.path()).unwrap();
        let mut scan = Scan::default();
        let tasks = scan.read(&host);
        let seen: Vec<_> = tasks
            .value()
            .unwrap()
            .iter()
            .map(|t| format!("{}/{} {} {} {}", t.pid, t.tid, t.comm, t.wchan, t.cgroup))
            .collect();
        assert_eq!(
            seen,
            ["11/11 con (x) d 0 ", "10/12 con (x) d jbd2_log_wait_commit /system.slice/containerd.service"]
        );
        assert_eq!(tasks.value().unwrap().iter().map(|task| task.switches).collect::<Vec<_>>(), [Some(42), None]);
        put("10/task/12/stat", &stat(12, 'S', 2));
        let tasks = scan.read(&host);
        assert_eq!(tasks.value().unwrap().iter().map(|task| task.tid).collect::<Vec<_>>(), [11]);
    }
}
