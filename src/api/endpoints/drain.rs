//! `GET /v1/drain`, `POST /v1/drain`: how far a drain is, what one would do, to begin one and to cancel it. It refuses to wait for a drain's end: whoever wants to
//! know asks again, and a client that goes away stops nothing.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::json;

use super::super::request::{Answer, Asked};
use super::super::{Act, Api, Code, Order};
use super::{cordon, fine};
use crate::model::drain::Allow;
use crate::model::time::Span;

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    #[default]
    Begin,
    Plan,
    Cancel,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(default)]
    what: What,
    reason: String,
    by: Option<String>,
    #[serde(default)]
    allow: Vec<Allow>,
    deadline: Option<Span>,
}

/// What may be asked for, in seconds.
const DEADLINES: std::ops::RangeInclusive<u64> = 1..=86_400;

pub(super) async fn show(api: Rc<Api>) -> Answer {
    answer(&api, Order { act: Act::ShowDrain, by: String::new(), reason: String::new() }).await
}

pub(super) async fn run(api: Rc<Api>, asked: Asked) -> Answer {
    let body: Body = match serde_json::from_value(asked.body) {
        Ok(body) => body,
        Err(why) => {
            let shape =
                r#"{"reason": ..., "by": ..., "what": "begin"|"plan"|"cancel", "allow": [...], "deadline": "30m"}"#;
            return Code::BadJson.answer(&format!("it takes {shape}: {why}"));
        }
    };
    if body.deadline.is_some_and(|span| !DEADLINES.contains(&(span.ms() / 1000))) {
        return Code::BadJson.answer("deadline is not between 1s and 24h");
    }
    if body.what != What::Begin && body.deadline.is_some() || body.what == What::Cancel && !body.allow.is_empty() {
        return Code::BadJson.answer("a plan takes no deadline, and to cancel takes neither deadline nor allow");
    }
    let act = match body.what {
        What::Begin => Act::Drain { allow: body.allow, deadline: body.deadline },
        What::Plan => Act::Plan { allow: body.allow },
        What::Cancel => Act::CancelDrain,
    };
    match cordon::order(act, asked.uid, body.by, body.reason) {
        Ok(order) => answer(&api, order).await,
        Err(why) => Code::BadJson.answer(&why),
    }
}

async fn answer(api: &Rc<Api>, order: Order) -> Answer {
    match (api.obey)(order).await {
        Ok(done) => fine(&json!({"ok": true, "node": done.node, "changed": done.changed, "drain": done.drain})),
        Err((code, why)) => code.answer(&why),
    }
}
