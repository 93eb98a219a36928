//! Pods by the names of their log directories, `NAMESPACE_NAME_UID/CONTAINER`, and containers by the names of their links,
//! `POD_NAMESPACE_CONTAINER-ID.log`. Listing them may wait for a disk: only a probe child, or a recording, does it. It refuses a name that is not of that form.

use std::collections::BTreeMap;
use std::path::Path;

use crate::host::Host;
use crate::model::Reading;
use crate::model::watch::PodName;

const ROOT: &str = "/var/log/pods";
const LINKS: &str = "/var/log/containers";

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
    // Not every runtime has these links; a pod with one container is named without them.
    for link in host.list(Path::new(LINKS)).ok().flatten().unwrap_or_default() {
        let Some((pod, namespace, container, id)) = parse_link(&link.name) else { continue };
        for one in pods.iter_mut().filter(|one| one.pod == pod && one.namespace == namespace) {
            one.ids.insert(id.to_owned(), container.to_owned());
        }
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
        ids: BTreeMap::new(),
    })
}

/// Pod, namespace, container and its id.
fn parse_link(name: &str) -> Option<(&str, &str, &str, &str)> {
    let (rest, id) = name.strip_suffix(".log")?.rsplit_once('-')?;
    let mut parts = rest.split('_');
    let (pod, namespace, container) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then_some((pod, namespace, container, id))
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
        let id = "5f".repeat(32);
        let links = root.path().join("var/log/containers");
        std::fs::create_dir_all(&links).unwrap();
        for name in [
            format!("two_default_b-{id}.log"),
            format!("gone_default_x-{id}.log"),
            "two_default_a-12.log".to_owned(),
            "x".to_owned(),
        ] {
            std::os::unix::fs::symlink("/var/log/pods/none", links.join(name)).unwrap();
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
        let ids = &all.value().unwrap()[0].ids;
        assert_eq!(ids.iter().collect::<Vec<_>>(), [(&id, &"b".to_owned())]);
    }
}
