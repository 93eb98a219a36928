//! The second half of `check`: what is wrong now, and what would be done about it. The daemon is asked where one runs, since it knows the disks;
//! else two looks are made, and it refuses to pass over what two looks cannot tell.

use std::io::Write;
use std::path::PathBuf;

use anstyle::Style;
use serde_json::{Value, json};

use crate::agent::watch::{self, Flags, Glance, Options};
use crate::cli::args::Common;
use crate::cli::grid::{Width, wrap};
use crate::cli::{Failure, ask, problems, recommend, run, status};
use crate::host::Host;
use crate::model::problem::{Problem, Severity};
use crate::model::status::{DiskStatus, Part, Standing, Status, Verdict};

/// From the first look to the second.
const APART_MS: u64 = 3000;
/// Contributors are shown for a disk with such a queue, or so many bytes per second.
const BUSY_QUEUE: f64 = 1.0;
const BUSY_BYTES: f64 = 1e6;

/// What is wrong, and who says so.
pub(super) struct Seen {
    status: Status,
    /// Why the daemon was not asked; none where it was.
    alone: Option<String>,
}

/// Asks the daemon, or looks.
pub(super) fn look(host: Host, common: &Common) -> Result<Seen, Failure> {
    let why = match host.is_real() {
        true => match asked(common) {
            Ok(status) => return Ok(Seen { status, alone: None }),
            Err(error) => error.to_string(),
        },
        false => "this is a recording".to_owned(),
    };
    let config = common.config.as_deref().map(|path| common.inside(path));
    let glance = Some(Glance { apart_ms: APART_MS, everything: true });
    let flags = Flags { dry_run: true, kubeconfig: None };
    let options = Options { config, flags, glance, reservations: run::reservations, recommendation: recommend::told };
    let Some((_, status)) = watch::run(host, options)? else {
        return Err(Failure::Interrupted);
    };
    Ok(Seen { status, alone: Some(why) })
}

fn asked(common: &Common) -> Result<Status, Failure> {
    let socket: PathBuf = ask::socket(common, None)?;
    Ok(ask::parse(&ask::get(&socket, "/v1/status")?)?)
}

impl Seen {
    /// Whether anything is worse than advice.
    pub(super) fn troubled(&self) -> bool {
        self.status.problems.iter().any(|problem| problem.finding.severity > Severity::Advice)
    }

    pub(super) fn as_json(&self) -> Value {
        json!({
            "from": if self.alone.is_some() { "glance" } else { "daemon" },
            "why": self.alone,
            "status": self.status,
        })
    }

    pub(super) fn print(&self, common: &Common) -> Result<(), Failure> {
        let width = Width::of(None);
        let mut out = anstream::stdout().lock();
        let (head, dim) = (Style::new().bold(), Style::new().dimmed());
        let status = &self.status;
        let from = match &self.alone {
            None => "as the daemon sees it".to_owned(),
            Some(_) if common.root != std::path::Path::new("/") => "two looks at a recording".to_owned(),
            Some(why) => format!("{} s of looking; {why}", APART_MS / 1000),
        };
        writeln!(out, "\n{head}Problems now{head:#} {dim}({from}){dim:#}")?;
        let list: Vec<&Problem> = status.problems.iter().collect();
        writeln!(out, "  {}", problems::headline(&list))?;
        if !list.is_empty() {
            writeln!(out, "{}", problems::table(&list, status.now_wall_ms, width))?;
        }
        for problem in &list {
            write!(out, "{}", problems::details(problem, "", status.now_wall_ms, width, common.verbose))?;
        }
        let advice = status.api_server.as_deref().map(status::advice).unwrap_or_default();
        advice.iter().flat_map(|line| wrap(line, 2, width)).try_for_each(|line| writeln!(out, "{line}"))?;
        for decision in &status.decisions {
            let words = match decision.verdict {
                Verdict::Do => "would be done".to_owned(),
                Verdict::Withheld => format!("withheld ({}): {}", decision.reason, decision.why),
            };
            let line = format!("{} for {} {}: {words}", decision.action, decision.kind, decision.subject);
            wrap(&line, 2, width).iter().try_for_each(|line| writeln!(out, "{line}"))?;
        }
        let busy: Vec<DiskStatus> =
            status.disks.iter().filter(|disk| common.verbose || is_busy(disk)).cloned().collect();
        if !busy.is_empty() {
            write!(out, "\n{head}Busy disks, newest window{head:#}\n{}", status::disks(&busy).draw(2, width))?;
        }
        for disk in busy.iter().filter(|disk| is_stuck(disk)) {
            writeln!(out, "  {}: requests are in flight and none has completed in this window", disk.name)?;
        }
        for (disk, list) in status.contributors.iter().filter(|(disk, _)| busy.iter().any(|one| one.name == *disk)) {
            writeln!(out, "  who uses {disk}:")?;
            for one in list {
                wrap(&problems::contributor(one), 4, width).iter().try_for_each(|line| writeln!(out, "{line}"))?;
            }
        }
        self.unjudged(&mut out, width)
    }

    fn unjudged(&self, out: &mut impl Write, width: Width) -> Result<(), Failure> {
        let nobody = self.nobody();
        let parts = self.status.detectors.iter().chain(&nobody);
        let blind: String = parts.map(|part| problems::standing(part, width)).collect();
        if !blind.is_empty() {
            write!(out, "\n  cannot be judged yet, or here:\n{blind}")?;
        }
        Ok(())
    }

    /// Why nobody can be named for a disk's I/O, as a part that does not look; none where cgroups or processes show it. A daemon does not ask for them
    /// in every turn: only a look of our own, which does, can tell.
    fn nobody(&self) -> Option<Part> {
        self.alone.as_ref()?;
        let standing =
            |name: &str| self.status.sources.iter().find(|part| part.name == name).map(|part| &part.standing);
        match (standing("cgroup_io"), standing("process_io")) {
            (Some(Standing::Unknown { .. }), Some(Standing::Unknown { why })) => {
                Some(Part { name: "contributors".to_owned(), standing: Standing::Unknown { why: why.clone() } })
            }
            _ => None,
        }
    }
}

fn is_busy(disk: &DiskStatus) -> bool {
    let window = disk.window.as_ref();
    window.is_some_and(|window| window.aqu >= BUSY_QUEUE || window.bytes_per_s >= BUSY_BYTES) || is_stuck(disk)
}

/// In flight, busy, and nothing came of it.
fn is_stuck(disk: &DiskStatus) -> bool {
    disk.window.as_ref().is_some_and(|window| {
        window.in_flight > 0 && window.reads_per_s == 0.0 && window.writes_per_s == 0.0 && window.util_percent > 90.0
    })
}
