//! Shares of groups and processes that add up, and who is named first.

use super::*;
use crate::detect::play::disk;
use crate::model::Reading;
use crate::model::watch::Sampled;

const MIB: u64 = 1 << 20;
const POD: &str =
    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b2c3d_0000_1111_2222_333344445555.slice";

/// Cumulative counters of a node with a disk or two, and its turns.
#[derive(Default)]
struct Node {
    tally: Tally,
    samples: Samples,
    at: u64,
    disks: BTreeMap<String, DiskCounters>,
    groups: BTreeMap<String, BTreeMap<Dev, IoCounters>>,
    processes: Vec<ProcessIo>,
}

fn dev(minor: u32) -> Dev {
    Dev { major: 259, minor }
}

impl Node {
    fn new(disks: u32) -> Self {
        let mut node = Self { at: 1_000_000, ..Self::default() };
        let devices: Vec<_> = (0..disks).map(|minor| disk(&format!("nvme{minor}n1"), minor)).collect();
        for device in &devices {
            node.disks.insert(device.name.clone(), DiskCounters { name: device.name.clone(), ..Default::default() });
        }
        node.samples.devices = Sampled::at(Mono(1), Reading::fresh(devices, "/sys/block"));
        node
    }

    fn device(&mut self, minor: u32, reads: u64, writes: u64) {
        let line = self.disks.get_mut(&format!("nvme{minor}n1")).unwrap();
        line.reads += reads;
        line.writes += writes;
        line.sectors_read += reads * MIB / 512;
        line.sectors_written += writes * MIB / 512;
    }

    /// A group's I/O of 1 MiB each, counted in it and in all groups above it.
    fn group(&mut self, path: &str, minor: u32, reads: u64, writes: u64) {
        let mut path = path;
        while !path.is_empty() {
            let charged = self.groups.entry(path.to_owned()).or_default().entry(dev(minor)).or_default();
            *charged = more(*charged, IoCounters { read_bytes: reads * MIB, write_bytes: writes * MIB, reads, writes });
            path = path.rsplit_once('/').unwrap().0;
        }
    }

    fn blame(&mut self) -> BTreeMap<Dev, Vec<Contributor>> {
        self.at += 10_000;
        let at = Mono(self.at);
        let disks = self.disks.values().cloned().collect();
        self.samples.counters = Sampled::at(at, Reading::fresh(disks, ""));
        let groups: Vec<_> = self
            .groups
            .iter()
            .map(|(path, devices)| GroupIo {
                path: path.clone(),
                by_device: devices.iter().map(|(dev, charged)| (*dev, *charged)).collect(),
            })
            .collect();
        self.samples.groups = match groups.is_empty() {
            true => Sampled::at(at, Reading::absent("no io controller")),
            false => Sampled::at(at, Reading::fresh(groups, "")),
        };
        self.samples.processes = Sampled::at(at, Reading::fresh(self.processes.clone(), ""));
        let blame = self.tally.blame(&self.samples);
        for list in blame.values() {
            let sum: f64 = list.iter().map(|one| one.share_of_bytes).sum();
            assert!(sum.to_bits() == 1_f64.to_bits(), "{sum} of {list:?}");
        }
        blame
    }

    fn process(&mut self, pid: u32, comm: &str, devices: &[u32], read: u64, write: u64) {
        let taken = Mono(self.at + 10_000);
        if let Some(one) = self.processes.iter_mut().find(|one| one.pid == pid) {
            one.taken = taken;
            one.read_bytes += read * MIB;
            one.write_bytes += write * MIB;
            return;
        }
        self.processes.push(ProcessIo {
            pid,
            start_ticks: self.at / 10 + 300,
            comm: comm.to_owned(),
            cgroup: "/system.slice/backup.service".to_owned(),
            taken,
            read_bytes: read * MIB,
            write_bytes: write * MIB,
            devices: devices.iter().map(|minor| dev(*minor)).collect(),
        });
    }
}

fn shares(list: &[Contributor]) -> Vec<(String, u64)> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let thousandths = |share: f64| (share * 1000.0).round() as u64;
    list.iter().map(|one| (one.who.to_string(), thousandths(one.share_of_bytes))).collect()
}

fn said(lines: &[(&str, u64)]) -> Vec<(String, u64)> {
    lines.iter().map(|(who, share)| ((*who).to_owned(), *share)).collect()
}

