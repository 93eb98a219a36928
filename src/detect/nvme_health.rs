//! `NvmeHealth`: what an NVMe controller says of itself: its SMART warnings, unrecovered errors that grow, and a state other than live.
//! It refuses to count errors from before its first look.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::Reading;
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::status::Standing;
use crate::model::time::{Mono, Span};
use crate::model::watch::{NvmeController, Smart};

/// The name of the problem.
pub const NVME_HEALTH: Kind = Kind::new("NvmeHealth");

/// The detector.
pub struct NvmeHealth;

/// `[detect.nvme_health]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// A state other than live (and other than dead, which counts at once) must last so long.
    pub state_after: Span,
    /// How long new unrecovered errors are reported.
    pub errors_hold: Span,
    /// Percent of its life used from which it is advice.
    pub used_percent: u8,
}

impl Default for Rules {
    fn default() -> Self {
        Self { state_after: Span::seconds(20), errors_hold: Span::minutes(60 * 24), used_percent: 100 }
    }
}

/// What is kept of a controller.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    /// Since when it is not live.
    not_live: Option<Mono>,
    /// Unrecovered errors at the newest look.
    errors: Option<u64>,
    /// When they last grew, and by how much since they began to.
    grew: Option<(Mono, u64)>,
}

impl Detector for NvmeHealth {
    type Rules = Rules;
    type Memory = BTreeMap<String, Kept>;
    const NAME: &'static str = "nvme_health";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: NVME_HEALTH,
        severity: Severity::Critical,
        condition: Condition::DiskHealth,
        may_cordon: true,
        meaning: "An NVMe controller does not answer, or reports by itself that it is failing: spare blocks used up, too hot, no longer reliable, or read-only.",
        advice: "Save what is needed from its disks and replace it. For an instance store: stop and start the instance elsewhere, or take a new node.",
    }];

    fn look(rules: &Rules, memory: &mut Self::Memory, scene: &Scene<'_>) -> Look {
        let Some(controllers) = scene.samples.nvme.value() else {
            return Look::unknown(scene.samples.nvme.reading.origin());
        };
        memory.retain(|name, _| controllers.iter().any(|one| one.name == *name));
        let mut blind = Vec::new();
        let mut findings = Vec::new();
        for controller in controllers {
            let kept = memory.entry(controller.name.clone()).or_default();
            let mut signs = state(rules, kept, scene.now.mono, controller);
            match &controller.smart {
                Reading::Fresh { value, .. } => signs.extend(smart(rules, kept, scene.now.mono, value)),
                Reading::Failed { why } => blind.push(format!("{}: {why}", controller.name)),
                Reading::Absent { .. } => {}
            }
            findings.extend(finding(controller, &signs));
        }
        let standing = if blind.is_empty() { Standing::Working } else { Standing::Unknown { why: blind.join("; ") } };
        Look { findings, standing, disks: Vec::new() }
    }
}

/// One thing that is wrong.
type Sign = (Severity, String);

fn state(rules: &Rules, kept: &mut Kept, now: Mono, controller: &NvmeController) -> Vec<Sign> {
    // `new` and `deleting` are the beginning and the end of an orderly life.
    if ["live", "new", "deleting", "deleting (no IO)", ""].contains(&controller.state.as_str()) {
        kept.not_live = None;
        return Vec::new();
    }
    let since = *kept.not_live.get_or_insert(now);
    let lasted = now.since_ms(since);
    if controller.state == "dead" {
        return vec![(Severity::Critical, "the controller is dead".to_owned())];
    }
    if lasted < rules.state_after.ms() {
        return Vec::new();
    }
    vec![(Severity::Critical, format!("the controller has been {} for {} s", controller.state, lasted / 1000))]
}

fn smart(rules: &Rules, kept: &mut Kept, now: Mono, smart: &Smart) -> Vec<Sign> {
    let mut signs = Vec::new();
    let bits = [
        (Severity::Warning, format!("only {} % of the spare blocks are left", smart.available_spare_percent)),
        (Severity::Warning, format!("the temperature is out of range ({} C)", i32::from(smart.temperature_k) - 273)),
        (Severity::Critical, "it is no longer reliable, by its own word".to_owned()),
        (Severity::Critical, "it is read-only now".to_owned()),
        (Severity::Warning, "the backup of its volatile memory has failed".to_owned()),
    ];
    let set = bits.into_iter().enumerate().filter(|(bit, _)| smart.critical_warning >> bit & 1 == 1);
    signs.extend(set.map(|(_, sign)| sign));
    let low = smart.available_spare_percent < smart.spare_threshold_percent;
    if low && smart.critical_warning & 1 == 0 {
        signs.push((
            Severity::Warning,
            format!("only {} % of the spare blocks are left", smart.available_spare_percent),
        ));
    }
    if smart.percentage_used >= rules.used_percent {
        signs.push((Severity::Advice, format!("{} % of its expected life are used", smart.percentage_used)));
    }
    match kept.errors.replace(smart.media_errors) {
        Some(before) if smart.media_errors > before => {
            let more = kept.grew.map_or(0, |(_, more)| more).saturating_add(smart.media_errors - before);
            kept.grew = Some((now, more));
        }
        // Another disk in its place, or the first look.
        Some(before) if smart.media_errors < before => kept.grew = None,
        _ => {}
    }
    kept.grew = kept.grew.filter(|(last, _)| now.since_ms(*last) < rules.errors_hold.ms());
    if let Some((last, more)) = kept.grew {
        let minutes = now.since_ms(last) / 60_000;
        signs.push((Severity::Warning, format!("{more} new unrecovered errors, the last {minutes} min ago")));
    }
    signs
}

