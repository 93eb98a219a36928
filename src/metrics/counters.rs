//! Counters of the agent itself. It refuses one that is not listed here: names are public interface.

use super::page::{Page, Type, as_f64};
use crate::model::status::Status;

/// A counter's key in the status, its metric, and what it counts.
pub const COUNTERS: [(&str, &str, &str); 11] = [
    ("kernelRecords", "kernel_records", "Records read from the kernel's log."),
    (
        "kernelRecordsLost",
        "kernel_records_lost",
        "Records of the kernel's log that were overwritten before they could be read.",
    ),
    ("logLinesDropped", "log_lines_dropped", "Own log lines that were dropped because the journal did not take them."),
    ("probesStarted", "probes_started", "Probe children started."),
    ("probesAbandoned", "probes_abandoned", "Probe children given up because they did not answer."),
    ("wakeups", "wakeups", "How often the daemon woke up."),
    ("pressureAlarms", "pressure_alarms", "Alarms of the kernel that tasks wait for I/O."),
    ("turnsFailed", "turns_failed", "Turns that failed by a mistake of node-steward."),
    ("majorFaults", "major_faults", "Pages of the daemon that had to be read from disk."),
    ("apiRequests", "api_requests", "Requests that the local API answered."),
    (
        "apiRefused",
        "api_refused",
        "Requests that the local API refused for lack of permission, and connections that it closed to make room.",
    ),
];

/// The same for numbers that fall again.
pub const GAUGES: [(&str, &str, &str); 1] = [(
    "stateWritesFailed",
    "state_writes_failing",
    "Writes of the state file that failed in a row; 0 when the newest did not.",
)];

pub(super) fn write(page: &mut Page, status: &Status) {
    for (key, name, help) in COUNTERS {
        if let Some(count) = status.counters.get(key) {
            page.family(name, Type::Counter, "", help).sample(&[], as_f64(*count));
        }
    }
    for (key, name, help) in GAUGES {
        if let Some(count) = status.counters.get(key) {
            page.family(name, Type::Gauge, "", help).sample(&[], as_f64(*count));
        }
    }
}
