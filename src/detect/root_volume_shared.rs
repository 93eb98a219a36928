//! `RootVolumeShared`: container state, kubelet's state or pod logs lie on the disk of `/`, and share its I/O. Advice, for it is the common layout.
//! It refuses to compare file systems: two partitions, or two logical volumes, of one disk share one quota.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Contributor, Entry, Evidence, Finding, Kind, Severity, Who};
use crate::model::watch::{Answer, BlockDevice, KUBE_UNITS, Place};

/// The name of the problem.
pub const ROOT_VOLUME_SHARED: Kind = Kind::new("RootVolumeShared");
/// The detector.
pub struct RootVolumeShared;

/// `[detect.root_volume_shared]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {}

/// What is kept: how much of the disk's bytes was theirs when it was last known, in parts of 1000.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    thousandths: Option<u32>,
}

impl Detector for RootVolumeShared {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "root_volume_shared";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: ROOT_VOLUME_SHARED,
        severity: Severity::Advice,
        condition: Condition::DiskIO,
        may_cordon: false,
        meaning: "Containers, kubelet or pod logs use the same disk as the operating system. A pod that writes much slows down kubelet, the runtime and the system's own services, because the disk's IOPS and throughput are shared.",
        advice: "Give container state (/var/lib/containerd and /var/lib/kubelet, and /var/log/pods) a disk of its own, or instance store, or give the root volume enough IOPS and throughput for both.",
    }];

    fn look(_: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        let Some(places) = scene.samples.places.value() else {
            return Look::unknown(format!("no directory was looked at: {}", scene.samples.places.reading.origin()));
        };
        let Some(devices) = scene.samples.devices.value() else {
            return Look::unknown(format!("no list of block devices: {}", scene.samples.devices.reading.origin()));
        };
        let root = match places.iter().find(|place| place.role == "root").map(|place| (place, disks(scene, place))) {
            None => return Look::unknown("/ was not looked at"),
            Some((place, Err(why))) => return Look::unknown(format!("{}: {why}", place.path)),
            Some((_, Ok(disks))) => disks,
        };
        let mut unknown = Vec::new();
        let mut shared: Vec<(&Place, &str)> = Vec::new();
        for place in places.iter().filter(|place| ["runtime", "kubelet", "pod logs"].contains(&place.role.as_str())) {
            match disks(scene, place) {
                Err(_) if matches!(place.answer, Answer::Missing) => {}
                Err(why) => unknown.push(format!("{}: {why}", place.path)),
                Ok(theirs) => {
                    let both = theirs.iter().find(|disk| root.contains(disk));
                    shared.extend(both.map(|disk| (place, disk.as_str())));
                }
            }
        }
        // Without kubelet's directory and a runtime's this is no Kubernetes node, or not yet.
        let node = shared.iter().any(|(place, _)| place.role != "pod logs");
        let Some((_, disk)) = shared.first().filter(|_| node) else {
            memory.thousandths = None;
            return match unknown.is_empty() {
                true => Look::at(Vec::new()),
                false => Look::unknown(unknown.join("; ")),
            };
        };
        let dev = devices.iter().find(|device| device.name == **disk).map(|device| device.dev);
        if let Some(list) = dev.and_then(|dev| scene.blame.get(&dev)) {
            memory.thousandths = Some(theirs(list));
        }
        let paths: Vec<_> = shared.iter().map(|(place, _)| place.path.as_str()).collect();
        let mut evidence = vec![Evidence::text("device", *disk)];
        evidence.extend(paths.iter().map(|path| Evidence::text("on it", *path)));
        let share = memory.thousandths.map(|parts| f64::from(parts) / 10.0);
        evidence.extend(share.map(|percent| Evidence::number("share of its I/O", percent, "%")));
        let known = share.map_or_else(String::new, |percent| {
            format!("; {percent:.0} % of its bytes were theirs when that was last looked at")
        });
        Look::at(vec![Finding {
            kind: ROOT_VOLUME_SHARED,
            subject: (*disk).to_owned(),
            severity: Severity::Advice,
            summary: format!("{disk} holds / and also {}{known}", paths.join(", ")),
            advice: advice(scene.named(disk), disk, &paths),
            evidence,
            // No device: who does the I/O is not asked for because of advice.
            device: None,
        }])
    }
}

/// With this host's disk and directories.
fn advice(device: Option<&BlockDevice>, disk: &str, paths: &[&str]) -> String {
    let what = device.filter(|device| device.bytes > 0).map_or_else(String::new, |device| {
        let model = if device.model.is_empty() { String::new() } else { format!("{}, ", device.model) };
        format!(" ({model}{})", super::log_cost::size(super::window::ratio(device.bytes, 1)))
    });
    format!(
        "One disk's IOPS and throughput are shared by the host and its containers: give {} a disk of their own or instance store, or give {disk}{what} enough of both for all of them.",
        paths.join(", ")
    )
}

/// The whole disks beneath a place.
fn disks<'a>(scene: &Scene<'a>, place: &Place) -> Result<&'a [String], String> {
    match &place.answer {
        Answer::Looked { dev, .. } => Ok(scene.disks_beneath(*dev)),
        Answer::Missing => Err("it is not there".to_owned()),
        Answer::Refused { why, .. } => Err(why.clone()),
        Answer::Stuck { for_ms } => Err(format!("no answer for {} s", for_ms / 1000)),
        Answer::NotAsked { why } => Err(why.clone()),
    }
}

