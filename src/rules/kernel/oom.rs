//! `OomKill`: the kernel killed a process for memory. Formats: mm/oom_kill.c ("%s: Killed process %d (%s) total-vm:...", before 5.0 in two lines;
//! "oom-kill:constraint=...,task_memcg=...,task=...,pid=..."), mm/memcontrol.c ("Task in %s killed as a result of limit of %s", "Tasks in %s are
//! going to be killed due to memory.oom.group set"). It refuses to take a container at its own limit for a node without memory.

use super::super::rule::{Case, Hit, Notes, Rule, Victim};
use crate::model::problem::{Condition, Entry, Kind, Severity, Who};

/// The name of the problem.
pub(crate) const OOM_KILL: Kind = Kind::new("OomKill");

pub(crate) const RULE: Rule = Rule {
    entry: Entry {
        kind: OOM_KILL,
        severity: Severity::Warning,
        condition: Condition::NodeResources,
        may_cordon: false,
        meaning: "The kernel killed a process to get memory back. With `Memory cgroup`, a container or unit was at its own limit, which is advice; otherwise the \
                  node itself had no memory left, which kubelet's reservations and eviction should have prevented.",
        advice: "For a container: raise its limit or find its leak. For the node: reserve more for the system, or raise evictionHard memory.available.",
    },
    patterns: &[
        r"^(?:(?P<scope>Out of memory|Memory cgroup out of memory)[^:]*: )?Killed process (?P<pid>\d+) \((?P<task>.*)\)(?:, UID:? ?\d+,)? total-vm:\d+kB, anon-rss:(?P<anon>\d+)kB",
        r"^oom-kill:constraint=(?P<constraint>[A-Z_]+),.*?(?:,oom_memcg=(?P<limited>[^,]*)|,global_oom)?,task_memcg=(?P<group>[^,]*),task=(?P<task>.*),pid=(?P<pid>\d+),uid=\d+",
        r"^Task in (?P<group>\S+) killed as a result of limit of (?P<limited>\S+)",
        r"^(?P<scope>Out of memory|Memory cgroup out of memory)[^:]*: Kill process (?P<pid>\d+) \((?P<task>.*)\) score",
        r"^Tasks in (?P<group>\S+) are going to be killed due to memory\.oom\.group set",
    ],
    judge,
};

/// Lines of one killing lie closer together than this.
const TOGETHER_MS: u64 = 5_000;
const MOST_VICTIMS: usize = 16;

fn judge(hit: &Hit<'_>, notes: &mut Notes) -> Option<Case> {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let in_group = match (hit.get("scope").as_str(), hit.get("constraint").as_str()) {
        ("Memory cgroup out of memory", _) | (_, "CONSTRAINT_MEMCG") => Some(true),
        ("", "") => hit.captures.name("limited").map(|_| true),
        _ => Some(false),
    };
    if hit.pattern != 0 {
        notes.victims.push(Victim {
            pid: some(hit.get("pid")),
            group: hit.get("group"),
            limited: hit.get("limited"),
            in_group,
            at: hit.at,
        });
        let excess = notes.victims.len().saturating_sub(MOST_VICTIMS);
        notes.victims.drain(..excess);
        return None;
    }
    let (pid, task) = (hit.get("pid"), hit.get("task"));
    // What the lines just before it said: of this process, or of none in particular.
    let related: Vec<&Victim> = notes
        .victims
        .iter()
        .rev()
        .filter(|one| hit.at.since_ms(one.at) <= TOGETHER_MS && one.pid.as_ref().is_none_or(|other| *other == pid))
        .collect();
    let in_group = in_group.or_else(|| related.iter().find_map(|one| one.in_group)).unwrap_or(false);
    let group = related.iter().map(|one| one.group.as_str()).find(|group| !group.is_empty()).unwrap_or_default();
    let limited = related.iter().map(|one| one.limited.as_str()).find(|group| !group.is_empty()).unwrap_or(group);
    let megabytes = hit.get("anon").parse::<u64>().unwrap_or(0) / 1024;
    let of = |path: &str| if path.is_empty() { None } else { Some(Who::of_group(path, hit.names)) };
    let whose = of(group).map_or_else(String::new, |who| format!(" of {who}"));
    let case = if in_group {
        let owner = of(limited);
        let subject = owner.as_ref().map_or_else(|| "node".to_owned(), short);
        let at = owner.map_or_else(|| "a cgroup".to_owned(), |who| who.to_string());
        Case {
            subject,
            severity: Severity::Advice,
            summary: format!("{at} reached its memory limit: {task}[{pid}]{whose} with {megabytes} MiB was killed"),
            advice: "Raise its memory limit, or find out what it needs the memory for.".to_owned(),
        }
    } else {
        Case {
            subject: "node".to_owned(),
            severity: Severity::Warning,
            summary: format!("the node ran out of memory: {task}[{pid}]{whose} with {megabytes} MiB was killed"),
            advice: "Reserve more memory for the system, or let kubelet evict earlier (evictionHard memory.available)."
                .to_owned(),
        }
    };
    notes.victims.retain(|one| hit.at.since_ms(one.at) <= TOGETHER_MS && one.pid.as_ref() != Some(&pid));
    Some(case)
}

/// A subject: as short as it can be and still name one.
fn short(who: &Who) -> String {
    match who {
        Who::Container { namespace, pod, .. } if !pod.is_empty() => format!("{namespace}/{pod}"),
        Who::Container { uid, .. } => uid.clone(),
        Who::Unit { unit } => unit.clone(),
        other => other.to_string(),
    }
}
