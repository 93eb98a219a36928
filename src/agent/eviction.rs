//! kubelet's hard eviction thresholds and reservations as kubelet itself will use them, for the watch: the sources read, and the room of kubelet's configuration
//! understands. It refuses to take a machine without a kubelet for one with kubelet's defaults.

use std::path::PathBuf;

use crate::host::Host;
use crate::kubelet::config::{ConfigFile, Effective};
use crate::kubelet::{self, PlaceError, setup};
use crate::model::watch::{Reserved, Thresholds};
use crate::model::{Node, Reading};

/// Of file systems; memory has its own watchers.
const SIGNALS: [&str; 4] = ["nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree"];

/// Reads kubelet's configuration: files on a disk, so only a probe child, or a recording, asks this.
pub fn thresholds(host: &Host, rules: &kubelet::Rules) -> Reading<Thresholds> {
    let setup = match setup::find(host, rules) {
        Ok(setup) => setup,
        Err(PlaceError::NoLayout(_)) => return Reading::absent("no kubelet is set up here in a way that is known"),
        Err(error) => return Reading::failed(error.to_string()),
    };
    let mut config = setup.present;
    // Without a file kubelet uses its own defaults, as it does with an empty one.
    let main =
        config.main.get_or_insert_with(|| ConfigFile { path: "no file".to_owned(), node: Node::Map(Vec::new()) });
    let from = main.path.clone();
    let effective = config.effective();
    let mut hard = effective.texts("evictionHard");
    let memory = hard.get("memory.available").cloned();
    let whole_cpus = effective.get("reservedSystemCPUs").and_then(Node::as_str).is_some_and(|list| !list.is_empty());
    hard.retain(|signal, _| SIGNALS.contains(&signal.as_str()));
    let origin = match hard.keys().next() {
        Some(signal) => effective.origin(&format!("evictionHard.{signal}")).to_string(),
        None => from,
    };
    Reading::fresh(
        Thresholds { hard, memory, whole_cpus, reserved: reserved(&effective), from: origin.clone() },
        origin,
    )
}

fn reserved(effective: &Effective) -> Reading<Reserved> {
    match (effective.resources("kubeReserved"), effective.resources("systemReserved")) {
        (Ok(kube), Ok(system)) => {
            let from = ["kubeReserved", "systemReserved"]
                .into_iter()
                .filter(|field| effective.get(field).is_some())
                .map(|field| format!("{field}: {}", effective.origin(&format!("{field}.memory"))))
                .collect::<Vec<_>>();
            let from =
                if from.is_empty() { "neither kubeReserved nor systemReserved is set".into() } else { from.join(", ") };
            Reading::fresh(Reserved { kube, system }, from)
        }
        (Err(complaint), _) | (_, Err(complaint)) => Reading::failed(format!(
            "{} in {} is {}: kubelet does not start with it; expected {}",
            complaint.path, complaint.file, complaint.found, complaint.expected
        )),
    }
}

/// kubelet's `--root-dir`, or where it usually is.
pub fn kubelet_root(host: &Host, rules: &kubelet::Rules) -> PathBuf {
    setup::find(host, rules).map_or_else(|_| PathBuf::from("/var/lib/kubelet"), |setup| setup.kubelet_root)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the configuration that is read.
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Reading<Thresholds> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let file = root.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        thresholds(&Host::new(root.path()).unwrap(), &kubelet::Rules::default())
    }

    const UNIT: (&str, &str) = (
        "etc/systemd/system/kubelet.service",
        "[Service]\nExecStart=/usr/bin/kubelet --config=/etc/k.yaml --config-dir=/etc/k.d\n",
    );
    const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

    #[test]
    fn a_files_thresholds_and_kubelets_own() {
        let defaults = read(&[UNIT, ("etc/k.yaml", HEAD)]);
        let hard = |reading: &Reading<Thresholds>, signal: &str| reading.value().unwrap().hard.get(signal).cloned();
        assert_eq!(hard(&defaults, "nodefs.available").as_deref(), Some("10%"));
        assert_eq!(hard(&defaults, "imagefs.inodesFree").as_deref(), Some("5%"));
        assert_eq!(hard(&defaults, "memory.available"), None);
        let text = format!("{HEAD}evictionHard:\n  nodefs.available: 3Gi\n");
        let own = read(&[UNIT, ("etc/k.yaml", &text)]);
        assert_eq!(hard(&own, "nodefs.available").as_deref(), Some("3Gi"));
        assert_eq!(hard(&own, "imagefs.available"), None, "a map in the main file takes the place of all defaults");
        assert!(own.value().unwrap().from.contains("/etc/k.yaml"), "{own:?}");
    }

    #[test]
    fn memory_and_whole_cpus_stand_apart() {
        let of = |text: &str| read(&[UNIT, ("etc/k.yaml", &format!("{HEAD}{text}"))]).value().unwrap().clone();
        let plain = of("");
        assert_eq!((plain.memory.as_deref(), plain.whole_cpus), (Some("100Mi"), false));
        let own = of("reservedSystemCPUs: 0-1\nevictionHard: {memory.available: 5%}\n");
        assert_eq!((own.memory.as_deref(), own.whole_cpus), (Some("5%"), true));
        assert!(!of("reservedSystemCPUs: ''\nevictionHard: {nodefs.available: 5%}\n").whole_cpus);
        assert_eq!(
            of("evictionHard: {nodefs.available: 5%}\n").memory,
            None,
            "kubelet has no default for one of them alone"
        );
    }

    #[test]
    fn reservations_of_both_kinds_and_one_that_kubelet_refuses() {
        let reserved =
            |text: &str| read(&[UNIT, ("etc/k.yaml", &format!("{HEAD}{text}"))]).value().unwrap().reserved.clone();
        let both = reserved("kubeReserved: {cpu: 80m, memory: 574Mi}\nsystemReserved: {memory: 100Mi}\n");
        assert_eq!(both.value().unwrap().memory_bytes(), 674 << 20);
        assert_eq!(both.origin(), "kubeReserved: /etc/k.yaml, systemReserved: /etc/k.yaml");
        assert_eq!(reserved("").value().unwrap().memory_bytes(), 0);
        let Reading::Failed { why } = reserved("kubeReserved: {memory: much}\n") else { panic!() };
        assert!(why.starts_with("kubeReserved.memory in /etc/k.yaml is \"much\""), "{why}");
    }

    #[test]
    fn no_kubelet_and_a_broken_file_are_told_apart() {
        assert!(matches!(read(&[]), Reading::Absent { .. }));
        assert!(matches!(read(&[UNIT, ("etc/k.yaml", "{")]), Reading::Failed { .. }));
    }
}
