//! What kubelet would say to a configuration on this machine: the facts that the preflight needs, gathered, and its findings.
//! It refuses to gather what is not there yet: early in boot, a missing slice is no finding.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{Forecast, Question, Settings, forecast};
use crate::host::Host;
use crate::kubelet::PlaceError;
use crate::kubelet::config::{Effective, KubeletConfig};
use crate::kubelet::flags::Flags;
use crate::kubelet::preflight::{
    CpuManagerState, Ground, MemoryManagerState, RESOLV_CONF, Resolver, cgroups_to_look_at, preflight, refused_by_some,
};
use crate::kubelet::setup::{self, Setup};
use crate::kubelet::target::Moment;
use crate::model::{Complaint, CpuSet, KubeProxy, Machine, Node, Quantity, Reading, Resource, Weight};

const CGROUPS: &str = "/sys/fs/cgroup";

/// The findings on a forecast.
pub fn judge(host: &Host, forecast: &Forecast, setup: &Setup, moment: Moment) -> Vec<Complaint> {
    let ground = ground(host, &forecast.machine, &forecast.result, &setup.kubelet_root, moment);
    let mut findings = preflight(&forecast.result, &ground);
    let version = forecast.machine.kubelet_version.value().copied();
    if version.is_none() && !forecast.changes.entries().is_empty() {
        // With an unknown version, what some kubelet refuses is only a warning; but we must not be the one who brings it about.
        let before = refused_by_some(&setup.others, &ground);
        let known =
            |finding: &Complaint| before.iter().any(|known| known.code == finding.code && known.path == finding.path);
        let brought = refused_by_some(&forecast.result, &ground).into_iter().filter(|finding| !known(finding));
        let brought: Vec<_> = brought.collect();
        findings
            .retain(|finding| !brought.iter().any(|worse| worse.code == finding.code && worse.path == finding.path));
        findings.extend(brought);
    }
    findings.extend(changed_under_managers(
        &setup.present.effective_for(version),
        &forecast.result.effective_for(version),
        &ground,
    ));
    findings
}

/// The findings on one file, or on a directory that holds `config.json` or `config.yaml`, `conf.d/*.conf` and `flags` (one word a line).
pub fn judge_file(
    host: &Host,
    settings: &Settings,
    question: &Question,
    path: &Path,
) -> Result<Vec<Complaint>, PlaceError> {
    let is_dir = host.facts(path)?.ok_or_else(|| PlaceError::NoBase(path.to_owned()))?.is_dir;
    let named = |name: &str| Some(path.join(name)).filter(|path| is_dir && host.exists(path));
    let main = if is_dir { named("config.json").or_else(|| named("config.yaml")) } else { Some(path.to_owned()) };
    if main.is_none() && named("conf.d").is_none() && named("flags").is_none() {
        return Err(PlaceError::NoBase(path.join("config.json")));
    }
    let read = match setup::stand_alone(host, main.as_deref(), named("conf.d").as_deref()) {
        Ok(setup) => setup,
        Err(PlaceError::Document(finding)) => return Ok(vec![*finding]),
        Err(error) => return Err(error),
    };
    let mut config = read.present;
    if let Some(file) = named("flags") {
        let words = host.read_text(&file)?.unwrap_or_default();
        config.flags = Flags::parse(&file.display().to_string(), words.lines().map(str::to_owned));
    }
    let machine = forecast::facts(host, settings, None, question);
    let ground = ground(host, &machine, &config, &read.kubelet_root, Moment::Late);
    Ok(preflight(&config, &ground))
}

/// Each change of a service makes kube-proxy write all its rules again, and a new connection is held against them one by one: from about so many
/// services on other modes are worth their change (kube-proxy's and EKS's own guidance).
const IPTABLES_SERVICES: u64 = 1000;

/// Advice on kube-proxy's mode, for `check`.
pub fn judge_proxy(proxy: &Reading<KubeProxy>) -> Option<Complaint> {
    let proxy = proxy.value().filter(|proxy| proxy.mode == "iptables")?;
    let services = proxy.service_ports.filter(|services| *services > IPTABLES_SERVICES)?;
    Some(Complaint {
        code: "kube-proxy-iptables",
        severity: Weight::Advice,
        file: "kube-proxy".to_owned(),
        path: "mode".to_owned(),
        found: format!("iptables, with chains for {services} ports of services"),
        expected: format!(
            "nftables or ipvs beyond {IPTABLES_SERVICES} services: iptables' rules are read one after the other, and written anew at each change"
        ),
        action: "set kube-proxy's mode to nftables (Linux 5.13, Kubernetes 1.33) or ipvs".to_owned(),
    })
}

