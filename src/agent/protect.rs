//! `protect = true`: systemd drop-ins that give kubelet, the container runtime and the system what a CPU reservation alone does not.
//! They lie in /run, so that no image carries them; it refuses cgroup v1, which has neither memory.min nor these weights.
//!
//! A CPU reservation is only a weight on kubepods, and EKS enforces nothing on the other slices: on a large node kubepods outweighs
//! system.slice by up to 75 to 1. Written: `MemoryMin=` (never reclaimed) and `MemoryLow=` (reclaimed last) from the reservations, and a
//! `CPUWeight=` of a tenth of what kubelet gives kubepods, at least systemd's default of 100.

use std::path::{Path, PathBuf};

use super::Forecast;
use crate::host::{Host, HostError, HostResult, Reason, Wanted};
use crate::model::{Quantity, Resource};

const DIR: &str = "/run/systemd/system";
const NAME: &str = "50-node-steward.conf";

/// kubepods' cpu.weight: kubelet turns millicores to shares (x 1024 / 1000) and those linearly to 1..10000.
/// Source: k8s.io/kubernetes, pkg/kubelet/cm (getCPUWeight).
fn kubepods_weight(allocatable_cpu_millis: u64) -> u64 {
    let shares = (allocatable_cpu_millis * 1024 / 1000).clamp(2, 262_144);
    1 + (shares - 2) * 9_999 / 262_142
}

/// The two drop-ins: slice and text.
pub fn drop_ins(forecast: &Forecast) -> Result<Vec<(&'static str, String)>, String> {
    let version = forecast.machine.cgroups.value().map_or(0, |cgroups| cgroups.version);
    if version != 2 {
        return Err(format!("protect = true needs cgroup v2, but this machine has version {version}"));
    }
    let allocatable: Quantity =
        forecast.allocatable.get("cpu").and_then(|text| text.parse().ok()).unwrap_or(Quantity::ZERO);
    let weight = (kubepods_weight(allocatable.to_millis()) / 10).clamp(100, 10_000);
    let plan = &forecast.plan;
    let slice = |name, memory: Quantity, why: &str| {
        let memory = memory.to_u64();
        let lines = if memory == 0 { String::new() } else { format!("MemoryMin={memory}\nMemoryLow={memory}\n") };
        (
            name,
            format!(
                "# Placed by node-steward for this boot ([kubelet] protect = true). {why}\n[Slice]\nCPUWeight={weight}\n{lines}"
            ),
        )
    };
    Ok(vec![
        slice(
            "runtime.slice",
            plan.kube.get(Resource::Memory),
            "kubelet and the container runtime, from kubeReserved.",
        ),
        slice(
            "system.slice",
            plan.system.get(Resource::Memory),
            "Everything else, from systemReserved; without one, only the weight.",
        ),
    ])
}

/// Writes them, and says where and what. They count from the next `systemctl daemon-reload` on, which the units call for.
pub fn place(host: &Host, forecast: &Forecast, dry_run: bool) -> HostResult<Vec<(PathBuf, String)>> {
    let failed = |what: String| HostError { act: "protect", path: PathBuf::from(DIR), reason: Reason::Other(what) };
    let mut placed = Vec::new();
    for (slice, text) in drop_ins(forecast).map_err(failed)? {
        let path = Path::new(DIR).join(format!("{slice}.d")).join(NAME);
        if !dry_run {
            host.write_atomic(&Wanted { path: path.clone(), bytes: text.clone().into_bytes(), mode: 0o644 })?;
        }
        let values: Vec<_> = text.lines().filter(|line| line.contains('=') && !line.starts_with('#')).collect();
        placed.push((path, values.join(" ")));
    }
    Ok(placed)
}
