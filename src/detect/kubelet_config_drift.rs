//! `KubeletConfigDrift`: the Node offers pods something else than kubelet's configuration on this machine says. It refuses to guess what kubelet counts as the
//! machine: capacity is taken from the Node itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::quantity::MIB;
use crate::model::time::{Mono, Span};
use crate::model::watch::{Offer, Reserved, Thresholds};
use crate::model::{Bytes, Quantity, Resource, Threshold};

/// The name of the problem.
pub const KUBELET_CONFIG_DRIFT: Kind = Kind::new("KubeletConfigDrift");

/// The detector.
pub struct KubeletConfigDrift;

/// `[detect.kubelet_config_drift]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// It begins when the two have differed for so long: kubelet tells the Node within minutes after its start.
    pub enter_after: Span,
}

impl Default for Rules {
    fn default() -> Self {
        Self { enter_after: Span::minutes(10) }
    }
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Kept {
    /// Since when they differ.
    apart: Option<Mono>,
}

impl Detector for KubeletConfigDrift {
    type Rules = Rules;
    type Memory = Kept;
    const NAME: &'static str = "kubelet_config_drift";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: KUBELET_CONFIG_DRIFT,
        severity: Severity::Warning,
        condition: Condition::NodeResources,
        may_cordon: false,
        meaning: "What the Node offers to pods is not what kubelet's files on this machine give: they were changed after kubelet had started, another file or flag is in use than \
                  was found, or the Node is from another configuration. The scheduler goes by the Node; what is reserved here, and what an autoscaler was told, is then not what \
                  holds.",
        advice: "Look which files and flags kubelet runs with (its log names them at the start, /configz shows the result). Where the files are right, drain the node and restart \
                 kubelet; better, replace the node.",
    }];

    fn look(rules: &Rules, memory: &mut Kept, scene: &Scene<'_>) -> Look {
        let (offer, thresholds) = (&scene.samples.offer, &scene.samples.thresholds);
        let Some(offered) = offer.value() else { return Look::unknown(offer.reading.origin()) };
        let Some(config) = thresholds.value() else { return Look::unknown(thresholds.reading.origin()) };
        let Some(reserved) = config.reserved.value() else { return Look::unknown(config.reserved.origin()) };
        let apart: Vec<Apart> = [Resource::Cpu, Resource::Memory, Resource::EphemeralStorage]
            .into_iter()
            .filter_map(|resource| compare(resource, offered, config, reserved))
            .collect();
        if apart.is_empty() {
            memory.apart = None;
            return Look::at(Vec::new());
        }
        let since = *memory.apart.get_or_insert(scene.now.mono);
        let long = scene.now.mono.since_ms(since) >= rules.enter_after.ms();
        Look::at(if long { vec![finding(&apart, config)] } else { Vec::new() })
    }
}

/// A resource of which the Node offers something else.
struct Apart {
    resource: Resource,
    offered: Quantity,
    expected: Quantity,
}

/// None where they agree, and where one of them is not known.
fn compare(resource: Resource, offer: &Offer, config: &Thresholds, reserved: &Reserved) -> Option<Apart> {
    let told = |list: &std::collections::BTreeMap<String, String>, name: &str| list.get(name)?.parse::<Quantity>().ok();
    let capacity = told(&offer.capacity, resource.name())?;
    let offered = told(&offer.allocatable, resource.name())?;
    let total = capacity.to_u64();
    let evicted = |text: Option<&String>| {
        text.and_then(|text| Threshold::parse(text).ok()).map_or(0, |threshold| threshold.of(total))
    };
    let (evicted, tolerance) = match resource {
        // Whole CPUs that are set aside take the place of what is reserved.
        Resource::Cpu if config.whole_cpus => return None,
        Resource::Cpu => (0, Quantity::ZERO),
        Resource::Memory => {
            let huge = offer.capacity.iter().filter(|(name, _)| name.starts_with("hugepages-"));
            let huge: u64 = huge.filter_map(|(_, text)| text.parse::<Quantity>().ok()).map(Quantity::to_u64).sum();
            (evicted(config.memory.as_ref()).saturating_add(huge), slack(total))
        }
        Resource::EphemeralStorage => (evicted(config.hard.get("nodefs.available")), slack(total)),
        Resource::Pid => return None,
    };
    let kept = reserved.kube.get(resource).plus(reserved.system.get(resource));
    let expected = capacity.minus(kept).minus(Quantity::bytes(Bytes(evicted)));
    let expected = if expected.is_negative() { expected.minus(expected) } else { expected };
    let apart = if expected < offered { offered.minus(expected) } else { expected.minus(offered) };
    (apart > tolerance).then_some(Apart { resource, offered, expected })
}

