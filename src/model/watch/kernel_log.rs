//! Records of the kernel's log, as /dev/kmsg gives them.

use serde::{Deserialize, Serialize};

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Sequence number: records are never seen twice in a boot.
    pub seq: u64,
    /// Level, 0 (emergency) to 7 (debug).
    pub level: u8,
    /// Facility; 0 is the kernel, anything else was written by a program.
    pub facility: u8,
    /// Microseconds of CLOCK_MONOTONIC.
    pub at_us: u64,
    /// The text, unescaped, without the trailing dictionary.
    pub text: String,
    /// `SUBSYSTEM` of the dictionary; empty where there is none.
    pub subsystem: String,
    /// `DEVICE` of the dictionary, such as `+scsi:0:0:0:0` or `b8:0`; empty where there is none.
    pub device: String,
}

/// What is new in the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KernelLog {
    /// New records, in order.
    pub records: Vec<Record>,
    /// Records that were overwritten before they could be read, since the last turn.
    pub lost: u64,
    /// Why there is no kernel log.
    pub unreadable: Option<String>,
}