fn finding(controller: &NvmeController, signs: &[Sign]) -> Option<Finding> {
    let severity = signs.iter().map(|(severity, _)| *severity).max()?;
    let what: Vec<&str> = signs.iter().map(|(_, what)| what.as_str()).collect();
    let mut evidence =
        vec![Evidence::text("controller", controller.name.clone()), Evidence::text("state", controller.state.clone())];
    if !controller.model_name.is_empty() {
        evidence.push(Evidence::text("model", controller.model_name.clone()));
    }
    evidence.extend(controller.disks.iter().map(|disk| Evidence::text("disk", disk.clone())));
    if let Some(smart) = controller.smart.value() {
        evidence.extend([
            Evidence::count("critical warning bits", smart.critical_warning.into(), ""),
            Evidence::count("spare left", smart.available_spare_percent.into(), "%"),
            Evidence::count("spare needed", smart.spare_threshold_percent.into(), "%"),
            Evidence::count("life used", smart.percentage_used.into(), "%"),
            Evidence::count("unrecovered errors", smart.media_errors, ""),
        ]);
    }
    Some(Finding {
        kind: NVME_HEALTH,
        subject: controller.name.clone(),
        severity,
        summary: format!("{}: {}", controller.name, what.join("; ")),
        advice: String::new(),
        evidence,
        device: None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::watch::{EbsPage, NvmeModel, Samples};

    const NONE: [&str; 0] = [];

    fn play(memory: &mut BTreeMap<String, Kept>, at: u64, state: &str, smart: Smart) -> Look {
        let mut one = made::controller(at, NvmeModel::Other, EbsPage::default());
        one.state = state.to_owned();
        one.smart = Reading::fresh(smart, "made");
        let samples = Samples { nvme: made::fresh(at, vec![one]), ..Samples::default() };
        made::look::<NvmeHealth>(memory, at, &samples, &std::collections::BTreeSet::new())
    }

    fn smart() -> Smart {
        Smart {
            available_spare_percent: 100,
            spare_threshold_percent: 10,
            temperature_k: 310,
            media_errors: 7,
            ..Smart::default()
        }
    }

    #[test]
    fn warnings_of_its_own() {
        for (bits, severity, words) in [
            (0b1, "warning", "only 100 % of the spare"),
            (0b10, "warning", "37 C"),
            (0b100, "critical", "no longer reliable"),
            (0b1000, "critical", "read-only"),
            (0b1_0000, "warning", "volatile memory"),
        ] {
            let look = play(&mut BTreeMap::new(), 1, "live", Smart { critical_warning: bits, ..smart() });
            assert_eq!(made::shown(&look), [format!("NvmeHealth nvme1 {severity}")]);
            assert!(look.findings[0].summary.contains(words), "{}", look.findings[0].summary);
        }
        let low = Smart { available_spare_percent: 9, ..smart() };
        assert_eq!(made::shown(&play(&mut BTreeMap::new(), 1, "live", low)), ["NvmeHealth nvme1 warning"]);
        let old = Smart { percentage_used: 101, ..smart() };
        assert_eq!(made::shown(&play(&mut BTreeMap::new(), 1, "live", old)), ["NvmeHealth nvme1 advice"]);
        assert_eq!(made::shown(&play(&mut BTreeMap::new(), 1, "live", smart())), NONE);
        // EBS answers with zeros: no spare, and none needed.
        assert_eq!(made::shown(&play(&mut BTreeMap::new(), 1, "live", Smart::default())), NONE);
    }

    #[test]
    fn errors_count_from_the_first_look_and_are_held() {
        let mut memory = BTreeMap::new();
        let day = 24 * 3600;
        assert_eq!(made::shown(&play(&mut memory, 100, "live", smart())), NONE);
        let more = Smart { media_errors: 9, ..smart() };
        assert_eq!(made::shown(&play(&mut memory, 160, "live", more.clone())), ["NvmeHealth nvme1 warning"]);
        let look = play(&mut memory, 160 + day - 1, "live", more.clone());
        assert_eq!(look.findings[0].summary, "nvme1: 2 new unrecovered errors, the last 1439 min ago");
        assert_eq!(made::shown(&play(&mut memory, 160 + day, "live", more)), NONE);
    }

    #[test]
    fn a_state_must_last_but_death_counts_at_once() {
        let mut memory = BTreeMap::new();
        assert_eq!(made::shown(&play(&mut memory, 100, "resetting", smart())), NONE);
        assert_eq!(made::shown(&play(&mut memory, 110, "connecting", smart())), NONE);
        assert_eq!(made::shown(&play(&mut memory, 120, "resetting", smart())), ["NvmeHealth nvme1 critical"]);
        assert_eq!(made::shown(&play(&mut memory, 130, "live", smart())), NONE);
        assert_eq!(made::shown(&play(&mut memory, 140, "dead", smart())), ["NvmeHealth nvme1 critical"]);
    }
}
