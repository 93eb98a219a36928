//! How each source stands, for status: working, blind with a reason, or not needed so far. It refuses to call a blind source healthy.

use crate::model::Reading;
use crate::model::status::{Part, Standing};
use crate::model::time::Mono;
use crate::model::watch::{Sampled, Samples};

/// Every source by name.
pub fn sources(samples: &Samples) -> Vec<Part> {
    let part = |name: &str, standing| Part { name: name.to_owned(), standing };
    let asked = "read only while a disk is busy";
    let probed = "no probe has answered yet";
    vec![
        part("disk_counters", of(&samples.counters, "")),
        part("block_devices", of(&samples.devices, "")),
        part("pressure", of(&samples.pressure, "")),
        part("cpu", of(&samples.cpu, "")),
        part("mounts", of(&samples.mounts, "")),
        part("ext4_errors", of(&samples.ext, "")),
        part("places", of(&samples.places, probed)),
        part("kubelet_thresholds", of(&samples.thresholds, probed)),
        part("nvme", of(&samples.nvme, "")),
        part("cgroup_io", of(&samples.groups, asked)),
        part("process_io", of(&samples.processes, asked)),
        part("blocked_tasks", of(&samples.tasks, "read only while a disk is in trouble")),
        part("pod_names", of(&samples.names, probed)),
        part("conntrack", of(&samples.conntrack, "")),
        part("tasks", of(&samples.task_room, "")),
        part("open_files", of(&samples.files, "")),
        part("daemons", of(&samples.daemons, "")),
        part("outside_pods", of(&samples.outside_pods, "")),
        part("units", of(&samples.units, probed)),
        part("network_allowances", of(&samples.allowances, probed)),
        part("clock", of(&samples.clock, "")),
        part("memory", of(&samples.memory, "")),
        part("instance_type", of(&samples.instance_type, "")),
        part("image", of(&samples.image, probed)),
        part("logging", of(&samples.logging, probed)),
        part("journal", of(&samples.journal, probed)),
        part("log_writers", of(&samples.log_writers, "")),
        part(
            "kernel_log",
            match &samples.kernel_log.unreadable {
                Some(why) => Standing::Unknown { why: why.clone() },
                None => Standing::Working,
            },
        ),
    ]
}

fn of<T>(sampled: &Sampled<T>, not_yet: &str) -> Standing {
    match &sampled.reading {
        Reading::Fresh { .. } => Standing::Working,
        // Never looked at: what is missing is the reason to look.
        Reading::Absent { why } if sampled.taken == Mono(0) && why == NOT_YET && !not_yet.is_empty() => {
            Standing::Learning { why: not_yet.to_owned() }
        }
        Reading::Absent { why } | Reading::Failed { why } => Standing::Unknown { why: why.clone() },
    }
}

/// As [`Sampled`] begins.
const NOT_YET: &str = "not looked at yet";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_wanted_is_no_fault_and_what_is_missing_has_a_reason() {
        let samples = Samples {
            pressure: Sampled::at(Mono(1), Reading::absent("no PSI here")),
            counters: Sampled::at(Mono(1), Reading::fresh(Vec::new(), "x")),
            ..Samples::default()
        };
        let all = sources(&samples);
        let standing = |name: &str| &all.iter().find(|part| part.name == name).unwrap().standing;
        assert_eq!(standing("disk_counters"), &Standing::Working);
        assert_eq!(standing("pressure"), &Standing::Unknown { why: "no PSI here".to_owned() });
        assert!(matches!(standing("cgroup_io"), Standing::Learning { .. }));
        assert!(matches!(standing("mounts"), Standing::Unknown { .. }));
    }
}
