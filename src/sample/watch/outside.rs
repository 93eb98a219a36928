//! What the node uses outside of pods: memory of the topmost cgroups, and of the largest beneath them where that sum nears what is reserved. It refuses
//! to enter the pods' own cgroups, and to read every unit while there is room.

use std::path::Path;

use super::parts::{self, Counts};
use super::raw::{Came, Raw, bad_line, gone, needed_number, number, text};
use crate::host::Host;
use crate::model::Reading;
use crate::model::time::Mono;
use crate::model::watch::{GroupUse, Mount, OutsidePods, Part, Sampled, Thresholds};

/// From one look to the next.
const EVERY_MS: u64 = 60_000;
/// Topmost cgroups that come are seen after so long.
const LOOK_AGAIN_MS: u64 = 300_000;
/// Units are read from this percentage of what is reserved on.
const NEAR_PERCENT: u64 = 90;
/// How many of the largest are kept.
const LARGEST: usize = 5;
/// Where pods live, by the cgroup driver; the last two where kubelet has a root of its own.
const PODS: [&str; 4] = ["kubepods.slice", "kubepods", "kubelet.slice", "kubelet"];

/// What is kept between reads.
#[derive(Debug, Default)]
pub(super) struct Source {
    raw: Raw,
    read: Option<Mono>,
    looked: Option<Mono>,
    root: Option<Root>,
    /// Names of the topmost cgroups.
    top: Vec<String>,
    /// The kube daemons' units among all others.
    units: Vec<String>,
    counts: Counts,
}

/// The hierarchy that counts memory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Root {
    point: String,
    v2: bool,
}

impl Source {
    /// Looks where it is time, or where it is to be done now.
    pub(super) fn read(
        &mut self,
        host: &Host,
        (at, now): (Mono, bool),
        mounts: &[Mount],
        thresholds: Option<&Thresholds>,
        slot: &mut Sampled<OutsidePods>,
    ) {
        if !now && self.read.is_some_and(|read| at.since_ms(read) < EVERY_MS) {
            return;
        }
        self.read = Some(at);
        slot.taken = at;
        if self.looked.is_none_or(|looked| at.since_ms(looked) >= LOOK_AGAIN_MS) {
            self.root = hierarchy(mounts).or_else(|| v2(host, mounts));
            self.top = match self.find(host) {
                Ok(top) => top,
                Err(why) => {
                    slot.reading = Reading::failed(why);
                    return;
                }
            };
            self.units = self.root.as_ref().map_or_else(Vec::new, |root| parts::kube_units(host, &root.point));
            self.counts = Counts::of(mounts);
            self.looked = Some(at);
        }
        let Some(root) = self.root.clone() else {
            slot.reading = Reading::absent("no hierarchy of cgroups counts memory here");
            return;
        };
        let reserved = thresholds.and_then(|all| all.reserved.value()).map(|reserved| reserved.memory_bytes());
        slot.reading = match self.look(host, &root, now, reserved) {
            Ok(seen) if seen.groups.is_empty() => {
                Reading::absent(format!("no cgroup beneath {} counts memory", root.point))
            }
            Ok(seen) => Reading::fresh(seen, root.point),
            Err(why) => Reading::failed(why),
        };
    }

    fn find(&self, host: &Host) -> Result<Vec<String>, String> {
        let Some(root) = &self.root else { return Ok(Vec::new()) };
        let all = host.list_dirs(Path::new(&root.point)).map_err(|error| error.to_string())?.unwrap_or_default();
        Ok(all.into_iter().filter(|name| !PODS.contains(&name.as_str())).map(|name| format!("/{name}")).collect())
    }

    fn look(&mut self, host: &Host, root: &Root, whole: bool, reserved: Option<u64>) -> Result<OutsidePods, String> {
        let mut seen = OutsidePods::default();
        let (mut kube, mut system): (Option<Part>, Option<Part>) = (None, None);
        for path in self.top.clone() {
            let Some(group) = self.group(host, root, path)? else { continue };
            let part = self.part(host, root, &group);
            let sum = if parts::is_kube(&group.path) { &mut kube } else { &mut system };
            *sum = Some(sum.map_or(part, |sum| parts::add(sum, part)));
            seen.groups.push(group);
        }
        for unit in self.units.clone() {
            let Some(group) = self.group(host, root, unit)? else { continue };
            let part = self.part(host, root, &group);
            kube = Some(kube.map_or(part, |sum| parts::add(sum, part)));
            system = system.map(|sum| parts::without(sum, part));
        }
        (seen.kube, seen.system) = (kube.unwrap_or_default(), system.unwrap_or_default());
        (seen.pods, seen.containers) = parts::containers(host, &root.point, &PODS)?;
        let near = |reserved: u64| seen.held_bytes().saturating_mul(100) >= reserved.saturating_mul(NEAR_PERCENT);
        if whole || reserved.is_some_and(near) {
            seen.largest = self.largest(host, root, &seen.groups)?;
        }
        Ok(seen)
    }

