//! The forecast as JSON: the part of the public interface that programs read. It refuses to show a number that was not computed.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::agent::Forecast;
use crate::model::Resources;

/// `reserve -o json`, and the first part of every other answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservationsView {
    profile: String,
    machine: Value,
    kube_reserved: Resources,
    system_reserved: Resources,
    profile_reserved: Value,
    eviction_hard: BTreeMap<String, String>,
    allocatable: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ec2_node_class: Option<String>,
    warnings: Vec<String>,
}

/// The forecast for one profile.
pub fn reservations(profile: &str, forecast: &Forecast) -> ReservationsView {
    let machine = &forecast.machine;
    let mut facts = json!({
        "cores": machine.cores.value(),
        "memoryBytes": machine.memory.value(),
        "maxPods": forecast.pods.count,
        "maxPodsSource": forecast.pods.source,
        "maxPodsFrom": forecast.pods.from,
    });
    if let (Some(real), Some(facts)) = (&forecast.kubelet_pods, facts.as_object_mut()) {
        facts.insert("kubeletMaxPods".to_owned(), json!(real.count));
        facts.insert("kubeletMaxPodsFrom".to_owned(), json!(real.from));
    }
    let formula = &forecast.plan.profile;
    let eviction: serde_json::Map<_, _> =
        formula.eviction_hard.iter().map(|(signal, value)| ((*signal).to_owned(), json!(value))).collect();
    ReservationsView {
        profile: profile.to_owned(),
        machine: facts,
        kube_reserved: forecast.plan.kube.clone(),
        system_reserved: forecast.plan.system.clone(),
        profile_reserved: json!({"kubeReserved": formula.kube, "systemReserved": formula.system, "evictionHard": eviction}),
        eviction_hard: forecast.result.effective_for(machine.kubelet_version.value().copied()).texts("evictionHard"),
        allocatable: forecast.allocatable.clone(),
        ec2_node_class: forecast.node_class.clone(),
        warnings: forecast.warnings.clone(),
    }
}

/// `cpu 80m, memory 893Mi`, or a dash.
pub fn one_line(list: &Resources) -> String {
    let parts: Vec<_> = list.0.iter().map(|(resource, amount)| format!("{resource} {amount}")).collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}
