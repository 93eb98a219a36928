//! Metrics of disks, and of who uses them: the five largest, the rest and what nobody was seen to ask for, so that shares add up to 1.
//! It refuses processes and nameless cgroups labels of their own: there is no bound to those.

use std::collections::BTreeMap;

use super::page::{Page, Type, as_f64};
use crate::model::problem::{Contributor, Who};
use crate::model::status::{DiskStatus, Status, WindowStatus};

/// So many contributors of a disk have samples of their own.
const LARGEST: usize = 5;

/// More disks than this have no samples: hosts with hundreds of them have loop devices, and no reader for each.
const MOST_DISKS: usize = 128;

/// Name, unit, help, and what to take of a window.
type Gauge = (&'static str, &'static str, &'static str, fn(&WindowStatus) -> Option<f64>);

const OF_WINDOW: [Gauge; 7] = [
    ("disk_reads_per_second", "", "Reads completed per second of the newest window.", |window| {
        Some(window.reads_per_s)
    }),
    ("disk_writes_per_second", "", "Writes completed per second of the newest window.", |window| {
        Some(window.writes_per_s)
    }),
    (
        "disk_bytes_per_second",
        "bytes_per_second",
        "Bytes read and written per second of the newest window.",
        |window| Some(window.bytes_per_s),
    ),
    (
        "disk_await_seconds",
        "seconds",
        "Mean time of the requests that completed in the newest window; none where none completed.",
        |window| window.await_ms.map(|ms| ms / 1000.0),
    ),
    (
        "disk_queue_requests",
        "requests",
        "Mean number of requests in the queue and in service in the newest window.",
        |window| Some(window.aqu),
    ),
    ("disk_busy_ratio", "ratio", "Share of the newest window with anything in flight.", |window| {
        Some(window.util_percent / 100.0)
    }),
    ("disk_in_flight_requests", "requests", "Requests in flight at the end of the newest window.", |window| {
        Some(as_f64(window.in_flight))
    }),
];

pub(super) fn write(page: &mut Page, status: &Status) {
    let seen = &status.disks[..status.disks.len().min(MOST_DISKS)];
    for (name, unit, help, take) in OF_WINDOW {
        let mut family = page.family(name, Type::Gauge, unit, help);
        for disk in seen {
            if let Some(value) = disk.window.as_ref().and_then(take) {
                family.sample(&[("disk", &disk.name)], value);
            }
        }
    }
    baselines(page, seen);
    let mut saturated = page.family(
        "disk_saturated",
        Type::Gauge,
        "",
        "Whether the saturation rule holds for the newest window alone; none without a baseline.",
    );
    for disk in seen {
        if let Some(now) = disk.saturated_now {
            saturated.sample(&[("disk", &disk.name)], f64::from(u8::from(now)));
        }
    }
    contributors(page, &status.contributors[..status.contributors.len().min(MOST_DISKS)]);
}

fn baselines(page: &mut Page, disks: &[DiskStatus]) {
    let mut family = page.family(
        "disk_baseline_seconds",
        Type::Gauge,
        "seconds",
        "What a request of a size needs on the idle disk: small up to 32 KiB, medium up to 256 KiB, large.",
    );
    for disk in disks {
        let line = &disk.baseline;
        for (size, ms) in [("small", line.small), ("medium", line.medium), ("large", line.large)] {
            if let Some(ms) = ms {
                family.sample(&[("disk", &disk.name), ("size", size)], ms / 1000.0);
            }
        }
    }
}

/// What a contributor is called here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    kind: &'static str,
    unit: String,
    namespace: String,
    pod: String,
    container: String,
}

/// Bytes: share, read per second, written per second.
type Work = (f64, f64, f64);

fn contributors(page: &mut Page, all: &[(String, Vec<Contributor>)]) {
    let disks: Vec<_> = all.iter().map(|(disk, list)| (disk, largest(list))).collect();
    let mut shares = page.family(
        "disk_contributor_ratio",
        Type::Gauge,
        "ratio",
        "Share of a disk's bytes in the newest window; only while somebody is looked for. Shares of a disk add up to 1.",
    );
    for (disk, list) in &disks {
        for (name, (share, ..)) in list {
            shares.sample(&name.labels(disk, None), *share);
        }
    }
    let mut rates = page.family(
        "disk_contributor_bytes_per_second",
        Type::Gauge,
        "bytes_per_second",
        "Bytes per second that somebody read from or wrote to a disk in the newest window; only while somebody is looked for.",
    );
    for (disk, list) in &disks {
        for (name, (_, read, write)) in list {
            rates.sample(&name.labels(disk, Some("read")), *read);
            rates.sample(&name.labels(disk, Some("write")), *write);
        }
    }
}

