//! `POST /v1/cordon` and `POST /v1/uncordon`: done to this Node through the API server, by the rules of ownership. It refuses a body without a reason, and
//! words that would not be shown as they were written.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::json;

use super::super::request::{Answer, Asked};
use super::super::{Act, Api, Code, Order};
use super::fine;

/// Of a reason, and of a name.
const LONGEST: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    reason: String,
    by: Option<String>,
}

pub(super) async fn run(api: Rc<Api>, asked: Asked, act: Act) -> Answer {
    let body: Body = match serde_json::from_value(asked.body) {
        Ok(body) => body,
        Err(why) => return Code::BadJson.answer(&format!("it takes {{\"reason\": ..., \"by\": ...}}: {why}")),
    };
    match order(act, asked.uid, body.by, body.reason) {
        Err(why) => Code::BadJson.answer(&why),
        Ok(order) => match (api.obey)(order).await {
            Ok(done) => fine(&json!({"ok": true, "node": done.node, "changed": done.changed})),
            Err((code, why)) => code.answer(&why),
        },
    }
}

/// Whoever does not say who it is, is the user that the kernel names.
pub(super) fn order(act: Act, uid: Option<u32>, by: Option<String>, reason: String) -> Result<Order, String> {
    let uid = uid.map_or_else(|| "somebody".to_owned(), |uid| format!("uid {uid}"));
    let order = Order { act, by: by.unwrap_or(uid), reason };
    for (name, text) in [("reason", &order.reason), ("by", &order.by)] {
        if let Some(why) = unfit(text) {
            return Err(format!("{name} {why}"));
        }
    }
    Ok(order)
}

/// They go into an annotation, an Event and people's terminals.
pub(super) fn unfit(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        Some("is empty".to_owned())
    } else if text.len() > LONGEST {
        Some(format!("has more than {LONGEST} bytes"))
    } else if text.chars().any(char::is_control) {
        Some("has control characters".to_owned())
    } else {
        None
    }
}
