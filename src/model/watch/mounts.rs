//! File systems: what is mounted, what ext4 counts, and what probes found.

use serde::{Deserialize, Serialize};

use super::devices::Dev;

/// A line of /proc/self/mountinfo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Mount id.
    pub id: u32,
    /// The device of its files (`st_dev`).
    pub dev: Dev,
    /// The directory of the file system that is its root.
    pub root: String,
    /// Where, unescaped.
    pub point: String,
    /// Per-mount options, such as `rw,relatime`.
    pub options: String,
    /// Type, such as `ext4`.
    pub kind: String,
    /// Source, such as `/dev/nvme0n1p1`.
    pub source: String,
    /// Options of the file system, such as `rw,errors=remount-ro`.
    pub super_options: String,
}

/// `/sys/fs/ext4/DEVICE`: all from memory, none touches the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtErrors {
    /// The block device's name.
    pub device: String,
    /// `errors_count`; it lives in the superblock and survives reboots.
    pub errors: u64,
    /// `warning_count`.
    pub warnings: u64,
    /// `last_error_time`, seconds since 1970; 0 for none.
    pub last_error_time: i64,
    /// `last_error_func`; empty for none.
    pub last_error_func: String,
    /// `last_error_errcode` (2 is EIO); 0 for none.
    pub last_error_code: u64,
}

/// Room on a file system, from statvfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Space {
    /// All bytes.
    pub total_bytes: u64,
    /// Free for other than root.
    pub available_bytes: u64,
    /// All inodes; 0 where the file system has no such number.
    pub inodes: u64,
    /// Free inodes.
    pub inodes_free: u64,
    /// ST_RDONLY.
    pub read_only: bool,
}

/// What a guarded look at a directory gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "answer")]
pub enum Answer {
    /// It answered.
    Looked {
        /// The device of the directory (`st_dev`).
        dev: Dev,
        /// Room there.
        space: Space,
    },
    /// There is no such directory.
    Missing,
    /// It answered with an error, such as EIO after an XFS shutdown.
    Refused {
        /// The error's number.
        errno: i32,
        /// The error in words.
        why: String,
    },
    /// No answer so far.
    Stuck {
        /// For how long, in ms.
        for_ms: u64,
    },
    /// Nobody could be asked.
    NotAsked {
        /// Why.
        why: String,
    },
}

/// A directory that matters, and what a probe found there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The directory.
    pub path: String,
    /// What it is for: `root`, `kubelet`, `runtime`, `logs`, `pod logs`, or `mount`.
    pub role: String,
    /// What came of it.
    #[serde(flatten)]
    pub answer: Answer,
}
