//! `capture`: this host as a recording. It refuses a directory that is not empty.

use std::io::{self, Write};

use super::args::{CaptureArgs, Common, Output};
use super::{Ending, Failure};
use crate::agent::capture::{Options, capture};

pub(super) fn run(common: &Common, options: &CaptureArgs) -> Result<Ending, Failure> {
    let host = common.host()?;
    let settings = common.settings(&host)?;
    let period = std::time::Duration::from_millis(options.period.ms());
    let captured = capture(host, &settings, &options.dir, Options { turns: options.turns, period }, |_, _| ())?;
    let dir = options.dir.display();
    match common.output {
        Output::Json => super::print_json(
            &serde_json::json!({"dir": dir.to_string(), "turns": captured.turns, "files": captured.files}),
        )?,
        Output::Text => writeln!(
            io::stdout(),
            "{dir}: {} turns, {} files; serial numbers and secrets are replaced, names of pods, processes and units are not.\n\
             Look at it:   node-steward check --root {dir}/root\nPlay it:      node-steward run --replay {dir}",
            captured.turns,
            captured.files
        )?,
    }
    Ok(Ending::Fine)
}
