//! Whose values stay: what others have set in kubelet's configuration, and whether ours may replace it.
//! It refuses to count the platform's own computed main file as somebody's choice.

use std::collections::BTreeSet;

use super::Settings;
use crate::kubelet::OnExisting;
use crate::kubelet::config::{Effective, Origin};
use crate::kubelet::setup::Setup;
use crate::model::{Quantity, Resource, Resources};
use crate::reserve::Plan;

/// Whose values stay.
pub(super) struct Choices<'a> {
    pub effective: &'a Effective,
    pub setup: &'a Setup,
    pub main: &'a str,
    pub on_existing: OnExisting,
}

impl Choices<'_> {
    /// Who has set this path, where that one's choice is to stay.
    pub(super) fn kept_by(&self, path: &str) -> Option<Origin> {
        let value = self.effective.get(path)?;
        let origin = self.effective.origin(path);
        match &origin {
            Origin::Default => None,
            // A flag wins over every file, so writing beside it would be for nothing.
            Origin::Flag { .. } => Some(origin),
            Origin::File(file) if file == self.main && self.setup.is_computed(path, value) => None,
            Origin::File(_) => (self.on_existing == OnExisting::Keep).then_some(origin),
        }
    }

    /// The amounts that stay in one of the two lists: those of others, and those of resources that we do not `want` to set.
    /// What kubelet could not read is left to the preflight.
    pub(super) fn kept(&self, field: &str, want: &BTreeSet<Resource>) -> Resources {
        let amounts = Resource::ALL.into_iter().filter_map(|resource| {
            let path = format!("{field}.{resource}");
            if want.contains(&resource) {
                self.kept_by(&path)?;
            }
            Some((resource, self.effective.get(&path)?.as_str()?.parse().ok()?))
        });
        let mut list = Resources(amounts.collect());
        // --kube-reserved replaces the whole map: what the flag does not name is not reserved at all.
        if matches!(self.effective.origin(field), Origin::Flag { .. }) {
            for resource in Resource::ALL {
                list.0.entry(resource).or_insert(Quantity::ZERO);
            }
        }
        list
    }

    /// Every key that we would have set otherwise: path, value, who.
    pub(super) fn all_kept(&self, plan: &Plan, settings: &Settings) -> Vec<(String, String, String)> {
        let mut wanted = Vec::new();
        for (field, list, extra) in [
            ("kubeReserved", &plan.profile.kube, &settings.reserve.kube_reserved),
            ("systemReserved", &plan.profile.system, &settings.reserve.system_reserved),
        ] {
            let names = list.0.keys().chain(extra.keys()).collect::<BTreeSet<_>>();
            wanted.extend(names.into_iter().map(|resource| format!("{field}.{resource}")));
        }
        wanted.extend(settings.kubelet.eviction_hard.keys().map(|signal| format!("evictionHard.{signal}")));
        let others = [
            ("enforceNodeAllocatable", !settings.kubelet.enforce_node_allocatable.is_empty()),
            ("kubeReservedCgroup", settings.kubelet.kube_reserved_cgroup.is_some()),
            ("systemReservedCgroup", settings.kubelet.system_reserved_cgroup.is_some()),
        ];
        wanted.extend(others.into_iter().filter(|(_, asked)| *asked).map(|(path, _)| path.to_owned()));
        let text = |path: &str| {
            self.effective.get(path).map(|node| serde_json::to_string(node).unwrap_or_default()).unwrap_or_default()
        };
        wanted
            .into_iter()
            .filter_map(|path| Some((path.clone(), text(&path), self.kept_by(&path)?.to_string())))
            .collect()
    }
}