/// Units whose I/O comes with containers.
fn units() -> impl Iterator<Item = &'static str> {
    KUBE_UNITS.iter().map(|(unit, _)| *unit).chain(["cri-docker.service"])
}

/// The share of pods, kubelet and the runtime.
fn theirs(list: &[Contributor]) -> u32 {
    let is_theirs = |who: &Who| match who {
        Who::Container { .. } => true,
        Who::Unit { unit } => units().any(|theirs| theirs == unit),
        Who::Group { path } => path.contains("kubepods"),
        Who::Process { of, .. } => of.starts_with("pod ") || units().any(|unit| of.ends_with(unit)),
        Who::Others { .. } | Who::Unattributed => false,
    };
    let share: f64 = list.iter().filter(|one| is_theirs(&one.who)).map(|one| one.share_of_bytes).sum();
    (0..=1000).rev().find(|parts| f64::from(*parts) <= share * 1000.0 + 0.5).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::play::{Play, disk};
    use crate::model::Reading;
    use crate::model::status::Standing;
    use crate::model::watch::{Dev, Layer, Sampled, Space};

    fn place(path: &str, role: &str, answer: Answer) -> Place {
        Place { path: path.to_owned(), role: role.to_owned(), answer }
    }

    fn on(minor: u32) -> Answer {
        let space = Space { total_bytes: 1, available_bytes: 1, inodes: 1, inodes_free: 1, read_only: false };
        Answer::Looked { dev: Dev { major: 259, minor }, space }
    }

    /// Disks nvme0n1 and nvme1n1; 10 and 11 are partitions of the first, 12 is a volume made of 11, 13 one of the second.
    fn play(places: Vec<Place>) -> Play<RootVolumeShared> {
        let mut play = Play::new(&["nvme0n1", "nvme1n1"]);
        let part = |name: &str, minor, layer, under: &str| BlockDevice {
            layer,
            disks: vec![under.to_owned()],
            ..disk(name, minor)
        };
        play.devices.push(part("nvme0n1p1", 10, Layer::Partition, "nvme0n1"));
        play.devices.push(part("nvme0n1p2", 11, Layer::Partition, "nvme0n1"));
        play.devices.push(part("dm-0", 12, Layer::Made, "nvme0n1"));
        play.devices.push(part("dm-1", 13, Layer::Made, "nvme1n1"));
        play.samples.places = Sampled::at(play.now.mono, Reading::fresh(places, "probes"));
        play
    }

    #[test]
    fn partitions_and_volumes_of_one_disk_share_it() {
        let look = play(vec![
            place("/", "root", on(10)),
            place("/var/lib/kubelet", "kubelet", on(12)),
            place("/var/lib/containerd", "runtime", on(13)),
            place("/var/lib/docker", "runtime", Answer::Missing),
            place("/var/log/pods", "pod logs", on(11)),
        ])
        .look();
        let [finding] = look.findings.as_slice() else { panic!("{look:?}") };
        assert_eq!(finding.summary, "nvme0n1 holds / and also /var/lib/kubelet, /var/log/pods");
        assert_eq!((finding.severity, finding.device), (Severity::Advice, None));
        let give = "give /var/lib/kubelet, /var/log/pods a disk of their own or instance store, or give nvme0n1 ";
        assert!(finding.advice.contains(give), "{}", finding.advice);
    }

    #[test]
    fn disks_of_their_own_are_well_and_a_bare_machine_is_no_node() {
        let own =
            [place("/", "root", on(10)), place("/var/lib/kubelet", "kubelet", on(13)), place("/l", "logs", on(10))];
        assert_eq!(play(own.to_vec()).look(), Look::at(Vec::new()));
        let bare = [place("/", "root", on(10)), place("/var/lib/kubelet", "kubelet", Answer::Missing)];
        assert_eq!(play(bare.to_vec()).look(), Look::at(Vec::new()));
    }

    #[test]
    fn what_does_not_answer_is_unknown() {
        for places in [
            vec![],
            vec![place("/", "root", Answer::Stuck { for_ms: 9000 })],
            vec![place("/", "root", on(10)), place("/var/lib/kubelet", "kubelet", Answer::Stuck { for_ms: 9000 })],
        ] {
            assert!(matches!(play(places).look().standing, Standing::Unknown { .. }));
        }
    }

    #[test]
    fn the_share_is_of_pods_kubelet_and_the_runtime() {
        let one = |who, share_of_bytes| Contributor {
            who,
            share_of_bytes,
            share_of_operations: None,
            read_bytes_per_s: 0.0,
            write_bytes_per_s: 0.0,
            estimated: false,
        };
        let unit = |name: &str| Who::Unit { unit: name.to_owned() };
        let list = [
            one(unit("containerd.service"), 0.25),
            one(Who::of_group("/kubepods/pod0123456789abcdef0123456789abcdef", &[]), 0.125),
            one(unit("cron.service"), 0.5),
            one(Who::Unattributed, 0.125),
        ];
        assert_eq!((theirs(&list), theirs(&[])), (375, 0));
    }
}
