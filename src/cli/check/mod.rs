//! `check`: one look at this machine, without root and without a cluster. It refuses to change anything.

mod problems;
mod reservations;

use super::args::{CheckArgs, Common, Output};
use super::{Ending, Failure, print_json};

pub(super) fn run(common: &Common, options: &CheckArgs) -> Result<Ending, Failure> {
    let host = common.host()?;
    let mut settings = common.settings(&host)?;
    options.wish.apply(&mut settings);
    let reservations = reservations::look(&host, common, &settings, options)?;
    let seen = problems::look(host, common)?;
    match common.output {
        Output::Json => {
            let mut answer = reservations.as_json(&settings);
            if let Some(answer) = answer.as_object_mut() {
                answer.insert("watch".to_owned(), seen.as_json());
            }
            print_json(&answer)?;
        }
        Output::Text => {
            reservations.print(common, &settings)?;
            seen.print(common)?;
        }
    }
    Ok(if reservations.troubled() || seen.troubled() { Ending::Problems } else { Ending::Fine })
}
