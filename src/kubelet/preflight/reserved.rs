//! `kubeReserved`, `systemReserved` and `qosReserved`: names and quantities. It refuses to add them up; `capacity` does.

use super::Rule;
use super::case::{Case, Report};
use super::document::nearest;
use crate::model::{Quantity, Resource, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "reserved-resource",
        severity: Weight::Fatal,
        meaning: "something is reserved that cannot be reserved",
        look: reserved_resource,
    },
    Rule {
        code: "reserved-quantity",
        severity: Weight::Fatal,
        meaning: "a reservation is no quantity, or negative",
        look: reserved_quantity,
    },
    Rule {
        code: "qos-reserved",
        severity: Weight::Fatal,
        meaning: "qosReserved takes memory and a percentage only",
        look: qos_reserved,
    },
];

/// Every reservation with its field; with reserved CPUs kubelet drops both CPU entries unread.
fn entries(case: &Case<'_>) -> Vec<(String, String, String)> {
    let cpus = matches!(super::cpus::reserved_cpus(case), Some(Ok(cpus)) if !cpus.is_empty());
    let all = ["kubeReserved", "systemReserved"].into_iter().flat_map(|field| {
        case.effective.texts(field).into_iter().map(move |(name, text)| (format!("{field}.{name}"), name, text))
    });
    all.filter(|(_, name, _)| !(cpus && name == "cpu")).collect()
}

fn reserved_resource(case: &Case<'_>, report: &mut Report<'_>) {
    for (path, name, _) in entries(case) {
        if name.parse::<Resource>().is_err() {
            let meant = nearest(&name, Resource::ALL.into_iter().map(Resource::name));
            let action = meant.map_or("remove it".to_owned(), |meant| format!("write {meant}, or remove it"));
            report.add(&path, format!("{name:?}"), "cpu, memory, ephemeral-storage or pid", action);
        }
    }
}

fn reserved_quantity(case: &Case<'_>, report: &mut Report<'_>) {
    for (path, name, text) in entries(case) {
        if name.parse::<Resource>().is_err() {
            continue;
        }
        match text.parse::<Quantity>() {
            Err(_) => report.add(
                &path,
                format!("{text:?}"),
                "a quantity such as 500m, 2, 1Gi or 100Mi",
                "correct it; a percentage is not possible here",
            ),
            Ok(quantity) if quantity.is_negative() => {
                report.add(&path, quantity, "a quantity that is not negative", "correct it")
            }
            Ok(_) => {}
        }
    }
}

fn qos_reserved(case: &Case<'_>, report: &mut Report<'_>) {
    for (name, text) in case.effective.texts("qosReserved") {
        let path = format!("qosReserved.{name}");
        let percent = text.strip_suffix('%').map(|t| t.trim_end_matches('%')).and_then(|t| t.parse::<i64>().ok());
        if name != "memory" {
            report.add(&path, format!("{name:?}"), "memory; nothing else", "remove it");
        } else if !percent.is_some_and(|percent| (0..=100).contains(&percent)) {
            report.add(&path, format!("{text:?}"), "0% to 100%", "correct it");
        }
    }
}
