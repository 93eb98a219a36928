//! `GET /metrics`: the status as Prometheus text, or OpenMetrics where the scraper asks for it. It refuses to name a metric.

use hyper::StatusCode;
use hyper::header::{ACCEPT, HeaderValue, VARY};

use super::super::Api;
use super::super::request::{Answer, Asked, with_type};
use crate::metrics::{self, Format};

pub(super) fn show(api: &Api, asked: &Asked) -> Answer {
    let accept: Vec<_> = asked.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::accepted(&accept.join(","));
    let text = metrics::text(&api.status(), &api.published.borrow().catalogue, format);
    let mut answer = with_type(StatusCode::OK, format.content_type(), text.into_bytes());
    answer.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    answer
}
