//! How kubelet is started on this machine: its systemd unit, the unit's drop-ins and environment files, down to the words of the command line.
//! It refuses to ask systemd, which at first boot has not loaded what user data just wrote.
//!
//! Rules: systemd.unit(5) for the search path, systemd.service(5) for `ExecStart=`, `$WORD` and `${WORD}`, systemd.exec(5) for environment files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::host::{Host, HostResult};
use crate::kubelet::flags::words;

/// Highest first: a unit or a drop-in of the same name in an earlier directory hides the later ones.
const UNIT_DIRS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
const UNIT: &str = "kubelet.service";
const MOST_BYTES: u64 = 1 << 20;

/// kubelet's command line as systemd would expand it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// The unit and its drop-ins, in the order in which they were read.
    pub unit_files: Vec<PathBuf>,
    /// The environment files that were read, in order.
    pub environment_files: Vec<PathBuf>,
    /// The program's arguments.
    pub arguments: Vec<String>,
}

impl Service {
    /// Where the arguments stand, for messages.
    pub fn place(&self) -> String {
        let files = self.environment_files.iter().chain(&self.unit_files);
        files.map(|file| file.display().to_string()).next().unwrap_or_else(|| UNIT.to_owned())
    }
}

/// Reads the unit; nothing where there is none. A command line with an open quote has no arguments, as systemd refuses it.
pub fn read(host: &Host) -> HostResult<Option<Service>> {
    let Some(unit) = UNIT_DIRS.iter().map(|dir| Path::new(dir).join(UNIT)).find(|path| host.exists(path)) else {
        return Ok(None);
    };
    let mut service = Service::default();
    let mut exec_start = String::new();
    let mut variables = BTreeMap::new();
    let mut environment_files: Vec<String> = Vec::new();
    for file in std::iter::once(unit).chain(drop_ins(host)?) {
        let Some(bytes) = host.read(&file, MOST_BYTES)? else { continue };
        let read = words::unit(&String::from_utf8_lossy(&bytes));
        // kubelet's unit has one command; an empty assignment before it forgets those of earlier files.
        exec_start = read.exec_start.last().cloned().unwrap_or(exec_start);
        variables.extend(read.environment);
        for name in read.environment_files {
            if name.is_empty() { environment_files.clear() } else { environment_files.push(name) }
        }
        service.unit_files.push(file);
    }
    for file in environment_files.iter().map(|name| PathBuf::from(name.trim_start_matches('-'))) {
        if let Some(bytes) = host.read(&file, MOST_BYTES)? {
            variables.extend(words::environment_file(&String::from_utf8_lossy(&bytes)));
            service.environment_files.push(file);
        }
    }
    service.arguments = words::command(&exec_start, &variables).unwrap_or_default().into_iter().skip(1).collect();
    Ok(Some(service))
}

/// The unit's drop-ins, sorted by name over all directories.
fn drop_ins(host: &Host) -> HostResult<Vec<PathBuf>> {
    let mut by_name = BTreeMap::new();
    for dir in UNIT_DIRS {
        let dir = Path::new(dir).join(format!("{UNIT}.d"));
        for entry in host.list(&dir)?.unwrap_or_default() {
            if entry.name.ends_with(".conf") {
                by_name.entry(entry.name.clone()).or_insert_with(|| dir.join(&entry.name));
            }
        }
    }
    Ok(by_name.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path()).unwrap();
        for (path, text) in files {
            let wanted =
                crate::host::Wanted { path: PathBuf::from(path), bytes: text.as_bytes().to_vec(), mode: 0o644 };
            host.write_atomic(&wanted).unwrap();
        }
        (root, host)
    }

    #[test]
    fn nodeadms_unit() {
        let (_root, host) = host(&[
            (
                "/usr/lib/systemd/system/kubelet.service",
                "[Unit]\nExecStart=no\n[Service]\nEnvironmentFile=/etc/eks/kubelet/environment\nExecStartPre=/sbin/iptables -P FORWARD\nExecStart=/usr/bin/kubelet $NODEADM_KUBELET_ARGS\n",
            ),
            (
                "/etc/eks/kubelet/environment",
                "NODEADM_KUBELET_ARGS=\"--config=/etc/kubernetes/kubelet/config.json --config-dir=/etc/kubernetes/kubelet/config.json.d --node-labels=a=b\"\n",
            ),
        ]);
        let service = read(&host).unwrap().unwrap();
        assert_eq!(
            service.arguments,
            [
                "--config=/etc/kubernetes/kubelet/config.json",
                "--config-dir=/etc/kubernetes/kubelet/config.json.d",
                "--node-labels=a=b"
            ]
        );
        assert_eq!(service.environment_files, [Path::new("/etc/eks/kubelet/environment")]);
    }

    #[test]
    fn kubeadms_unit_with_drop_ins_that_hide_and_reset() {
        let (_root, host) = host(&[
            ("/usr/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet\n"),
            (
                "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
                "[Service]\nEnvironment=\"KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml\"\nEnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\nEnvironmentFile=-/etc/default/kubelet\nExecStart=\nExecStart=/usr/bin/kubelet $KUBELET_CONFIG_ARGS \\\n  $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS --v=${LEVEL}\n",
            ),
            ("/etc/systemd/system/kubelet.service.d/20-level.conf", "[Service]\nEnvironment=LEVEL=2 OTHER='x y'\n"),
            ("/usr/lib/systemd/system/kubelet.service.d/20-level.conf", "[Service]\nEnvironment=LEVEL=9\n"),
            (
                "/var/lib/kubelet/kubeadm-flags.env",
                "KUBELET_KUBEADM_ARGS=\"--node-ip=10.0.0.1 --pod-infra-container-image=pause:3.9\"\n",
            ),
        ]);
        let service = read(&host).unwrap().unwrap();
        assert_eq!(
            service.arguments,
            [
                "--config=/var/lib/kubelet/config.yaml",
                "--node-ip=10.0.0.1",
                "--pod-infra-container-image=pause:3.9",
                "--v=2"
            ]
        );
        assert_eq!(service.unit_files.len(), 3);
    }
}
