//! Placed once per boot: a stamp in /run that names the boot. It refuses to outlive a reboot, and an unreadable one counts as none.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::host::{Host, HostError, HostResult, Reason, Wanted};

const PATH: &str = "/run/node-steward/bootstrap.json";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What was placed in this boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stamp {
    /// The boot that it holds for.
    pub boot_id: String,
    /// Whether kubelet may have started since: from then on nothing changes under running pods. An early run leaves it open.
    pub settled: bool,
    /// Where it was placed.
    pub path: PathBuf,
}

/// This boot's id; empty where the kernel does not say, and then nothing counts as placed before.
pub fn boot_id(host: &Host) -> String {
    host.read_text(Path::new(BOOT_ID)).ok().flatten().unwrap_or_default()
}

/// The stamp of this boot.
pub fn read(host: &Host) -> Option<Stamp> {
    let bytes = host.read(Path::new(PATH), 64 << 10).ok()??;
    let stamp: Stamp = serde_json::from_slice(&bytes).ok()?;
    (stamp.boot_id == boot_id(host) && !stamp.boot_id.is_empty()).then_some(stamp)
}

/// The stamp's file, as it shall be.
pub fn wanted(stamp: &Stamp) -> HostResult<Wanted> {
    let path = PathBuf::from(PATH);
    let bytes = serde_json::to_vec(stamp).map_err(|error| HostError {
        act: "write",
        path: path.clone(),
        reason: Reason::Other(error.to_string()),
    })?;
    Ok(Wanted { path, bytes, mode: 0o644 })
}
