//! Words of which kubelet knows a few. It refuses to list words of a field that only some gate switches on; those have
//! rules of their own.

use super::Rule;
use super::case::{Case, Report};
use super::document::nearest;
use crate::model::Weight;

pub(super) const RULES: &[Rule] = &[Rule {
    code: "unknown-value",
    severity: Weight::Fatal,
    meaning: "a word stands where kubelet takes only a few others",
    look: unknown_value,
}];

/// Path, words, first minor version.
const WORDS: [(&str, &[&str], u16); 10] = [
    ("authorization.mode", &["AlwaysAllow", "Webhook"], 28),
    ("configMapAndSecretChangeDetectionStrategy", &["Get", "Cache", "Watch"], 28),
    ("cpuManagerPolicy", &["none", "static"], 28),
    ("hairpinMode", &["promiscuous-bridge", "hairpin-veth", "none"], 28),
    ("logging.format", &["text", "json"], 28),
    ("memoryManagerPolicy", &["None", "Static"], 28),
    ("memoryReservationPolicy", &["None", "TieredReservation"], 36),
    ("tlsMinVersion", &["VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"], 28),
    ("topologyManagerPolicy", &["none", "best-effort", "restricted", "single-numa-node"], 28),
    ("topologyManagerScope", &["container", "pod"], 28),
];

fn unknown_value(case: &Case<'_>, report: &mut Report<'_>) {
    for (path, words, _) in WORDS.into_iter().filter(|(_, _, since)| case.since(*since)) {
        let word = case.text(path, words[0]);
        // An empty TLS version is the default wherever it comes from.
        if words.contains(&word) || (word.is_empty() && path == "tlsMinVersion") {
            continue;
        }
        let meant = nearest(word, words.iter().copied()).unwrap_or("one of them");
        report.add(path, format!("{word:?}"), format!("one of {}", words.join(", ")), format!("write {meant}"));
    }
}
