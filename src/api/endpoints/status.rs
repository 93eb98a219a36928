//! `GET /v1/status`: everything that the agent says of itself and the node. It refuses to leave out a part that cannot look.

use hyper::StatusCode;

use super::super::Api;
use super::super::request::{Answer, json_answer};

pub(super) fn show(api: &Api) -> Answer {
    json_answer(StatusCode::OK, &api.status())
}
