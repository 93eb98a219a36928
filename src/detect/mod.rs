//! From samples to findings: one detector a file, one line in [`ALL`]. Pure: it refuses files, clocks and processes; time and samples are passed in.
#![forbid(unsafe_code)]

mod baseline;
mod blame;
mod book;
mod clock_unsynchronized;
mod companions;
mod conntrack_nearly_full;
mod cpu_steal;
mod debug_logging;
mod disk_latency_high;
mod disk_saturated;
mod disk_stalled;
mod ebs;
mod ena_allowance_exceeded;
mod filesystem_errors;
mod filesystem_full;
mod filesystem_read_only;
mod fill;
mod hold;
mod image_outdated;
mod io_timeout;
mod journal_corrupted;
mod journal_rate_limited;
mod journal_rates;
mod journal_sync_flood;
mod journal_usage;
mod journald_unhealthy;
mod kubelet_config_drift;
mod log_cost;
mod log_flood;
#[cfg(test)]
mod made;
mod memory_pressure_stall;
mod mounted;
mod nvme_health;
mod open_files_nearly_full;
mod pids_nearly_full;
#[cfg(test)]
mod play;
mod probe_stuck;
mod reboot_pending;
mod reservation_exceeded;
mod root_volume_shared;
mod scene;
mod shares;
mod slot;
mod syslog_active;
mod syslog_sync;
mod task_hung;
mod units;
mod whereabouts;
mod window;

pub use book::{Book, Changes, Page};
pub use companions::Companions;
pub use scene::{Past, Scene};
pub use slot::{Detector, Look, Misfit, Slot};
pub use whereabouts::name as name_whereabouts;
pub use window::DiskWindow;

use slot::slot;

use std::collections::BTreeSet;

use crate::model::problem::Problem;
use crate::model::watch::{Answer, Samples, Wants};

/// Every detector. A new one is its file and its line here.
pub const ALL: &[fn() -> Box<dyn Slot>] = &[
    slot::<disk_stalled::DiskStalled>,
    slot::<disk_saturated::DiskSaturated>,
    slot::<task_hung::TaskHung>,
    slot::<root_volume_shared::RootVolumeShared>,
    slot::<disk_latency_high::DiskLatencyHigh>,
    slot::<ebs::Ebs>,
    slot::<nvme_health::NvmeHealth>,
    slot::<io_timeout::IoTimeout>,
    slot::<filesystem_errors::FilesystemErrors>,
    slot::<filesystem_read_only::FilesystemReadOnly>,
    slot::<filesystem_full::FilesystemFull>,
    slot::<probe_stuck::ProbeStuck>,
    slot::<memory_pressure_stall::MemoryPressureStall>,
    slot::<pids_nearly_full::PidsNearlyFull>,
    slot::<conntrack_nearly_full::ConntrackNearlyFull>,
    slot::<open_files_nearly_full::OpenFilesNearlyFull>,
    slot::<clock_unsynchronized::ClockUnsynchronized>,
    slot::<cpu_steal::CpuSteal>,
    slot::<reboot_pending::RebootPending>,
    slot::<image_outdated::ImageOutdated>,
    slot::<syslog_active::SyslogActive>,
    slot::<syslog_sync::SyslogSync>,
    slot::<reservation_exceeded::ReservationExceeded>,
    slot::<units::Units>,
    slot::<ena_allowance_exceeded::EnaAllowanceExceeded>,
    slot::<log_flood::LogFlood>,
    slot::<debug_logging::DebugLogging>,
    slot::<journal_sync_flood::JournalSyncFlood>,
    slot::<journal_rate_limited::JournalRateLimited>,
    slot::<journal_corrupted::JournalCorrupted>,
    slot::<journal_usage::JournalUsage>,
    slot::<journald_unhealthy::JournaldUnhealthy>,
    slot::<kubelet_config_drift::KubeletConfigDrift>,
];

/// What the next samples should hold: contributors as soon as a disk has work queued or somebody waits for I/O, waiting tasks while a disk has a problem.
pub fn wants(scene: &Scene<'_>, problems: &[Problem]) -> Wants {
    let queued =
        scene.disks.iter().any(|window| window.aqu() >= 1.0 || (window.in_flight > 0 && window.completions == 0));
    let waiting = scene.io_pressure.is_some_and(|(some, _)| some >= 0.05);
    let troubled = problems.iter().any(|problem| problem.finding.device.is_some());
    // Tasks that hang, or a probe that does, are reason enough to go on looking for who waits.
    let hangs =
        |problem: &Problem| ["TaskHung", "ProbeStuck", "KernelHungTask"].contains(&problem.finding.kind.as_str());
    let hanging = scene.disks.iter().any(|window| window.in_flight > 0 && window.completions == 0);
    Wants {
        contributors: queued || waiting || troubled,
        blocked_tasks: troubled || hanging || problems.iter().any(hangs),
    }
}

/// The disks, controllers, devices and mount points behind /, kubelet's and the container runtime's state.
pub fn nodes_own(samples: &Samples) -> BTreeSet<String> {
    let mut own = BTreeSet::new();
    let devices = samples.devices.value().map_or(&[][..], Vec::as_slice);
    let mounts = samples.mounts.value().map_or(&[][..], Vec::as_slice);
    let controllers = samples.nvme.value().map_or(&[][..], Vec::as_slice);
    for place in samples.places.value().map_or(&[][..], Vec::as_slice) {
        if !["root", "kubelet", "runtime"].contains(&place.role.as_str()) {
            continue;
        }
        let dev = match &place.answer {
            Answer::Looked { dev, .. } => *dev,
            Answer::Missing => continue,
            // A directory that does not answer, or with an error, is no less the node's own.
            Answer::Refused { .. } | Answer::Stuck { .. } | Answer::NotAsked { .. } => {
                let Some(mount) = mounted::holding(samples, &place.path) else { continue };
                mount.dev
            }
        };
        own.extend(mounts.iter().filter(|mount| mount.dev == dev).map(|mount| mount.point.clone()));
        for device in devices.iter().filter(|device| device.dev == dev) {
            own.insert(device.name.clone());
            own.extend(device.disks.iter().cloned());
        }
    }
    let theirs = controllers.iter().filter(|one| one.disks.iter().any(|disk| own.contains(disk)));
    let names: Vec<_> = theirs.map(|one| one.name.clone()).collect();
    own.extend(names);
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::watch::{Dev, Place};

    #[test]
    fn a_directory_that_does_not_answer_is_no_less_the_nodes_own() {
        let dev = Dev { major: 259, minor: 5 };
        let mounts =
            vec![made::mount(1, made::ROOT, "/", "xfs", "rw"), made::mount(2, dev, "/var/lib/kubelet", "xfs", "rw")];
        for (answer, own) in [
            (Answer::Stuck { for_ms: 60_000 }, &["/var/lib/kubelet", "nvme1n1"][..]),
            (Answer::Refused { errno: 5, why: "I/O error".into() }, &["/var/lib/kubelet", "nvme1n1"]),
            (Answer::Missing, &[]),
        ] {
            let place = Place { path: "/var/lib/kubelet".into(), role: "kubelet".into(), answer };
            let samples = Samples {
                places: made::fresh(1, vec![place]),
                devices: made::fresh(1, vec![made::device("nvme1n1", dev, "nvme1n1")]),
                ..made::samples(1, mounts.clone())
            };
            assert_eq!(nodes_own(&samples).iter().map(String::as_str).collect::<Vec<_>>(), own);
        }
    }
}