/// The largest by name, then `others` and `unattributed`.
fn largest(list: &[Contributor]) -> Vec<(Name, Work)> {
    let mut by_name: BTreeMap<Name, Work> = BTreeMap::new();
    let add = |work: &mut Work, more: &Work| *work = (work.0 + more.0, work.1 + more.1, work.2 + more.2);
    for one in list {
        let work = (one.share_of_bytes, one.read_bytes_per_s, one.write_bytes_per_s);
        add(by_name.entry(Name::of(&one.who)).or_default(), &work);
    }
    let unattributed = by_name.remove_entry(&Name::kind("unattributed"));
    let mut others = by_name.remove_entry(&Name::kind("others"));
    let mut named: Vec<_> = by_name.into_iter().collect();
    named.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
    if let Some(rest) = named.get(LARGEST..).filter(|rest| !rest.is_empty()) {
        let all = others.get_or_insert_with(|| (Name::kind("others"), Work::default()));
        rest.iter().for_each(|(_, work)| add(&mut all.1, work));
        named.truncate(LARGEST);
    }
    named.extend(others);
    named.extend(unattributed);
    named
}

impl Name {
    fn kind(kind: &'static str) -> Self {
        Self { kind, unit: String::new(), namespace: String::new(), pod: String::new(), container: String::new() }
    }

    fn of(who: &Who) -> Self {
        match who {
            // A pod whose name is not known is told by its UID, which is as bounded as the name.
            Who::Container { namespace, pod, container, uid, .. } => Self {
                namespace: namespace.clone(),
                pod: if pod.is_empty() { uid.clone() } else { pod.clone() },
                container: container.clone(),
                ..Self::kind("container")
            },
            Who::Unit { unit } => Self { unit: unit.clone(), ..Self::kind("unit") },
            Who::Group { .. } => Self::kind("cgroup"),
            Who::Process { .. } => Self::kind("process"),
            Who::Others { .. } => Self::kind("others"),
            Who::Unattributed => Self::kind("unattributed"),
        }
    }

    fn labels<'l>(&'l self, disk: &'l str, direction: Option<&'l str>) -> Vec<(&'static str, &'l str)> {
        let mut labels = vec![("disk", disk), ("who", self.kind)];
        let words =
            [("unit", &self.unit), ("namespace", &self.namespace), ("pod", &self.pod), ("container", &self.container)];
        labels.extend(words.into_iter().filter(|(_, word)| !word.is_empty()).map(|(name, word)| (name, word.as_str())));
        labels.extend(direction.map(|word| ("direction", word)));
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_names_than_the_bound() {
        let one = |who, share| Contributor {
            who,
            share_of_bytes: share,
            share_of_operations: None,
            estimated: false,
            read_bytes_per_s: 0.0,
            write_bytes_per_s: 100.0 * share,
        };
        let mut list: Vec<_> =
            (0..40).map(|pid| one(Who::Process { pid, comm: format!("dd{pid}"), of: String::new() }, 0.01)).collect();
        list.extend((0..40).map(|n| one(Who::Unit { unit: format!("u{n}.service") }, 0.01)));
        list.push(one(Who::Unattributed, 0.15));
        list.push(one(Who::Others { count: 3 }, 0.05));
        let shown = largest(&list);
        let names: Vec<_> = shown.iter().map(|(name, _)| name.kind).collect();
        assert_eq!(names, ["process", "unit", "unit", "unit", "unit", "others", "unattributed"]);
        let (share, _, written) = shown.iter().fold(Work::default(), |a, (_, b)| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
        assert!((share - 1.0).abs() < 1e-9 && (written - 100.0).abs() < 1e-6, "{shown:?}");
    }
    #[test]
    fn hundreds_of_disks_do_not_make_thousands_of_samples() {
        let disk = |number| DiskStatus {
            name: format!("loop{number}"),
            window: Some(WindowStatus::default()),
            ..DiskStatus::default()
        };
        let status = Status { disks: (0..500).map(disk).collect(), ..Status::default() };
        let mut page = Page::new(crate::metrics::Format::Prometheus);
        write(&mut page, &status);
        assert_eq!(page.finish().matches("node_steward_disk_busy_ratio{").count(), MOST_DISKS);
    }
}
