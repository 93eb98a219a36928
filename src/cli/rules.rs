//! `rules test`: which rule matches which line of a log file. It refuses nothing but a file that is not there: a line that no rule knows is no mistake.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::args::{Common, Output};
use super::{Ending, Failure, print_json};
use crate::host::{HostError, Reason};
use crate::model::time::Mono;
use crate::rules::{Notes, find, lines};

/// A log file may be large, but not without end.
const MOST_BYTES: u64 = 1 << 30;

pub(super) fn test(common: &Common, file: &Path) -> Result<Ending, Failure> {
    let host = common.host()?;
    let path = common.inside(file);
    let missing =
        || HostError { act: "read", path: path.clone(), reason: Reason::Other("there is no such file".to_owned()) };
    let text = host.read(&path, MOST_BYTES)?.ok_or_else(missing)?;
    let mut notes = Notes::default();
    for line in lines(&text) {
        let at = Mono(line.record.at_us / 1000);
        let Some(found) = find(&line.record, at, &[], &mut notes).map_err(Failure::Rules)? else { continue };
        let kind = &found.rule.entry.kind;
        if common.output == Output::Json {
            let captures: serde_json::Map<_, _> =
                found.captures.into_iter().map(|(name, value)| (name, value.into())).collect();
            print_json(&json!({
                "line": line.number,
                "rule": kind,
                "reason": kind,
                "severity": found.case.severity,
                "captures": captures,
            }))?;
        } else {
            writeln!(
                anstream::stdout(),
                "{}:{}: {kind} {} {}: {}",
                file.display(),
                line.number,
                found.case.severity,
                found.case.subject,
                found.case.summary
            )?;
        }
    }
    Ok(Ending::Fine)
}
