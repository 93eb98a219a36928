//! What Amazon's network interfaces count of their allowances, by the ena driver's own statistics. The driver is asked under a lock of the kernel's, so only
//! a probe child, or a recording, does it. It refuses to ask any other driver: their counters have these names in no case.

use std::collections::BTreeMap;
use std::path::Path;

use crate::host::Host;
use crate::model::Reading;
use crate::model::watch::Allowances;

/// The devices that the driver has taken.
const DRIVER: &str = "/sys/bus/pci/drivers/ena";

/// Asks each interface of the driver.
pub(super) fn read(host: &Host) -> Reading<Vec<Allowances>> {
    let interfaces = match interfaces(host) {
        Ok(Some(interfaces)) => interfaces,
        Ok(None) => return Reading::absent("no network interface here is Amazon's (no ena driver is loaded)"),
        Err(why) => return Reading::failed(why),
    };
    let mut all = Vec::new();
    for interface in interfaces {
        match host.interface_counters(&interface) {
            Ok(Some(text)) => {
                let counters = parse(&text);
                if !counters.is_empty() {
                    all.push(Allowances { interface, counters });
                }
            }
            Ok(None) => {}
            // Half of the interfaces would call the other half well.
            Err(error) => return Reading::failed(error.to_string()),
        }
    }
    if all.is_empty() {
        return Reading::absent(
            "the ena driver counts no allowances here (before version 2.2.10, or no interface has it)",
        );
    }
    Reading::fresh(all, DRIVER)
}

/// Nothing where there is no such driver.
fn interfaces(host: &Host) -> Result<Option<Vec<String>>, String> {
    let list = |path: &str| host.list(Path::new(path)).map_err(|error| error.to_string());
    let Some(entries) = list(DRIVER)? else { return Ok(None) };
    let mut all = Vec::new();
    // Devices are links by PCI address; the driver's own files have no colon.
    for device in entries.into_iter().filter(|entry| entry.name.contains(':')) {
        // One that is in another network namespace is not listed here.
        let net = list(&format!("{DRIVER}/{}/net", device.name))?.unwrap_or_default();
        all.extend(net.into_iter().map(|entry| entry.name));
    }
    all.sort();
    Ok(Some(all))
}

/// The counters of allowances among all others: a `name: value` a line.
fn parse(text: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let (name, value) = line.trim().rsplit_once(": ")?;
        name.contains("_allowance_").then_some((name.to_owned(), value.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the files that are read.
mod tests {
    use super::*;

    #[test]
    fn interfaces_of_the_driver_are_asked_and_no_others() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| crate::host::made::put(root.path(), path, text);
        let host = Host::new(root.path()).unwrap();
        let why = |reading: Reading<Vec<Allowances>>| reading.origin().to_owned();
        assert!(why(read(&host)).contains("no ena driver"));
        put("sys/bus/pci/drivers/ena/uevent", "");
        put("sys/devices/pci0000:00/0000:00:05.0/net/ens5/address", "");
        std::os::unix::fs::symlink(
            "../../../../devices/pci0000:00/0000:00:05.0",
            root.path().join("sys/bus/pci/drivers/ena/0000:00:05.0"),
        )
        .unwrap();
        put("sys/class/net/eth9/address", "");
        put(".recorded/told/ethtool/eth9", "pps_allowance_exceeded: 1\n");
        assert!(why(read(&host)).contains("counts no allowances"));
        put(
            ".recorded/told/ethtool/ens5",
            "NIC statistics:\n     total_resets: 0\n     bw_in_allowance_exceeded: 12\n     conntrack_allowance_available: 9\n     x_allowance_exceeded: many\n",
        );
        let counters = [("bw_in_allowance_exceeded", 12), ("conntrack_allowance_available", 9)];
        let counters = counters.map(|(name, count)| (name.to_owned(), count)).into();
        assert_eq!(read(&host).value().unwrap(), &[Allowances { interface: "ens5".to_owned(), counters }]);
    }
}
