//! `GET /v1/problems`: the problems that stand, each with what the catalogue says of its kind. It refuses a problem without advice.

use serde_json::{Value, json};

use super::super::Api;
use super::super::request::Answer;
use super::fine;
use crate::model::status::{Part, Standing};

pub(super) fn show(api: &Api) -> Answer {
    let published = api.published.borrow();
    let problems: Vec<Value> = published
        .status
        .problems
        .iter()
        .map(|problem| {
            let mut shown = json!(problem);
            let entry = published.catalogue.iter().find(|entry| entry.kind == problem.finding.kind);
            if let (Some(fields), Some(entry)) = (shown.as_object_mut(), entry) {
                fields.insert("condition".to_owned(), json!(entry.condition));
                fields.insert("meaning".to_owned(), json!(entry.meaning));
                fields.insert("mayCordon".to_owned(), json!(entry.may_cordon));
            }
            shown
        })
        .collect();
    // Whoever reads "no problems" must know who could not look.
    let is_blind = |part: &&Part| matches!(part.standing, Standing::Unknown { .. } | Standing::Learning { .. });
    let blind: Vec<_> = published.status.detectors.iter().filter(is_blind).collect();
    fine(&json!({"nowWallMs": published.status.now_wall_ms, "problems": problems, "notJudging": blind}))
}
