//! NVMe controllers: state and log pages, decoded. Layouts: NVMe base specification (SMART, identify), and Amazon's page 0xD0 as nvme-cli and
//! ebsnvme read it. It refuses a page whose magic number is another's.

use serde::{Deserialize, Serialize};

/// What the controller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NvmeModel {
    /// An EBS volume.
    Ebs,
    /// An EC2 instance store.
    InstanceStore,
    /// Anything else.
    Other,
}

/// A bin of a latency histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bin {
    /// From, in us.
    pub lower_us: u64,
    /// To, in us.
    pub upper_us: u64,
    /// How many, cumulative.
    pub count: u64,
}

/// A cumulative latency histogram.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram(pub Vec<Bin>);

/// Amazon's log page 0xD0; all cumulative but the queue length.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EbsPage {
    /// Read operations.
    pub reads: u64,
    /// Write operations.
    pub writes: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Time of all reads, us.
    pub read_us: u64,
    /// Time of all writes, us.
    pub write_us: u64,
    /// Time with more IOPS asked for than the volume has, us.
    pub volume_iops_exceeded_us: u64,
    /// Time with more throughput asked for than the volume has, us.
    pub volume_throughput_exceeded_us: u64,
    /// Time with more IOPS asked for than the instance has, us.
    pub instance_iops_exceeded_us: u64,
    /// Time with more throughput asked for than the instance has, us.
    pub instance_throughput_exceeded_us: u64,
    /// Requests waiting.
    pub queue_length: u64,
    /// Latency of reads.
    pub read_histogram: Histogram,
    /// Latency of writes.
    pub write_histogram: Histogram,
}

/// SMART / health information, log page 0x02.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Smart {
    /// Critical warning bits: 0 spare, 1 temperature, 2 reliability, 3 read-only, 4 volatile backup.
    pub critical_warning: u8,
    /// Kelvin.
    pub temperature_k: u16,
    /// Spare left, percent.
    pub available_spare_percent: u8,
    /// Spare below which a warning is due, percent.
    pub spare_threshold_percent: u8,
    /// Life used, percent; may pass 100.
    pub percentage_used: u8,
    /// Unrecovered errors (low 64 bits).
    pub media_errors: u64,
    /// Entries of the error log (low 64 bits).
    pub error_log_entries: u64,
}

/// One controller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NvmeController {
    /// Such as `nvme0`.
    pub name: String,
    /// `state` in sysfs: `live`, or `resetting`, `connecting`, `deleting`, `dead`.
    pub state: String,
    /// `model` in sysfs, trimmed.
    pub model_name: String,
    /// What that means.
    pub model: NvmeModel,
    /// `vol-0abc...` for EBS, made from the serial number; empty otherwise.
    pub volume: String,
    /// Names of its namespaces' disks, such as `nvme0n1`.
    pub disks: Vec<String>,
    /// When the pages below were read: windows are made between two of these, since a page that was not due is shown again. 0 before the first.
    pub pages_taken: crate::model::time::Mono,
    /// Page 0xD0, where the model has one and it was due.
    pub ebs: super::super::Reading<EbsPage>,
    /// Page 0x02.
    pub smart: super::super::Reading<Smart>,
}
