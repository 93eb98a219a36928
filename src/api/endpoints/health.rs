//! `GET /healthz`: the turns are on time. `GET /readyz`: there was a full look at the node. Neither says that the node is well: they refuse to be
//! mistaken for `/v1/problems`.

use serde_json::json;

use super::super::request::Answer;
use super::super::{Api, Code};
use super::fine;

pub(super) fn healthz(api: &Api) -> Answer {
    let published = api.published.borrow();
    let last = published.status.turns.last_ms;
    let ago = (api.clock)().since_ms(last);
    if ago > published.late_after_ms {
        return Code::TurnsLate
            .answer(&format!("the newest turn is {ago} ms old, at most {} are on time", published.late_after_ms));
    }
    fine(&json!({"ok": true, "lastTurnAgoMs": ago}))
}

pub(super) fn readyz(api: &Api) -> Answer {
    if api.published.borrow().ready {
        fine(&json!({"ok": true}))
    } else {
        Code::NotReady.answer("there was no full look at the node yet")
    }
}
