//! The kernel's format strings that the rules cite, and some that only look alike. They refuse to be part of the program.

/// What stands for a `%` of a format.
#[derive(Debug, Clone, Copy)]
pub(super) enum Arg {
    Device,
    Number,
    Hex,
    Word,
    Text,
    Task,
    Path,
    Of(&'static [&'static str]),
}
use Arg::{Device, Hex, Number, Of, Path, Task, Text, Word};

const STATUS: Arg = Of(&[
    "I/O",
    "timeout",
    "protection",
    "device offline",
    "recoverable transport",
    "critical medium",
    "critical target",
    "critical nexus",
    "critical space allocation",
]);
const HARMLESS: Arg = Of(&[
    "operation not supported",
    "reservation conflict",
    "nonblocking retry",
    "dm internal retry",
    "device resource",
    "kernel resource",
    "duration limit exceeded",
    "open zones exceeded",
    "active zones exceeded",
    "invalid",
]);
const OPERATION: Arg = Of(&["READ", "WRITE"]);
const LOST: Arg = Of(&[", async page read", ", lost async page write", ", lost sync page write", ""]);
const SHUT: Arg = Of(&[
    "Metadata I/O Error",
    "Log I/O Error",
    "Corruption of in-memory data",
    "Corruption of on-disk metadata",
    "Block device removal",
    "User initiated shutdown",
]);
const OOM: Arg = Of(&["Out of memory", "Memory cgroup out of memory", "Out of memory (oom_kill_allocating_task)"]);

