//! Block devices: what they are and what they have done. Counters are the kernel's own, wrapped as it wraps them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A device number, `major:minor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dev {
    /// The driver.
    pub major: u32,
    /// The device of that driver.
    pub minor: u32,
}

impl fmt::Display for Dev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl FromStr for Dev {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no device number like 259:0");
        let (major, minor) = text.trim().split_once(':').ok_or_else(wrong)?;
        Ok(Self { major: major.parse().map_err(|_| wrong())?, minor: minor.parse().map_err(|_| wrong())? })
    }
}

impl Serialize for Dev {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Dev {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What kind of block device it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// A disk that lies on no other block device.
    Disk,
    /// A part of a disk.
    Partition,
    /// A file as a disk.
    Loop,
    /// Device mapper, md, zram, or anything else made of other devices or of memory.
    Made,
}

/// A block device as /sys/block describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockDevice {
    /// The kernel's name, such as `nvme0n1p1`.
    pub name: String,
    /// Its number.
    pub dev: Dev,
    /// What it is.
    pub layer: Layer,
    /// Names of the whole disks (layer `disk` or `loop`) that it finally lies on; itself for those. Sorted.
    pub disks: Vec<String>,
    /// Size in bytes; 0 for an empty loop device.
    pub bytes: u64,
    /// `device/model`, trimmed; empty where there is none.
    pub model: String,
    /// `queue/io_timeout` in ms; none where the kernel has no such file.
    pub io_timeout_ms: Option<u64>,
    /// `queue/rotational`.
    pub rotational: bool,
    /// `ro`.
    pub read_only: bool,
}

/// A line of /proc/diskstats. Sectors are 512 bytes always; times are in ms, and those of 32 bits wrap.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskCounters {
    /// The kernel's name.
    pub name: String,
    /// Reads completed.
    pub reads: u64,
    /// Sectors read.
    pub sectors_read: u64,
    /// Time of all reads, ms (wraps at 2^32).
    pub read_ms: u32,
    /// Writes completed.
    pub writes: u64,
    /// Sectors written.
    pub sectors_written: u64,
    /// Time of all writes, ms (wraps).
    pub write_ms: u32,
    /// Requests in flight now.
    pub in_flight: u64,
    /// Time with anything in flight, ms (wraps).
    pub busy_ms: u32,
    /// Discards completed (kernel 4.18).
    pub discards: u64,
    /// Time of all discards, ms (wraps).
    pub discard_ms: u32,
    /// Flushes completed (kernel 5.5).
    pub flushes: u64,
    /// Time of all flushes, ms (wraps).
    pub flush_ms: u32,
}
