//! `status`: how the agent and the node stand, on one screen. It refuses to hide a part that cannot look.

use std::fmt::Write;

use anstyle::Style;

use super::args::{AskArgs, Common};
use super::grid::{Grid, Width, plain, rate, span, wrap};
use super::{Ending, Failure, ask, problems, recommend};
use crate::model::Reading;
use crate::model::cluster::{ApiServer, Hold, PermissionStatus, RequestStatus};
use crate::model::drain::{DrainStatus, PodStep};
use crate::model::problem::Problem;
use crate::model::status::{DiskStatus, LogWriterStatus, Part, Standing, Status, WindowStatus};
use crate::model::time::Wall;

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

    if let Some(server) = &status.api_server {
        out.push_str(&api_server(server, status.now_wall_ms, width, verbose));
    }
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
    match &status.recommendation {
        None => {}
        Some(Reading::Fresh { value, .. }) => {
            let _ = write!(out, "\n{bold}Reservations by {} h of this node{bold:#}\n", value.hours);
            out.push_str(&recommend::table(value).draw(0, width));
            out.push_str(&recommend::verdict(value, width));
        }
        Some(Reading::Absent { why } | Reading::Failed { why }) => {
            let _ =
                write!(out, "\n{}\n", wrap(&format!("reservations: no recommendation: {why}"), 0, width).join("\n"));
        }
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

/// The connection: what goes wrong, what is not allowed, and what would allow it.
fn api_server(server: &ApiServer, now: Wall, width: Width, verbose: bool) -> String {
    let mut lines = Vec::new();
    if !server.version.is_empty() {
        lines.push(format!("API server {}, which takes us for {}", plain(&server.version), plain(&server.user)));
    }
    if let Some(reported) = server.reported_wall_ms {
        let waiting = match server.events_waiting {
            0 => String::new(),
            waiting => format!("; {waiting} reasons wait for their Event"),
        };
        lines.push(format!("conditions written {} ago{waiting}", span(now.0 - reported.0)));
    }
    lines.extend(server.cordon.as_ref().and_then(hold));
    lines.extend(advice(server));
    lines.extend(server.drain.as_ref().map(drain));
    // The first one is in the sentence already.
    lines.extend(server.trouble.iter().skip(1).map(|why| plain(why)));
    let (may, may_not): (Vec<_>, Vec<_>) = server.permissions.iter().partition(|permission| permission.allowed);
    let shown = |list: &[&PermissionStatus]| list.iter().map(|one| plain(&one.what)).collect::<Vec<_>>().join(", ");
    match may_not.len() {
        _ if server.permissions.is_empty() => {}
        0 if verbose => lines.push(format!("the API server allows all that is needed: {}", shown(&may))),
        0 => lines.push(format!("the API server allows all {} things that are needed", may.len())),
        _ => {
            for one in &may_not {
                lines.push(format!("the API server does not allow {} ({})", plain(&one.what), plain(&one.purpose)));
            }
            lines.push("this would allow it:".to_owned());
        }
    }
    let mut out: String = lines.iter().flat_map(|line| wrap(line, 0, width)).map(|line| format!("{line}\n")).collect();
    // As it is to be applied: not wrapped.
    out.extend(server.missing_rbac.lines().map(|line| format!("    {}\n", plain(line))));
    if verbose {
        let counted =
            |(kind, count): (&String, &RequestStatus)| format!("{} {} of {}", plain(kind), count.good, count.sent);
        let requests: Vec<_> = server.requests.iter().map(counted).collect();
        let text = format!("requests to it that were answered: {}", requests.join(", "));
        out.extend(wrap(&text, 0, width).iter().map(|line| format!("{line}\n")));
    }
    out
}

/// Whose cordon is on the Node, where there is anything to say.
fn hold(hold: &Hold) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    match hold.state.as_str() {
        "open" => {}
        "ours" => words.push(format!(
            "cordoned by node-steward since {}, {}: {}",
            plain(&hold.since),
            if hold.whose == "person" {
                format!("as {} asked", plain(&hold.by))
            } else {
                format!("for {}", plain(&hold.by))
            },
            plain(&hold.reason)
        )),
        _ => words.push(plain(&hold.why)),
    }
    if !hold.stands_down.is_empty() {
        words.push(format!("nothing is done to the node: {}", plain(&hold.stands_down)));
    }
    if !hold.hands_off_until.is_empty() {
        words.push(format!("nothing is done without being asked until {}", plain(&hold.hands_off_until)));
    }
    (!words.is_empty()).then(|| words.join("; "))
}

/// What goes on at its own peril, as sentences; `check` shows it as well.
pub(super) fn advice(server: &ApiServer) -> Vec<String> {
    server.advice.iter().map(|advice| format!("advice: {}", plain(advice))).collect()
}

/// How far the drain is, or how the last one ended.
fn drain(drain: &DrainStatus) -> String {
    let (gone, all) = (drain.count(PodStep::Gone), drain.going());
    let asked = format!("for {}: {}", plain(&drain.by), plain(&drain.reason));
    let why = if drain.why.is_empty() { String::new() } else { format!("; {}", plain(&drain.why)) };
    let after = if drain.after.is_empty() { String::new() } else { format!("; {}", plain(&drain.after)) };
    format!("drain, {}, {asked}: {gone} of {all} pods are gone{why}{after}", drain.state.word())
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
