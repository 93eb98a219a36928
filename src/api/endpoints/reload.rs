//! `POST /v1/reload`: the settings are read anew. It refuses wrong ones: the old ones stay, and the answer names file, line and key.

use std::rc::Rc;

use serde_json::{Value, json};

use super::super::request::{Answer, Asked};
use super::super::{Api, Code};
use super::fine;

pub(super) async fn run(api: Rc<Api>, asked: Asked) -> Answer {
    if !matches!(&asked.body, Value::Object(fields) if fields.is_empty()) {
        return Code::BadJson.answer("reload takes no body, or an empty object");
    }
    match (api.reload)().await {
        Ok(()) => fine(&json!({"ok": true})),
        Err(why) => Code::SettingsRefused.answer(&why),
    }
}
