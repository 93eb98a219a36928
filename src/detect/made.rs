//! Made samples for the unit tests of detectors. It refuses to be part of the program.

use std::collections::BTreeSet;

use super::scene::{Past, Scene};
use super::slot::{Detector, Look};
use crate::model::Reading;
use crate::model::problem::Kind;
use crate::model::time::{Mono, Now, Wall};
use crate::model::watch::{
    Answer, BlockDevice, Dev, EbsPage, Layer, Mount, NvmeController, NvmeModel, Place, Sampled, Samples, Space,
};

/// The root file system's device.
pub(super) const ROOT: Dev = Dev { major: 259, minor: 1 };

/// So many seconds after boot; boot was at 1,700,000,000 s.
pub(super) fn now(seconds: u64) -> Now {
    let wall = 1_700_000_000_000 + i64::try_from(seconds).unwrap() * 1000;
    Now { mono: Mono(seconds * 1000), wall: Wall(wall), boot_id: "b".to_owned() }
}

/// Fresh.
pub(super) fn fresh<T>(seconds: u64, value: T) -> Sampled<T> {
    Sampled::at(Mono(seconds * 1000), Reading::fresh(value, "made"))
}

/// A mount of a whole file system.
pub(super) fn mount(id: u32, dev: Dev, point: &str, kind: &str, options: &str) -> Mount {
    Mount {
        id,
        dev,
        root: "/".to_owned(),
        point: point.to_owned(),
        options: options.to_owned(),
        kind: kind.to_owned(),
        source: "/dev/x".to_owned(),
        super_options: options.to_owned(),
    }
}

/// Mounts and nothing else.
pub(super) fn samples(seconds: u64, mounts: Vec<Mount>) -> Samples {
    Samples { mounts: fresh(seconds, mounts), ..Samples::default() }
}

/// A partition of a disk.
pub(super) fn device(name: &str, dev: Dev, disk: &str) -> BlockDevice {
    BlockDevice {
        name: name.to_owned(),
        dev,
        layer: if name == disk { Layer::Disk } else { Layer::Partition },
        disks: vec![disk.to_owned()],
        bytes: 100 << 30,
        model: String::new(),
        io_timeout_ms: None,
        rotational: false,
        read_only: false,
    }
}

/// A place with so much room.
pub(super) fn place(path: &str, role: &str, dev: Dev, space: Space) -> Place {
    Place { path: path.to_owned(), role: role.to_owned(), answer: Answer::Looked { dev, space } }
}

/// A controller with a page.
pub(super) fn controller(seconds: u64, model: NvmeModel, page: EbsPage) -> NvmeController {
    NvmeController {
        name: "nvme1".to_owned(),
        state: "live".to_owned(),
        model_name: String::new(),
        model,
        volume: "vol-0abc".to_owned(),
        disks: vec!["nvme1n1".to_owned()],
        pages_taken: Mono(seconds * 1000),
        ebs: Reading::fresh(page, "made"),
        smart: Reading::absent("made"),
    }
}

/// One turn of a detector with default settings; findings as `kind subject severity`.
pub(super) fn turn<D: Detector>(memory: &mut D::Memory, seconds: u64, samples: &Samples) -> Vec<String> {
    shown(&look::<D>(memory, seconds, samples, &BTreeSet::new()))
}

/// One turn with problems from before.
pub(super) fn look<D: Detector>(
    memory: &mut D::Memory,
    seconds: u64,
    samples: &Samples,
    active: &BTreeSet<(Kind, String)>,
) -> Look {
    let now = now(seconds);
    let scene = Scene::new(&now, samples, active, &mut Past::default());
    let look = D::look(&D::Rules::default(), memory, &scene);
    for finding in &look.findings {
        assert!(D::ENTRIES.iter().any(|entry| entry.kind == finding.kind && entry.severity >= finding.severity));
        assert!(!finding.evidence.is_empty());
    }
    // What is kept comes back from the state as it was.
    let stored = serde_json::to_string(memory).unwrap();
    *memory = serde_json::from_str(&stored).unwrap();
    look
}

/// Findings as `kind subject severity`.
pub(super) fn shown(look: &Look) -> Vec<String> {
    look.findings.iter().map(|one| format!("{} {} {}", one.kind, one.subject, one.severity)).collect()
}
