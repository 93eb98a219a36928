//! `TaskHung`: tasks that wait in the kernel and do not run, for long. It refuses to look where nothing else is wrong, for the search costs; and to call a
//! task hung that merely waits at every look: who was switched in between went on.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity, Who};
use crate::model::time::{Mono, Span};
use crate::model::watch::BlockedTask;

/// The name of the problem.
pub const TASK_HUNG: Kind = Kind::new("TaskHung");
/// Tasks that are listed by themselves.
const LISTED: usize = 8;

/// The detector.
pub struct TaskHung;

/// `[detect.task_hung]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// A task in uninterruptible sleep that has not run for so long is hung.
    pub after: Span,
    /// And it was seen so in so many samples in a row, at least.
    pub samples: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { after: Span::seconds(60), samples: 2 }
    }
}

/// What is kept of all waiting tasks.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    taken: Mono,
    /// By thread id; the source bounds them.
    tasks: BTreeMap<u32, Seen>,
    finding: Option<Finding>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    start_ticks: u64,
    switches: Option<u64>,
    wchan: String,
    since: Mono,
    samples: u32,
}

impl Seen {
    /// The same task in the same wait. Where the kernel does not count switches, the place that it waits in stands for them.
    fn goes_on(&self, task: &BlockedTask) -> bool {
        let waits = match (self.switches, task.switches) {
            (Some(before), Some(now)) => before == now,
            _ => self.wchan == task.wchan,
        };
        self.start_ticks == task.start_ticks && waits
    }
}

impl Detector for TaskHung {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "task_hung";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: TASK_HUNG,
        severity: Severity::Warning,
        condition: Condition::DiskIO,
        may_cordon: false,
        meaning: "Programs wait in the kernel, mostly for a disk or a network file system, and do not run. They cannot be killed until the wait ends, and a pod that they belong to cannot be stopped.",
        advice: "Look at what the tasks wait for: the kernel function says which layer, the other problems on this node which device. The tasks go on when it answers.",
    }];

    fn look(rules: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        let sampled = &scene.samples.tasks;
        // Nobody asks for tasks where nothing else is wrong: then there is nothing to say, and nothing to remember. A turn in which nothing was read
        // at all is no such case.
        if sampled.taken < scene.samples.counters.taken {
            *memory = Kept { taken: memory.taken, ..Kept::default() };
            return Look::at(Vec::new());
        }
        let Some(tasks) = sampled.value() else {
            return match sampled.taken == Mono(0) {
                true => Look::at(Vec::new()),
                false => Look::unknown(format!("no list of waiting tasks: {}", sampled.reading.origin())),
            };
        };
        if sampled.taken > memory.taken {
            memory.take(tasks, sampled.taken);
            memory.finding = memory.find(rules, tasks, scene);
        }
        Look::at(memory.finding.iter().cloned().collect())
    }
}

impl Kept {
    fn take(&mut self, tasks: &[BlockedTask], taken: Mono) {
        let mut old = std::mem::take(&mut self.tasks);
        for task in tasks {
            let seen = match old.remove(&task.tid).filter(|seen| seen.goes_on(task)) {
                Some(seen) => Seen { samples: seen.samples.saturating_add(1), ..seen },
                None => Seen {
                    start_ticks: task.start_ticks,
                    switches: task.switches,
                    wchan: task.wchan.clone(),
                    since: taken,
                    samples: 1,
                },
            };
            self.tasks.insert(task.tid, seen);
        }
        self.taken = taken;
    }

