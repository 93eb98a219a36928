//! Which section of the settings belongs to which room. It refuses sections that no room has.

use std::path::Path;

use serde::Deserialize;

use crate::host::Host;
use crate::model::KubeletVersion;
use crate::reserve::max_pods::Cni;
use crate::settings::{Merged, SettingsError};
use crate::{api, kubelet, metrics, reserve};

/// The sections that are known.
const SECTIONS: [&str; 6] = ["reserve", "max_pods", "machine", "kubelet", "api", "metrics"];

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
    /// `[api]`.
    pub api: api::Rules,
    /// `[metrics]`.
    pub metrics: metrics::Rules,
    /// Where each key comes from.
    pub merged: Merged,
}

/// `[max_pods]`: how the node's addresses become a number of pods.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaxPods {
    /// How the CNI hands out addresses.
    pub cni: Cni,
    /// nodeadm's maxPodsExpression, where it cannot be read from nodeadm itself.
    pub expression: Option<String>,
}

/// `[machine]`: what an image knows better than the machine can tell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
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

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl Settings {
    /// Reads the chain of files, or `config` alone, and hands each room its section.
    pub fn load(host: &Host, config: Option<&Path>) -> Result<Self, SettingsError> {
        let merged = Merged::load(host, config)?;
        merged.only(&SECTIONS)?;
        let settings = Self {
            reserve: merged.section("reserve")?,
            max_pods: merged.section("max_pods")?,
            machine: merged.section("machine")?,
            kubelet: merged.section("kubelet")?,
            api: merged.section("api")?,
            metrics: merged.section("metrics")?,
            merged,
        };
        reserve::profile(&settings.reserve.profile)
            .map_err(|why| settings.merged.complaint("reserve.profile", &why))?;
        Ok(settings)
    }
}
