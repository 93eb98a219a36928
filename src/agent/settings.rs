//! Which section of the settings belongs to which room. It refuses sections that no room has.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::model::KubeletVersion;
use crate::reserve::max_pods::Cni;
use crate::settings::{Merged, SettingsError};
use crate::{act, api, cluster, kubelet, metrics, policy, reserve, rules};

use super::turn::State;
use super::watch;
use crate::model::problem::Severity;
use crate::policy::COMPANION;

/// The sections that are known.
pub(super) const SECTIONS: [&str; 13] = [
    "reserve", "max_pods", "machine", "kubelet", "watch", "detect", "rules", "policy", "cluster", "report", "drain",
    "api", "metrics",
];

/// All rooms' settings.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `[reserve]`.
    pub reserve: reserve::Rules,
    /// `[max_pods]`.
    pub max_pods: MaxPods,
    /// `[machine]`.
    pub machine: MachineRules,
    /// `[kubelet]`.
    pub kubelet: kubelet::Rules,
    /// `[watch]`.
    pub watch: watch::Rules,
    /// `[detect]`, a table by detector; [`Settings::configure`] hands them out.
    pub detect: toml::Table,
    /// `[rules]`.
    pub rules: rules::Rules,
    /// `[policy]`.
    pub policy: policy::Rules,
    /// `[cluster]`.
    pub cluster: cluster::Rules,
    /// `[report]`.
    pub report: act::Rules,
    /// `[drain]`.
    pub drain: act::DrainRules,
    /// `[api]`.
    pub api: api::Rules,
    /// `[metrics]`.
    pub metrics: metrics::Rules,
    /// Where each key comes from.
    pub merged: Merged,
}

/// `[max_pods]`: how the node's addresses become a number of pods.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MaxPods {
    /// How the CNI hands out addresses.
    pub cni: Cni,
    /// nodeadm's maxPodsExpression, where it cannot be read from nodeadm itself.
    pub expression: Option<String>,
}

/// `[machine]`: what an image knows better than the machine can tell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MachineRules {
    /// The cloud's instance type.
    pub instance_type: Option<String>,
    /// Ask the instance metadata service for it where DMI does not say (2 s at most).
    pub imds: bool,
    /// kubelet's version, such as "v1.36.2".
    pub kubelet_version: Option<Version>,
}

/// A version in a settings file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(pub KubeletVersion);

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "A kubelet's version, such as \"v1.36.2\""})
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl Settings {
    /// Reads the chain of files, or `config` alone, and hands each room its section.
    pub fn load(host: &Host, config: Option<&Path>) -> Result<Self, SettingsError> {
        Self::of(Merged::load(host, config)?)
    }

    /// Hands each room its section of what was merged.
    pub fn of(merged: Merged) -> Result<Self, SettingsError> {
        merged.only(&SECTIONS)?;
        let settings = Self {
            reserve: merged.section("reserve")?,
            max_pods: merged.section("max_pods")?,
            machine: merged.section("machine")?,
            kubelet: merged.section("kubelet")?,
            watch: merged.section("watch")?,
            detect: merged.section("detect")?,
            rules: merged.section("rules")?,
            policy: merged.section("policy")?,
            cluster: merged.section("cluster")?,
            report: merged.section("report")?,
            drain: merged.section("drain")?,
            api: merged.section("api")?,
            metrics: merged.section("metrics")?,
            merged,
        };
        let complain =
            |section, (key, why): (&str, String)| settings.merged.complaint(&format!("{section}.{key}"), &why);
        settings.watch.check().map_err(|wrong| complain("watch", wrong))?;
        settings.cluster.check().map_err(|wrong| complain("cluster", wrong))?;
        settings.report.check().map_err(|wrong| complain("report", wrong))?;
        settings.drain.check().map_err(|wrong| complain("drain", wrong))?;
        let catalogue = State::new().catalogue();
        let known = |name: &str| catalogue.iter().any(|entry| entry.kind.as_str() == name);
        // The policy acts on nothing less: whoever names it would believe that it does.
        let light = |name: &&String| {
            catalogue.iter().any(|entry| entry.kind.as_str() == name.as_str() && entry.severity < Severity::Critical)
        };
        // Names that other programs report are theirs, and stand with that word before them: a slip of the pen is not one of them.
        let wrong = settings.policy.cordon_for.iter().find(|name| {
            !name
                .strip_prefix(COMPANION)
                .map_or_else(|| known(name), |reported| !reported.is_empty() && !known(reported))
        });
        if let Some(name) = wrong {
            let words = format!("there is no problem {name:?}; what another program reports is named {COMPANION}NAME");
            return Err(settings.merged.complaint("policy.cordon_for", &words));
        }
        let unknown = settings.report.repair.values().flatten().find(|name| !known(name));
        if let Some(name) = unknown {
            return Err(settings.merged.complaint("report.repair", &format!("there is no problem {name:?}")));
        }
        for (key, names) in [
            ("policy.cordon_for", settings.policy.cordon_for.iter().collect::<Vec<_>>()),
            ("report.repair", settings.report.repair.values().flatten().collect()),
        ] {
            if let Some(name) = names.into_iter().find(light) {
                let words = format!("{name} is never critical, and nothing is done about less");
                return Err(settings.merged.complaint(key, &words));
            }
        }
        // Tried on detectors that nobody uses, so that running ones never have half of the new settings.
        settings.configure(&mut State::new())?;
        reserve::profile(&settings.reserve.profile)
            .map_err(|why| settings.merged.complaint("reserve.profile", &why))?;
        Ok(settings)
    }

    /// Gives each detector its table, and the rules theirs; who has none has its defaults.
    pub fn configure(&self, state: &mut State) -> Result<(), SettingsError> {
        let names: Vec<_> = state.detectors_mut().iter().map(|slot| slot.name()).collect();
        if let Some(name) = self.detect.keys().find(|name| !names.contains(&name.as_str())) {
            let known: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            let why = format!("unknown field `{name}`, expected one of {}", known.join(", "));
            return Err(self.merged.complaint(&format!("detect.{name}"), &why));
        }
        state.log_rules_mut().configure(self.rules.clone());
        for slot in state.detectors_mut() {
            let section = match self.detect.get(slot.name()) {
                None => toml::Table::new(),
                Some(toml::Value::Table(table)) => table.clone(),
                Some(other) => {
                    let why = format!("a {} is no table of settings", other.type_str());
                    return Err(self.merged.complaint(&format!("detect.{}", slot.name()), &why));
                }
            };
            slot.configure(section).map_err(|misfit| {
                let path = format!("detect.{}.{}", slot.name(), misfit.path);
                self.merged.complaint(path.trim_end_matches('.'), &misfit.why)
            })?;
        }
        Ok(())
    }
}