/// What the preflight wants to know of the machine. A fact that was not read stays unknown.
fn ground(host: &Host, machine: &Machine, config: &KubeletConfig, kubelet_root: &Path, moment: Moment) -> Ground {
    let version = machine.cgroups.value().map(|cgroups| cgroups.version);
    let mut cgroups = BTreeMap::new();
    if version == Some(2) && moment == Moment::Late {
        for path in cgroups_to_look_at(config) {
            let file = format!("{CGROUPS}{path}/cgroup.controllers").replace("//", "/");
            if let Ok(text) = host.read_text(Path::new(&file)) {
                cgroups.insert(path, text.map(|text| text.split_whitespace().map(str::to_owned).collect()));
            }
        }
    }
    // Early in boot the network has not come up, and the file may not be there yet.
    let resolver = || {
        let effective = config.effective_for(machine.kubelet_version.value().copied());
        let file = effective.get("resolvConf").and_then(Node::as_str).unwrap_or(RESOLV_CONF);
        host.read_text(Path::new(file)).ok().flatten().map(|text| Resolver::parse(&text))
    };
    Ground {
        version: machine.kubelet_version.value().copied(),
        cores: machine.cores.value().copied(),
        memory: machine.memory.value().map(|bytes| bytes.0),
        ephemeral_storage: machine.node_filesystem.value().map(|size| size.total_bytes),
        huge_pages: machine
            .huge_pages
            .value()
            .map(|pages| pages.iter().map(|p| (p.size_bytes, p.size_bytes.saturating_mul(p.count))).collect()),
        pids: machine.pids.value().copied(),
        cgroup_version: version,
        cgroups,
        online_cpus: machine.online_cpus.value().cloned(),
        numa_nodes: machine.numa_nodes.value().cloned(),
        swap_on: machine.swap.value().map(|swap| swap.0 > 0),
        cpu_manager_state: json(host, &kubelet_root.join("cpu_manager_state"))
            .and_then(|(file, state)| cpu_state(file, &state)),
        memory_manager_state: json(host, &kubelet_root.join("memory_manager_state"))
            .and_then(|(file, state)| memory_state(file, &state)),
        resolver: if moment == Moment::Late { resolver() } else { None },
        ..Ground::default()
    }
}

fn json(host: &Host, path: &Path) -> Option<(String, Value)> {
    let bytes = host.read(path, 1 << 20).ok()??;
    Some((path.display().to_string(), serde_json::from_slice(&bytes).ok()?))
}

/// `{"policyName":"static","defaultCpuSet":"0-3","entries":{"POD":{"CONTAINER":"1"}}}`
fn cpu_state(file: String, state: &Value) -> Option<CpuManagerState> {
    let set = |value: &Value| value.as_str().and_then(|text| text.parse::<CpuSet>().ok()).unwrap_or_default();
    let entries = state.get("entries").and_then(Value::as_object).into_iter().flatten();
    let assigned = entries.flat_map(|(_, pod)| pod.as_object().into_iter().flatten()).flat_map(|(_, cpus)| set(cpus).0);
    Some(CpuManagerState {
        file,
        policy: state.get("policyName")?.as_str()?.to_owned(),
        assigned_cpus: CpuSet(assigned.collect()),
        default_cpus: state.get("defaultCpuSet").map(set).unwrap_or_default(),
    })
}

/// `{"policyName":"Static","machineState":{"0":{"memoryMap":{"memory":{"systemReserved":N}}}}}`
fn memory_state(file: String, state: &Value) -> Option<MemoryManagerState> {
    let nodes = state.get("machineState").and_then(Value::as_object).into_iter().flatten();
    let reserved = nodes.filter_map(|(node, value)| {
        let bytes = value.get("memoryMap")?.get("memory")?.get("systemReserved")?.as_u64()?;
        Some((node.parse().ok()?, bytes))
    });
    Some(MemoryManagerState {
        file,
        policy: state.get("policyName")?.as_str()?.to_owned(),
        system_reserved: reserved.collect(),
    })
}

/// A static manager keeps what it was started with in a state file: other reservations must not come under its containers.
/// What kubelet was started with is what its files have said until now.
fn changed_under_managers(before: &Effective, after: &Effective, ground: &Ground) -> Vec<Complaint> {
    let sum = |effective: &Effective, resource| {
        let of = |field| effective.resources(field).map(|list| list.get(resource)).unwrap_or(Quantity::ZERO);
        of("kubeReserved").plus(of("systemReserved"))
    };
    let mut findings = Vec::new();
    let states = [
        (
            Resource::Cpu,
            "cpuManagerPolicy",
            "static",
            ground.cpu_manager_state.as_ref().map(|state| (&state.file, &state.policy)),
        ),
        (
            Resource::Memory,
            "memoryManagerPolicy",
            "Static",
            ground.memory_manager_state.as_ref().map(|state| (&state.file, &state.policy)),
        ),
    ];
    for (resource, field, policy, state) in states {
        let Some((file, _)) = state.filter(|(_, kept)| kept.as_str() == policy) else { continue };
        if after.get(field).and_then(crate::model::Node::as_str) != Some(policy) {
            continue;
        }
        let (old, new) = (sum(before, resource), sum(after, resource));
        // The CPU manager takes whole CPUs.
        let same = match resource {
            Resource::Cpu => old.to_millis().div_ceil(1000) == new.to_millis().div_ceil(1000),
            _ => old == new,
        };
        if !same {
            findings.push(Complaint {
                code: "reserved-under-static-manager",
                severity: Weight::Fatal,
                file: file.clone(),
                path: format!("kubeReserved.{resource}"),
                found: format!("{new} reserved, while the state was written under {old}"),
                expected: "the reservations that the state was written under".to_owned(),
                action: "drain the node, stop kubelet, remove the state file, run node-steward bootstrap --force, start kubelet".to_owned(),
            });
        }
    }
    findings
}
