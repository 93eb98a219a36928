//! Pods by the names of their log directories, `NAMESPACE_NAME_UID/CONTAINER`. Listing them may wait for a disk: only a probe child, or a
//! recording, does it. It refuses a name that is not of that form.

use std::path::Path;

use crate::host::Host;
use crate::model::Reading;
use crate::model::watch::PodName;

const ROOT: &str = "/var/log/pods";

/// Lists them.
pub(super) fn read(host: &Host) -> Reading<Vec<PodName>> {
    let entries = match host.list(Path::new(ROOT)) {
        Ok(Some(entries)) => entries,
        Ok(None) => return Reading::absent(format!("there is no {ROOT}")),
        Err(error) => return Reading::failed(error.to_string()),
    };
    let mut pods = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(mut pod) = parse(&entry.name) else { continue };
        // A pod that goes away in between keeps its name without containers.
        let dirs = host.list(Path::new(&format!("{ROOT}/{}", entry.name))).ok().flatten().unwrap_or_default();
        pod.containers = dirs.into_iter().filter(|dir| dir.is_dir).map(|dir| dir.name).collect();
        pods.push(pod);
    }
    Reading::fresh(pods, ROOT)
}

/// Namespaces and pod names have no underscore.
fn parse(name: &str) -> Option<PodName> {
    let mut parts = name.split('_');
    let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && ![namespace, pod, uid].contains(&"");
    whole.then(|| PodName {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        uid: uid.to_owned(),
        containers: Vec::new(),
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the directories that are listed.
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let root = tempfile::tempdir().unwrap();
        for dir in [
            "kube-system_coredns-7d8_3f0e6a5e-1c2d-4b5a-9e8f-0123456789ab/coredns",
            "kube-system_etcd-node1_0123456789abcdef0123456789abcdef/etcd",
            "default_two_u-1/a",
            "default_two_u-1/b",
            "lost+found",
            "a_b",
            "a_b_c_d",
            "__x",
        ] {
            std::fs::create_dir_all(root.path().join("var/log/pods").join(dir)).unwrap();
        }
        let host = Host::new(root.path()).unwrap();
        let all = read(&host);
        let seen: Vec<_> =
            all.value().unwrap().iter().map(|p| format!("{}/{} {:?}", p.namespace, p.pod, p.containers)).collect();
        assert_eq!(
            seen,
            [
                "default/two [\"a\", \"b\"]",
                "kube-system/coredns-7d8 [\"coredns\"]",
                "kube-system/etcd-node1 [\"etcd\"]"
            ]
        );
    }
}
