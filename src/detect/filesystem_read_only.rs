//! `FilesystemReadOnly`: a mount that was writable in this boot and no longer is. It refuses mounts that never were, and does not ask who did it:
//! `mount -o remount,ro` looks the same. What ext4 calls `emergency_ro` is not read-only but an error, see `FilesystemErrors`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mounted;
use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::time::Mono;
use crate::model::watch::{Dev, Mount};

/// The name of the problem.
pub const FILESYSTEM_READ_ONLY: Kind = Kind::new("FilesystemReadOnly");

/// The detector.
pub struct FilesystemReadOnly;

/// `[detect.filesystem_read_only]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {}

/// What is kept of a mount, by its id: a mount that was made anew is another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    dev: Dev,
    point: String,
    /// It has been writable.
    was_writable: bool,
    /// Since when it is not.
    read_only: Option<Mono>,
}

impl Detector for FilesystemReadOnly {
    type Rules = Rules;
    type Memory = BTreeMap<u32, Kept>;
    const NAME: &'static str = "filesystem_read_only";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: FILESYSTEM_READ_ONLY,
        severity: Severity::Critical,
        condition: Condition::DiskHealth,
        may_cordon: true,
        meaning: "A file system that could be written to earlier in this boot is mounted read-only now: usually the kernel's answer to an error (errors=remount-ro).",
        advice: "Look into the kernel's log for the error before it. Repair the file system and mount it again, or replace the node; where somebody remounted it on purpose, \
                 switch this detector off or mount it rw.",
    }];

    fn look(_: &Rules, memory: &mut Self::Memory, scene: &Scene<'_>) -> Look {
        let Some(mounts) = scene.samples.mounts.value() else {
            return Look::unknown(format!("no list of mounts: {}", scene.samples.mounts.reading.origin()));
        };
        let devices = scene.samples.devices.value();
        let on_disk = |mount: &Mount| {
            devices.map_or(mount.source.starts_with("/dev/"), |all| {
                // btrfs has device numbers of its own.
                mount.source.starts_with("/dev/") || all.iter().any(|device| device.dev == mount.dev)
            })
        };
        let mut kept = BTreeMap::new();
        for mount in mounts.iter().filter(|mount| on_disk(mount)) {
            let before = memory.remove(&mount.id).filter(|old| old.dev == mount.dev && old.point == mount.point);
            let read_only = mounted::has_option(mount, "ro");
            let was_writable = !read_only || before.as_ref().is_some_and(|old| old.was_writable);
            let since = before.and_then(|old| old.read_only).unwrap_or(scene.now.mono);
            let read_only = (read_only && was_writable).then_some(since);
            kept.insert(mount.id, Kept { dev: mount.dev, point: mount.point.clone(), was_writable, read_only });
        }
        *memory = kept;
        // One finding a file system, by the mount that names it.
        let mut found = BTreeMap::new();
        for mount in mounts {
            let Some(since) = memory.get(&mount.id).and_then(|kept| kept.read_only) else { continue };
            let of_all = mount.super_options.split(',').any(|option| option == "ro");
            let naming = if of_all { mounted::naming(scene.samples, mount.dev).unwrap_or(mount) } else { mount };
            found.entry(naming.point.clone()).or_insert_with(|| finding(scene, naming, of_all, since));
        }
        Look::at(found.into_values().collect())
    }
}

fn finding(scene: &Scene<'_>, mount: &Mount, of_all: bool, since: Mono) -> Finding {
    let point = &mount.point;
    let seconds = scene.now.mono.since_ms(since) / 1000;
    let mut evidence = vec![
        Evidence::text("mount point", point.clone()),
        Evidence::text("file system", mount.kind.clone()),
        Evidence::text("source", mount.source.clone()),
        Evidence::text("mount options", mount.options.clone()),
        Evidence::text("file system's options", mount.super_options.clone()),
        Evidence::count("read-only for", seconds, "s"),
    ];
    evidence.extend(scene.disks_beneath(mount.dev).iter().map(|disk| Evidence::text("disk", disk.clone())));
    Finding {
        kind: FILESYSTEM_READ_ONLY,
        subject: point.clone(),
        // One mount alone is made read-only by people, a whole file system by the kernel too.
        severity: if of_all { Severity::Critical } else { Severity::Advice },
        summary: if of_all {
            format!("{point}: the {} file system was writable in this boot and is read-only now", mount.kind)
        } else {
            format!("{point}: this mount was writable in this boot and is read-only now; its file system is not")
        },
        advice: String::new(),
        evidence,
        device: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;

    const NONE: [&str; 0] = [];
    const DATA: Dev = Dev { major: 7, minor: 0 };

    fn play(memory: &mut BTreeMap<u32, Kept>, at: u64, id: u32, options: [&str; 2]) -> Vec<String> {
        let mut data = made::mount(id, DATA, "/data", "ext4", options[0]);
        data.super_options = options[1].to_owned();
        let usb = made::mount(9, Dev { major: 7, minor: 9 }, "/snap/core", "squashfs", "ro");
        let mut made_samples = made::samples(at, vec![made::mount(1, made::ROOT, "/", "ext4", "rw"), data, usb]);
        made_samples.devices = made::fresh(at, vec![made::device("loop0", DATA, "loop0")]);
        made::turn::<FilesystemReadOnly>(memory, at, &made_samples)
    }

    #[test]
    fn what_was_writable_and_is_not() {
        let mut memory = BTreeMap::new();
        assert_eq!(play(&mut memory, 10, 2, ["rw", "rw"]), NONE);
        // Kernels before 6.12: the file system says ro, its mounts say rw.
        assert_eq!(
            play(&mut memory, 20, 2, ["rw,relatime", "ro,errors=remount-ro"]),
            ["FilesystemReadOnly /data critical"]
        );
        assert_eq!(play(&mut memory, 30, 2, ["rw", "ro"]), ["FilesystemReadOnly /data critical"]);
        assert_eq!(play(&mut memory, 40, 2, ["rw", "rw"]), NONE);
        assert_eq!(play(&mut memory, 50, 2, ["ro", "rw"]), ["FilesystemReadOnly /data advice"]);
    }

    #[test]
    fn what_never_was_writable_and_what_was_mounted_anew() {
        let mut memory = BTreeMap::new();
        assert_eq!(play(&mut memory, 10, 2, ["ro", "ro"]), NONE);
        assert_eq!(play(&mut memory, 20, 2, ["rw", "rw"]), NONE);
        assert_eq!(play(&mut memory, 30, 5, ["ro", "ro"]), NONE, "another mount, read-only on purpose");
        assert_eq!(play(&mut memory, 40, 5, ["rw", "rw,emergency_ro"]), NONE, "that is an error, not this");
    }
}