pub(super) type Format = (Option<&'static str>, &'static str, &'static [Arg]);

/// The rule that finds it, the kernel's format, its arguments.
pub(super) const FORMATS: &[Format] = &[
    (
        Some("BlockIoError"),
        "%s error, dev %s, sector %llu op 0x%x:(%s) flags 0x%x phys_seg %u prio class %u",
        &[STATUS, Device, Number, Hex, OPERATION, Hex, Number, Number],
    ),
    (
        Some("BlockIoError"),
        "%s: %s error, dev %s, sector %llu op 0x%x:(%s) flags 0x%x phys_seg %u prio class %u",
        &[Of(&["blk_update_request", "print_req_error"]), STATUS, Device, Number, Hex, OPERATION, Hex, Number, Number],
    ),
    (
        Some("BlockIoError"),
        "%s: %s error, dev %s, sector %llu",
        &[Of(&["blk_update_request", "print_req_error", "end_request"]), STATUS, Device, Number],
    ),
    (Some("BlockIoError"), "Buffer I/O error on dev %pg, logical block %llu%s", &[Device, Number, LOST]),
    (Some("BlockIoError"), "Buffer I/O error on device %pg, logical block %llu", &[Device, Number]),
    (
        Some("BlockIoError"),
        "%s: writeback error on inode %lu, offset %lld, sector %llu",
        &[Device, Number, Number, Number],
    ),
    (
        None,
        "%s error, dev %s, sector %llu op 0x%x:(%s) flags 0x%x phys_seg %u prio class %u",
        &[HARMLESS, Device, Number, Hex, Of(&["DISCARD", "WRITE_ZEROES"]), Hex, Number, Number],
    ),
    (
        None,
        "critical target error, dev %s, sector %llu op 0x3:(DISCARD) flags 0x%x phys_seg %u prio class %u",
        &[Device, Number, Hex, Number, Number],
    ),
    (
        None,
        "I/O error, dev %s, sector %llu op 0x0:(READ) flags 0x%x phys_seg %u prio class %u",
        &[Of(&["fd0", "sr0", "sr12"]), Number, Hex, Number, Number],
    ),
    (None, "%s: %d callbacks suppressed", &[Of(&["blk_print_req_error", "buffer_io_error"]), Number]),
    (Some("Ext4Error"), "EXT4-fs error (device %s): %s:%d: comm %s: %pV", &[Device, Word, Number, Task, Text]),
    (
        Some("Ext4Error"),
        "EXT4-fs error (device %s): %s:%d: inode #%lu: block %llu: comm %s: %pV",
        &[Device, Word, Number, Number, Number, Task, Text],
    ),
    (
        Some("Ext4Error"),
        "EXT4-fs error (device %s): %s:%d: inode #%lu: comm %s: path %s: %pV",
        &[Device, Word, Number, Number, Task, Path, Text],
    ),
    (
        Some("Ext4Error"),
        "EXT4-fs error (device %s) in %s:%d: %s",
        &[Device, Word, Number, Of(&["IO failure", "Journal has aborted", "Out of memory"])],
    ),
    (
        Some("Ext4Error"),
        "EXT4-fs error (device %s): %s:%d: group %u, block %llu:%pV",
        &[Device, Word, Number, Number, Number, Text],
    ),
    (
        Some("Ext4Error"),
        "EXT4-fs (%s): %pV",
        &[
            Device,
            Of(&[
                "Remounting filesystem read-only",
                "I/O error while writing superblock",
                "This should not happen!! Data will be lost",
                "shut down requested (2)",
            ]),
        ],
    ),
    (
        Some("Ext4Error"),
        "EXT4-fs (%s): Delayed block allocation failed for inode %lu at logical offset %llu with max blocks %u with error %d",
        &[Device, Number, Number, Number, Number],
    ),
    (Some("Ext4Error"), "Aborting journal on device %s-%lu.", &[Device, Number]),
    (Some("Ext4Error"), "Aborting journal on device %s.", &[Device]),
    (Some("Ext4Error"), "JBD2: I/O error when updating journal superblock for %s-%lu.", &[Device, Number]),
    (
        Some("Ext4Error"),
        "JBD2: Error -%d detected when updating journal superblock for %s-%lu.",
        &[Number, Device, Number],
    ),
    (Some("Ext4Error"), "JBD2: Detected IO errors while flushing file data on %s-%lu", &[Device, Number]),
    (None, "EXT4-fs warning (device %s): %s:%d: %pV", &[Device, Word, Number, Text]),
    (None, "EXT4-fs (%s): error count since last fsck: %u", &[Device, Number]),
    (
        None,
        "EXT4-fs (%s): initial error at time %llu: %s:%d: inode %u: block %llu",
        &[Device, Number, Word, Number, Number, Number],
    ),
    (None, "EXT4-fs (%s): last error at time %llu: %s:%d", &[Device, Number, Word, Number]),
    (None, "EXT4-fs (%s): mounted filesystem %s r/w with ordered data mode. Quota mode: none.", &[Device, Word]),
    (
        Some("XfsShutdown"),
        "XFS (%s): %s (0x%x) detected at %pS (%s:%d).  Shutting down filesystem.",
        &[Device, SHUT, Hex, Word, Path, Number],
    ),
    (Some("XfsShutdown"), "XFS (%s): Filesystem has been shut down due to log error (0x%x).", &[Device, Hex]),
    (Some("XfsShutdown"), "XFS (%s): log I/O error %d", &[Device, Number]),
    (Some("XfsShutdown"), "XFS (%s): %s detected.  Shutting down filesystem", &[Device, SHUT]),
    (Some("XfsShutdown"), "XFS (%s): User initiated shutdown received.", &[Device]),
    (Some("XfsShutdown"), "XFS (%s): User initiated shutdown received. Shutting down filesystem", &[Device]),
    (
        Some("XfsShutdown"),
        "XFS (%s): xfs_do_force_shutdown(0x%x) called from line %d of file %s. Return address = %pS",
        &[Device, Hex, Number, Path, Hex],
    ),
    (
        None,
        "XFS (%s): metadata I/O error in \"%pS\" at daddr 0x%llx len %d error %d",
        &[Device, Word, Hex, Number, Number],
    ),
    (None, "XFS (%s): Please unmount the filesystem and rectify the problem(s)", &[Device]),
    (None, "XFS (%s): Unmounting Filesystem %s", &[Device, Word]),
    (Some("KernelHungTask"), "INFO: task %s:%d blocked for more than %ld seconds.", &[Task, Number, Number]),
    (
        Some("KernelHungTask"),
        "INFO: task %s:%d blocked in I/O wait for more than %ld seconds.",
        &[Task, Number, Number],
    ),
    (None, "INFO: task %s:%d is blocked on a mutex likely owned by task %s:%d.", &[Task, Number, Task, Number]),
    (
        Some("OomKill"),
        "%s: Killed process %d (%s) total-vm:%lukB, anon-rss:%lukB, file-rss:%lukB, shmem-rss:%lukB, UID:%u pgtables:%lukB oom_score_adj:%hd",
        &[OOM, Number, Task, Number, Number, Number, Number, Number, Number, Number],
    ),
    (
        Some("OomKill"),
        "Killed process %d (%s) total-vm:%lukB, anon-rss:%lukB, file-rss:%lukB, shmem-rss:%lukB",
        &[Number, Task, Number, Number, Number, Number],
    ),
    (
        Some("OomKill"),
        "Killed process %d (%s), UID %d, total-vm:%lukB, anon-rss:%lukB, file-rss:%lukB, shmem-rss:%lukB",
        &[Number, Task, Number, Number, Number, Number, Number],
    ),
    (
        None,
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=%s,mems_allowed=0,oom_memcg=%s,task_memcg=%s,task=%s,pid=%d,uid=%u",
        &[Word, Path, Path, Task, Number, Number],
    ),
    (None, "%s: Kill process %d (%s) score %u or sacrifice child", &[OOM, Number, Task, Number]),
    (
        None,
        "oom_reaper: reaped process %d (%s), now anon-rss:%lukB, file-rss:%lukB, shmem-rss:%lukB",
        &[Number, Task, Number, Number, Number],
    ),
    (
        None,
        "%s invoked oom-killer: gfp_mask=0x%x(GFP_KERNEL), order=%d, oom_score_adj=%hd",
        &[Task, Hex, Number, Number],
    ),
    (None, "nvme %s: I/O %u QID %u timeout, aborting", &[Of(&["nvme0"]), Number, Number]),
    (None, "sd %d:0:0:0: [%s] tag#%d Sense Key : Medium Error [current] ", &[Number, Device, Number]),
];
