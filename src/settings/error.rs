//! A mistake in the settings: file, line, column, key, what was expected. One line; it refuses to be a caret picture that journald would break up.

use std::fmt;
use std::path::Path;

use super::Origin;

/// See the head of this file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    place: String,
    what: String,
}

impl SettingsError {
    pub(super) fn new(file: &Path, what: String) -> Self {
        Self { place: file.display().to_string(), what }
    }

    pub(super) fn of_syntax(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let (line, column) = line_and_column(text, error.span().map_or(0, |span| span.start));
        Self { place: format!("{}:{line}:{column}", file.display()), what: error.message().replace('\n', "; ") }
    }

    pub(super) fn at(origin: Origin, key: &str, why: &str) -> Self {
        let why = why.lines().next().unwrap_or_default();
        let hint = unknown_field(why)
            .and_then(|field| nearest(field, &expected_fields(why)))
            .map(|name| format!("; did you mean {name:?}?"));
        Self { place: origin.to_string(), what: format!("{key}: {why}{}", hint.unwrap_or_default()) }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl std::error::Error for SettingsError {}

/// Line and column (from 1) of a byte offset.
pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The name in serde's "unknown field `x`, expected one of `a`, `b`".
pub(super) fn unknown_field(why: &str) -> Option<&str> {
    why.strip_prefix("unknown field `")?.split('`').next()
}

fn expected_fields(why: &str) -> Vec<&str> {
    why.split_once("expected").map(|(_, rest)| rest.split('`').skip(1).step_by(2).collect()).unwrap_or_default()
}

/// The known name that reads most like it, if any does.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
