//! Where a disk's problem is felt: what a finding about a disk or its controller says of the file systems on it, partitions, LVM and md between them
//! included. It refuses to list every bind mount of a node with hundreds of them, and to say again what a finding already says.

use std::collections::BTreeSet;

use super::mounted;
use super::scene::Scene;
use crate::model::problem::{Evidence, Finding};
use crate::model::watch::{Dev, Layer, Mount};

/// So many mount points are named; of the others, how many there are.
const NAMED: usize = 5;
/// The words of the evidence.
const MOUNT_POINT: &str = "mount point";
/// The node's own directories by their roles, those first that most depends on.
const ROLES: [&str; 5] = ["root", "kubelet", "runtime", "logs", "pod logs"];

/// Adds the device and the mount points that a finding is about, where it is about a disk and does not name them.
pub fn name(scene: &Scene<'_>, finding: &mut Finding) {
    let says = |finding: &Finding, names: &[&str]| finding.evidence.iter().any(|one| names.contains(&&*one.name));
    let device = finding.device.and_then(|dev| scene.device(dev));
    if let Some(device) = device
        && !says(finding, &["device", "disk"])
    {
        finding.evidence.push(Evidence::text("device", device.name.clone()));
    }
    if says(finding, &[MOUNT_POINT]) {
        return;
    }
    let points = match device.or_else(|| scene.named(&finding.subject)) {
        // What lies on a part of a disk is known for the part itself alone.
        Some(device) if matches!(device.layer, Layer::Partition | Layer::Made) => {
            points_on(scene, &|mount| mount.dev == device.dev)
        }
        Some(device) => points_on(scene, &on_disks(scene, &device.disks)),
        None => {
            let controllers = scene.samples.nvme.value().map_or(&[][..], Vec::as_slice);
            let Some(controller) = controllers.iter().find(|one| one.name == finding.subject) else { return };
            points_on(scene, &on_disks(scene, &controller.disks))
        }
    };
    finding.evidence.extend(points.iter().take(NAMED).map(|point| Evidence::text(MOUNT_POINT, *point)));
    let others = u64::try_from(points.len().saturating_sub(NAMED)).unwrap_or(u64::MAX);
    if others > 0 {
        finding.evidence.push(Evidence::count("more mount points", others, ""));
    }
}

/// Whether a mount lies on one of these disks, whatever is between them.
fn on_disks<'a>(scene: &'a Scene<'_>, disks: &'a [String]) -> impl Fn(&Mount) -> bool + 'a {
    let on_them = |device_disks: &[String]| device_disks.iter().any(|disk| disks.contains(disk));
    let devs: BTreeSet<Dev> =
        scene.devices().iter().filter(|device| on_them(&device.disks)).map(|device| device.dev).collect();
    // The kernel's numbers of no block device (btrfs and its like) have the major 0: nodes have hundreds of mounts, and the others need no second look.
    move |mount| devs.contains(&mount.dev) || (mount.dev.major == 0 && on_them(scene.disks_beneath(mount.dev)))
}

