//! How kubelet is started on this machine: its systemd unit, the unit's drop-ins and environment files, down to the words of the command line.
//! It refuses to ask systemd, which at first boot has not loaded what user data just wrote.
//!
//! Rules: systemd.unit(5) for the search path, systemd.service(5) for `ExecStart=`, `$WORD` and `${WORD}`, systemd.exec(5) for environment files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::host::{Host, HostResult, Reason};
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
        let Some(bytes) = readable(host, &file)? else { continue };
        let read = words::unit(&String::from_utf8_lossy(&bytes));
        // kubelet's unit has one command; an empty assignment before it forgets those of earlier files.
        exec_start = read.exec_start.last().cloned().unwrap_or(exec_start);
        variables.extend(read.environment);
        for name in read.environment_files {
            if name.is_empty() { environment_files.clear() } else { environment_files.push(name) }
        }
        service.unit_files.push(file);
    }
    for name in &environment_files {
        let file = PathBuf::from(name.trim_start_matches('-'));
        let read = match readable(host, &file) {
            // systemd passes over what a leading dash allows to fail.
            Err(_) if name.starts_with('-') => None,
            read => read?,
        };
        if let Some(bytes) = read {
            variables.extend(words::environment_file(&String::from_utf8_lossy(&bytes)));
            service.environment_files.push(file);
        }
    }
    service.arguments = kubelets_arguments(words::command(&exec_start, &variables).unwrap_or_default());
    Ok(Some(service))
}

/// A unit or drop-in linked to /dev/null is masked: it is as if it were not there.
fn readable(host: &Host, file: &Path) -> HostResult<Option<Vec<u8>>> {
    match host.read(file, MOST_BYTES) {
        Err(error) if matches!(error.reason, Reason::NotRegular) => Ok(None),
        read => read,
    }
}

/// What follows `kubelet` on a command line: with systemd's prefixes, behind a wrapper such as numactl, or in the text that a
/// shell is given. Where no kubelet is found in it, nothing is known of its flags.
fn kubelets_arguments(line: Vec<String>) -> Vec<String> {
    let is_kubelet = |word: &str| {
        Path::new(word.trim_start_matches(['@', '-', ':', '+', '!', '|']))
            .file_name()
            .is_some_and(|name| name == "kubelet")
    };
    let renamed = line.first().is_some_and(|first| first.starts_with('@'));
    if let Some(at) = line.iter().position(|word| is_kubelet(word)) {
        // With `@` the second word is the name that the program is told it has.
        return line.into_iter().skip(at + 1 + usize::from(renamed && at == 0)).collect();
    }
    let shell_text = line.iter().find(|word| word.contains("kubelet") && word.contains(char::is_whitespace));
    match shell_text.and_then(|text| words::split(text).ok()) {
        Some(inner) if inner.iter().any(|word| is_kubelet(word)) => kubelets_arguments(inner),
        _ => Vec::new(),
    }
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

    #[test]
    fn odd_command_lines_and_masked_files() {
        for (line, arguments) in [
            ("/usr/bin/kubelet --a=b", vec!["--a=b"]),
            ("-/usr/bin/kubelet --a=b", vec!["--a=b"]),
            ("@/usr/bin/kubelet kubelet --a=b", vec!["--a=b"]),
            ("/usr/bin/numactl --membind=0 /usr/bin/kubelet --a=b", vec!["--a=b"]),
            ("/bin/sh -c 'exec /usr/bin/kubelet --a=b --c d'", vec!["--a=b", "--c", "d"]),
            ("/opt/run-everything --x", vec![]),
        ] {
            let (_root, host) =
                host(&[("/etc/systemd/system/kubelet.service", &format!("[Service]\nExecStart={line}\n"))]);
            assert_eq!(read(&host).unwrap().unwrap().arguments, arguments, "{line}");
        }
        let (root, host) = host(&[(
            "/etc/systemd/system/kubelet.service",
            "[Service]\nEnvironmentFile=-/etc\nExecStart=/usr/bin/kubelet --a=b\n",
        )]);
        std::fs::create_dir_all(root.path().join("etc/systemd/system/kubelet.service.d")).unwrap();
        std::os::unix::fs::symlink("/dev/null", root.path().join("etc/systemd/system/kubelet.service.d/10-x.conf"))
            .unwrap();
        std::fs::create_dir(root.path().join("dev")).unwrap();
        nix::unistd::mkfifo(&root.path().join("dev/null"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert_eq!(read(&host).unwrap().unwrap().arguments, ["--a=b"]);
    }
}