/// Shares are rounded in single precision, and a file system's size is not the same in all places.
fn slack(total: u64) -> Quantity {
    Quantity::bytes(Bytes((total / 1000).max(MIB)))
}

fn finding(apart: &[Apart], config: &Thresholds) -> Finding {
    let words = |one: &Apart| format!("{} {}, not {}", one.resource, one.offered, one.expected);
    let all = apart.iter().map(words).collect::<Vec<_>>().join("; ");
    let mut evidence = Vec::new();
    for one in apart {
        let names = match one.resource {
            Resource::Cpu => ("cpu offered", "cpu by the configuration"),
            Resource::Memory => ("memory offered", "memory by the configuration"),
            _ => ("ephemeral-storage offered", "ephemeral-storage by the configuration"),
        };
        evidence.push(Evidence::text(names.0, one.offered.to_string()));
        evidence.push(Evidence::text(names.1, one.expected.to_string()));
    }
    evidence.push(Evidence::text("configuration", config.reserved.origin()));
    Finding {
        kind: KUBELET_CONFIG_DRIFT,
        subject: "node".to_owned(),
        severity: Severity::Warning,
        summary: format!("the Node offers pods {all}, which kubelet's configuration gives"),
        advice: format!(
            "kubelet reads its configuration when it starts ({}). Where that is right, drain the node and restart kubelet, or replace the node; where it is not what kubelet runs \
             with, find the file or flag that is.",
            config.reserved.origin()
        ),
        evidence,
        device: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::status::Standing;
    use crate::model::watch::Samples;
    use crate::model::{Millicores, Reading, Resources};

    fn samples(seconds: u64, cpu: &str, memory: &str) -> Samples {
        let list = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let offer = Offer {
            capacity: list(&[
                ("cpu", "4"),
                ("memory", "8Gi"),
                ("hugepages-2Mi", "1Gi"),
                ("ephemeral-storage", "100Gi"),
            ]),
            allocatable: list(&[("cpu", cpu), ("memory", memory), ("ephemeral-storage", "96636764160")]),
        };
        let kube = Resources::of(Millicores(80), Bytes(1 << 30), None);
        let config = Thresholds {
            hard: [("nodefs.available".to_owned(), "10%".to_owned())].into(),
            memory: Some("100Mi".to_owned()),
            reserved: Reading::fresh(Reserved { kube, system: Resources::default() }, "/etc/k.yaml"),
            ..Thresholds::default()
        };
        Samples { offer: made::fresh(seconds, offer), thresholds: made::fresh(seconds, config), ..Samples::default() }
    }

    fn turn(kept: &mut Kept, seconds: u64, samples: &Samples) -> Vec<String> {
        made::turn::<KubeletConfigDrift>(kept, seconds, samples)
    }

    #[test]
    fn it_begins_after_ten_minutes_and_ends_at_once() {
        let mut kept = Kept::default();
        // 8Gi less 1Gi reserved, 1Gi of huge pages and 100Mi.
        assert!(turn(&mut kept, 10, &samples(10, "3920m", "6044Mi")).is_empty());
        assert!(turn(&mut kept, 20, &samples(20, "4", "6044Mi")).is_empty());
        assert!(turn(&mut kept, 619, &samples(619, "4", "6044Mi")).is_empty());
        assert_eq!(turn(&mut kept, 620, &samples(620, "4", "6044Mi")), ["KubeletConfigDrift node warning"]);
        assert!(turn(&mut kept, 630, &samples(630, "3920m", "6043Mi")).is_empty(), "rounding");
        let look = made::look::<KubeletConfigDrift>(&mut kept, 640, &samples(640, "3920m", "7Gi"), &Default::default());
        assert_eq!(look.findings, []);
        let look =
            made::look::<KubeletConfigDrift>(&mut kept, 1240, &samples(1240, "3920m", "7Gi"), &Default::default());
        assert_eq!(
            look.findings[0].summary,
            "the Node offers pods memory 7Gi, not 6044Mi, which kubelet's configuration gives"
        );
    }

    #[test]
    fn whole_cpus_that_are_set_aside_are_not_judged() {
        let mut kept = Kept { apart: Some(Mono(1)) };
        let mut other = samples(700, "3", "6044Mi");
        let sampled = other.thresholds.clone();
        let config = Thresholds { whole_cpus: true, ..sampled.value().unwrap().clone() };
        other.thresholds = made::fresh(700, config);
        assert!(turn(&mut kept, 700, &other).is_empty());
    }

    #[test]
    fn who_sees_no_node_does_not_judge() {
        let mut kept = Kept::default();
        let alone = Samples { offer: Default::default(), ..samples(10, "4", "8Gi") };
        let look = made::look::<KubeletConfigDrift>(&mut kept, 10, &alone, &Default::default());
        assert!(matches!(look.standing, Standing::Unknown { .. }), "{look:?}");
    }
}
