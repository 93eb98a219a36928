//! `ImageOutdated`: the image's system gets no more patches, or the image is old. It refuses to ask a registry or a cloud: it knows what the image says of
//! itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::time::{Span, Wall};
use crate::model::watch::Image;

/// The name of the problem.
pub const IMAGE_OUTDATED: Kind = Kind::new("ImageOutdated");
const DAY_MS: i64 = 86_400_000;

/// The detector.
pub struct ImageOutdated;

/// `[detect.image_outdated]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Advice when the system's support ends in less than this.
    pub before_end: Span,
    /// Advice when the image is older than this.
    pub oldest: Span,
}

impl Default for Rules {
    fn default() -> Self {
        let day = 24 * 60;
        Self { before_end: Span::minutes(90 * day), oldest: Span::minutes(120 * day) }
    }
}

impl Detector for ImageOutdated {
    type Rules = Rules;
    type Memory = ();
    const NAME: &'static str = "image_outdated";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: IMAGE_OUTDATED,
        severity: Severity::Warning,
        condition: Condition::NodeServices,
        may_cordon: false,
        meaning: "The machine image is old, or its system's support has ended or is about to end: what was found since then is not patched in it, and new nodes of it come up \
                  with the same holes.",
        advice: "Build or choose a newer image and replace the nodes. Images of one's own say when they were made in /etc/node-steward/image-built (a date or RFC 3339).",
    }];

    fn look(rules: &Rules, (): &mut (), scene: &Scene<'_>) -> Look {
        let image = &scene.samples.image;
        let Some(now) = image.value() else {
            return Look::unknown(format!("nobody has looked at what is installed: {}", image.reading.origin()));
        };
        if now.support_end.is_empty() && now.built.is_empty() {
            return Look::unknown(
                "os-release names no SUPPORT_END, and no /etc/node-steward/image-built says when the image was made",
            );
        }
        let mut findings = Vec::new();
        findings.extend(date(&now.support_end).and_then(|end| support(rules, now, scene.now.wall, end)));
        findings.extend(date(&now.built).and_then(|built| age(rules, now, scene.now.wall, built)));
        let texts = [("SUPPORT_END of os-release", &now.support_end), ("the image's stamp (image-built)", &now.built)];
        let bad = texts.into_iter().find(|(_, text)| !text.is_empty() && date(text).is_none());
        match bad {
            // What the other text says is no less true.
            Some((what, text)) if findings.is_empty() => {
                Look::unknown(format!("{what}: {text:?} is neither a date nor RFC 3339"))
            }
            _ => Look::at(findings),
        }
    }
}

/// A date, or the day of a moment, in days since 1970.
fn date(text: &str) -> Option<i64> {
    let date: jiff::civil::Date = text.get(..10)?.parse().ok()?;
    let days = date.since(jiff::civil::Date::constant(1970, 1, 1)).ok()?.get_days();
    Some(i64::from(days))
}

fn today(wall: Wall) -> i64 {
    wall.0.div_euclid(DAY_MS)
}

fn days(span: Span) -> i64 {
    i64::try_from(span.ms()).unwrap_or(i64::MAX) / DAY_MS
}

fn name(image: &Image) -> &str {
    if image.os.is_empty() { "the system" } else { &image.os }
}

fn support(rules: &Rules, image: &Image, wall: Wall, end: i64) -> Option<Finding> {
    let left = end.saturating_sub(today(wall));
    if left > days(rules.before_end) {
        return None;
    }
    let (os, on) = (name(image), &image.support_end);
    let (severity, summary) = match left {
        ..0 => (Severity::Warning, format!("{os} has had no more support since {on}, for {} days", -left)),
        _ => (Severity::Advice, format!("support of {os} ends on {on}, in {left} days")),
    };
    Some(Finding {
        kind: IMAGE_OUTDATED,
        subject: "support".to_owned(),
        severity,
        summary,
        advice: format!("Build the next image from a release that is supported beyond {on}, and replace the nodes."),
        evidence: vec![
            Evidence::text("system", os),
            Evidence::text("support ends", on.clone()),
            Evidence::number("left", as_number(left), "days"),
        ],
        device: None,
    })
}

fn age(rules: &Rules, image: &Image, wall: Wall, built: i64) -> Option<Finding> {
    let old = today(wall).saturating_sub(built);
    if old <= days(rules.oldest) {
        return None;
    }
    let on = &image.built;
    Some(Finding {
        kind: IMAGE_OUTDATED,
        subject: "image".to_owned(),
        severity: Severity::Advice,
        summary: format!("this node's image is {old} days old"),
        advice: format!(
            "Whatever was patched in the last {old} days is missing on each new node of it. Build a newer image and replace the nodes; {} days are taken as old here.",
            days(rules.oldest)
        ),
        evidence: vec![Evidence::text("image built", on.clone()), Evidence::number("age", as_number(old), "days")],
        device: None,
    })
}

#[allow(clippy::cast_precision_loss)] // Days of centuries are exact.
fn as_number(days: i64) -> f64 {
    days as f64
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::status::Standing;
    use crate::model::watch::Samples;

    /// The made clock stands at 2023-11-14.
    fn look(support_end: &str, built: &str) -> Look {
        let image = Image {
            os: "Amazon Linux 2".to_owned(),
            support_end: support_end.to_owned(),
            built: built.to_owned(),
            ..Image::default()
        };
        let samples = Samples { image: made::fresh(10, image), ..Samples::default() };
        made::look::<ImageOutdated>(&mut (), 10, &samples, &Default::default())
    }

    #[test]
    fn ends_and_ages_are_counted_in_days() {
        let said = |end: &str, built: &str| {
            look(end, built).findings.iter().map(|one| format!("{}: {}", one.severity, one.summary)).collect::<Vec<_>>()
        };
        assert_eq!(
            said("2023-11-13", ""),
            ["warning: Amazon Linux 2 has had no more support since 2023-11-13, for 1 days"]
        );
        assert_eq!(said("2023-11-14", ""), ["advice: support of Amazon Linux 2 ends on 2023-11-14, in 0 days"]);
        assert_eq!(
            said("2024-02-12", "2023-11-01T10:00:00Z"),
            ["advice: support of Amazon Linux 2 ends on 2024-02-12, in 90 days"]
        );
        assert!(said("2024-02-13", "2023-07-17").is_empty());
        assert_eq!(said("2029-06-30", "2023-07-16"), ["advice: this node's image is 121 days old"]);
    }

    #[test]
    fn an_image_that_says_nothing_or_nonsense_is_unknown() {
        for (end, built, words) in [
            ("", "", "names no SUPPORT_END"),
            ("soon", "", "SUPPORT_END of os-release: \"soon\""),
            ("2029-06-30", "13.1.2026", "(image-built): \"13.1.2026\""),
        ] {
            match look(end, built).standing {
                Standing::Unknown { why } => assert!(why.contains(words), "{why}"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(look("2023-11-13", "13.1.2026").findings.len(), 1, "what the other text says is no less true");
    }
}
