//! `cordon` and `uncordon`: the daemon is asked to do it, by the rules of ownership. It refuses to speak to the cluster itself: two writers would not know
//! of each other.

use serde::Deserialize;
use serde_json::json;

use super::args::{Common, OrderArgs, Output};
use super::{Ending, Failure, ask};

#[derive(Debug, Deserialize)]
struct Answer {
    node: String,
    changed: bool,
}

pub(super) fn run(common: &Common, options: &OrderArgs, cordon: bool) -> Result<Ending, Failure> {
    let socket = ask::socket(common, options.socket.as_deref())?;
    let path = if cordon { "/v1/cordon" } else { "/v1/uncordon" };
    let mut order = json!({"reason": options.reason});
    if let Some(by) = &options.by {
        order["by"] = by.clone().into();
    }
    let body = ask::post(&socket, path, &order)?;
    if common.output == Output::Json {
        super::print_json(&serde_json::from_slice::<serde_json::Value>(&body)?)?;
        return Ok(Ending::Fine);
    }
    let answer: Answer = ask::parse(&body)?;
    let words = match (answer.changed, cordon) {
        (true, true) => "cordoned",
        (true, false) => "uncordoned",
        (false, true) => "is cordoned by node-steward already, as somebody asked",
        (false, false) => "is not cordoned",
    };
    super::print_line(&format!("node {}: {words}", answer.node))?;
    Ok(Ending::Fine)
}
