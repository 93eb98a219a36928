//! Images: garbage collection, pulls, credentials. It refuses to look at any registry.

use super::Rule;
use super::case::{Case, Report};
use crate::kubelet::config::SECOND;
use crate::model::{Node, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "image-gc-thresholds",
        severity: Weight::Fatal,
        meaning: "imageGCLowThresholdPercent is not below imageGCHighThresholdPercent",
        look: gc_thresholds,
    },
    Rule {
        code: "image-gc-age",
        severity: Weight::Fatal,
        meaning: "imageMaximumGCAge is not above imageMinimumGCAge, or its gate is off",
        look: gc_age,
    },
    Rule {
        code: "image-pulls",
        severity: Weight::Fatal,
        meaning: "serializeImagePulls forbids more than one pull at a time",
        look: pulls,
    },
    Rule {
        code: "image-credentials",
        severity: Weight::Fatal,
        meaning: "a setting on verification of image credentials is unknown, or its gate is off",
        look: credentials,
    },
];

fn gc_thresholds(case: &Case<'_>, report: &mut Report<'_>) {
    let (low, high) = ("imageGCLowThresholdPercent", "imageGCHighThresholdPercent");
    let (below, above) = (case.int(low).unwrap_or(80), case.int(high).unwrap_or(85));
    if below >= above {
        let path = if case.node(low).is_some() { low } else { high };
        report.add(
            path,
            format!("{below}% as the low and {above}% as the high threshold"),
            "low below high; kubelet's defaults are 80 and 85",
            "set both",
        );
    }
}

fn gc_age(case: &Case<'_>, report: &mut Report<'_>) {
    let (most, least) = ("imageMaximumGCAge", "imageMinimumGCAge");
    let Some(longest) = case.duration(most).filter(|age| *age != 0 && case.since(29)) else { return };
    if !case.gate_or_gone("ImageMaximumGCAge") {
        report.add(
            most,
            case.text(most, ""),
            "no setting while the gate ImageMaximumGCAge is off",
            "remove it, or set the gate",
        );
    }
    let shortest = case.duration(least).filter(|age| *age != 0).unwrap_or(120 * SECOND);
    if longest > 0 && longest <= shortest {
        report.add(
            most,
            case.text(most, ""),
            format!("more than {least}, {}", case.text(least, "2m")),
            "make it longer, or 0s",
        );
    }
}

fn pulls(case: &Case<'_>, report: &mut Report<'_>) {
    let path = "maxParallelImagePulls";
    let pulls = case.int(path).unwrap_or(0);
    // Unset, it follows from the number of pulls.
    if pulls > 1 && case.truth("serializeImagePulls", false) {
        report.add(
            path,
            format!("{pulls}, while serializeImagePulls is true"),
            "1, or serializeImagePulls: false",
            "set one of the two",
        );
    }
}

fn credentials(case: &Case<'_>, report: &mut Report<'_>) {
    const WORDS: [&str; 4] =
        ["NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages", "AlwaysVerify"];
    if !case.since(33) {
        return;
    }
    let (policy, list) = ("imagePullCredentialsVerificationPolicy", "preloadedImagesVerificationAllowlist");
    let word = case.text(policy, "");
    let images = case.list(list);
    if !case.gate_or_gone("KubeletEnsureSecretPulledImages") {
        for path in [policy, list] {
            if (path == policy && !word.is_empty()) || (path == list && !images.is_empty()) {
                report.add(
                    path,
                    "a setting, while the gate KubeletEnsureSecretPulledImages is off",
                    "no setting",
                    "remove it, or set the gate",
                );
            }
        }
        return;
    }
    if !word.is_empty() && !WORDS.contains(&word) {
        report.add(policy, format!("{word:?}"), format!("one of {}", WORDS.join(", ")), "write one of them");
    }
    if !images.is_empty() && word != "NeverVerifyAllowlistedImages" {
        report.add(
            list,
            "a list",
            format!("{policy}: NeverVerifyAllowlistedImages beside it"),
            "set it, or remove the list",
        );
        return;
    }
    for image in images.iter().filter_map(Node::as_str).filter(|image| !pattern(image)) {
        report.add(
            list,
            format!("{image:?}"),
            "an image without tag and digest, or a prefix that ends in /*",
            "correct it",
        );
    }
}

/// Whether kubelet takes an image's name or prefix.
fn pattern(image: &str) -> bool {
    let prefix = image.strip_suffix('*').filter(|rest| rest.ends_with('/'));
    let bare = prefix.unwrap_or(image);
    let tagged = bare.contains('@') || bare.rsplit('/').next().is_some_and(|last| last.contains(':'));
    image.trim() == image
        && bare.len() > usize::from(prefix.is_some())
        && !bare.contains('*')
        && (prefix.is_some() || !tagged)
}
