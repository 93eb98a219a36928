//! What is mounted where: the one mount point that names a file system, and the mount that a path lies on. It refuses bind mounts as names.

use std::collections::BTreeMap;

use crate::model::watch::{Dev, Mount, Samples};

/// All mounts, empty where they are unknown.
pub(super) fn mounts(samples: &Samples) -> &[Mount] {
    samples.mounts.value().map_or(&[], Vec::as_slice)
}

/// The mount that names a file system: of its root, the shortest path; of a bind mount alone, that.
pub(super) fn naming(samples: &Samples, dev: Dev) -> Option<&Mount> {
    mounts(samples).iter().filter(|mount| mount.dev == dev).min_by_key(|mount| rank(mount))
}

/// The same for all file systems at once: nodes have hundreds.
pub(super) fn all_naming(samples: &Samples) -> BTreeMap<Dev, &Mount> {
    let mut names: BTreeMap<Dev, &Mount> = BTreeMap::new();
    for mount in mounts(samples) {
        let name = names.entry(mount.dev).or_insert(mount);
        if rank(mount) < rank(name) {
            *name = mount;
        }
    }
    names
}

fn rank(mount: &Mount) -> (bool, usize, &str) {
    (mount.root != "/", mount.point.len(), &mount.point)
}

/// The mount that a path lies on: the deepest, and of those over each other the newest.
pub(super) fn holding<'a>(samples: &'a Samples, path: &str) -> Option<&'a Mount> {
    let holds = |point: &str| {
        point == "/" || path.strip_prefix(point).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    mounts(samples).iter().filter(|mount| holds(&mount.point)).max_by_key(|mount| mount.point.len())
}

/// Whether a mount or its file system has an option.
pub(super) fn has_option(mount: &Mount, option: &str) -> bool {
    [&mount.options, &mount.super_options].iter().any(|options| options.split(',').any(|one| one == option))
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;

    #[test]
    fn names_and_places() {
        let dev = Dev { major: 8, minor: 1 };
        let mut bind = made::mount(3, dev, "/a", "xfs", "rw");
        bind.root = "/kubelet".to_owned();
        let samples = made::samples(
            10,
            vec![
                bind,
                made::mount(1, dev, "/mnt/k8s-disks/0", "xfs", "rw"),
                made::mount(2, made::ROOT, "/", "ext4", "rw"),
            ],
        );
        assert_eq!(naming(&samples, dev).unwrap().point, "/mnt/k8s-disks/0");
        assert_eq!(naming(&samples, Dev { major: 9, minor: 9 }), None);
        assert_eq!(all_naming(&samples)[&dev].point, "/mnt/k8s-disks/0");
        assert_eq!(holding(&samples, "/a/b").unwrap().point, "/a");
        assert_eq!(holding(&samples, "/ab").unwrap().point, "/");
    }
}