    fn find(&self, rules: &Rules, tasks: &[BlockedTask], scene: &Scene<'_>) -> Option<Finding> {
        let long =
            |seen: &Seen| seen.samples >= rules.samples.max(2) && self.taken.since_ms(seen.since) >= rules.after.ms();
        let mut hung: Vec<(&BlockedTask, u64)> = tasks
            .iter()
            .filter_map(|task| self.tasks.get(&task.tid).filter(|seen| long(seen)).map(|seen| (task, seen)))
            .map(|(task, seen)| (task, self.taken.since_ms(seen.since) / 1000))
            .collect();
        hung.sort_by_key(|(task, seconds)| (std::cmp::Reverse(*seconds), task.tid));
        let (first, longest) = hung.first()?;
        let names = scene.samples.names.value().map_or(&[][..], Vec::as_slice);
        let place = |task: &BlockedTask| match task.wchan.as_str() {
            "" | "0" => "an unknown place".to_owned(),
            wchan => wchan.to_owned(),
        };
        let mut evidence = vec![
            Evidence::count("hung tasks", u64::try_from(hung.len()).unwrap_or(u64::MAX), ""),
            Evidence::count("longest", *longest, "s"),
        ];
        evidence.extend(hung.iter().take(LISTED).map(|(task, seconds)| {
            let of = match task.cgroup.as_str() {
                "" | "/" => "the kernel or no cgroup".to_owned(),
                cgroup => Who::of_group(cgroup, names).to_string(),
            };
            Evidence::text("task", format!("{}[{}] in {} for {seconds} s, of {of}", task.comm, task.tid, place(task)))
        }));
        let others = match hung.len() {
            1 => String::new(),
            2 => " and another task".to_owned(),
            more => format!(" and {} other tasks", more - 1),
        };
        Some(Finding {
            kind: TASK_HUNG,
            subject: "node".to_owned(),
            severity: Severity::Warning,
            summary: format!(
                "{}[{}]{others} wait in the kernel and have not run for {longest} s (in {})",
                first.comm,
                first.tid,
                place(first)
            ),
            advice: String::new(),
            evidence,
            device: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::play::Play;
    use crate::model::Reading;
    use crate::model::watch::Sampled;

    fn task(tid: u32, switches: u64) -> BlockedTask {
        BlockedTask {
            tid,
            pid: tid,
            start_ticks: 50,
            comm: "postgres".to_owned(),
            wchan: "jbd2_log_wait_commit".to_owned(),
            cgroup: "/system.slice/postgresql.service".to_owned(),
            switches: Some(switches),
        }
    }

    fn turn(play: &mut Play<TaskHung>, tasks: Option<Vec<BlockedTask>>) -> Look {
        play.now.mono = play.now.mono.plus_ms(10_000);
        if let Some(tasks) = tasks {
            play.samples.tasks = Sampled::at(play.now.mono, Reading::fresh(tasks, "/proc"));
        }
        play.look()
    }

    #[test]
    fn a_minute_without_running_is_hung_and_waiting_again_and_again_is_not() {
        let mut play = Play::new(&[]);
        let first: Vec<_> = (0..8_u64)
            .map(|n| turn(&mut play, Some(vec![task(7, 100), task(8, 100 + n), task(9, 3)])).findings.len())
            .collect();
        assert_eq!(first, [0, 0, 0, 0, 0, 0, 1, 1]);
        let look =
            turn(&mut play, Some(vec![task(7, 100), task(8, 200), BlockedTask { start_ticks: 99, ..task(9, 3) }]));
        let [finding] = look.findings.as_slice() else { panic!("{look:?}") };
        assert_eq!(
            finding.summary,
            "postgres[7] wait in the kernel and have not run for 80 s (in jbd2_log_wait_commit)"
        );
        assert!(
            finding.evidence.iter().any(|one| one.to_string()
                == "task postgres[7] in jbd2_log_wait_commit for 80 s, of unit postgresql.service")
        );
        // A turn that only hears the kernel's log reads nothing and ends nothing.
        play.now.mono = play.now.mono.plus_ms(1500);
        assert_eq!(play.look_as_it_is(), look);
        assert!(turn(&mut play, Some(vec![])).findings.is_empty());
    }

    #[test]
    fn it_is_silent_where_nobody_looks() {
        let mut play = Play::new(&[]);
        assert_eq!(turn(&mut play, None), Look::at(Vec::new()));
        (0..9).for_each(|_| drop(turn(&mut play, Some(vec![task(7, 1)]))));
        assert_eq!(turn(&mut play, None), Look::at(Vec::new()));
        // The wait before the pause does not count.
        assert!(turn(&mut play, Some(vec![task(7, 1)])).findings.is_empty());
        play.now.mono = play.now.mono.plus_ms(10_000);
        play.samples.tasks = Sampled::at(play.now.mono, Reading::failed("EACCES"));
        assert!(matches!(play.look().standing, crate::model::status::Standing::Unknown { .. }));
    }
}
