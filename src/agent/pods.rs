//! How many pods the reservation counts, and how many kubelet really admits: two numbers, which the field's most common complaint is about.
//! It refuses to hide which of the two was taken.

use serde::Serialize;

use super::Settings;
use crate::kubelet::config::Origin;
use crate::kubelet::setup::Setup;
use crate::model::Machine;
use crate::reserve::max_pods::{self, DEFAULT};
use crate::reserve::{PodsFrom, Profile};

/// A number of pods and who said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pods {
    /// The number.
    pub count: u32,
    /// One of flag, settings, kubelet, expression, eni-table, default.
    pub source: &'static str,
    /// The source in words, for a person.
    pub from: String,
}

/// What the profile counts with: flag, settings, then as nodeadm counts or what kubelet is set to, then the ENI table, then 110.
/// Besides, a sentence where nodeadm's expression could not be used.
pub fn counted(
    profile: &dyn Profile,
    settings: &Settings,
    setup: Option<&Setup>,
    machine: &Machine,
    flag: Option<u32>,
) -> (Pods, Option<String>) {
    if let Some(count) = flag {
        return (Pods { count, source: "flag", from: "--max-pods".to_owned() }, None);
    }
    if let Some(count) = settings.reserve.max_pods {
        let origin = settings.merged.origin("reserve.max_pods").map(ToString::to_string);
        return (Pods { count, source: "settings", from: origin.unwrap_or_default() }, None);
    }
    let cores = machine.cores.value().copied().unwrap_or(1);
    let as_nodeadm = profile.counts_pods_as_nodeadm() && settings.reserve.pods_from == PodsFrom::Profile;
    if !as_nodeadm
        && let Some(pods) = setup.and_then(|setup| in_kubelet(setup, cores)).filter(|pods| pods.source == "kubelet")
    {
        return (pods, None);
    }
    let type_name = machine.instance_type.value();
    let enis = type_name.and_then(|name| max_pods::enis(name));
    let (Some(name), Some(enis)) = (type_name, enis) else {
        let why = match type_name {
            Some(name) => format!("instance type {name:?} is not in the ENI table"),
            None => format!("no instance type: {}", machine.instance_type.origin()),
        };
        return (Pods { count: DEFAULT, source: "default", from: why }, None);
    };
    let expression =
        settings.max_pods.expression.as_ref().or(setup.and_then(|setup| setup.max_pods_expression.as_ref()));
    let mut complaint = None;
    if let Some(expression) = expression.filter(|_| as_nodeadm) {
        match max_pods::by_expression(expression, enis) {
            Ok(count) => {
                return (
                    Pods { count, source: "expression", from: format!("maxPodsExpression {expression:?} for {name}") },
                    None,
                );
            }
            Err(why) => complaint = Some(format!("{why}; the ENI table's number is used, as nodeadm does")),
        }
    }
    let count = max_pods::by_enis(enis, settings.max_pods.cni, cores);
    let from = format!("{name}: {} ENIs x {} addresses", enis.count, enis.addresses);
    (Pods { count, source: "eni-table", from }, complaint)
}

/// What kubelet is set to; nothing where no kubelet configuration was found.
pub fn in_kubelet(setup: &Setup, cores: u32) -> Option<Pods> {
    let config = &setup.others;
    let main_found = config.main.is_some() && setup.main.is_some();
    let (count, origin) = config.effective().max_pods(cores);
    (main_found || !config.drop_ins.is_empty() || !config.flags.list.is_empty()).then(|| match origin {
        Origin::Default => Pods { count, source: "default", from: origin.to_string() },
        set => Pods { count, source: "kubelet", from: set.to_string() },
    })
}
