//! The two text formats. It refuses a family twice, a sample twice, and a unit that the name does not end in.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::Format;

/// What every name starts with.
const PREFIX: &str = "node_steward_";

/// Types of metric families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// Goes up and down.
    Gauge,
    /// Only goes up; the sample's name ends in `_total`.
    Counter,
    /// Words as labels, value 1; the sample's name ends in `_info`.
    Info,
    /// Buckets, sum and count.
    Histogram,
}

/// The text as it grows.
pub(super) struct Page {
    format: Format,
    out: String,
    families: BTreeSet<String>,
}

/// A family: its head is written with its first sample, so that there is none without samples.
pub(super) struct Family<'p> {
    page: &'p mut Page,
    name: String,
    kind: Type,
    unit: &'static str,
    help: &'static str,
    seen: BTreeSet<String>,
}

/// Labels of a sample, in the order in which they are shown.
pub(super) type Labels<'l> = &'l [(&'static str, &'l str)];

impl Page {
    pub(super) fn new(format: Format) -> Self {
        Self { format, out: String::with_capacity(16 << 10), families: BTreeSet::new() }
    }

    /// A family by its name without prefix and suffix. `unit` is empty or the last word of the name.
    pub(super) fn family(&mut self, name: &str, kind: Type, unit: &'static str, help: &'static str) -> Family<'_> {
        debug_assert!(unit.is_empty() || name.ends_with(&format!("_{unit}")), "{name} does not end in {unit}");
        let fresh = self.families.insert(name.to_owned());
        debug_assert!(fresh, "{name} is there twice");
        Family { page: self, name: format!("{PREFIX}{name}"), kind, unit, help, seen: BTreeSet::new() }
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

impl Family<'_> {
    /// One sample. A second one with the same labels is left out: it would make the whole text void.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: f64) {
        let suffix = match self.kind {
            Type::Gauge | Type::Histogram => "",
            Type::Counter => "_total",
            Type::Info => "_info",
        };
        self.line(suffix, labels, value);
    }

    /// A histogram from its buckets, each an upper bound and how many fell into it alone.
    pub(super) fn histogram(&mut self, buckets: &[(f64, u64)], sum: f64) {
        let mut count = 0_u64;
        let finite = buckets.iter().filter(|(bound, _)| bound.is_finite());
        for (bound, more) in finite {
            count = count.saturating_add(*more);
            self.line("_bucket", &[("le", &format!("{bound:?}"))], as_f64(count));
        }
        count = buckets.iter().fold(0, |all, (_, more)| all.saturating_add(*more));
        self.line("_bucket", &[("le", "+Inf")], as_f64(count));
        self.line("_sum", &[], sum);
        self.line("_count", &[], as_f64(count));
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, value: f64) {
        let mut list = String::new();
        for (name, value) in labels {
            let comma = if list.is_empty() { "" } else { "," };
            let _ = write!(list, "{comma}{name}=\"{}\"", escaped(value, true));
        }
        if !list.is_empty() {
            list = format!("{{{list}}}");
        }
        if !self.seen.insert(format!("{suffix}{list}")) {
            return;
        }
        if self.seen.len() == 1 {
            self.head();
        }
        let value = match value {
            value if value.is_nan() => "NaN".to_owned(),
            value if value.is_infinite() => if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
            value => value.to_string(),
        };
        let _ = writeln!(self.page.out, "{}{suffix}{list} {value}", self.name);
    }

    fn head(&mut self) {
        let open = self.page.format == Format::OpenMetrics;
        // 0.0.4 has no type `info`, and names a counter by its samples; a line that it does not know is a comment to it.
        let (kind, suffix) = match self.kind {
            Type::Gauge => ("gauge", ""),
            Type::Counter => ("counter", if open { "" } else { "_total" }),
            Type::Info if open => ("info", ""),
            Type::Info => ("gauge", "_info"),
            Type::Histogram => ("histogram", ""),
        };
        let name = format!("{}{suffix}", self.name);
        let out = &mut self.page.out;
        let _ = writeln!(out, "# HELP {name} {}", escaped(self.help, open));
        let _ = writeln!(out, "# TYPE {name} {kind}");
        if !self.unit.is_empty() {
            let _ = writeln!(out, "# UNIT {name} {}", self.unit);
        }
    }
}

fn escaped(text: &str, quotes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
    out
}

/// A count as a sample: exact up to 2^53, which no counter here reaches in a boot.
#[allow(clippy::cast_precision_loss)]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(format: Format) -> String {
        let mut page = Page::new(format);
        page.family("a", Type::Counter, "", "Says \"a\".").sample(&[("l", "x\"\\\ny")], 1.0);
        page.family("empty", Type::Gauge, "", "Never.");
        page.family("b", Type::Info, "", "B.").sample(&[("v", "1")], 1.0);
        let mut twice = page.family("t_seconds", Type::Gauge, "seconds", "T.");
        twice.sample(&[], 0.25);
        twice.sample(&[], 0.5);
        page.family("h_seconds", Type::Histogram, "seconds", "H.").histogram(&[(1.0, 2), (f64::INFINITY, 1)], 9.5);
        page.finish()
    }

    #[test]
    fn both_formats() {
        let classic = "# HELP node_steward_a_total Says \"a\".\n# TYPE node_steward_a_total counter\n\
                       node_steward_a_total{l=\"x\\\"\\\\\\ny\"} 1\n\
                       # HELP node_steward_b_info B.\n# TYPE node_steward_b_info gauge\nnode_steward_b_info{v=\"1\"} 1\n\
                       # HELP node_steward_t_seconds T.\n# TYPE node_steward_t_seconds gauge\n# UNIT node_steward_t_seconds seconds\n\
                       node_steward_t_seconds 0.25\n\
                       # HELP node_steward_h_seconds H.\n# TYPE node_steward_h_seconds histogram\n# UNIT node_steward_h_seconds seconds\n\
                       node_steward_h_seconds_bucket{le=\"1.0\"} 2\nnode_steward_h_seconds_bucket{le=\"+Inf\"} 3\n\
                       node_steward_h_seconds_sum 9.5\nnode_steward_h_seconds_count 3\n";
        assert_eq!(page(Format::Prometheus), classic);
        let open = classic
            .replace("HELP node_steward_a_total Says \"a\"", "HELP node_steward_a Says \\\"a\\\"")
            .replace("TYPE node_steward_a_total", "TYPE node_steward_a")
            .replace("HELP node_steward_b_info", "HELP node_steward_b")
            .replace("TYPE node_steward_b_info gauge", "TYPE node_steward_b info");
        assert_eq!(page(Format::OpenMetrics), open + "# EOF\n");
    }
}
