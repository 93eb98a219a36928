//! `status`: how the agent and the node stand, on one screen. It refuses to hide a part that cannot look.

use std::fmt::Write;

use anstyle::Style;

use super::args::{AskArgs, Common};
use super::grid::{Grid, Width, plain, rate, span, wrap};
use super::{Ending, Failure, ask, problems};
use crate::model::problem::Problem;
use crate::model::status::{DiskStatus, LogWriterStatus, Part, Standing, Status, WindowStatus};

pub(super) fn run(common: &Common, options: &AskArgs) -> Result<Ending, Failure> {
    ask::run(common, options, "/v1/status", |body, width| draw(body, width, common.verbose))
}

fn draw(body: &[u8], width: Width, verbose: bool) -> Result<String, Failure> {
    let status: Status = ask::parse(body)?;
    let bold = Style::new().bold();
    let mut out = format!("{bold}node-steward {}{bold:#}, mode {}\n", status.version, status.mode);
    let mut say = |text: String| wrap(&text, 0, width).iter().for_each(|line| out.push_str(&format!("{line}\n")));
    say(status.cluster.clone());
    let turns = &status.turns;
    say(format!(
        "up {}, {} turns, longest gap {}, a turn takes {} (longest {})",
        span(status.now_wall_ms.0 - status.started_wall_ms.0),
        turns.count,
        milliseconds(turns.longest_gap_ms.saturating_mul(1000)),
        milliseconds(turns.duration_us.last),
        milliseconds(turns.duration_us.max),
    ));
    let percent = |value: Option<f64>| value.map_or("unknown".to_owned(), |value| format!("{value:.1} %"));
    say(format!(
        "waiting for I/O: some tasks {}, all tasks {}",
        percent(status.pressure.io_some_percent),
        percent(status.pressure.io_full_percent)
    ));

    let mut list: Vec<&Problem> = status.problems.iter().collect();
    list.sort_by_key(|problem| (std::cmp::Reverse(problem.finding.severity), problem.since_wall));
    let _ = writeln!(out, "\n{bold}{}{bold:#}", problems::headline(&list));
    if !list.is_empty() {
        out.push_str(&problems::table(&list, status.now_wall_ms, width));
    }
    if !status.disks.is_empty() {
        let _ = write!(out, "\n{bold}Disks, newest window{bold:#}\n{}", disks(&status.disks).draw(0, width));
    }
    if !status.log_writers.is_empty() {
        let _ = writeln!(out, "\n{bold}Who writes the host's logs{bold:#}");
        let lines = status.log_writers.iter().flat_map(|one| wrap(&log_writer(one), 2, width));
        lines.for_each(|line| out.push_str(&format!("{line}\n")));
    }
    for (disk, contributors) in &status.contributors {
        let _ = writeln!(out, "\n{bold}Who uses {}{bold:#}", plain(disk));
        let lines = contributors.iter().flat_map(|one| wrap(&problems::contributor(one), 2, width));
        lines.for_each(|line| out.push_str(&format!("{line}\n")));
    }
    let _ = write!(out, "\n{}", parts("sources", &status.sources, width, verbose));
    out.push_str(&parts("detectors", &status.detectors, width, verbose));
    if verbose {
        let counters: Vec<_> = status.counters.iter().map(|(name, count)| format!("{name} {count}")).collect();
        wrap(&format!("counters: {}", counters.join(", ")), 0, width)
            .iter()
            .for_each(|line| out.push_str(&format!("{line}\n")));
    }
    Ok(out)
}

fn log_writer(one: &LogWriterStatus) -> String {
    let mut text = format!("{}: ", one.unit);
    match one.bytes_per_s.zip(one.write_calls_per_s) {
        Some((bytes, calls)) => {
            let _ = write!(text, "{} in {calls:.1} write calls a second", rate(bytes));
        }
        None => text.push_str("no window yet"),
    }
    if let Some((disk, percent)) = one.disk.as_ref().zip(one.disk_percent) {
        let _ = write!(text, ", {percent:.1} % of what {disk} writes");
    }
    text
}

/// Microseconds for a person.
#[allow(clippy::cast_precision_loss)] // Shown with one decimal.
fn milliseconds(us: u64) -> String {
    if us >= 1_000_000 { format!("{:.1} s", us as f64 / 1e6) } else { format!("{:.1} ms", us as f64 / 1e3) }
}

/// One row a disk.
pub(super) fn disks(list: &[DiskStatus]) -> Grid {
    let mut grid = Grid::new(&[
        "disk",
        ">read/s",
        ">write/s",
        ">bytes",
        ">await",
        ">idle",
        ">queue",
        ">busy",
        ">in flight",
        "now",
    ]);
    for disk in list {
        let of = |show: &dyn Fn(&WindowStatus) -> String| disk.window.as_ref().map_or_else(|| "-".to_owned(), show);
        let line = &disk.baseline;
        let idle: Vec<f64> = [line.small, line.medium, line.large].into_iter().flatten().collect();
        grid.row(
            Style::new(),
            vec![
                disk.name.clone(),
                of(&|window| format!("{:.0}", window.reads_per_s)),
                of(&|window| format!("{:.0}", window.writes_per_s)),
                of(&|window| rate(window.bytes_per_s)),
                of(&|window| window.await_ms.map_or("-".to_owned(), |ms| format!("{ms:.1} ms"))),
                idle.first().map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms")),
                of(&|window| format!("{:.1}", window.aqu)),
                of(&|window| format!("{:.0} %", window.util_percent)),
                of(&|window| window.in_flight.to_string()),
                match disk.saturated_now {
                    Some(true) => "saturated".to_owned(),
                    Some(false) => "ok".to_owned(),
                    None if idle.is_empty() => "no baseline yet".to_owned(),
                    None => "-".to_owned(),
                },
            ],
        );
    }
    grid
}

fn parts(noun: &str, list: &[Part], width: Width, verbose: bool) -> String {
    let working = list.iter().filter(|part| part.standing == Standing::Working).count();
    let off: Vec<&str> =
        list.iter().filter(|part| part.standing == Standing::Off).map(|part| part.name.as_str()).collect();
    let mut out = format!("{working} of {} {noun} work", list.len());
    if !off.is_empty() {
        let _ = write!(out, "; off: {}", off.join(", "));
    }
    out = wrap(&out, 0, width).join("\n") + "\n";
    list.iter().for_each(|part| out.push_str(&problems::standing(part, width)));
    if verbose {
        let names: Vec<&str> =
            list.iter().filter(|part| part.standing == Standing::Working).map(|part| part.name.as_str()).collect();
        wrap(&names.join(", "), 2, width).iter().for_each(|line| out.push_str(&format!("{line}\n")));
    }
    out
}
