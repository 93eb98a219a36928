//! `IoTimeoutMisconfigured`: an EBS volume whose I/O timeout is short. EBS has no fault that a timeout would help with: requests wait as long as it
//! takes, and a timeout turns the wait into an I/O error. It refuses to speak about other disks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::time::Span;
use crate::model::watch::{BlockDevice, Layer, NvmeModel};

/// The name of the problem.
pub const IO_TIMEOUT_MISCONFIGURED: Kind = Kind::new("IoTimeoutMisconfigured");

/// The detector.
pub struct IoTimeout;

/// `[detect.io_timeout]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// A timeout of so much or more is long enough. Old kernels have 255 s at most.
    pub at_least: Span,
}

impl Default for Rules {
    fn default() -> Self {
        Self { at_least: Span::minutes(4) }
    }
}

/// The model that EBS volumes give.
const EBS_MODEL: &str = "Amazon Elastic Block Store";

impl Detector for IoTimeout {
    type Rules = Rules;
    type Memory = ();
    const NAME: &'static str = "io_timeout";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: IO_TIMEOUT_MISCONFIGURED,
        severity: Severity::Advice,
        condition: Condition::DiskIO,
        may_cordon: false,
        meaning: "The kernel gives up requests to this EBS volume after a short time. A volume that hesitates, which EBS volumes do and recover from, then gives I/O \
                  errors, and its file system goes read-only or shuts down.",
        advice: "Set queue/io_timeout to 4294967295 by a udev rule, as Amazon's images do, or boot with nvme_core.io_timeout=4294967295.",
    }];

    fn look(rules: &Rules, (): &mut (), scene: &Scene<'_>) -> Look {
        if scene.samples.devices.value().is_none() {
            return Look::unknown(format!("no block devices: {}", scene.samples.devices.reading.origin()));
        }
        let controllers = scene.samples.nvme.value().map_or(&[][..], Vec::as_slice);
        let is_ebs = |device: &BlockDevice| {
            device.model == EBS_MODEL
                || controllers.iter().any(|one| one.model == NvmeModel::Ebs && one.disks.contains(&device.name))
        };
        let disks = scene.devices().iter().filter(|device| device.layer == Layer::Disk && is_ebs(device));
        Look::at(disks.filter_map(|device| finding(rules, device)).collect())
    }
}

fn finding(rules: &Rules, device: &BlockDevice) -> Option<Finding> {
    let timeout = device.io_timeout_ms.filter(|timeout| *timeout < rules.at_least.ms())?;
    let name = &device.name;
    let seconds = timeout / 1000;
    Some(Finding {
        kind: IO_TIMEOUT_MISCONFIGURED,
        subject: name.clone(),
        severity: Severity::Advice,
        summary: format!("{name}: requests to this EBS volume are given up after {seconds} s"),
        advice: format!(
            "echo 4294967295 > /sys/block/{name}/queue/io_timeout now, and the same by a udev rule for the next boot."
        ),
        evidence: vec![
            Evidence::text("device", name.clone()),
            Evidence::count("io_timeout", timeout, "ms"),
            Evidence::count("long enough", rules.at_least.ms(), "ms"),
        ],
        device: None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::{EbsPage, Samples};

    #[test]
    fn short_timeouts_of_ebs_volumes_alone() {
        let disk = |name: &str, model: &str, io_timeout_ms| BlockDevice {
            model: model.to_owned(),
            io_timeout_ms,
            ..made::device(name, made::ROOT, name)
        };
        let devices = vec![
            disk("nvme0n1", EBS_MODEL, Some(30_000)),
            disk("nvme1n1", "", Some(30_000)),
            disk("nvme2n1", EBS_MODEL, Some(4_294_967_295)),
            disk("nvme3n1", EBS_MODEL, None),
            disk("nvme4n1", "Amazon EC2 NVMe Instance Storage", Some(30_000)),
            made::device("nvme0n1p1", made::ROOT, "nvme0n1"),
        ];
        let nvme = vec![made::controller(1, NvmeModel::Ebs, EbsPage::default())];
        let samples = Samples { devices: made::fresh(1, devices), nvme: made::fresh(1, nvme), ..Samples::default() };
        let found = made::turn::<IoTimeout>(&mut (), 1, &samples);
        assert_eq!(found, ["IoTimeoutMisconfigured nvme0n1 advice", "IoTimeoutMisconfigured nvme1n1 advice"]);
    }
}
