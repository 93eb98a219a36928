//! `KernelHungTask`: khungtaskd reported a task. Format: kernel/hung_task.c ("INFO: task %s:%d blocked for more than %ld seconds.", from 6.18
//! "blocked in I/O wait for more than"). It refuses to be taken for `TaskHung`, which looks at the tasks themselves: this line comes two to
//! four minutes late, and after ten of them in a boot no more come at all.

use super::super::rule::{Case, Hit, Notes, Rule};
use crate::model::problem::{Condition, Entry, Kind, Severity};

/// The name of the problem.
pub(crate) const KERNEL_HUNG_TASK: Kind = Kind::new("KernelHungTask");

pub(crate) const RULE: Rule = Rule {
    entry: Entry {
        kind: KERNEL_HUNG_TASK,
        severity: Severity::Warning,
        condition: Condition::DiskIO,
        may_cordon: false,
        meaning: "The kernel logged that a task has waited without pause for two minutes or more, usually for a disk or for a lock that somebody holds who waits for \
                  one. The kernel stops logging this after ten times (kernel.hung_task_warnings).",
        advice: "Look at what is wrong with the disks at the same time. The stack in the kernel log after the line shows what the task waits for; it cannot be killed.",
    },
    patterns: &[
        r"^(?:INFO: )?task (?P<task>.+):(?P<pid>\d+) blocked (?:in I/O wait )?for more than (?P<seconds>\d+) seconds\.",
    ],
    judge,
};

fn judge(hit: &Hit<'_>, _: &mut Notes) -> Option<Case> {
    let summary =
        format!("the task {}[{}] was blocked for more than {} s", hit.get("task"), hit.get("pid"), hit.get("seconds"));
    // Task names are free text and their number has no bound: the subject is the node.
    Some(Case { subject: "node".to_owned(), severity: Severity::Warning, summary, advice: String::new() })
}
