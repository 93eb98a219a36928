//! `GET /v1/decisions`: what is done about each problem, or the named reason why not. It refuses a bare "no".

use serde_json::json;

use super::super::Api;
use super::super::request::Answer;
use super::fine;

pub(super) fn show(api: &Api) -> Answer {
    let status = &api.published.borrow().status;
    fine(&json!({
        "nowWallMs": status.now_wall_ms,
        "mode": status.mode,
        "cluster": status.cluster,
        "decisions": status.decisions,
    }))
}
