//! `PidsNearlyFull`: processes and threads run out, for the whole node or for a cgroup that it depends on. It refuses to alarm about a pod's own limit:
//! that one protects the node.

use std::collections::BTreeMap;

use super::fill::{Kept, Rules, percent};
use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::watch::Tasks;

/// The name of the problem.
pub const PIDS_NEARLY_FULL: Kind = Kind::new("PidsNearlyFull");
/// The most that the kernel takes as pid_max on 64 bits.
const MOST: u64 = 4_194_304;

/// The detector.
pub struct PidsNearlyFull;

impl Detector for PidsNearlyFull {
    type Rules = Rules;
    type Memory = BTreeMap<String, Kept>;
    const NAME: &'static str = "pids_nearly_full";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: PIDS_NEARLY_FULL,
        severity: Severity::Critical,
        condition: Condition::NodeResources,
        may_cordon: false,
        meaning: "Processes and threads share one set of ids. When none is left nothing can be started on the node: no container, no health check by exec, no \
                  login, and programs fail that want one more thread. One container that forks without end is enough where pods have no limit.",
        advice: "Find who has so many (systemd-cgtop --order=tasks), give pods a limit (podPidsLimit), keep ids for the node (pid in kubeReserved and \
                 systemReserved), or raise kernel.pid_max.",
    }];

    fn look(rules: &Rules, memory: &mut Self::Memory, scene: &Scene<'_>) -> Look {
        let samples = &scene.samples.task_room;
        let Some(now) = samples.value() else { return Look::unknown(samples.reading.origin()) };
        let node = ("node", now.tasks, now.pid_max.min(now.threads_max));
        let groups = now.groups.iter().map(|group| (group.path.as_str(), group.tasks, group.max));
        let all: Vec<_> = std::iter::once(node).chain(groups).collect();
        memory.retain(|subject, _| all.iter().any(|(known, ..)| known == subject));
        let mut findings = Vec::new();
        for (subject, used, max) in all {
            let kept = memory.entry(subject.to_owned()).or_default();
            let Some(severity) = kept.judge(rules, samples.taken, used, max) else { continue };
            findings.push(finding(now, severity, subject, used, max));
        }
        Look::at(findings)
    }
}

fn finding(now: &Tasks, severity: Severity, subject: &str, used: u64, max: u64) -> Finding {
    let whole = subject == "node";
    let part = percent(used, max);
    let mut evidence = vec![
        Evidence::count("tasks", used, ""),
        Evidence::count("limit", max, ""),
        Evidence::number("used", part, "%"),
    ];
    let (summary, advice) = if whole {
        let lower = if now.pid_max <= now.threads_max { "kernel.pid_max" } else { "kernel.threads-max" };
        evidence.push(Evidence::count("kernel.pid_max", now.pid_max, ""));
        evidence.push(Evidence::count("kernel.threads-max", now.threads_max, ""));
        let raise = match (lower, now.pid_max < MOST) {
            ("kernel.pid_max", true) => {
                format!("sysctl -w kernel.pid_max={} makes room at once", now.pid_max.saturating_mul(4).min(MOST))
            }
            _ => format!("{lower} follows from this machine's memory: fewer threads must do"),
        };
        (
            format!("{used} of {max} task ids are taken ({part:.0} %, {lower})"),
            format!(
                "{raise}. `systemd-cgtop --order=tasks` shows who has them. kubelet counts against the same {max} for pid.available; a podPidsLimit of, say, \
                 {} would keep one pod from taking all.",
                (max / 8).clamp(64, 16_384)
            ),
        )
    } else {
        evidence.push(Evidence::text("cgroup", subject));
        let raise = if subject.starts_with("/kubepods") {
            "kubelet sets it from the ids left after kubeReserved and systemReserved (pid) and enforces it on all pods together: one pod without podPidsLimit can \
             take all of it"
                .to_owned()
        } else {
            let unit = subject.rsplit('/').next().unwrap_or(subject);
            format!(
                "`systemctl set-property {unit} TasksMax={}` raises it at once; see first that the unit does not leak threads",
                max.saturating_mul(2)
            )
        };
        (
            format!("{subject} has {used} of at most {max} tasks ({part:.0} %)"),
            format!("The limit is pids.max of the cgroup {subject}: {raise}."),
        )
    };
    Finding { kind: PIDS_NEARLY_FULL, subject: subject.to_owned(), severity, summary, advice, evidence, device: None }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::{GroupTasks, Samples};

    #[test]
    fn the_node_and_each_cgroup_by_itself() {
        let samples = |at: u64, tasks: u64, pods: u64| Samples {
            task_room: made::fresh(
                at,
                Tasks {
                    tasks,
                    pid_max: 32_768,
                    threads_max: 190_000,
                    groups: vec![GroupTasks { path: "/kubepods".to_owned(), tasks: pods, max: 1000 }],
                },
            ),
            ..Samples::default()
        };
        let mut kept = BTreeMap::new();
        assert!(made::turn::<PidsNearlyFull>(&mut kept, 10, &samples(10, 26_214, 799)).is_empty());
        assert_eq!(
            made::turn::<PidsNearlyFull>(&mut kept, 20, &samples(20, 100, 800)),
            ["PidsNearlyFull /kubepods warning"]
        );
        let look = made::look::<PidsNearlyFull>(&mut kept, 30, &samples(30, 32_000, 10), &Default::default());
        assert_eq!(made::shown(&look), ["PidsNearlyFull node critical", "PidsNearlyFull /kubepods warning"]);
        assert_eq!(look.findings[0].summary, "32000 of 32768 task ids are taken (98 %, kernel.pid_max)");
        assert!(look.findings[0].advice.starts_with("sysctl -w kernel.pid_max=131072 "), "{}", look.findings[0].advice);
        let mut gone = samples(40, 100, 0);
        gone.task_room = made::fresh(40, Tasks { groups: Vec::new(), ..gone.task_room.value().unwrap().clone() });
        made::turn::<PidsNearlyFull>(&mut kept, 40, &gone);
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["node"]);
    }
}
