//! Status to Prometheus text. The only room in which the name of a metric is written. Pure. It refuses labels without a bound: process ids,
//! command names and free text stay out.
//!
//! The text is written here and not by a metrics crate: prometheus-client writes OpenMetrics alone, the textfile needs 0.0.4, and both come from
//! one value that is there already, so that registries and atomics would only hold a second copy of it.
#![forbid(unsafe_code)]

mod cluster;
mod counters;
mod disks;
mod logs;
mod node;
mod page;
mod problems;
mod rules;

use crate::model::problem::Entry;
use crate::model::status::Status;
use page::Page;

pub use counters::{COUNTERS, GAUGES};
pub use rules::{AbsolutePath, Rules};

/// How the text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// What a scraper that sends this Accept header reads best; 0.0.4 where it does not say.
    pub fn accepted(accept: &str) -> Self {
        let quality = |kind: &str| {
            accept
                .split(',')
                .filter_map(|one| {
                    let mut parts = one.split(';').map(str::trim);
                    let named = parts.next()?.eq_ignore_ascii_case(kind);
                    let q = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
                    named.then_some(q.unwrap_or(0.0_f64))
                })
                .fold(0.0, f64::max)
        };
        let open = quality("application/openmetrics-text");
        if open > 0.0 && open >= quality("text/plain") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The Content-Type header.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Everything that is known, as text.
pub fn text(status: &Status, catalogue: &[&Entry], format: Format) -> String {
    let mut page = Page::new(format);
    node::write(&mut page, status);
    problems::write(&mut page, status, catalogue);
    disks::write(&mut page, status);
    logs::write(&mut page, status);
    cluster::write(&mut page, status);
    counters::write(&mut page, status);
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrapers_get_what_they_ask_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        for accept in [
            "",
            "*/*",
            "text/plain",
            "text/plain, application/openmetrics-text;q=0.5",
            "application/openmetrics-text;q=0",
        ] {
            assert_eq!(Format::accepted(accept), Format::Prometheus, "{accept}");
        }
    }
}
