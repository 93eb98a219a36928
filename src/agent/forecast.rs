//! From this machine's facts to the configuration that it should have, and what kubelet will make of it: one value, nothing written.
//! `check`, `reserve` and `bootstrap` all show or place this value; it refuses to differ between them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::Settings;
use super::capacity::{allocatable, capacity};
use super::choices::Choices;
use super::pods::{self, Pods};
use crate::host::Host;
use crate::kubelet::config::{ConfigFile, Effective, KubeletConfig};
use crate::kubelet::render::{self, Desired};
use crate::kubelet::setup::Setup;
use crate::model::usage::History;
use crate::model::{Bytes, KubeletVersion, Machine, Node, Quantity, Reading, Resource, Resources};
use crate::reserve::measured::Estimate;
use crate::reserve::{self, Capacity, Input, Kept, Plan, PodsFrom, Rules};
use crate::sample;

/// What the command line asks besides the settings.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// `--max-pods`.
    pub max_pods: Option<u32>,
    /// `--instance-type`.
    pub instance_type: Option<String>,
    /// `--kubelet-version`.
    pub kubelet_version: Option<KubeletVersion>,
    /// `--imds`.
    pub imds: bool,
    /// Read the installed memory whatever the profile wants.
    pub installed_memory: bool,
    /// And what the daemon has seen the node use.
    pub history: bool,
    /// The daemon's state file where it is not the usual one.
    pub state: Option<std::path::PathBuf>,
}

/// All that is known and foreseen.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// The machine's facts.
    pub machine: Machine,
    /// What the reservation counts.
    pub pods: Pods,
    /// What kubelet admits, where its configuration was found.
    pub kubelet_pods: Option<Pods>,
    /// What kubelet counts as the machine's capacity.
    pub capacity: Capacity,
    /// The reservations and how they came about.
    pub plan: Plan,
    /// What shall stand in kubelet's configuration.
    pub desired: Desired,
    /// The part of it that is not there yet.
    pub changes: Node,
    /// Keys that another has set and that stay: path, value, who.
    pub kept: Vec<(String, String, String)>,
    /// Everything as kubelet would read it with the changes in place.
    pub result: KubeletConfig,
    /// What a kubelet with that configuration reports as allocatable, by resource name.
    pub allocatable: BTreeMap<String, String>,
    /// With `pods_from = "effective"`: the lines of an EC2NodeClass that let Karpenter predict the same.
    pub node_class: Option<String>,
    /// Sentences for the operator.
    pub warnings: Vec<String>,
}

