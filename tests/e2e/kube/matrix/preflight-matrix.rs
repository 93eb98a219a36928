//! The preflight's side of the agreement matrix: one JSON line per case folder, with what each switched-off rule would
//! change. It refuses to judge; `tests/e2e/kube/matrix/run.sh` compares with real kubelets.
//!
//!     preflight-matrix VERSION CASE...
//!     preflight-matrix --rules           every rule: code, severity, meaning
//!
//! A case folder is what `tests/e2e/kube/verdict` takes. `ground.json` in it states facts of another machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail};
use node_steward::host::Host;
use node_steward::kubelet::config::{ConfigFile, KubeletConfig, NOT_A_DOCUMENT, parse};
use node_steward::kubelet::flags::Flags;
use node_steward::kubelet::preflight::{CpuManagerState, Ground, MemoryManagerState, catalogue, preflight_without};
use node_steward::model::{Complaint, KubeletVersion, Weight};
use node_steward::sample::machine::{Wishes, read};
use serde_json::{Value, json};

const LIMIT: u64 = 16 << 20;

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let first = words.next().context("a version or --rules")?;
    if first == "--rules" {
        for rule in catalogue() {
            println!("{}\t{}\t{}", rule.code, rule.severity, rule.meaning);
        }
        return Ok(());
    }
    let version: KubeletVersion = first.parse().map_err(anyhow::Error::msg)?;
    let host = Host::new(Path::new("/"))?;
    // kubelet's root directory has, in the validator's room, the file system of /var/tmp.
    let wishes = Wishes { kubelet_root: "/var/tmp".into(), ..Wishes::default() };
    let machine = read(&host, &wishes);
    let here = Ground {
        version: Some(version),
        cores: machine.cores.value().copied(),
        memory: machine.memory.value().map(|bytes| bytes.0),
        ephemeral_storage: machine.node_filesystem.value().map(|fs| fs.total_bytes),
        cgroup_version: Some(2),
        swap_on: Some(false),
        online_cpus: machine.online_cpus.value().cloned(),
        numa_nodes: machine.numa_nodes.value().cloned(),
        ..Ground::default()
    };
    if here.cores.is_none() || here.memory.is_none() || here.ephemeral_storage.is_none() {
        bail!("this machine's cores, memory and disk cannot be read");
    }
    for case in words {
        let case = Path::new(&case);
        if !case.is_absolute() || !host.exists(case) {
            bail!("{} is no absolute path of a case folder", case.display());
        }
        let ground = ground(&host, case, &here)?;
        println!("{}", judge(&host, case, &ground)?);
    }
    Ok(())
}

/// This machine, or what the case says of another one.
fn ground(host: &Host, case: &Path, here: &Ground) -> anyhow::Result<Ground> {
    let mut ground = here.clone();
    if let Some(text) = host.read_text(&case.join("meminfo"))? {
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).context("MemTotal")?;
        let kib: u64 = total.trim().trim_end_matches("kB").trim().parse()?;
        ground.memory = Some(kib * 1024);
    }
    let Some(text) = host.read_text(&case.join("ground.json"))? else { return Ok(ground) };
    let facts: BTreeMap<String, Value> = serde_json::from_str(&text).with_context(|| case.display().to_string())?;
    let number = |value: &Value| value.as_u64().context("a whole number");
    for (name, value) in &facts {
        match name.as_str() {
            "cores" => ground.cores = Some(number(value)?.try_into()?),
            "memory" => ground.memory = Some(number(value)?),
            "ephemeralStorage" => ground.ephemeral_storage = Some(number(value)?),
            "onlineCpus" => ground.online_cpus = Some(text_of(value)?.parse().map_err(anyhow::Error::msg)?),
            "systemdCgroups" => ground.systemd_cgroups = value.as_bool(),
            "swapOn" => ground.swap_on = value.as_bool(),
            "cgroupVersion" => ground.cgroup_version = Some(number(value)?.try_into()?),
            "cgroups" => {
                let list: BTreeMap<String, Option<BTreeSet<String>>> = serde_json::from_value(value.clone())?;
                ground.cgroups = list;
            }
            "cpuManagerState" => {
                let cpus = |key: &str| text_of(&value[key])?.parse().map_err(anyhow::Error::msg);
                ground.cpu_manager_state = Some(CpuManagerState {
                    file: "cpu_manager_state".to_owned(),
                    policy: text_of(&value["policy"])?.to_owned(),
                    default_cpus: cpus("default")?,
                    assigned_cpus: cpus("assigned")?,
                });
            }
            "memoryManagerState" => {
                ground.memory_manager_state = Some(MemoryManagerState {
                    file: "memory_manager_state".to_owned(),
                    policy: text_of(&value["policy"])?.to_owned(),
                    system_reserved: serde_json::from_value(value["systemReserved"].clone())?,
                });
            }
            other => bail!("{}: {other} is no fact", case.display()),
        }
    }
    Ok(ground)
}

fn text_of(value: &Value) -> anyhow::Result<&str> {
    value.as_str().context("a text")
}

fn judge(host: &Host, case: &Path, ground: &Ground) -> anyhow::Result<Value> {
    let mut unreadable: Vec<Complaint> = Vec::new();
    let mut load = |path: &Path| -> anyhow::Result<Option<ConfigFile>> {
        let Some(bytes) = host.read(path, LIMIT)? else { return Ok(None) };
        let path = path.display().to_string();
        Ok(match parse(&path, &bytes) {
            Ok(node) => Some(ConfigFile { path, node }),
            Err(finding) => {
                unreadable.push(finding);
                None
            }
        })
    };
    let main = match load(&case.join("config.json"))? {
        Some(file) => Some(file),
        None => load(&case.join("config.yaml"))?,
    };
    let mut drop_ins = Vec::new();
    for entry in host.list(&case.join("conf.d"))?.unwrap_or_default() {
        if entry.name.ends_with(".conf") {
            drop_ins.extend(load(&case.join("conf.d").join(&entry.name))?);
        }
    }
    let lines = host.read_text(&case.join("flags"))?.unwrap_or_default();
    let words = lines.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let config = KubeletConfig { main, drop_ins, flags: Flags::parse("flags", words.map(str::to_owned)) };
    let look = |off: &[&str]| -> Vec<Complaint> {
        let read = unreadable.iter().filter(|finding| !off.contains(&finding.code)).cloned();
        // What could not be read leaves nothing to judge: kubelet ends there, too.
        if unreadable.is_empty() { preflight_without(&config, ground, off) } else { read.collect() }
    };
    let findings = look(&[]);
    let fatal = |findings: &[Complaint]| findings.iter().any(|finding| finding.severity == Weight::Fatal);
    // The rules without which this case would pass: most cases hang on one.
    let decisive: Vec<&str> = catalogue()
        .filter(|rule| rule.severity == Weight::Fatal && fatal(&findings))
        .filter(|rule| rule.code == NOT_A_DOCUMENT || findings.iter().any(|finding| finding.code == rule.code))
        .filter(|rule| !fatal(&look(&[rule.code])))
        .map(|rule| rule.code)
        .collect();
    let codes = |severity| -> Vec<&str> {
        let mut codes: Vec<&str> = findings.iter().filter(|f| f.severity == severity).map(|f| f.code).collect();
        codes.dedup();
        codes
    };
    Ok(json!({
        "case": case.file_name().map(|name| name.to_string_lossy()),
        "version": ground.version,
        "fatal": codes(Weight::Fatal),
        "warnings": codes(Weight::Warning),
        "advice": codes(Weight::Advice),
        "decisive": decisive,
        "findings": findings,
    }))
}
