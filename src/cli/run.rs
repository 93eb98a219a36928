//! `run`: the daemon, one turn of it, or a recording played again.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::args::{Common, Output, ReserveArgs, RunArgs};
use super::{Ending, Failure, print_json, recommend, reserve, view};
use crate::agent::replay::Replay;
use crate::agent::watch::{self, Flags, Glance, Options};
use crate::agent::{Settings, turn::Turn};
use crate::host::Host;

pub(super) fn run(common: &Common, options: &RunArgs) -> Result<Ending, Failure> {
    if let Some(dir) = &options.replay {
        return replay(dir, common.config.as_deref());
    }
    let host = common.host()?;
    let config = common.config.as_deref().map(|path| common.inside(path));
    let glance = options.once.then_some(Glance { apart_ms: 1000, everything: false });
    let flags = Flags { dry_run: options.dry_run, kubeconfig: options.kubeconfig.clone() };
    let wish = Options { config, flags, glance, reservations, recommendation: recommend::told };
    match watch::run(host, wish)? {
        Some((turn, _)) if common.output == Output::Json => print_json(&turn)?,
        Some((turn, _)) => show(&turn)?,
        // A daemon that is told to end has done its work; one turn that was not finished has not.
        None if options.once => return Err(Failure::Interrupted),
        None => {}
    }
    Ok(Ending::Fine)
}

/// Looks at nothing but the recording; the settings are those that it holds, unless others are given.
fn replay(dir: &Path, config: Option<&Path>) -> Result<Ending, Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    Replay::open(dir, config)?.play(|turn, _| -> Result<(), Failure> {
        serde_json::to_writer(&mut out, &turn)?;
        Ok(out.write_all(b"\n")?)
    })?;
    out.flush()?;
    Ok(Ending::Fine)
}

/// For the API: as `reserve -o json` has them, or why there are none. Runs in a probe child.
pub(super) fn reservations(host: &Host, config: Option<&Path>) -> Value {
    let answer = || -> Result<Value, Failure> {
        let settings = Settings::load(host, config)?;
        let forecast = reserve::foresee(host, &settings, &ReserveArgs::default())?;
        Ok(serde_json::to_value(view::reservations(&settings.reserve.profile, &forecast))?)
    };
    answer().unwrap_or_else(|failure| json!({"error": failure.to_string()}))
}

fn show(turn: &Turn) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    for problem in &turn.problems {
        let finding = &problem.finding;
        writeln!(out, "{:<9} {} {}: {}", finding.severity, finding.kind, finding.subject, finding.summary)?;
    }
    for part in &turn.detectors {
        use crate::model::status::Standing;
        match &part.standing {
            Standing::Working => {}
            Standing::Off => writeln!(out, "off       {}", part.name)?,
            Standing::Learning { why } => writeln!(out, "learning  {}: {why}", part.name)?,
            Standing::Unknown { why } => writeln!(out, "unknown   {}: {why}", part.name)?,
        }
    }
    let working = turn.detectors.iter().filter(|part| part.standing == crate::model::status::Standing::Working).count();
    writeln!(out, "{} problems; {working} of {} detectors judge", turn.problems.len(), turn.detectors.len())?;
    Ok(())
}
