//! `XfsShutdown`: XFS has shut a file system down. Formats: fs/xfs/xfs_fsops.c ("%s (0x%x) detected at %pS (%s:%d).  Shutting down filesystem.",
//! "xfs_do_force_shutdown(0x%x) called from line ..."), fs/xfs/xfs_log.c ("Filesystem has been shut down due to log error (0x%x).",
//! "log I/O error %d"). It refuses single metadata errors, which XFS tries again.

use super::super::rule::{Case, Hit, Notes, Rule};
use crate::model::problem::{Condition, Entry, Kind, Severity};

/// The name of the problem.
pub(crate) const XFS_SHUTDOWN: Kind = Kind::new("XfsShutdown");

pub(crate) const RULE: Rule = Rule {
    entry: Entry {
        kind: XFS_SHUTDOWN,
        severity: Severity::Critical,
        condition: Condition::DiskHealth,
        may_cordon: false,
        meaning: "The kernel logged that XFS shut a file system down: every access gives an I/O error, while /proc/mounts still says rw.",
        advice: "Unmount it, find out why (a failed disk, or damaged metadata), run xfs_repair, mount it again. If it carries the node's own state, replace the node.",
    },
    patterns: &[
        r"^XFS \((?P<device>[^)\s]+)\): (?P<message>.*(?:[Ss]hutting down filesystem|Filesystem has been shut down|log I/O error|User initiated shutdown received|xfs_do_force_shutdown\().*)",
    ],
    judge,
};

fn judge(hit: &Hit<'_>, _: &mut Notes) -> Option<Case> {
    let (device, message) = (hit.get("device"), hit.get("message"));
    let summary = format!("{device}: XFS has shut down: {}", message.trim_end());
    Some(Case { subject: device, severity: Severity::Critical, summary, advice: String::new() })
}
