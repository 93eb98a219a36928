//! `fix`: a change of the host that a person asks for. It refuses to change anything without `--apply` or `--undo`.

use std::io::Write;

use serde_json::json;

use super::args::{Common, FixArgs, FixVerb, Output};
use super::{Ending, Failure, print_json};
use crate::agent::fix::{self, Outcome, Report, Wish};

pub(super) fn run(common: &Common, verb: &FixVerb) -> Result<Ending, Failure> {
    let FixVerb::Syslog(options) = verb;
    let host = common.host()?;
    let report = fix::syslog::run(&host, wish(options))?;
    match common.output {
        Output::Json => print_json(&json!({"fix": "syslog", "report": report}))?,
        Output::Text => print(&report)?,
    }
    Ok(Ending::Fine)
}

fn wish(options: &FixArgs) -> Wish {
    match (options.apply, options.undo) {
        (true, _) => Wish::Apply { force: options.force },
        (_, true) => Wish::Undo,
        _ => Wish::DryRun,
    }
}

fn print(report: &Report) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    let head = match report.outcome {
        Outcome::Nothing => "nothing to do",
        Outcome::WouldChange => "would be done (--apply does it)",
        Outcome::Applied => "done",
        Outcome::Undone => "taken back",
    };
    writeln!(out, "{head}: {}", report.why)?;
    for (number, step) in (1..).zip(&report.steps) {
        writeln!(out, "  {number}. {step}")?;
    }
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}