    fn part(&self, host: &Host, root: &Root, group: &GroupUse) -> Part {
        let peak = if root.v2 { "memory.peak" } else { "memory.max_usage_in_bytes" };
        let peak_bytes = number(host, &format!("{}{}/{peak}", root.point, group.path));
        Part { peak_bytes, ..self.counts.part(host, &group.path, group.held_bytes) }
    }

    fn largest(&mut self, host: &Host, root: &Root, groups: &[GroupUse]) -> Result<Vec<GroupUse>, String> {
        let mut all = Vec::new();
        for group in groups {
            let dir = format!("{}{}", root.point, group.path);
            let children = host.list_dirs(Path::new(&dir)).map_err(|error| error.to_string())?.unwrap_or_default();
            let mut any = false;
            for child in children {
                let one = self.group(host, root, format!("{}/{child}", group.path))?;
                any |= one.is_some();
                all.extend(one);
            }
            if !any {
                all.push(group.clone());
            }
        }
        all.sort_by(|a, b| b.held_bytes.cmp(&a.held_bytes).then_with(|| a.path.cmp(&b.path)));
        all.truncate(LARGEST);
        Ok(all)
    }

    /// Nothing where it has gone, or does not count memory.
    fn group(&mut self, host: &Host, root: &Root, path: String) -> Result<Option<GroupUse>, String> {
        let usage = if root.v2 { "memory.current" } else { "memory.usage_in_bytes" };
        let usage = format!("{}{path}/{usage}", root.point);
        let Some(usage) = needed_number(host, &usage)? else { return Ok(None) };
        let file = format!("{}{path}/memory.stat", root.point);
        let caches = match self.raw.read(host, &file) {
            Came::Same | Came::New => {
                text(self.raw.bytes()).and_then(|text| parse(text, root.v2)).map_err(|why| format!("{file}: {why}"))?
            }
            Came::Gone => return Ok(None),
            Came::Failed(_) if gone(host, &file) => return Ok(None),
            Came::Failed(why) => return Err(why),
        };
        Ok(Some(GroupUse {
            path,
            held_bytes: usage.saturating_sub(caches.all()),
            working_set_bytes: usage.saturating_sub(caches.inactive_file),
        }))
    }
}

/// What the kernel can take back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Caches {
    inactive_file: u64,
    active_file: u64,
    slab_reclaimable: u64,
}

impl Caches {
    fn all(self) -> u64 {
        self.inactive_file.saturating_add(self.active_file).saturating_add(self.slab_reclaimable)
    }
}

/// v1 has the numbers of the group alone, and those with all beneath it as `total_...`; slab it does not tell.
fn parse(text: &str, v2: bool) -> Result<Caches, String> {
    let mut caches = Caches::default();
    let mut found = 0;
    for (index, line) in text.lines().enumerate() {
        let (name, value) = line.split_once(' ').ok_or_else(|| bad_line(index, line, "a name and a number"))?;
        let name = if v2 { Some(name) } else { name.strip_prefix("total_") };
        let slot = match name {
            Some("inactive_file") => &mut caches.inactive_file,
            Some("active_file") => &mut caches.active_file,
            Some("slab_reclaimable") => &mut caches.slab_reclaimable,
            _ => continue,
        };
        *slot = value.parse().map_err(|_| bad_line(index, line, "a name and a number"))?;
        found += 1;
    }
    if found >= 2 { Ok(caches) } else { Err("active_file and inactive_file are not both there".to_owned()) }
}

/// v1's hierarchy of the memory controller.
fn hierarchy(mounts: &[Mount]) -> Option<Root> {
    let holds = |mount: &&Mount| mount.kind == "cgroup" && mount.super_options.split(',').any(|one| one == "memory");
    mounts.iter().find(holds).map(|mount| Root { point: mount.point.clone(), v2: false })
}

