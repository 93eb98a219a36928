//! Limits and layers of the kernel: process ids, cgroup version and controllers, release. It refuses to ask systemd, which may not be up yet.

use std::path::Path;

use super::text_file;
use crate::host::Host;
use crate::model::Reading;
use crate::model::machine::Cgroups;

/// kubelet's pid capacity: the smaller of kernel.pid_max and kernel.threads-max.
pub(super) fn pids(host: &Host) -> Reading<u64> {
    let number =
        |path| text_file(host, path, |text| text.parse::<u64>().map_err(|_| format!("{text:?} is not a number")));
    let (pid_max, threads_max) = (number("/proc/sys/kernel/pid_max"), number("/proc/sys/kernel/threads-max"));
    match (pid_max.value(), threads_max.value()) {
        (Some(pids), Some(threads)) => Reading::fresh(*pids.min(threads), "/proc/sys/kernel/pid_max, threads-max"),
        (None, _) => pid_max,
        (_, None) => threads_max,
    }
}

/// The mounted cgroup hierarchy.
pub(super) fn cgroups(host: &Host) -> Reading<Cgroups> {
    const ROOT: &str = "/sys/fs/cgroup";
    match text_file(host, &format!("{ROOT}/cgroup.controllers"), |text| {
        Ok(Cgroups { version: 2, controllers: text.split_whitespace().map(str::to_owned).collect() })
    }) {
        Reading::Absent { .. } if host.exists(Path::new(&format!("{ROOT}/memory"))) => {
            Reading::fresh(Cgroups { version: 1, controllers: Vec::new() }, ROOT)
        }
        Reading::Absent { .. } => Reading::absent(format!("no cgroup hierarchy at {ROOT}")),
        other => other,
    }
}

/// Kernel release, such as 6.12.1.
pub(super) fn kernel(host: &Host) -> Reading<String> {
    text_file(host, "/proc/sys/kernel/osrelease", |text| Ok(text.to_owned()))
}
