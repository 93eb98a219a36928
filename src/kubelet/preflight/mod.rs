//! What kubelet would say to a configuration, before it says it: a mirror of kubelet's own checks, and of what kubelet
//! lets pass silently. It refuses to call anything "ok" that it could not look at: then it says `unchecked`.
//!
//! A rule is one row: code, severity, meaning, look. The catalogue derives from the rows. `Fatal` means that a real
//! kubelet of that version does not start; `tests/e2e/kube/matrix` holds this both ways.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{KubeletConfig, NOT_A_DOCUMENT};
use crate::model::{Complaint, CpuSet, KubeletVersion, Weight};

mod advice;
mod capacity;
mod case;
mod cgroups;
mod cpus;
mod document;
mod enforcement;
mod eviction;
mod flags;
mod gates;
mod images;
mod logs;
mod memory;
mod node;
mod numa;
mod numbers;
mod reserved;
mod resolver;
mod shutdown;
mod state;
mod tls;
mod types;
mod words;

use case::{Case, Report};
pub use cgroups::cgroups_to_look_at;
pub use resolver::Resolver;

/// kubelet's own default of `resolvConf`.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What is known of the machine; what is not known is not judged.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ground {
    /// kubelet's version; without it only what every known version refuses is fatal.
    pub version: Option<KubeletVersion>,
    /// CPUs as kubelet counts them.
    pub cores: Option<u32>,
    /// MemTotal in bytes.
    pub memory: Option<u64>,
    /// Size in bytes of the file system that holds kubelet's root directory.
    pub ephemeral_storage: Option<u64>,
    /// Bytes set aside in huge pages, by page size.
    pub huge_pages: Option<BTreeMap<u64, u64>>,
    /// min(pid_max, threads-max).
    pub pids: Option<u64>,
    /// 1 or 2.
    pub cgroup_version: Option<u8>,
    /// Whether the container runtime has systemd make cgroups; kubelet asks it, and then reads cgroups' names otherwise.
    pub systemd_cgroups: Option<bool>,
    /// Every cgroup that was looked at, as an absolute path, with its controllers, or none where it does not exist.
    /// `/` holds the root's controllers.
    pub cgroups: BTreeMap<String, Option<BTreeSet<String>>>,
    /// The numbers of the online CPUs.
    pub online_cpus: Option<CpuSet>,
    /// The numbers of the NUMA nodes.
    pub numa_nodes: Option<CpuSet>,
    /// Whether any swap is on.
    pub swap_on: Option<bool>,
    /// What the file says that kubelet takes pods' name servers from.
    pub resolver: Option<Resolver>,
    /// `cpu_manager_state`, where the static policy has left one.
    pub cpu_manager_state: Option<CpuManagerState>,
    /// `memory_manager_state`, where the Static policy has left one.
    pub memory_manager_state: Option<MemoryManagerState>,
}

/// What the CPU manager wrote down in an earlier run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CpuManagerState {
    /// Where it was read.
    pub file: String,
    /// `policyName`.
    pub policy: String,
    /// `defaultCpuSet`.
    pub default_cpus: CpuSet,
    /// All CPUs in `entries`.
    pub assigned_cpus: CpuSet,
}

/// What the memory manager wrote down in an earlier run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MemoryManagerState {
    /// Where it was read.
    pub file: String,
    /// `policyName`.
    pub policy: String,
    /// `systemReserved` of type `memory` by NUMA node.
    pub system_reserved: BTreeMap<u32, u64>,
}

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Stable name.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Weight,
    /// What it means, in one line.
    pub meaning: &'static str,
    look: fn(&Case<'_>, &mut Report<'_>),
}

/// Every rule, by subject.
const RULES: &[&[Rule]] = &[
    READER,
    document::RULES,
    types::RULES,
    flags::RULES,
    gates::RULES,
    numbers::RULES,
    words::RULES,
    enforcement::RULES,
    cpus::RULES,
    reserved::RULES,
    eviction::RULES,
    capacity::RULES,
    numa::RULES,
    memory::RULES,
    shutdown::RULES,
    images::RULES,
    logs::RULES,
    tls::RULES,
    node::RULES,
    resolver::RULES,
    cgroups::RULES,
    state::RULES,
    advice::RULES,
];

/// What the reader of files says by itself, so that the catalogue is whole.
const READER: &[Rule] = &[Rule {
    code: NOT_A_DOCUMENT,
    severity: Weight::Fatal,
    meaning: "the file is empty, cut off, or neither JSON nor YAML",
    look: |_, _| {},
}];

/// All rules.
pub fn catalogue() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().copied().flatten()
}

/// All findings on a configuration, the worst first.
pub fn preflight(config: &KubeletConfig, ground: &Ground) -> Vec<Complaint> {
    preflight_without(config, ground, &[])
}

/// As [`preflight`], without the rules of these codes: tests show with it that each rule is needed.
pub fn preflight_without(config: &KubeletConfig, ground: &Ground, off: &[&str]) -> Vec<Complaint> {
    let mut findings = match ground.version {
        Some(version) => of_version(config, ground, version.clamped(), off),
        None => of_every_version(config, ground, off),
    };
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// What at least one known version would refuse, whatever `ground` says of the version.
pub fn refused_by_some(config: &KubeletConfig, ground: &Ground) -> Vec<Complaint> {
    let mut refused: Vec<Complaint> = Vec::new();
    for minor in (KubeletVersion::OLDEST.minor..=KubeletVersion::NEWEST.minor).rev() {
        for mut finding in of_version(config, ground, KubeletVersion { major: 1, minor }, &[]) {
            let known = refused.iter().any(|known| known.code == finding.code && known.path == finding.path);
            if finding.severity == Weight::Fatal && !known {
                finding.expected = format!("{} (kubelet 1.{minor})", finding.expected);
                refused.push(finding);
            }
        }
    }
    refused
}

fn of_version(config: &KubeletConfig, ground: &Ground, version: KubeletVersion, off: &[&str]) -> Vec<Complaint> {
    let case = Case::new(config, ground, version);
    let mut findings = Vec::new();
    for rule in catalogue().filter(|rule| !off.contains(&rule.code)) {
        (rule.look)(&case, &mut Report::new(rule, &case, &mut findings));
    }
    findings
}

/// With an unknown version, fatal is only what every known version refuses; what some refuse is a warning that says so.
fn of_every_version(config: &KubeletConfig, ground: &Ground, off: &[&str]) -> Vec<Complaint> {
    let mut all: Vec<(Complaint, Vec<u16>)> = Vec::new();
    let minors = KubeletVersion::OLDEST.minor..=KubeletVersion::NEWEST.minor;
    for minor in minors.clone().rev() {
        let version = KubeletVersion { major: 1, minor };
        for finding in of_version(config, ground, version, off) {
            match all.iter_mut().find(|(known, _)| known.code == finding.code && known.path == finding.path) {
                Some((_, by)) if by.contains(&minor) => {}
                Some((_, by)) => by.push(minor),
                None => all.push((finding, vec![minor])),
            }
        }
    }
    all.into_iter()
        .map(|(mut finding, by)| {
            if by.len() < minors.len() {
                let (newest, oldest) =
                    (by.first().copied().unwrap_or_default(), by.last().copied().unwrap_or_default());
                finding.severity = finding.severity.min(Weight::Warning);
                finding.expected = format!("{} (kubelet 1.{oldest} to 1.{newest})", finding.expected);
            }
            finding
        })
        .collect()
}

#[cfg(test)]
mod tests;
