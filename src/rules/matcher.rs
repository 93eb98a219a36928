//! All patterns in one automaton; the single pattern is run again on a hit, for its captures. It refuses Unicode classes: log text is bytes.

use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::rule::{Case, Hit, Notes, Rule};
use crate::model::time::Mono;
use crate::model::watch::{PodName, Record};

/// A rule that a line matched.
#[derive(Debug, Clone)]
pub struct Found {
    /// The rule.
    pub rule: &'static Rule,
    /// What the line means.
    pub case: Case,
    /// The named groups that took part.
    pub captures: Vec<(String, String)>,
}

struct Matcher {
    set: RegexSet,
    /// Of each pattern: its rule, its place there, and the pattern alone, compiled when it is first needed.
    single: Vec<(&'static Rule, usize, OnceLock<Option<Regex>>)>,
}

/// Room for lazy states, made anew where it is full; the default would let it grow to megabytes.
const CACHE_BYTES: usize = 128 << 10;

fn matcher() -> Result<&'static Matcher, String> {
    static MATCHER: OnceLock<Result<Matcher, String>> = OnceLock::new();
    let made = MATCHER.get_or_init(|| {
        let patterns = super::ALL.iter().flat_map(|rule| rule.patterns);
        let set = RegexSetBuilder::new(patterns).unicode(false).dfa_size_limit(CACHE_BYTES).build();
        let numbered =
            |rule: &&'static Rule| (0..rule.patterns.len()).map(|at| (*rule, at, OnceLock::new())).collect::<Vec<_>>();
        Ok(Matcher {
            set: set.map_err(|error| error.to_string())?,
            single: super::ALL.iter().flat_map(numbered).collect(),
        })
    });
    made.as_ref().map_err(Clone::clone)
}

/// The first rule that this record matches and that finds it harmful. Only the kernel's own lines count: programs can write the others.
///
/// # Errors
/// Says why the patterns cannot be used at all.
pub fn find(record: &Record, at: Mono, names: &[PodName], notes: &mut Notes) -> Result<Option<Found>, String> {
    if record.facility != 0 {
        return Ok(None);
    }
    let matcher = matcher()?;
    let text = record.text.as_bytes();
    for index in matcher.set.matches(text) {
        let Some((rule, pattern, single)) = matcher.single.get(index) else { continue };
        let single = single.get_or_init(|| {
            // Only for lines that match already: without room for lazy states it is slower and small.
            RegexBuilder::new(rule.patterns.get(*pattern)?).unicode(false).dfa_size_limit(0).build().ok()
        });
        let Some(single) = single else { continue };
        let Some(captures) = single.captures(text) else { continue };
        let hit = Hit { pattern: *pattern, captures, at, names };
        if let Some(case) = (rule.judge)(&hit, notes) {
            let named = single.capture_names().flatten().map(|name| (name.to_owned(), hit.get(name)));
            return Ok(Some(Found { rule, case, captures: named.filter(|(_, value)| !value.is_empty()).collect() }));
        }
    }
    Ok(None)
}

/// The kinds of all rules that match, harmful or not: no line should have two.
#[cfg(test)]
pub(super) fn all_matches(text: &str) -> std::collections::BTreeSet<String> {
    let matcher = matcher().unwrap();
    matcher.set.matches(text.as_bytes()).iter().map(|index| matcher.single[index].0.entry.kind.to_string()).collect()
}
