//! The tree of /sys/block: disks, their parts, and what is made of them. It refuses a device without a number.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::raw::{number, word};
use crate::host::Host;
use crate::model::Reading;
use crate::model::watch::{BlockDevice, Layer};

const ROOT: &str = "/sys/block";
const SECTOR: u64 = 512;
/// Deeper than any stack of devices.
const MOST_DEPTH: u8 = 16;

/// Which device lies on which, by name.
type Beneath = BTreeMap<String, (Layer, Vec<String>)>;

/// Reads the whole tree. Many small files: only when /proc/partitions has changed, or now and then.
pub(super) fn read(host: &Host) -> Reading<Vec<BlockDevice>> {
    let entries = match host.list(Path::new(ROOT)) {
        Ok(Some(entries)) => entries,
        Ok(None) => return Reading::absent(format!("there is no {ROOT}")),
        Err(error) => return Reading::failed(error.to_string()),
    };
    let mut devices = Vec::new();
    let mut beneath = Beneath::new();
    for entry in entries.iter().filter(|entry| !is_hidden_path(&entry.name)) {
        let name = &entry.name;
        let dir = format!("{ROOT}/{name}");
        let slaves = names(host, &format!("{dir}/slaves"));
        let layer = layer(name, &slaves);
        let Some(disk) = one(host, name, &dir, layer) else { continue };
        beneath.insert(name.clone(), (layer, slaves));
        if disk.bytes > 0 {
            for part in names(host, &dir).into_iter().filter(|part| part.starts_with(name.as_str())) {
                let dir = format!("{dir}/{part}");
                let Some(part_device) = one(host, &part, &dir, Layer::Partition) else { continue };
                beneath.insert(part, (Layer::Partition, vec![name.clone()]));
                devices.push(BlockDevice {
                    model: disk.model.clone(),
                    io_timeout_ms: disk.io_timeout_ms,
                    rotational: disk.rotational,
                    ..part_device
                });
            }
        }
        devices.push(disk);
    }
    for device in &mut devices {
        let mut disks = BTreeSet::new();
        whole_disks(&device.name, &beneath, MOST_DEPTH, &mut disks);
        device.disks = disks.into_iter().collect();
    }
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    Reading::fresh(devices, ROOT)
}

fn names(host: &Host, dir: &str) -> Vec<String> {
    let entries = host.list(Path::new(dir)).ok().flatten().unwrap_or_default();
    entries.into_iter().map(|entry| entry.name).collect()
}

/// `nvme0c1n1` is one path to the disk `nvme0n1`, and has no number of its own.
fn is_hidden_path(name: &str) -> bool {
    name.strip_prefix("nvme").is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('c'))
}

fn layer(name: &str, slaves: &[String]) -> Layer {
    if name.starts_with("loop") {
        Layer::Loop
    } else if !slaves.is_empty() || ["dm-", "md", "zram", "ram"].iter().any(|made| name.starts_with(made)) {
        Layer::Made
    } else {
        Layer::Disk
    }
}

fn one(host: &Host, name: &str, dir: &str, layer: Layer) -> Option<BlockDevice> {
    let dev = word(host, &format!("{dir}/dev"))?.parse().ok()?;
    let sectors: u64 = number(host, &format!("{dir}/size")).unwrap_or(0);
    let mut device = BlockDevice {
        name: name.to_owned(),
        dev,
        layer,
        disks: Vec::new(),
        bytes: sectors.saturating_mul(SECTOR),
        model: String::new(),
        io_timeout_ms: None,
        rotational: false,
        read_only: false,
    };
    if sectors > 0 {
        device.read_only = number(host, &format!("{dir}/ro")) == Some(1u8);
    }
    if sectors > 0 && layer != Layer::Partition {
        device.model = word(host, &format!("{dir}/device/model")).unwrap_or_default();
        device.io_timeout_ms = number(host, &format!("{dir}/queue/io_timeout"));
        device.rotational = number(host, &format!("{dir}/queue/rotational")) == Some(1u8);
    }
    Some(device)
}

fn whole_disks(name: &str, beneath: &Beneath, depth: u8, found: &mut BTreeSet<String>) {
    let Some((layer, below)) = beneath.get(name) else { return };
    match layer {
        Layer::Disk | Layer::Loop => {
            found.insert(name.to_owned());
        }
        Layer::Partition | Layer::Made => {
            for lower in below.iter().filter(|_| depth > 0) {
                whole_disks(lower, beneath, depth - 1, found);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the tree that is read.
mod tests {
    use super::*;

    #[test]
    fn partitions_lvm_raid_and_loops_end_at_their_disks() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| crate::host::made::put(&root.path().join("sys/block"), path, text);
        let disk = |dir: &str, dev: &str, size: &str| {
            put(&format!("{dir}/dev"), dev);
            put(&format!("{dir}/size"), size);
        };
        disk("nvme0n1", "259:0\n", "2048\n");
        put("nvme0n1/device/model", "Amazon Elastic Block Store              \n");
        put("nvme0n1/queue/io_timeout", "4294967295\n");
        put("nvme0n1/queue/rotational", "0\n");
        disk("nvme0n1/nvme0n1p1", "259:1", "1024");
        disk("nvme0n1/nvme0n1p2", "259:2", "512");
        put("nvme0n1/nvme0n1p2/ro", "1\n");
        disk("nvme1n1", "259:3", "2048");
        put("nvme0c1n1/size", "2048");
        disk("md0", "9:0", "1024");
        put("md0/slaves/nvme0n1p2/dev", "259:2");
        put("md0/slaves/nvme1n1/dev", "259:3");
        disk("dm-0", "253:0", "512");
        put("dm-0/slaves/md0/dev", "9:0");
        disk("loop0", "7:0", "100");
        disk("loop0/loop0p1", "259:9", "50");
        disk("loop1", "7:1", "0");
        disk("zram0", "254:0", "4096");
        disk("sda", "x", "4096");
        let host = Host::new(root.path()).unwrap();
        let Reading::Fresh { value, .. } = read(&host) else { panic!() };
        let seen: Vec<_> =
            value.iter().map(|d| format!("{} {} {:?} {}", d.name, d.dev, d.layer, d.disks.join("+"))).collect();
        assert_eq!(
            seen,
            [
                "dm-0 253:0 Made nvme0n1+nvme1n1",
                "loop0 7:0 Loop loop0",
                "loop0p1 259:9 Partition loop0",
                "loop1 7:1 Loop loop1",
                "md0 9:0 Made nvme0n1+nvme1n1",
                "nvme0n1 259:0 Disk nvme0n1",
                "nvme0n1p1 259:1 Partition nvme0n1",
                "nvme0n1p2 259:2 Partition nvme0n1",
                "nvme1n1 259:3 Disk nvme1n1",
                "zram0 254:0 Made ",
            ]
        );
        let part = &value[7];
        assert_eq!((part.bytes, part.io_timeout_ms, part.read_only), (512 * 512, Some(4_294_967_295), true));
        assert_eq!(part.model, "Amazon Elastic Block Store");
        assert_eq!(value[3].bytes, 0);
    }

    #[test]
    fn a_circle_ends() {
        let beneath = Beneath::from([("a".to_owned(), (Layer::Made, vec!["a".to_owned()]))]);
        let mut found = BTreeSet::new();
        whole_disks("a", &beneath, MOST_DEPTH, &mut found);
        assert!(found.is_empty());
    }
}
