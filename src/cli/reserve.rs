//! `reserve`: the reservations, for this machine or for one described by flags. It refuses to write anything.

use std::io::Write;

use super::args::{Common, Output, ReserveArgs};
use super::{Ending, Failure, print_json, view};
use crate::agent::Settings;
use crate::agent::forecast::{self, Forecast};
use crate::host::Host;
use crate::kubelet::config::ConfigFile;
use crate::kubelet::setup::{self, Setup};
use crate::kubelet::{Layout, PlaceError};
use crate::model::{Bytes, Machine, Node, Reading};
use crate::reserve;

pub(super) fn run(common: &Common, options: &ReserveArgs) -> Result<Ending, Failure> {
    let host = common.host()?;
    let mut settings = common.settings(&host)?;
    options.wish.apply(&mut settings);
    let forecast = foresee(&host, &settings, options)?;
    let answer = view::reservations(&settings.reserve.profile, &forecast);
    if common.output == Output::Json {
        print_json(&answer)?;
        return Ok(Ending::Fine);
    }
    let mut out = anstream::stdout().lock();
    let machine = &forecast.machine;
    let number = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    writeln!(out, "profile          {}", settings.reserve.profile)?;
    writeln!(
        out,
        "machine          {} cores, {} memory, {} pods ({})",
        number(machine.cores.value().map(ToString::to_string)),
        number(machine.memory.value().map(ToString::to_string)),
        forecast.pods.count,
        forecast.pods.from
    )?;
    writeln!(out, "kubeReserved     {}", view::one_line(&forecast.plan.kube))?;
    writeln!(out, "systemReserved   {}", view::one_line(&forecast.plan.system))?;
    let pairs: Vec<_> = forecast.allocatable.iter().map(|(resource, amount)| format!("{resource} {amount}")).collect();
    writeln!(out, "allocatable      {}", pairs.join(", "))?;
    for warning in &forecast.warnings {
        writeln!(out, "warning          {warning}")?;
    }
    Ok(Ending::Fine)
}

pub(super) fn foresee(host: &Host, settings: &Settings, options: &ReserveArgs) -> Result<Forecast, Failure> {
    let question = options.wish.question();
    let described = options.cores.is_some() && options.memory.is_some();
    let setup = if described { imagined(settings)? } else { found_or_imagined(host, settings)? };
    let mut machine = if described { nothing_read() } else { forecast::facts(host, settings, Some(&setup), &question) };
    if let Some(cores) = options.cores {
        machine.cores = Reading::fresh(cores, "--cores");
    }
    if let Some(memory) = options.memory {
        machine.memory = Reading::fresh(Bytes(memory.to_u64()), "--memory");
    }
    if let Some(memory) = options.installed_memory {
        machine.installed_memory = Reading::fresh(Bytes(memory.to_u64()), "--installed-memory");
    }
    if let Some(name) = &options.wish.instance_type {
        machine.instance_type = Reading::fresh(name.clone(), "--instance-type");
    }
    if let Some(version) = options.wish.kubelet_version {
        machine.kubelet_version = Reading::fresh(version, "--kubelet-version");
    }
    Ok(forecast::forecast(machine, settings, &setup, &question)?)
}

/// This machine's kubelet, or, on a machine without one, the product's that the profile stands for.
fn found_or_imagined(host: &Host, settings: &Settings) -> Result<Setup, Failure> {
    found(host, settings)?.map_or_else(|| imagined(settings), Ok)
}

/// This machine's kubelet; none where none is set up.
pub(super) fn found(host: &Host, settings: &Settings) -> Result<Option<Setup>, Failure> {
    match setup::find(host, &settings.kubelet) {
        Ok(setup) => Ok(Some(setup).filter(|setup| setup.layout != Layout::StandAlone)),
        Err(PlaceError::NoLayout(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A kubelet whose main file holds what the profile's product puts there besides the reservations: its hard eviction.
pub(super) fn imagined(settings: &Settings) -> Result<Setup, Failure> {
    let profile = reserve::profile(&settings.reserve.profile).map_err(Failure::Usage)?;
    // The thresholds do not depend on the size; profiles that need settings for their amounts have none.
    let smallest = reserve::Input {
        cores: 1,
        memory: Bytes(1),
        installed_memory: None,
        max_pods: 1,
        node_filesystem: None,
        measured: None,
    };
    let eviction =
        profile.reserve(&smallest, &settings.reserve).map(|reserved| reserved.eviction_hard).unwrap_or_default();
    let signals: Vec<_> = eviction.iter().map(|(signal, value)| ((*signal).to_owned(), Node::from(*value))).collect();
    let mut node = vec![
        ("kind".to_owned(), Node::from("KubeletConfiguration")),
        ("apiVersion".to_owned(), Node::from("kubelet.config.k8s.io/v1beta1")),
    ];
    if !signals.is_empty() {
        node.push(("evictionHard".to_owned(), Node::Map(signals)));
    }
    Ok(Setup::imagined(Some(ConfigFile {
        path: format!("kubelet-config.json as on {}", profile.name()),
        node: Node::Map(node),
    })))
}

fn nothing_read() -> Machine {
    fn not_given<T>() -> Reading<T> {
        Reading::absent("not given")
    }
    Machine {
        cores: not_given(),
        online_cpus: not_given(),
        memory: not_given(),
        installed_memory: not_given(),
        huge_pages: not_given(),
        swap: not_given(),
        numa_nodes: not_given(),
        cgroups: not_given(),
        kernel: not_given(),
        pids: not_given(),
        node_filesystem: not_given(),
        container_filesystem: not_given(),
        instance_type: not_given(),
        product_uuid: not_given(),
        kubelet_version: not_given(),
        history: not_given(),
    }
}