/// Why there is no forecast.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
pub enum Unforeseeable {
    /// A fact that everything depends on could not be read.
    #[error("cannot tell this machine's {0}: {1}")]
    Fact(&'static str, String),
    /// The settings ask for something that cannot be, or that kubelet would refuse (`on_excess = "fail"`).
    #[error("{0}")]
    Settings(String),
}

/// Reads the facts.
pub fn facts(host: &Host, settings: &Settings, setup: Option<&Setup>, question: &Question) -> Machine {
    let profile = reserve::profile(&settings.reserve.profile);
    let given = |value: &Option<String>, from: &str| value.clone().map(|value| (value, from.to_owned()));
    let mut wishes = sample::machine::Wishes {
        installed_memory: question.installed_memory
            || profile.as_ref().is_ok_and(|profile| profile.wants_installed_memory()),
        history: (question.history || profile.as_ref().is_ok_and(|profile| profile.wants_history()))
            .then(|| question.state.clone().unwrap_or_else(|| sample::history::STATE.into())),
        kubelet_version: question.kubelet_version.map(|version| (version, "--kubelet-version".to_owned())).or_else(
            || settings.machine.kubelet_version.map(|version| (version.0, "[machine] kubelet_version".to_owned())),
        ),
        instance_type: given(&question.instance_type, "--instance-type")
            .or_else(|| given(&settings.machine.instance_type, "[machine] instance_type"))
            .or_else(|| setup.and_then(|setup| given(&setup.instance_type, "nodeadm's configuration cache"))),
        ..sample::machine::Wishes::default()
    };
    if let Some(setup) = setup {
        wishes.kubelet_root.clone_from(&setup.kubelet_root);
    }
    let mut machine = sample::machine::read(host, &wishes);
    if machine.instance_type.value().is_none() && (settings.machine.imds || question.imds) && host.is_real() {
        machine.instance_type = sample::imds::instance_type(sample::imds::ADDRESS);
    }
    machine
}

/// Foresees.
pub fn forecast(
    machine: Machine,
    settings: &Settings,
    setup: &Setup,
    question: &Question,
) -> Result<Forecast, Unforeseeable> {
    let cores =
        *machine.cores.value().ok_or_else(|| Unforeseeable::Fact("cores", machine.cores.origin().to_owned()))?;
    let memory =
        *machine.memory.value().ok_or_else(|| Unforeseeable::Fact("memory", machine.memory.origin().to_owned()))?;
    let rules = &settings.reserve;
    let profile = reserve::profile(&rules.profile).map_err(Unforeseeable::Settings)?;
    let mut warnings = Vec::new();

    let (pods, complaint) = pods::counted(profile, settings, Some(setup), &machine, question.max_pods);
    warnings.extend(complaint);
    let version = machine.kubelet_version.value().copied();
    if let Some(version) = version.filter(|version| *version > KubeletVersion::NEWEST) {
        warnings.push(format!(
            "kubelet {version} is newer than the rules known here; those of {} are used",
            KubeletVersion::NEWEST
        ));
    }

    if let Some(version) = version.filter(|version| *version < KubeletVersion::OLDEST) {
        warnings.push(format!(
            "kubelet {version} is older than the rules known here; those of {} are used",
            KubeletVersion::OLDEST
        ));
    }

    // What kubelet has without us; where there is no main file yet, an empty one, so that its own defaults count.
    let mut before = setup.others.clone();
    if before.main.is_none() {
        let path = setup.main.clone().unwrap_or_else(|| PathBuf::from("kubelet-config.json"));
        let node = vec![
            ("kind".to_owned(), Node::from("KubeletConfiguration")),
            ("apiVersion".to_owned(), Node::from("kubelet.config.k8s.io/v1beta1")),
        ];
        before.main = Some(ConfigFile { path: path.display().to_string(), node: Node::Map(node) });
    }
    let main = before.main.as_ref().map(|file| file.path.clone()).unwrap_or_default();
    let effective = before.effective_for(version);
    let choices = Choices { effective: &effective, setup, main: &main, on_existing: settings.kubelet.on_existing };

    let mut eviction_patch: Vec<(String, String)> = settings.kubelet.eviction_hard.clone().into_iter().collect();
    eviction_patch.retain(|(signal, _)| choices.kept_by(&format!("evictionHard.{signal}")).is_none());
    let capacity = capacity(&machine, memory, cores, &effective, &eviction_patch);
    let input = Input {
        cores,
        memory,
        installed_memory: machine.installed_memory.value().copied(),
        max_pods: pods.count,
        node_filesystem: machine.node_filesystem.value().map(|size| Bytes(size.total_bytes)),
        measured: measured(&machine.history, rules).ok(),
    };
    if profile.wants_history()
        && let Err(why) = measured(&machine.history, rules)
    {
        warnings.push(format!("{why}: eks is used in place of {}", profile.name()));
    }
    let formula = profile.reserve(&input, rules).map_err(Unforeseeable::Settings)?;
    let want = |list: &Resources, extra: &BTreeMap<Resource, reserve::Amount>| {
        list.0.keys().chain(extra.keys()).copied().collect()
    };
    let kept = Kept {
        kube: choices.kept("kubeReserved", &want(&formula.kube, &rules.kube_reserved)),
        system: choices.kept("systemReserved", &want(&formula.system, &rules.system_reserved)),
    };
    if input.installed_memory.is_none() && profile.wants_installed_memory() {
        warnings.push(format!(
            "profile {} wants the installed memory, which is unknown ({}); MemTotal is used instead",
            profile.name(),
            machine.installed_memory.origin()
        ));
    }
    let plan = reserve::plan(&input, &capacity, &kept, rules).map_err(Unforeseeable::Settings)?;
    for excess in &plan.excesses {
        warnings.push(format!(
            "{}: reservations and hard eviction would take {} of {}, and kubelet would not start; lowered to {} in all (ceiling {})",
            excess.resource, excess.asked, excess.capacity, excess.lowered, rules.ceiling
        ));
    }
    warnings.extend(large(&plan, &capacity, rules));
    let kubelet_pods = pods::in_kubelet(setup, cores);
    warnings.extend(
        kubelet_pods.as_ref().and_then(|real| pods_differ(&pods, real, &input, &capacity, &kept, rules, &plan)),
    );

    let written = |list: &Resources, kept: &Resources| {
        Resources(list.0.iter().filter(|(resource, _)| !kept.0.contains_key(resource)).map(|(r, q)| (*r, *q)).collect())
    };
    let single = |path: &str, wanted: &Option<String>| wanted.clone().filter(|_| choices.kept_by(path).is_none());
    let desired = Desired {
        kube: written(&plan.kube, &kept.kube),
        system: written(&plan.system, &kept.system),
        eviction_hard: eviction_patch,
        enforce_node_allocatable: match choices.kept_by("enforceNodeAllocatable") {
            None => known_levels(&settings.kubelet.enforce_node_allocatable, version, &mut warnings),
            Some(_) => Vec::new(),
        },
        kube_reserved_cgroup: single("kubeReservedCgroup", &settings.kubelet.kube_reserved_cgroup),
        system_reserved_cgroup: single("systemReservedCgroup", &settings.kubelet.system_reserved_cgroup),
    };
    let mut changes = render::changes(&desired.patch(), &effective.node);
    let main_has_thresholds = before.main.as_ref().is_some_and(|file| file.node.get("evictionHard").is_some());
    if setup.changes_the_main_file() && changes.get("evictionHard").is_some() && !main_has_thresholds {
        // The first threshold in a main file switches off all that are not named, so kubelet's defaults are named as well.
        let mut all = effective.get("evictionHard").cloned().unwrap_or(Node::Map(Vec::new()));
        all.merge_patch(changes.get("evictionHard").unwrap_or(&Node::Null));
        changes.set("evictionHard", all);
    }
    let kept = choices.all_kept(&plan, settings);
    for (path, value, origin) in &kept {
        warnings.push(format!("{path} stays {value}: it is set by {origin}"));
    }
    let result = with_changes(&before, &changes, setup, settings.kubelet.drop_in_number);
    let final_effective = result.effective_for(version);
    let lost = lost_besides(&changes, &effective.node, &final_effective.node);
    if let (Some(version), false) = (version, lost.is_empty()) {
        // A drop-in for 1.28 sets everything that it does not name back to kubelet's default.
        return Err(Unforeseeable::Settings(format!(
            "kubelet {version} would lose {} from its main file to a drop-in of ours; nothing was written: use kubelet 1.29 or later, or another layout",
            lost.join(", ")
        )));
    }
    for path in not_in_effect(&changes, &final_effective.node, "") {
        warnings.push(format!(
            "{path} is written, but {} comes later and wins: remove it there, or raise [kubelet] drop_in_number",
            final_effective.origin(&path)
        ));
    }
    let admitted = kubelet_pods.as_ref().unwrap_or(&pods).count;
    let allocatable = allocatable(&machine, memory, cores, admitted, &final_effective);
    let node_class = (profile.counts_pods_as_nodeadm() && rules.pods_from == PodsFrom::Effective)
        .then(|| node_class(admitted, &final_effective));
    Ok(Forecast {
        machine,
        pods,
        kubelet_pods,
        capacity,
        plan,
        desired,
        changes,
        kept,
        result,
        allocatable,
        node_class,
        warnings,
    })
}

/// What a history says, or why it says nothing.
pub fn measured(history: &Reading<History>, rules: &Rules) -> Result<Estimate, String> {
    let least = rules.measured.least_history;
    match history.value() {
        None => Err(format!("there is no history of what this node used ({})", history.origin())),
        Some(history) if u64::from(history.minutes()) * 60_000 < least.ms() => {
            Err(format!("the history of what this node used has {} h, and {least} are needed", history.hours()))
        }
        Some(history) => Ok(Estimate::of(history)),
    }
}

/// The enforcement levels that this kubelet knows for sure: those ending in -compressible came with 1.32, and an older kubelet ends at them.
fn known_levels(asked: &[String], version: Option<KubeletVersion>, warnings: &mut Vec<String>) -> Vec<String> {
    let (known, unsure): (Vec<_>, Vec<_>) =
        asked.iter().cloned().partition(|level| version.is_some() || !level.ends_with("-compressible"));
    if !unsure.is_empty() {
        warnings.push(format!("kubelet's version is unknown, so {} is not written to enforceNodeAllocatable: kubelet before 1.32 would not start with it", unsure.join(", ")));
    }
    known
}

/// A sentence for each resource of which more than the ceiling is taken, though kubelet would start with it.
fn large(plan: &Plan, capacity: &Capacity, rules: &Rules) -> Vec<String> {
    let taken = |resource: &Resource| {
        let eviction = capacity.eviction.get(resource).copied().unwrap_or(Quantity::ZERO);
        plan.kube.get(*resource).plus(plan.system.get(*resource)).plus(eviction)
    };
    let over = |total: &Quantity| total.share(rules.ceiling.hundredths());
    let large = capacity.total.iter().filter(|(resource, total)| {
        taken(resource) > over(total) && plan.excesses.iter().all(|excess| excess.resource != **resource)
    });
    large
        .map(|(resource, total)| {
            format!(
                "{resource}: reservations and hard eviction take {} of {total}, more than {}; kubelet starts with that",
                taken(resource),
                rules.ceiling
            )
        })
        .collect()
}

/// The top-level keys that our changes do not name and that are different with them.
fn lost_besides(changes: &Node, before: &Node, after: &Node) -> Vec<String> {
    let keys = before.entries().iter().map(|(key, _)| key).filter(|key| changes.get(key).is_none());
    keys.filter(|key| before.get(key) != after.get(key)).cloned().collect()
}

/// The paths of `changes` that have another value, or none, in the end.
fn not_in_effect(changes: &Node, end: &Node, prefix: &str) -> Vec<String> {
    let left = render::changes(changes, end);
    let paths = left.entries().iter().flat_map(|(key, value)| {
        let path = format!("{prefix}{key}");
        match (value, end.get(key)) {
            (Node::Map(_), Some(inner @ Node::Map(_))) => not_in_effect(value, inner, &format!("{path}.")),
            _ => vec![path],
        }
    });
    paths.collect()
}

/// The sentence for a profile that counts other pods than kubelet admits, with both results.
fn pods_differ(
    counted: &Pods,
    real: &Pods,
    input: &Input,
    capacity: &Capacity,
    kept: &Kept,
    rules: &Rules,
    plan: &Plan,
) -> Option<String> {
    let by_real = reserve::plan(&Input { max_pods: real.count, ..*input }, capacity, kept, rules).ok()?;
    if counted.count == real.count || by_real.kube == plan.kube {
        return None;
    }
    Some(format!(
        "{} counts {} pods ({}), but kubelet admits {} ({}): kubeReserved.memory is {} by the first and {} by the second; \
         [reserve] pods_from = \"effective\" takes the second, and the autoscaler must then be told the same",
        rules.profile,
        counted.count,
        counted.from,
        real.count,
        real.from,
        plan.kube.get(Resource::Memory),
        by_real.kube.get(Resource::Memory)
    ))
}

/// The configuration with our changes where they would be placed: in the main file, or in a drop-in of that name.
fn with_changes(before: &KubeletConfig, changes: &Node, setup: &Setup, number: u8) -> KubeletConfig {
    let mut result = before.clone();
    if changes.entries().is_empty() {
        return result;
    }
    match &mut result.main {
        Some(main) if setup.changes_the_main_file() => main.node.merge_patch(changes),
        _ => {
            let mut entries = vec![
                ("apiVersion".to_owned(), Node::from("kubelet.config.k8s.io/v1beta1")),
                ("kind".to_owned(), Node::from("KubeletConfiguration")),
            ];
            entries.extend(changes.entries().iter().cloned());
            let dir =
                setup.drop_in_dir.clone().unwrap_or_else(|| PathBuf::from("/etc/kubernetes/kubelet/config.json.d"));
            let path = dir.join(format!("{number:02}-node-steward.conf")).display().to_string();
            result.drop_ins.push(ConfigFile { path, node: Node::Map(entries) });
        }
    }
    result
}

/// `spec.kubelet` of an EC2NodeClass that says what this node will do.
fn node_class(max_pods: u32, effective: &Effective) -> String {
    let mut text = format!("spec:\n  kubelet:\n    maxPods: {max_pods}\n");
    for field in ["kubeReserved", "systemReserved", "evictionHard"] {
        let amounts = effective.texts(field);
        if !amounts.is_empty() {
            text.push_str(&format!("    {field}:\n"));
            text.extend(amounts.iter().map(|(key, amount)| format!("      {key}: {amount:?}\n")));
        }
    }
    text
}