#[test]
fn two_known_writers_and_a_hidden_one() {
    let mut node = Node::new(1);
    let container = format!("{POD}/cri-containerd-{}.scope", "ab".repeat(32));
    node.group("/system.slice/containerd.service", 0, 3, 700);
    node.group(&container, 0, 1, 900);
    node.device(0, 100, 5000);
    assert_eq!(node.blame(), BTreeMap::new(), "a first sample is no window");
    node.group("/system.slice/containerd.service", 0, 0, 200);
    node.group(&container, 0, 0, 500);
    node.device(0, 0, 1000); // 300 of them by nobody that is counted.
    let blame = node.blame();
    let uid = "0a1b2c3d-0000-1111-2222-333344445555";
    let expected =
        [(&*format!("pod {uid} container abababababab"), 500), ("unattributed", 300), ("unit containerd.service", 200)];
    assert_eq!(shares(&blame[&dev(0)]), said(&expected));
    let hidden = &blame[&dev(0)][1];
    assert!(
        (hidden.share_of_bytes - 0.3).abs() < 0.3 * 0.05 && (hidden.write_bytes_per_s - 30.0 * 1_048_576.0).abs() < 1.0
    );
    assert!((hidden.share_of_operations.unwrap() - 0.3).abs() < 0.001);
}

#[test]
fn a_moment_between_two_readings_is_nobodys_work() {
    let mut node = Node::new(1);
    let container = format!("{POD}/{}", "a1".repeat(32));
    for (above, group) in [(0, 0), (7, 500), (9, 500)] {
        node.group(&container, 0, 0, group);
        // Read later than its child: a little of what the child did is in it already.
        node.group(POD, 0, 0, above);
        node.device(0, 0, 1000);
        if above != 0 {
            let blame = node.blame();
            let names: Vec<_> = shares(&blame[&dev(0)]).into_iter().map(|(name, _)| name).collect();
            assert!(names.len() == 2 && names.iter().any(|name| name == "unattributed"), "{names:?}");
        } else {
            node.blame();
        }
    }
    node.group(POD, 0, 0, 100);
    node.device(0, 0, 1000);
    assert_eq!(shares(&node.blame()[&dev(0)]).len(), 2, "a child that is gone did as much");
}

#[test]
fn groups_that_come_go_and_come_again_count_once() {
    let mut node = Node::new(1);
    let (old, new) = (format!("{POD}/{}", "a1".repeat(32)), format!("{POD}/{}", "b2".repeat(32)));
    node.group(&old, 0, 0, 50);
    node.group("/system.slice/cron.service", 0, 0, 800);
    node.device(0, 0, 900);
    node.blame();
    node.group(&old, 0, 0, 30);
    node.groups.remove(&old); // Its pod keeps what it did.
    node.group(&new, 0, 0, 20);
    node.groups.get_mut("/system.slice/cron.service").unwrap().clear(); // Restarted: made anew under its path.
    node.group("/system.slice/cron.service", 0, 0, 50);
    node.device(0, 0, 100);
    let uid = "0a1b2c3d-0000-1111-2222-333344445555";
    let expected = [
        ("unit cron.service", 500),
        (&*format!("pod {uid}"), 300),
        (&*format!("pod {uid} container b2b2b2b2b2b2"), 200),
    ];
    assert_eq!(shares(&node.blame()[&dev(0)]), said(&expected));
}

#[test]
fn charges_at_the_edge_are_scaled_and_a_hung_disk_is_divided_by_what_was_asked() {
    let mut node = Node::new(2);
    node.group("/a.service", 0, 1, 1);
    node.blame();
    node.group("/a.service", 0, 30, 90);
    node.group("/b.service", 0, 0, 30);
    node.device(0, 40, 60);
    node.group("/a.service", 1, 0, 3);
    node.group("/b.service", 1, 0, 1);
    let blame = node.blame();
    // Writes 120 of 60 are halved; reads 30 of 40 leave 10.
    assert_eq!(
        shares(&blame[&dev(0)]),
        said(&[("unit a.service", 750), ("unit b.service", 150), ("unattributed", 100)])
    );
    assert_eq!(shares(&blame[&dev(1)]), said(&[("unit a.service", 750), ("unit b.service", 250)]));
}

#[test]
fn five_are_named_and_the_rest_is_one_line() {
    let mut node = Node::new(1);
    node.group("/root.service", 0, 1, 0);
    node.blame();
    (0..40).for_each(|n| node.group(&format!("/u{n:02}.service"), 0, 0, if n < 5 { 100 } else { 10 }));
    node.group("/small.service", 0, 0, 0);
    node.device(0, 0, 1000);
    let list = &node.blame()[&dev(0)];
    assert_eq!(list.len(), 7);
    assert_eq!(shares(list)[0], ("unattributed".to_owned(), 150));
    assert_eq!(shares(list)[6], ("35 others".to_owned(), 350));
}

