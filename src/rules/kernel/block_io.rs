//! `BlockIoError`: a request to a block device failed. Formats: block/blk-mq.c and blk-core.c ("%s error, dev %s, sector %llu ...", with the words
//! of blk_errors[]), fs/buffer.c and fs/ext4/page-io.c ("Buffer I/O error on dev..."), fs/iomap ("%s: writeback error on inode ...").
//! It refuses what is no fault: operations that a device does not support, retries, empty floppy and optical drives.

use super::super::rule::{Case, Hit, Notes, Rule};
use crate::model::problem::{Condition, Entry, Kind, Severity};

/// The name of the problem.
pub(crate) const BLOCK_IO_ERROR: Kind = Kind::new("BlockIoError");

pub(crate) const RULE: Rule = Rule {
    entry: Entry {
        kind: BLOCK_IO_ERROR,
        severity: Severity::Warning,
        condition: Condition::DiskHealth,
        may_cordon: false,
        meaning: "The kernel logged that a disk failed a request: data was not read, or was not written although a program may believe so. The kernel \
                  suppresses repeated lines, so one line may stand for many.",
        advice: "Look at the disk's health and at the volume's state at the cloud provider. If the errors come back, move the workload and replace the disk; check the file systems on it.",
    },
    patterns: &[
        r"^(?:blk_update_request: |print_req_error: |end_request: )?(?P<what>I/O|timeout|protection|device offline|recoverable transport|critical (?:medium|target|nexus|space allocation)) error, dev (?P<device>\S+), sector (?P<sector>\d+)(?: op 0x[0-9a-f]+:\((?P<operation>[A-Z_]+)\))?",
        r"^Buffer I/O error on dev(?:ice)? (?P<device>\S+), logical block (?P<block>\d+)(?:, (?P<what>[a-z ]+))?",
        r"^(?P<device>\S+): writeback error on inode (?P<inode>\d+), offset (?P<offset>-?\d+), sector (?P<sector>\d+)",
    ],
    judge,
};

fn judge(hit: &Hit<'_>, _: &mut Notes) -> Option<Case> {
    let (device, what, operation) = (hit.get("device"), hit.get("what"), hit.get("operation"));
    // Targets answer so to a discard that they do not know.
    let probing = what == "critical target" && !["READ", "WRITE", "FLUSH", ""].contains(&operation.as_str());
    if probing || is_drive_without_medium(&device) {
        return None;
    }
    let summary = match hit.pattern {
        0 => {
            let operation = if operation.is_empty() { String::new() } else { format!(" of a {operation}") };
            format!("{device}: {what} error{operation} at sector {}", hit.get("sector"))
        }
        1 if what.is_empty() => format!("{device}: I/O error at block {}", hit.get("block")),
        1 => format!("{device}: I/O error at block {}: {what}", hit.get("block")),
        _ => format!("{device}: written data of inode {} was lost at sector {}", hit.get("inode"), hit.get("sector")),
    };
    Some(Case { subject: device, severity: Severity::Warning, summary, advice: String::new() })
}

/// `fd0`, `sr0`: virtual machines have them, empty.
fn is_drive_without_medium(device: &str) -> bool {
    ["fd", "sr"].iter().any(|driver| {
        device
            .strip_prefix(driver)
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    })
}
