//! `Ext4Error`: ext2, ext3 or ext4 found its own data wrong, or its journal was aborted. Formats: fs/ext4/super.c ("EXT4-fs error (device %s): ...",
//! "EXT4-fs (%s): ..."), fs/ext4/inode.c, fs/jbd2/journal.c ("Aborting journal on device %s."). It refuses warnings, and the reminder
//! of old errors that ext4 prints at mount.

use super::super::rule::{Case, Hit, Notes, Rule};
use crate::model::problem::{Condition, Entry, Kind, Severity};

/// The name of the problem.
pub(crate) const EXT4_ERROR: Kind = Kind::new("Ext4Error");

pub(crate) const RULE: Rule = Rule {
    entry: Entry {
        kind: EXT4_ERROR,
        severity: Severity::Critical,
        condition: Condition::DiskHealth,
        may_cordon: false,
        meaning: "The kernel logged that an ext4 file system is damaged, lost data, or gave up its journal; in the last case nothing more is written to it, \
                  although /proc/mounts may still say rw.",
        advice: "Save what is needed, unmount, run e2fsck, and find out why: the lines before it usually show a failing disk.",
    },
    patterns: &[
        r"^EXT[234]-fs error \(device (?P<device>[^)\s]+)\):? (?P<message>.*)",
        r"^Aborting journal on device (?P<device>dm-\d+|\S+?)(?:-\d+)?\.\s*$",
        r"^JBD2: (?P<message>(?:I/O error|Error -?\d+ detected) when updating journal superblock) for (?P<device>dm-\d+|\S+?)(?:-\d+)?\.",
        r"^JBD2: (?P<message>Detected IO errors while flushing file data) on (?P<device>dm-\d+|\S+?)(?:-\d+)?\s*$",
        r"^EXT[234]-fs \((?P<device>[^)\s]+)\): (?P<message>Remounting filesystem read-only|I/O error while writing superblock|shut down requested \(\d+\)|failed to convert unwritten extents to written extents|This should not happen!! Data will be lost|Delayed block allocation failed for inode \d+)",
    ],
    judge,
};

fn judge(hit: &Hit<'_>, _: &mut Notes) -> Option<Case> {
    let (device, message) = (hit.get("device"), hit.get("message"));
    let given_up = hit.pattern == 1
        || hit.pattern == 2
        || ["Remounting", "shut down", "Detected aborted journal", "writing superblock"]
            .iter()
            .any(|sign| message.contains(sign));
    let summary = if hit.pattern == 1 {
        format!("{device}: the journal was aborted; nothing more is written to the file system")
    } else {
        format!("{device}: {message}")
    };
    let severity = if given_up { Severity::Critical } else { Severity::Warning };
    Some(Case { subject: device, severity, summary, advice: String::new() })
}
