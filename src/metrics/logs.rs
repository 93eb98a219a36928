//! Metrics of what writes the host's logs: journald and syslog daemons. It refuses units that are neither: there is no bound to those.

use super::page::{Page, Type, as_f64};
use crate::model::status::Status;

pub(super) fn write(page: &mut Page, status: &Status) {
    let writers = &status.log_writers;
    let mut bytes = page.family(
        "log_written_bytes",
        Type::Counter,
        "bytes",
        "Bytes that a writer of the host's logs has written since it was started.",
    );
    for writer in writers {
        bytes.sample(&[("unit", &writer.unit)], as_f64(writer.written_bytes));
    }
    let mut calls = page.family(
        "log_write_calls",
        Type::Counter,
        "",
        "Write calls of a writer of the host's logs since it was started; journald writes through memory, and needs few.",
    );
    for writer in writers {
        calls.sample(&[("unit", &writer.unit)], as_f64(writer.write_calls));
    }
    let mut share = page.family(
        "log_disk_ratio",
        Type::Gauge,
        "ratio",
        "A writer's part of what the disk of /var/log wrote in the newest window; none where it wrote nothing.",
    );
    for writer in writers {
        if let (Some(disk), Some(percent)) = (&writer.disk, writer.disk_percent) {
            share.sample(&[("unit", &writer.unit), ("disk", disk)], percent / 100.0);
        }
    }
}
