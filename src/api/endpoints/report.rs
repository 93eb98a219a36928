//! `POST /v1/problems`: another program on the host reports a problem for a while. It refuses names that are our own, words that would not be shown as they were
//! written, and a report without an end.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::json;

use super::super::request::{Answer, Asked};
use super::super::{Act, Api, Code};
use super::{cordon, fine};
use crate::model::problem::{Kind, Report, Severity};
use crate::model::time::Span;

/// Of a kind's name.
const LONGEST: usize = 63;
/// How long a report may stand.
const LEAST: Span = Span::seconds(10);
const MOST: Span = Span::minutes(1440);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    name: Kind,
    subject: String,
    severity: Severity,
    summary: Option<String>,
    ttl: Span,
}

pub(super) async fn run(api: Rc<Api>, asked: Asked) -> Answer {
    let body: Body = match serde_json::from_value(asked.body) {
        Ok(body) => body,
        Err(why) => {
            let shape = r#"{"name": ..., "subject": ..., "severity": "advice"|"warning"|"critical", "summary": ..., "ttl": "5m"}"#;
            return Code::BadJson.answer(&format!("it takes {shape}: {why}"));
        }
    };
    if let Some(why) = unfit(&body, &api) {
        return Code::BadJson.answer(&why);
    }
    let summary = body.summary.unwrap_or_else(|| format!("{}: reported by another program", body.subject));
    let report =
        Report { kind: body.name, subject: body.subject, severity: body.severity, summary, ttl_ms: body.ttl.ms() };
    let order = match cordon::order(Act::Report(report), asked.uid, None, "a report".to_owned()) {
        Ok(order) => order,
        Err(why) => return Code::BadJson.answer(&why),
    };
    match (api.obey)(order).await {
        Ok(done) => fine(&json!({"ok": true, "new": done.changed})),
        Err((code, why)) => code.answer(&why),
    }
}

fn unfit(body: &Body, api: &Api) -> Option<String> {
    let name = body.name.as_str();
    let camel = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && (3..=LONGEST).contains(&name.len());
    if !camel {
        return Some(format!("name is no CamelCase word of 3 to {LONGEST} letters and digits"));
    }
    // A detector of ours judges that itself, and may end it.
    if api.published.borrow().catalogue.iter().any(|entry| entry.kind == body.name) {
        return Some(format!("name: {name} is a kind of node-steward's own"));
    }
    if !(LEAST..=MOST).contains(&body.ttl) {
        return Some(format!("ttl is not between {LEAST} and {MOST}"));
    }
    let words = [("subject", Some(&body.subject)), ("summary", body.summary.as_ref())];
    words.into_iter().find_map(|(key, text)| Some(format!("{key} {}", cordon::unfit(text?)?)))
}