/// The v2 hierarchy, where it has the controller.
fn v2(host: &Host, mounts: &[Mount]) -> Option<Root> {
    let point = super::groups::root(mounts)?;
    let controllers = super::raw::word(host, &format!("{point}/cgroup.controllers"))?;
    let has = controllers.split_ascii_whitespace().any(|one| one == "memory");
    has.then(|| Root { point: point.to_owned(), v2: true })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the cgroups that are read.
mod tests {
    use super::*;
    use crate::model::watch::Reserved;
    use crate::model::{Bytes, Millicores, Resources};

    const MIB: u64 = 1 << 20;

    fn reserved(mib: u64) -> Thresholds {
        let kube = Resources::of(Millicores(100), Bytes::from_mib(mib), None);
        Thresholds {
            reserved: Reading::fresh(Reserved { kube, system: Resources::default() }, "made"),
            ..Thresholds::default()
        }
    }

    #[test]
    fn pods_are_left_out_and_caches_apart() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| crate::host::made::put(&root.path().join("sys/fs/cgroup"), path, text);
        let group = |path: &str, current: u64, inactive: u64, active: u64, slab: u64| {
            put(&format!("{path}/memory.current"), &format!("{}\n", current * MIB));
            let [inactive, active, slab] = [inactive, active, slab].map(|mib| mib * MIB);
            let stat = format!("anon 1\ninactive_file {inactive}\nactive_file {active}\nslab_reclaimable {slab}\n");
            put(&format!("{path}/memory.stat"), &stat);
        };
        let host = Host::new(root.path()).unwrap();
        let mut mounts = Vec::new();
        super::super::mounts::parse("1 0 0:20 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", &mut mounts).unwrap();
        let (mut source, mut slot) = (Source::default(), Sampled::default());
        let mut look = |at: u64, thresholds: Option<&Thresholds>, mounts: &[Mount]| {
            source.read(&host, (Mono(at), false), mounts, thresholds, &mut slot);
            slot.reading.clone()
        };
        assert!(matches!(look(1, None, &[]), Reading::Absent { .. }));
        put("cgroup.controllers", "cpu memory\n");
        group("system.slice", 600, 100, 50, 25);
        group("system.slice/a.service", 200, 0, 0, 0);
        group("system.slice/b.service", 300, 100, 0, 0);
        group("runtime.slice", 100, 0, 0, 0);
        group("system.slice/kubelet.service", 50, 0, 0, 0);
        put("runtime.slice/memory.peak", &format!("{}\n", 300 * MIB));
        put("system.slice/kubelet.service/memory.peak", &format!("{}\n", 90 * MIB));
        group("kubepods.slice", 9000, 0, 0, 0);
        put("dev-hugepages.mount/cgroup.procs", "");
        let said = |reading: &Reading<OutsidePods>| {
            let seen = reading.value().unwrap();
            let words = |all: &[GroupUse]| {
                let one = |g: &GroupUse| format!("{} {} {}", g.path, g.held_bytes / MIB, g.working_set_bytes / MIB);
                all.iter().map(one).collect::<Vec<_>>()
            };
            (words(&seen.groups), words(&seen.largest))
        };
        let seen = look(400_000, Some(&reserved(1000)), &mounts);
        let parts = seen.value().map(|all| (all.kube.held_bytes / MIB, all.system.held_bytes / MIB)).unwrap();
        assert_eq!(parts, (150, 375), "runtime.slice and kubelet; the rest of system.slice");
        let peaks = seen.value().map(|all| (all.kube.peak_bytes, all.system.peak_bytes)).unwrap();
        assert_eq!(peaks, (Some(390 * MIB), None), "an older kernel has none for system.slice");
        let groups = vec!["/runtime.slice 100 100".to_owned(), "/system.slice 425 500".to_owned()];
        assert_eq!(said(&seen), (groups.clone(), Vec::new()));
        assert_eq!(look(430_000, Some(&reserved(10)), &mounts), seen, "not yet");
        let seen = look(460_000, Some(&reserved(580)), &mounts);
        let largest = [
            "/system.slice/a.service 200 200",
            "/system.slice/b.service 200 200",
            "/runtime.slice 100 100",
            "/system.slice/kubelet.service 50 50",
        ];
        assert_eq!(said(&seen), (groups.clone(), largest.map(str::to_owned).to_vec()));
        // One look that fails leaves none of them out of the next, whichever it fails at.
        for (at, (path, current, caches)) in
            [("runtime.slice", 100, [0; 3]), ("system.slice", 600, [100, 50, 25])].into_iter().enumerate()
        {
            let at = 520_000 + u64::try_from(at).unwrap() * 120_000;
            put(&format!("{path}/memory.stat"), "anon 1\n");
            assert!(matches!(look(at, None, &mounts), Reading::Failed { .. }));
            group(path, current, caches[0], caches[1], caches[2]);
            assert_eq!(said(&look(at + 60_000, None, &mounts)).0, groups);
        }
        put("system.slice/memory.current", "\n");
        let Reading::Failed { why } = look(760_000, None, &mounts) else { panic!("no number is no memory") };
        assert!(why.contains("system.slice/memory.current"), "{why}");
    }

    #[test]
    fn v1_counts_with_all_beneath() {
        let text = "cache 5\ninactive_file 1\nactive_file 1\ntotal_inactive_file 30\ntotal_active_file 12\n";
        assert_eq!(parse(text, false), Ok(Caches { inactive_file: 30, active_file: 12, slab_reclaimable: 0 }));
        assert_eq!(parse(text, true).unwrap().all(), 2);
        for text in ["", "inactive_file", "inactive_file x\nactive_file 1", "anon 1\nactive_file 1"] {
            assert!(parse(text, true).is_err(), "{text:?}");
        }
        let mut mounts = Vec::new();
        let table = "1 0 0:20 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n2 0 0:21 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        super::super::mounts::parse(table, &mut mounts).unwrap();
        assert_eq!(hierarchy(&mounts), Some(Root { point: "/sys/fs/cgroup/memory".to_owned(), v2: false }));
    }
}
