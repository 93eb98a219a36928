//! Pods by the names of their log directories, `NAMESPACE_NAME_UID/CONTAINER`, and containers by the names of their links,
//! `POD_NAMESPACE_CONTAINER-ID.log`; and both by the container runtime's word. Listing may wait for a disk, and a runtime for anything: only a probe child, or
//! a recording, does it. It refuses a name that is not of that form, and to forget a name because it could not be read again: a UID and an id are one's for
//! good.

use std::collections::BTreeMap;
use std::path::Path;

use crate::host::Host;
use crate::model::Reading;
use crate::model::watch::PodName;

const ROOT: &str = "/var/log/pods";
const LINKS: &str = "/var/log/containers";

/// What each of the two has told.
#[derive(Debug, Default)]
pub(super) struct Source {
    logs: Told,
    runtime: Told,
}

/// The last list that was told, and why there was none after it.
#[derive(Debug, Default)]
struct Told {
    pods: Vec<PodName>,
    without: Option<Reading<Vec<PodName>>>,
}

impl Told {
    fn take(&mut self, came: Reading<Vec<PodName>>) {
        match came {
            Reading::Fresh { value, .. } => *self = Self { pods: value, without: None },
            absent @ Reading::Absent { .. } => *self = Self { pods: Vec::new(), without: Some(absent) },
            failed @ Reading::Failed { .. } => self.without = Some(failed),
        }
    }
}

impl Source {
    /// What came of either; all that is known then, if anything came.
    pub(super) fn take(
        &mut self,
        logs: Option<Reading<Vec<PodName>>>,
        runtime: Option<Reading<Vec<PodName>>>,
    ) -> Option<Reading<Vec<PodName>>> {
        if logs.is_none() && runtime.is_none() {
            return None;
        }
        logs.into_iter().for_each(|came| self.logs.take(came));
        runtime.into_iter().for_each(|came| self.runtime.take(came));
        let mut all = self.logs.pods.clone();
        for pod in &self.runtime.pods {
            match all.iter_mut().find(|known| known.uid == pod.uid) {
                Some(known) => known.ids.extend(pod.ids.clone()),
                None => all.push(pod.clone()),
            }
        }
        let without: Vec<_> =
            [&self.logs, &self.runtime].into_iter().filter_map(|told| told.without.as_ref()).collect();
        let why = without.iter().map(|one| one.origin()).collect::<Vec<_>>().join("; ");
        let failed = without.iter().any(|one| matches!(one, Reading::Failed { .. }));
        // A node without the one or the other is no worse for it.
        Some(match (all.is_empty(), failed, without.len()) {
            (true, true, _) => Reading::failed(why),
            (true, false, 2) => Reading::absent(why),
            _ => Reading::fresh(all, "the names of pods' logs, and the container runtime"),
        })
    }
}

/// Asks the container runtime.
pub(super) fn ask(host: &Host) -> Reading<Vec<PodName>> {
    match host.containers() {
        Ok(Some(pods)) => Reading::fresh(pods, "the container runtime"),
        Ok(None) => Reading::absent("there is no container runtime's socket"),
        Err(error) => Reading::failed(error.to_string()),
    }
}

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

    #[test]
    fn what_either_has_told_is_known_until_it_tells_otherwise() {
        let pod = |uid: &str, ids: &[(&str, &str)]| PodName {
            namespace: "shop".to_owned(),
            pod: format!("pod-{uid}"),
            uid: uid.to_owned(),
            containers: Vec::new(),
            ids: ids.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect(),
        };
        let fresh = |pods: Vec<PodName>| Some(Reading::fresh(pods, "test"));
        let mut source = Source::default();
        let known = |reading: Option<Reading<Vec<PodName>>>| {
            let reading = reading.unwrap();
            let pods = reading.value().unwrap_or_else(|| panic!("{reading:?}"));
            pods.iter().map(|pod| format!("{} {:?}", pod.uid, pod.ids.keys())).collect::<Vec<_>>()
        };
        assert_eq!(source.take(None, None), None);
        assert_eq!(source.take(Some(Reading::failed("stuck")), None), Some(Reading::failed("stuck")));
        assert_eq!(
            source.take(None, Some(Reading::absent("no socket"))),
            Some(Reading::failed("stuck; no socket")),
            "what could not be read is not absent"
        );
        assert_eq!(source.take(Some(Reading::absent("no logs")), None), Some(Reading::absent("no logs; no socket")));
        assert_eq!(known(source.take(fresh(vec![pod("a", &[("1", "x")])]), None)), ["a [\"1\"]"]);
        let both = ["a [\"1\", \"2\"]", "b [\"3\"]"];
        assert_eq!(known(source.take(None, fresh(vec![pod("a", &[("2", "y")]), pod("b", &[("3", "z")])]))), both);
        // Neither answers any more: names are names.
        assert_eq!(known(source.take(Some(Reading::failed("stuck")), Some(Reading::failed("gone")))), both);
        assert_eq!(known(source.take(fresh(Vec::new()), Some(Reading::absent("gone")))), Vec::<String>::new());
    }

    #[test]
    fn a_recording_tells_of_the_runtime() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path()).unwrap();
        assert!(matches!(ask(&host), Reading::Absent { .. }));
        crate::host::made::put(root.path(), ".recorded/told/containers", "[]");
        assert_eq!(ask(&host).value(), Some(&Vec::new()));
        crate::host::made::put(root.path(), ".recorded/told/containers", "{");
        assert!(matches!(ask(&host), Reading::Failed { .. }));
    }
}