#[test]
fn processes_stand_in_where_groups_do_not_count() {
    let mut node = Node::new(2);
    node.process(10, "old", &[0], 0, 1000);
    node.device(0, 0, 1000);
    node.blame();
    node.process(10, "old", &[], 0, 40);
    node.process(11, "dd", &[0, 1], 0, 60); // Started in the window, with files on both.
    node.device(0, 0, 100);
    node.device(1, 0, 50);
    let blame = node.blame();
    let (old, dd) = ("process old[10] of unit backup.service", "process dd[11] of unit backup.service");
    assert_eq!(shares(&blame[&dev(0)]), said(&[(old, 400), (dd, 400), ("unattributed", 200)]));
    assert_eq!(shares(&blame[&dev(1)]), said(&[("unattributed", 600), (dd, 400)]));
    let marks: Vec<_> = blame[&dev(0)].iter().map(|one| (one.estimated, one.share_of_operations)).collect();
    assert_eq!(marks, [(false, None), (true, None), (false, None)]);
    // An old process that was not seen before the window is not charged with its life.
    node.processes.push(ProcessIo { pid: 12, start_ticks: 5, ..node.processes[0].clone() });
    node.process(10, "old", &[], 0, 0);
    node.process(11, "dd", &[], 0, 0);
    node.device(0, 0, 100);
    assert_eq!(shares(&node.blame()[&dev(0)]), said(&[("unattributed", 1000)]));
}

#[test]
fn a_kernel_thread_is_not_charged_again_with_what_a_program_did() {
    let mut node = Node::new(2);
    node.process(10, "writer", &[0], 0, 0);
    node.process(11, "kworker/u8:0-loop0", &[], 0, 0);
    node.blame();
    node.process(10, "writer", &[], 0, 95);
    node.process(11, "kworker/u8:0-loop0", &[], 0, 200);
    node.device(0, 0, 100);
    let blame = node.blame();
    let names = ["process writer[10] of unit backup.service", "process kworker/u8:0-loop0[11] of unit backup.service"];
    assert_eq!(shares(&blame[&dev(0)]), said(&[(names[0], 950), (names[1], 50)]));
    assert_eq!(blame[&dev(0)].iter().map(|one| one.estimated).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_process_that_is_read_every_third_turn_is_taken_to_be_even() {
    let mut node = Node::new(1);
    node.process(10, "dd", &[0], 0, 0);
    for turn in 0..9 {
        node.device(0, 0, 100);
        if turn % 3 == 0 {
            node.process(10, "dd", &[0], 0, 150);
        }
        let blame = node.blame();
        if turn >= 3 {
            assert_eq!(
                shares(&blame[&dev(0)]),
                said(&[("process dd[10] of unit backup.service", 500), ("unattributed", 500)])
            );
            assert!(blame[&dev(0)][0].estimated);
        }
    }
}

#[test]
fn a_pause_is_not_a_window_and_is_forgotten() {
    let mut node = Node::new(1);
    node.group("/a.service", 0, 0, 1);
    node.blame();
    for _ in 0..8 {
        node.at += 10_000;
        node.samples.counters.taken = Mono(node.at);
        assert_eq!(node.tally.blame(&node.samples), BTreeMap::new());
    }
    assert_eq!(node.tally, Tally::default());
}

proptest::proptest! {
    #[test]
    fn shares_are_a_whole(
        did in (0_u64..=u64::MAX, 0_u64..=u64::MAX, 0_u64..1 << 20, 0_u64..1 << 20),
        asked in proptest::collection::vec((0_u64..=u64::MAX, 0_u64..=u64::MAX, 0_u64..1 << 20, 0_u64..1 << 20), 0..20),
    ) {
        let counters = |(read_bytes, write_bytes, reads, writes)| IoCounters { read_bytes, write_bytes, reads, writes };
        let line = DiskCounters::default();
        let window = DiskWindow::between(dev(0), (Mono(0), &line), (Mono(10_000), &line)).unwrap();
        let window = DiskWindow { done: counters(did), ..window };
        let works = asked.into_iter().zip(0..).map(|(asked, pid)| {
            let who = Who::Process { pid, comm: String::new(), of: String::new() };
            (who, Work { done: counters(asked), sure: [Sure::Counted, Sure::Divided, Sure::Guessed][usize::try_from(pid % 3).unwrap()] })
        });
        let list = divide(&window, &works.collect(), true);
        let bytes: f64 = list.iter().map(|one| one.share_of_bytes).sum();
        let operations: Option<f64> = list.iter().map(|one| one.share_of_operations).sum();
        assert!(list.is_empty() || bytes.to_bits() == 1_f64.to_bits(), "{bytes}: {list:?}");
        assert!(operations.is_none_or(|sum| list.is_empty() || sum.to_bits() == 1_f64.to_bits()), "{operations:?}");
        assert!(list.iter().all(|one| one.share_of_bytes >= 0.0 && one.write_bytes_per_s >= 0.0));
        assert!(list.len() <= LISTED_AND_TWO);
    }
}

/// Six by name, the others or nobody.
const LISTED_AND_TWO: usize = 7;
