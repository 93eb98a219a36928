//! What a detector is, and the shape in which the list holds it. It refuses settings that a detector does not know.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::scene::Scene;
use crate::model::problem::{Entry, Finding};
use crate::model::status::{DiskStatus, Standing};

/// What a detector saw in one turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// What is wrong now, after hysteresis. A problem that is no longer listed has ended.
    pub findings: Vec<Finding>,
    /// Whether it could judge. Under `Unknown`, earlier problems stand as they were last seen.
    pub standing: Standing,
    /// What it knows of disks, for the status; empty from most.
    pub disks: Vec<DiskStatus>,
}

impl Look {
    /// It looked and judged.
    pub fn at(findings: Vec<Finding>) -> Self {
        Self { findings, standing: Standing::Working, disks: Vec::new() }
    }

    /// It could not look.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self { findings: Vec::new(), standing: Standing::Unknown { why: why.into() }, disks: Vec::new() }
    }
}

/// A detector: settings and memory are plain values of its own, and `look` is pure.
pub trait Detector: 'static {
    /// Its section of the settings, `[detect.NAME]`; `enabled` is known to all and not part of it.
    type Rules: Default + Serialize + DeserializeOwned + JsonSchema + Send;
    /// What it keeps between turns; survives restarts in one boot.
    type Memory: Default + Serialize + DeserializeOwned + Send;
    /// The settings section, in snake_case.
    const NAME: &'static str;
    /// The kinds that it finds.
    const ENTRIES: &'static [Entry];

    /// One turn.
    fn look(rules: &Self::Rules, memory: &mut Self::Memory, scene: &Scene<'_>) -> Look;
}

/// Settings that do not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Which key, beneath the detector's section; empty for the section.
    pub path: String,
    /// What is wrong.
    pub why: String,
}

/// A detector with its settings and memory, whatever its types.
pub trait Slot: Send {
    /// The settings section's name.
    fn name(&self) -> &'static str;
    /// The kinds that it finds.
    fn entries(&self) -> &'static [Entry];
    /// Whether it is switched on.
    fn enabled(&self) -> bool;
    /// Takes new settings; keeps the old ones where they do not fit.
    fn configure(&mut self, section: toml::Table) -> Result<(), Misfit>;
    /// The settings as they are, for `config show` and the page of defaults.
    fn rules(&self) -> serde_json::Value;
    /// The schema of its settings.
    fn schema(&self) -> serde_json::Value;
    /// What it keeps, to be stored.
    fn save(&self) -> serde_json::Value;
    /// Takes what was stored; starts anew where it does not fit, and says so.
    fn load(&mut self, memory: serde_json::Value) -> Result<(), String>;
    /// One turn.
    fn look(&mut self, scene: &Scene<'_>) -> Look;
}

struct Holder<D: Detector> {
    enabled: bool,
    rules: D::Rules,
    memory: D::Memory,
}

/// A new slot with default settings.
pub(super) fn slot<D: Detector>() -> Box<dyn Slot> {
    Box::new(Holder::<D> { enabled: true, rules: D::Rules::default(), memory: D::Memory::default() })
}

impl<D: Detector> Slot for Holder<D> {
    fn name(&self) -> &'static str {
        D::NAME
    }

    fn entries(&self) -> &'static [Entry] {
        D::ENTRIES
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn configure(&mut self, mut section: toml::Table) -> Result<(), Misfit> {
        let enabled = match section.remove("enabled") {
            None => true,
            Some(toml::Value::Boolean(enabled)) => enabled,
            Some(other) => {
                return Err(Misfit {
                    path: "enabled".to_owned(),
                    why: format!("a {} is neither true nor false", other.type_str()),
                });
            }
        };
        self.rules = serde_path_to_error::deserialize(toml::Value::Table(section))
            .map_err(|error| Misfit { path: error.path().to_string(), why: error.into_inner().to_string() })?;
        self.enabled = enabled;
        Ok(())
    }

    fn rules(&self) -> serde_json::Value {
        serde_json::to_value(&self.rules).unwrap_or_default()
    }

    fn schema(&self) -> serde_json::Value {
        // Without references: the schemas of all detectors are put together into one.
        let settings = schemars::generate::SchemaSettings::default().with(|all| all.inline_subschemas = true);
        settings.into_generator().into_root_schema_for::<D::Rules>().into()
    }

    fn save(&self) -> serde_json::Value {
        serde_json::to_value(&self.memory).unwrap_or_default()
    }

    fn load(&mut self, memory: serde_json::Value) -> Result<(), String> {
        self.memory = D::Memory::default();
        self.memory = serde_json::from_value(memory).map_err(|error| format!("{}: {error}", D::NAME))?;
        Ok(())
    }

    fn look(&mut self, scene: &Scene<'_>) -> Look {
        D::look(&self.rules, &mut self.memory, scene)
    }
}
