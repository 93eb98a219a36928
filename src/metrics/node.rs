//! Metrics of the agent and its turns, and of the node's pressure. It refuses to show a part that cannot look as one that works.

use super::page::{Page, Type, as_f64};
use crate::model::status::{Part, Standing, Status};
use crate::model::time::Wall;

const MODES: [&str; 3] = ["observe", "cordon", "drain"];

pub(super) fn write(page: &mut Page, status: &Status) {
    page.family("build", Type::Info, "", "The program.").sample(&[("version", &status.version)], 1.0);
    let mut modes =
        page.family("mode", Type::Gauge, "", "What may be done without being asked: 1 for the mode that is set.");
    for mode in MODES {
        modes.sample(&[("mode", mode)], f64::from(u8::from(mode == status.mode)));
    }
    page.family("start_time_seconds", Type::Gauge, "seconds", "When the agent started, seconds since 1970.")
        .sample(&[], seconds_of(status.started_wall_ms));
    page.family("last_turn_time_seconds", Type::Gauge, "seconds", "When the newest turn was, seconds since 1970.")
        .sample(&[], seconds_of(status.now_wall_ms));
    turns(page, status);
    parts(
        page,
        "source_state",
        "How a source of samples stands: 1 for its state. unknown is neither sick nor well.",
        "source",
        &status.sources,
    );
    parts(
        page,
        "detector_state",
        "How a detector stands: 1 for its state. unknown is neither sick nor well.",
        "detector",
        &status.detectors,
    );
    let mut pressure = page.family(
        "io_pressure_ratio",
        Type::Gauge,
        "ratio",
        "Share of the newest window in which some, or all, tasks waited for I/O.",
    );
    for (share, percent) in [("some", status.pressure.io_some_percent), ("full", status.pressure.io_full_percent)] {
        if let Some(percent) = percent {
            pressure.sample(&[("share", share)], percent / 100.0);
        }
    }
}

fn turns(page: &mut Page, status: &Status) {
    let turns = &status.turns;
    page.family("turns", Type::Counter, "", "Turns since the agent started.").sample(&[], as_f64(turns.count));
    let buckets: Vec<_> = turns
        .gaps
        .iter()
        .map(|(bound, count)| (bound.parse::<f64>().map_or(f64::INFINITY, |ms| ms / 1000.0), *count))
        .collect();
    if !buckets.is_empty() {
        page.family("turn_gap_seconds", Type::Histogram, "seconds", "Time from one turn to the next.")
            .histogram(&buckets, as_f64(turns.gaps_sum_ms) / 1000.0);
    }
    page.family("turn_longest_gap_seconds", Type::Gauge, "seconds", "The longest time between two turns.")
        .sample(&[], as_f64(turns.longest_gap_ms) / 1000.0);
    page.family("turn_last_duration_seconds", Type::Gauge, "seconds", "How long the newest turn took.")
        .sample(&[], as_f64(turns.duration_us.last) / 1e6);
    page.family("turn_longest_duration_seconds", Type::Gauge, "seconds", "How long the longest turn took.")
        .sample(&[], as_f64(turns.duration_us.max) / 1e6);
}

fn parts(page: &mut Page, name: &str, help: &'static str, label: &'static str, parts: &[Part]) {
    let mut family = page.family(name, Type::Gauge, "", help);
    for part in parts {
        let is = match part.standing {
            Standing::Working => "working",
            Standing::Learning { .. } => "learning",
            Standing::Unknown { .. } => "unknown",
            Standing::Off => "off",
        };
        for state in ["working", "learning", "unknown", "off"] {
            family.sample(&[(label, &part.name), ("state", state)], f64::from(u8::from(state == is)));
        }
    }
}

/// Milliseconds of the wall clock as seconds: exact for some hundred thousand years.
#[allow(clippy::cast_precision_loss)]
pub(super) fn seconds_of(wall: Wall) -> f64 {
    wall.0 as f64 / 1000.0
}
