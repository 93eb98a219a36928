//! The second volume: whether container state lies on the disk of its own that this image was set up for. It refuses to mount or format; a unit does that.

use std::path::Path;

use crate::host::Host;
use crate::kubelet::flags::words;

/// What the unit `node-steward-container-volume.service` reads as well.
const SETTINGS: &str = "/etc/node-steward/container-volume.env";

/// A sentence where a volume is set up for container state, but that state does not lie on a file system of its own.
pub fn missing(host: &Host) -> Option<String> {
    let text = match host.read_text(Path::new(SETTINGS)) {
        Ok(text) => text?,
        Err(error) => return Some(error.to_string()),
    };
    let variables = words::environment_file(&text);
    let volume = variables.get("VOLUME").or_else(|| variables.get("DEVICE")).filter(|name| !name.is_empty())?;
    let mount = variables.get("MOUNT").map_or("/var/lib/containerd", String::as_str);
    let device = |path: &Path| host.facts(path).ok().flatten().map(|facts| facts.device);
    let parent = Path::new(mount).parent().unwrap_or(Path::new("/"));
    match (device(Path::new(mount)), device(parent)) {
        (Some(own), Some(above)) if own != above => None,
        _ => Some(format!(
            "{SETTINGS} names {volume} for {mount}, but nothing is mounted there: see systemctl status node-steward-container-volume"
        )),
    }
}
