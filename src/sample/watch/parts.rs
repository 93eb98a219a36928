//! How what is used outside of pods divides into the kube daemons and the system, with CPU time and tasks; and how many pods and containers there are.
//! It refuses to look into a container's own cgroups.

use std::path::Path;

use super::raw::{number, word};
use crate::host::Host;
use crate::model::problem::Who;
use crate::model::watch::{KUBE_UNITS, Mount, Part};

/// Topmost cgroups of the kube daemons alone.
const KUBE: [&str; 3] = ["/runtime.slice", "/podruntime.slice", "/podruntime"];
/// More than a node has; past it something is wrong, and time is short.
const MOST_GROUPS: usize = 5000;

/// Where CPU time and tasks are counted: the hierarchy's mount point, and whether it is v2.
#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    cpu: Option<(String, bool)>,
    tasks: Option<(String, bool)>,
}

impl Counts {
    /// By the table of mounts: v1 where it has the controller, else v2.
    pub(super) fn of(mounts: &[Mount]) -> Self {
        let v1 = |name: &str| {
            let has = |mount: &&Mount| mount.kind == "cgroup" && mount.super_options.split(',').any(|one| one == name);
            mounts.iter().find(has).map(|mount| (mount.point.clone(), false))
        };
        let v2 = super::groups::root(mounts).map(|point| (point.to_owned(), true));
        Self { cpu: v1("cpuacct").or_else(|| v2.clone()), tasks: v1("pids").or(v2) }
    }

    /// Of one cgroup; `held_bytes` is known already.
    pub(super) fn part(&self, host: &Host, path: &str, held_bytes: u64) -> Part {
        let cpu_us = self.cpu.as_ref().and_then(|(root, v2)| match v2 {
            true => {
                let stat = word(host, &format!("{root}{path}/cpu.stat"))?;
                stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?.parse().ok()
            }
            false => number::<u64>(host, &format!("{root}{path}/cpuacct.usage")).map(|nanoseconds| nanoseconds / 1000),
        });
        let tasks = self.tasks.as_ref().and_then(|(root, _)| number(host, &format!("{root}{path}/pids.current")));
        Part { held_bytes, cpu_us, tasks, peak_bytes: None }
    }
}

/// Whether a topmost cgroup is the kube daemons'.
pub(super) fn is_kube(path: &str) -> bool {
    KUBE.contains(&path)
}

/// The cgroups of the kube daemons' units among all others, those that are there.
pub(super) fn kube_units(host: &Host, point: &str) -> Vec<String> {
    let groups = KUBE_UNITS.iter().map(|(unit, _)| format!("/system.slice/{unit}"));
    groups.filter(|group| host.exists(Path::new(&format!("{point}{group}")))).collect()
}

/// Both together. Where one of them is not told, neither is their sum: it would fall and rise again like a burst.
pub(super) fn add(one: Part, other: Part) -> Part {
    let both = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_add(other?));
    Part {
        held_bytes: one.held_bytes.saturating_add(other.held_bytes),
        cpu_us: both(one.cpu_us, other.cpu_us),
        tasks: both(one.tasks, other.tasks),
        peak_bytes: both(one.peak_bytes, other.peak_bytes),
    }
}

/// What is left without a part of it; the high-water mark stays, since nobody knows when the part had its own.
pub(super) fn without(whole: Part, part: Part) -> Part {
    let less = |whole: Option<u64>, part: Option<u64>| Some(whole?.saturating_sub(part?));
    Part {
        held_bytes: whole.held_bytes.saturating_sub(part.held_bytes),
        cpu_us: less(whole.cpu_us, part.cpu_us),
        tasks: less(whole.tasks, part.tasks),
        peak_bytes: whole.peak_bytes,
    }
}

