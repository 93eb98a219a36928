//! Whose a cgroup is: a container of a pod, a unit, or just a group. Path forms are those of kubelet's systemd and cgroupfs drivers, with
//! containerd, CRI-O and docker. It refuses to guess a pod's name: without the log directories' or the runtime's names there is only the UID.

use super::problem::Who;
use super::watch::PodName;

impl Who {
    /// The owner of the cgroup at `path`, a path beneath the cgroup root.
    pub fn of_group(path: &str, names: &[PodName]) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if let Some((at, uid)) = parts.iter().enumerate().find_map(|(at, part)| Some((at, pod_uid(part)?))) {
            let id = parts[at + 1..].iter().find_map(|part| container_id(part)).unwrap_or_default();
            let name = names.iter().find(|name| name.uid == uid);
            let container = match name.map(|name| (name.ids.get(&id), name.containers.as_slice())) {
                Some((Some(known), _)) => known.clone(),
                Some((None, [only])) if !id.is_empty() => only.clone(),
                _ => String::new(),
            };
            return Self::Container {
                namespace: name.map_or_else(String::new, |name| name.namespace.clone()),
                pod: name.map_or_else(String::new, |name| name.pod.clone()),
                container,
                uid,
                id,
            };
        }
        let of_type = |suffix: &str| parts.iter().rev().find(|part| part.ends_with(suffix));
        match of_type(".service").or_else(|| of_type(".scope")) {
            Some(unit) => Self::Unit { unit: (*unit).to_owned() },
            None => Self::Group { path: format!("/{}", parts.join("/")) },
        }
    }
}

/// The UID in `kubepods-burstable-pod<UID>.slice` or `pod<UID>`: a UUID with `_` or `-`, or the 32 hex digits of a static pod's hash.
fn pod_uid(part: &str) -> Option<String> {
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let uid = &part[part.rfind("pod")? + 3..];
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let groups: Vec<&str> = uid.split(['-', '_']).collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let fits = lengths == [32] || lengths == [8, 4, 4, 4, 12];
    (fits && groups.iter().all(|group| hex(group))).then(|| uid.replace('_', "-"))
}

/// The 64 hex digits that end a container's directory, such as `cri-containerd-<id>.scope`.
fn container_id(part: &str) -> Option<String> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let id = part.get(part.len().checked_sub(64)?..)?;
    id.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0a1b2c3d-0000-1111-2222-333344445555";

    fn names() -> Vec<PodName> {
        vec![PodName {
            namespace: "shop".into(),
            pod: "cart-0".into(),
            uid: UID.into(),
            containers: vec!["cart".into()],
            ids: [("cd".repeat(32), "sidecar".into())].into(),
        }]
    }

    #[test]
    fn pods_of_every_driver_and_runtime() {
        let id = "ab".repeat(32);
        let under = UID.replace('-', "_");
        for path in [
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice/cri-containerd-{id}.scope"
            ),
            format!("/kubepods.slice/kubepods-pod{under}.slice/crio-{id}.scope"),
            format!("/kubepods/besteffort/pod{UID}/{id}"),
            format!("/kubepods.slice/kubepods-pod{under}.slice/docker-{id}.scope/system.slice/nginx.service"),
        ] {
            let who = Who::of_group(&path, &names());
            assert_eq!(who.to_string(), "pod shop/cart-0 container cart", "{path}");
            let Who::Container { uid, id: found, .. } = who else { panic!("{path}") };
            assert_eq!((uid.as_str(), &found), (UID, &id), "{path}");
        }
        let sidecar = format!("/kubepods/besteffort/pod{UID}/{}", "cd".repeat(32));
        assert_eq!(Who::of_group(&sidecar, &names()).to_string(), "pod shop/cart-0 container sidecar");
        let hash = "0123456789abcdef0123456789abcdef";
        let who = Who::of_group(&format!("/kubepods/burstable/pod{hash}"), &names());
        assert_eq!(who.to_string(), format!("pod {hash}"));
    }

    #[test]
    fn units_and_groups() {
        for (path, shown) in [
            ("/system.slice/containerd.service", "unit containerd.service"),
            ("/system.slice/docker.service/init", "unit docker.service"),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope", "unit user@1000.service"),
            ("/user.slice/user-0.slice/session-3.scope", "unit session-3.scope"),
            ("/kubepods.slice/kubepods-podnotauid.slice", "cgroup /kubepods.slice/kubepods-podnotauid.slice"),
            ("/", "cgroup /"),
        ] {
            assert_eq!(Who::of_group(path, &[]).to_string(), shown);
        }
    }
}
