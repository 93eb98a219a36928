//! Sizes of kubelet's and the container runtime's file systems. It refuses a size for a directory whose parents do not exist either.

use std::path::Path;

use crate::host::Host;
use crate::model::Reading;
use crate::model::machine::Filesystem;

/// Where container runtimes keep their state: containerd, CRI-O, docker.
const RUNTIME_DIRS: [&str; 3] = ["/var/lib/containerd", "/var/lib/containers", "/var/lib/docker"];

/// The file system of kubelet's root directory; before the first start that directory is missing, and its nearest parent counts.
pub(super) fn node(host: &Host, kubelet_root: &Path) -> Reading<Filesystem> {
    let mut path = Some(kubelet_root);
    while let Some(here) = path {
        match host.filesystem(here) {
            Ok(Some(size)) => return Reading::fresh(size, format!("statfs {}", here.display())),
            Ok(None) => path = here.parent(),
            Err(error) => return Reading::failed(error.to_string()),
        }
    }
    Reading::absent(format!("nothing to measure at {}", kubelet_root.display()))
}

/// The file system of the container runtime's state.
pub(super) fn containers(host: &Host) -> Reading<Filesystem> {
    for dir in RUNTIME_DIRS {
        match host.filesystem(Path::new(dir)) {
            Ok(Some(size)) => return Reading::fresh(size, format!("statfs {dir}")),
            Ok(None) => {}
            Err(error) => return Reading::failed(error.to_string()),
        }
    }
    Reading::absent(format!("none of {} exists", RUNTIME_DIRS.join(", ")))
}