/// Pods and containers beneath the cgroups of pods, by the names of directories.
pub(super) fn containers(host: &Host, point: &str, roots: &[&str]) -> Result<(u32, u32), String> {
    let (mut pods, mut containers, mut seen) = (0u32, 0u32, 0);
    let mut waiting: Vec<String> = roots.iter().map(|root| format!("/{root}")).collect();
    while let Some(group) = waiting.pop() {
        seen += 1;
        if seen > MOST_GROUPS {
            return Err(format!("more than {MOST_GROUPS} cgroups of pods"));
        }
        let dir = format!("{point}{group}");
        let children = match host.list_dirs(Path::new(&dir)) {
            Ok(children) => children.unwrap_or_default(),
            // It went away in between.
            Err(_) if !host.exists(Path::new(&dir)) => continue,
            Err(error) => return Err(error.to_string()),
        };
        for child in children {
            let path = format!("{group}/{child}");
            match Who::of_group(&path, &[]) {
                Who::Container { id, .. } if id.is_empty() => {
                    pods = pods.saturating_add(1);
                    waiting.push(path);
                }
                Who::Container { .. } => containers = containers.saturating_add(1),
                _ => waiting.push(path),
            }
        }
    }
    Ok((pods, containers))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the directories that are counted.
mod tests {
    use super::*;

    #[test]
    fn both_drivers_are_counted_and_nested_cgroups_are_not() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path()).unwrap();
        let make = |path: &str| std::fs::create_dir_all(root.path().join("sys/fs/cgroup").join(path)).unwrap();
        let (uid, id) = ("0a1b2c3d-0000-1111-2222-333344445555", "ab".repeat(32));
        let under = uid.replace('-', "_");
        let pod = format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice");
        make(&format!("{pod}/cri-containerd-{id}.scope/system.slice/init.scope"));
        make(&format!("{pod}/cri-containerd-{}.scope", "cd".repeat(32)));
        make(&format!("kubepods/besteffort/pod{uid}/{id}"));
        let point = "/sys/fs/cgroup";
        assert_eq!(containers(&host, point, &["kubepods.slice"]), Ok((1, 2)));
        make("system.slice/snap.kubelet-eks.daemon.service");
        make("system.slice/rke2-agent.service");
        make("system.slice/cron.service");
        let units = ["/system.slice/rke2-agent.service", "/system.slice/snap.kubelet-eks.daemon.service"];
        assert_eq!(kube_units(&host, point), units);
        assert_eq!(containers(&host, point, &["kubepods.slice", "kubepods", "kubelet"]), Ok((2, 3)));
    }

    #[test]
    fn v1_counts_in_hierarchies_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| crate::host::made::put(root.path(), path, text);
        let host = Host::new(root.path()).unwrap();
        let mut mounts = Vec::new();
        super::super::mounts::parse(
            "1 0 0:20 / /c/cpu rw - cgroup cgroup rw,cpu,cpuacct\n2 0 0:21 / /c/pids rw - cgroup cgroup rw,pids\n",
            &mut mounts,
        )
        .unwrap();
        put("c/cpu/system.slice/cpuacct.usage", "7000000\n");
        put("c/pids/system.slice/pids.current", "9\n");
        let part = Counts::of(&mounts).part(&host, "/system.slice", 5);
        assert_eq!(part, Part { held_bytes: 5, cpu_us: Some(7000), tasks: Some(9), peak_bytes: None });
        let other = Part { held_bytes: 3, cpu_us: Some(1000), tasks: Some(2), peak_bytes: None };
        assert_eq!(without(add(part, other), other), part);
        let untold = Part { held_bytes: 3, ..Part::default() };
        assert_eq!(add(part, untold), Part { held_bytes: 8, ..Part::default() });
        super::super::mounts::parse("1 0 0:20 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", &mut mounts).unwrap();
        put("sys/fs/cgroup/system.slice/cpu.stat", "usage_usec 42\nuser_usec 1\n");
        assert_eq!(Counts::of(&mounts).part(&host, "/system.slice", 0).cpu_us, Some(42));
    }
}