/// The mount points of these mounts: those that hold the node's own directories first, then the others by name. Of bind mounts only those that hold such
/// a directory, and those without which their file system would have no name.
fn points_on<'a>(scene: &Scene<'a>, is_there: &dyn Fn(&Mount) -> bool) -> Vec<&'a str> {
    let samples = scene.samples;
    let places = samples.places.value().map_or(&[][..], Vec::as_slice);
    let own: BTreeSet<(usize, u32)> = places
        .iter()
        .filter_map(|place| {
            Some((ROLES.iter().position(|role| *role == place.role)?, mounted::holding(samples, &place.path)?.id))
        })
        .collect();
    let rank = |mount: &Mount| own.iter().find(|(_, id)| *id == mount.id).map_or(ROLES.len(), |(role, _)| *role);
    let naming: BTreeSet<u32> = mounted::all_naming(samples).values().map(|mount| mount.id).collect();
    let mut points: Vec<(usize, &str)> = mounted::mounts(samples)
        .iter()
        .filter(|mount| is_there(mount))
        .map(|mount| (rank(mount), mount))
        .filter(|(rank, mount)| *rank < ROLES.len() || mount.root == "/" || naming.contains(&mount.id))
        .map(|(rank, mount)| (rank, mount.point.as_str()))
        .collect();
    points.sort_unstable();
    let mut seen = BTreeSet::new();
    points.retain(|(_, point)| seen.insert(*point));
    points.into_iter().map(|(_, point)| point).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::made;
    use super::super::scene::Past;
    use super::*;
    use crate::model::problem::{Kind, Severity};
    use crate::model::watch::{Answer, BlockDevice, EbsPage, NvmeModel, Place, Samples};

    const MADE: Dev = Dev { major: 253, minor: 0 };
    const PART: Dev = Dev { major: 259, minor: 3 };
    const DISK: Dev = Dev { major: 259, minor: 2 };
    const BTRFS: Dev = Dev { major: 0, minor: 44 };

    fn bind(id: u32, dev: Dev, root: &str, point: &str) -> Mount {
        Mount { root: root.to_owned(), ..made::mount(id, dev, point, "xfs", "rw") }
    }

    /// `/` on one disk; kubelet's, containerd's and others' directories on a volume group over two partitions of another.
    fn samples() -> Samples {
        let place = |path: &str, role: &str| Place { path: path.into(), role: role.into(), answer: Answer::Missing };
        let devices = vec![
            made::device("nvme0n1", Dev { major: 259, minor: 0 }, "nvme0n1"),
            made::device("nvme0n1p1", made::ROOT, "nvme0n1"),
            made::device("nvme1n1", DISK, "nvme1n1"),
            made::device("nvme1n1p1", PART, "nvme1n1"),
            BlockDevice { layer: Layer::Made, ..made::device("dm-0", MADE, "nvme1n1") },
        ];
        let mut mounts = vec![
            made::mount(1, made::ROOT, "/", "ext4", "rw"),
            made::mount(2, MADE, "/mnt/k8s-disks/0", "xfs", "rw"),
            bind(3, MADE, "/containerd", "/var/lib/containerd"),
            bind(4, MADE, "/kubelet", "/var/lib/kubelet"),
            bind(5, MADE, "/kubelet/pods/u/volume", "/var/lib/kubelet/pods/u/volume-subpaths/0"),
            made::mount(6, Dev { major: 0, minor: 30 }, "/run", "tmpfs", "rw"),
            bind(7, PART, "/only", "/bound"),
            Mount { source: "/dev/nvme1n1p1".to_owned(), ..bind(8, BTRFS, "/@data", "/data") },
        ];
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.id));
        Samples {
            devices: made::fresh(1, devices),
            places: made::fresh(
                1,
                vec![
                    place("/", "root"),
                    place("/bound/by/others", "mount"),
                    place("/var/lib/containerd", "runtime"),
                    place("/var/lib/kubelet", "kubelet"),
                ],
            ),
            nvme: made::fresh(1, vec![made::controller(1, NvmeModel::Ebs, EbsPage::default())]),
            ..made::samples(1, mounts)
        }
    }

    fn named(samples: &Samples, subject: &str, device: Option<Dev>, evidence: Vec<Evidence>) -> Vec<String> {
        let (now, none) = (made::now(1), BTreeSet::new());
        let scene = Scene::new(&now, samples, &none, &mut Past::default());
        let mut finding = Finding {
            kind: Kind::new("Made"),
            subject: subject.to_owned(),
            severity: Severity::Warning,
            summary: String::new(),
            advice: String::new(),
            evidence,
            device,
        };
        name(&scene, &mut finding);
        finding.evidence.iter().map(ToString::to_string).collect()
    }

    const ALL: [&str; 5] = [
        "mount point /var/lib/kubelet",
        "mount point /var/lib/containerd",
        "mount point /bound",
        "mount point /data",
        "mount point /mnt/k8s-disks/0",
    ];

    #[test]
    fn a_disk_by_number_or_name_and_a_controller_with_what_lies_on_them() {
        let samples = samples();
        let device = || vec![Evidence::text("device", "nvme1n1")];
        let wanted = [&["device nvme1n1"][..], &ALL].concat();
        assert_eq!(named(&samples, "nvme1n1", Some(DISK), device()), wanted);
        assert_eq!(named(&samples, "nvme1n1", None, device()), wanted);
        assert_eq!(named(&samples, "nvme1n1", Some(DISK), Vec::new()), wanted);
        assert_eq!(named(&samples, "nvme1", None, Vec::new()), ALL);
        assert_eq!(named(&samples, "nvme0n1", None, Vec::new()), ["mount point /"]);
    }

    #[test]
    fn what_is_said_is_not_said_again_and_a_part_is_not_the_whole() {
        let samples = samples();
        let said = || vec![Evidence::text("mount point", "/data")];
        assert_eq!(named(&samples, "/data", Some(PART), said()), ["mount point /data", "device nvme1n1p1"]);
        assert_eq!(named(&samples, "/data", None, said()), ["mount point /data"]);
        assert_eq!(named(&samples, "nvme1n1p1", None, Vec::new()), ["mount point /bound"]);
        assert_eq!(named(&samples, "node", None, Vec::new()), [""; 0]);
        assert_eq!(named(&Samples::default(), "nvme1n1", Some(DISK), Vec::new()), [""; 0]);
    }

    #[test]
    fn of_many_mount_points_the_nodes_own_are_named_and_the_others_counted() {
        let mut samples = samples();
        let mut mounts = samples.mounts.value().cloned().unwrap();
        mounts.extend((10..16).map(|id| made::mount(id, PART, &format!("/a{id}"), "xfs", "rw")));
        samples.mounts = made::fresh(1, mounts);
        let said = named(&samples, "nvme1n1", None, Vec::new());
        assert_eq!(
            said,
            [
                "mount point /var/lib/kubelet",
                "mount point /var/lib/containerd",
                "mount point /a10",
                "mount point /a11",
                "mount point /a12",
                "more mount points 5"
            ]
        );
    }
}
