//! What takes a place among the attachments of an EC2 machine: EBS volumes, drives of its own, network interfaces, accelerators, as sysfs lists them. It
//! refuses to count where a class cannot be read: a list that lacks some looks like room.

use std::path::Path;

use crate::host::Host;
use crate::model::Reading;
use crate::model::machine::Attachments;

const NVME: &str = "/sys/class/nvme";
const NETWORK: &str = "/sys/class/net";
const PCI: &str = "/sys/bus/pci/devices";
/// Amazon's, as sysfs writes a vendor.
const AMAZON: &str = "0x1d0f";
/// PCI base classes of what computes beside the CPUs: display controllers and processing accelerators.
const ACCELERATORS: [&str; 2] = ["0x03", "0x12"];
/// The card of the console of EC2's own virtual machines is no accelerator.
const CONSOLE: (&str, &str) = (AMAZON, "0x1111");

/// Counts them.
pub fn read(host: &Host) -> Reading<Attachments> {
    let named = |dir: &str| match host.list(Path::new(dir)) {
        Ok(Some(entries)) => Ok(entries.into_iter().map(|entry| format!("{dir}/{}", entry.name)).collect::<Vec<_>>()),
        Ok(None) => Err(Reading::absent(format!("there is no {dir}"))),
        Err(error) => Err(Reading::failed(error.to_string())),
    };
    let word = |path: String| host.read_text(Path::new(&path)).ok().flatten().map(|text| text.trim().to_owned());
    let all = named(NVME).and_then(|nvme| Ok((nvme, named(NETWORK)?, named(PCI)?)));
    let (nvme, network, pci) = match all {
        Ok(all) => all,
        Err(reading) => return reading,
    };
    let mut seen = Attachments::default();
    for controller in nvme {
        match word(format!("{controller}/model")).as_deref() {
            Some("Amazon Elastic Block Store") => seen.volumes = seen.volumes.saturating_add(1),
            Some("Amazon EC2 NVMe Instance Storage") => seen.drives = seen.drives.saturating_add(1),
            _ => {}
        }
    }
    let amazons = |path: &String| word(format!("{path}/device/vendor")).as_deref() == Some(AMAZON);
    seen.interfaces = network.iter().filter(|path| amazons(path)).count();
    let accelerates = |path: &&String| {
        let class = word(format!("{path}/class")).unwrap_or_default();
        let card = (word(format!("{path}/vendor")), word(format!("{path}/device")));
        ACCELERATORS.iter().any(|base| class.starts_with(base))
            && (card.0.as_deref(), card.1.as_deref()) != (Some(CONSOLE.0), Some(CONSOLE.1))
    };
    seen.accelerators = pci.iter().filter(accelerates).count();
    Reading::fresh(seen, format!("{NVME}, {NETWORK} and {PCI}"))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the directories that are read.
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_and_a_missing_class_is_not_nothing() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| crate::host::made::put(&root.path().join("sys"), path, text);
        let host = Host::new(root.path()).unwrap();
        for n in 0..3 {
            put(&format!("class/nvme/nvme{n}/model"), "Amazon Elastic Block Store              \n");
        }
        put("class/nvme/nvme3/model", "Amazon EC2 NVMe Instance Storage        \n");
        put("class/nvme/nvme4/model", "Another's\n");
        put("class/net/eth0/device/vendor", "0x1d0f\n");
        put("class/net/eth1/device/vendor", "0x1d0f\n");
        put("class/net/lo/type", "772\n");
        assert!(matches!(read(&host), Reading::Absent { .. }), "no list of PCI devices");
        let pci = |slot: &str, class: &str, vendor: &str, device: &str| {
            put(&format!("bus/pci/devices/{slot}/class"), class);
            put(&format!("bus/pci/devices/{slot}/vendor"), vendor);
            put(&format!("bus/pci/devices/{slot}/device"), device);
        };
        pci("0000:00:03.0", "0x030000\n", "0x1d0f\n", "0x1111\n");
        pci("0000:00:04.0", "0x010802\n", "0x1d0f\n", "0x8061\n");
        pci("0000:00:1e.0", "0x030200\n", "0x10de\n", "0x1eb8\n");
        pci("0000:00:1f.0", "0x120000\n", "0x1d0f\n", "0x7064\n");
        let seen = Attachments { volumes: 3, drives: 1, interfaces: 2, accelerators: 2 };
        assert_eq!(read(&host).value(), Some(&seen));
    }
}
