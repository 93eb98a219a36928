//! `check`: one look at this machine, without root and without a cluster. It refuses to change anything.

mod reservations;

use serde_json::json;

use super::args::{CheckArgs, Common, Output};
use super::{Ending, Failure, print_json};

pub(super) fn run(common: &Common, options: &CheckArgs) -> Result<Ending, Failure> {
    let host = common.host()?;
    let mut settings = common.settings(&host)?;
    options.wish.apply(&mut settings);
    let reservations = reservations::look(&host, common, &settings, options)?;
    match common.output {
        Output::Json => print_json(&json!(reservations.as_json(&settings)))?,
        Output::Text => reservations.print(common, &settings)?,
    }
    Ok(if reservations.troubled() { Ending::Problems } else { Ending::Fine })
}
