//! What is left where, and against which threshold of kubelet's: one room per file system and number. It refuses inode numbers that a file system
//! makes up as it goes, and file systems that are always full.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Threshold;
use crate::detect::mounted;
use crate::detect::window::ratio;
use crate::model::time::{Mono, Span};
use crate::model::watch::{Answer, Samples};

/// One number of one file system.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Room {
    /// The mount point.
    pub subject: String,
    /// What it is for.
    pub roles: Vec<String>,
    /// Inodes; bytes otherwise.
    pub inodes: bool,
    pub left: u64,
    pub all: u64,
    /// kubelet's threshold in bytes or inodes, and its name with its text; none where kubelet has none for it.
    pub threshold: Option<(u64, String)>,
}

/// They are read-only images, or layers of others.
const ALWAYS_FULL: [&str; 6] = ["squashfs", "iso9660", "erofs", "cramfs", "udf", "overlay"];
/// Their inodes are made as they are needed: what they report is a guess, or nothing.
const MADE_AS_NEEDED: [&str; 4] = ["btrfs", "xfs", "zfs", "bcachefs"];

/// All rooms by their keys; places on one file system are one room, with the strictest threshold of all.
pub(super) fn rooms(samples: &Samples) -> BTreeMap<String, Room> {
    let names = mounted::all_naming(samples);
    let mut rooms: BTreeMap<String, Room> = BTreeMap::new();
    for place in samples.places.value().map_or(&[][..], Vec::as_slice) {
        let Answer::Looked { dev, space } = &place.answer else { continue };
        let mount = names.get(dev).copied().or_else(|| mounted::holding(samples, &place.path));
        let kind = mount.map_or("", |mount| mount.kind.as_str());
        if space.read_only || ALWAYS_FULL.contains(&kind) {
            continue;
        }
        for (inodes, left, all) in
            [(false, space.available_bytes, space.total_bytes), (true, space.inodes_free, space.inodes)]
        {
            let threshold = threshold(samples, &place.role, inodes, all);
            // kubelet believes what statfs says; where it does not look, a guess is no reason for advice.
            let guess = inodes && (kind == "btrfs" || (threshold.is_none() && MADE_AS_NEEDED.contains(&kind)));
            if all == 0 || guess {
                continue;
            }
            let subject = mount.map_or_else(|| place.path.clone(), |mount| mount.point.clone());
            let key = format!("{} {subject}", if inodes { "inodes" } else { "bytes" });
            let room = rooms.entry(key).or_insert_with(|| Room {
                subject,
                roles: Vec::new(),
                inodes,
                left,
                all,
                threshold: None,
            });
            if !room.roles.contains(&place.role) {
                room.roles.push(place.role.clone());
            }
            room.threshold = room.threshold.take().into_iter().chain(threshold).max_by_key(|(limit, _)| *limit);
        }
    }
    rooms
}

/// The file systems, by the mount points that name them, at which a look was not answered.
pub(super) fn unanswered(samples: &Samples) -> BTreeSet<&str> {
    let places = samples.places.value().map_or(&[][..], Vec::as_slice);
    let late = places.iter().filter(|place| matches!(place.answer, Answer::Stuck { .. } | Answer::NotAsked { .. }));
    let on = late.filter_map(|place| mounted::holding(samples, &place.path)).map(|mount| mount.dev);
    let devices: BTreeSet<_> = on.collect();
    let named = devices.into_iter().filter_map(|dev| mounted::naming(samples, dev));
    named.map(|mount| mount.point.as_str()).collect()
}

fn threshold(samples: &Samples, role: &str, inodes: bool, all: u64) -> Option<(u64, String)> {
    let of = match role {
        "kubelet" => "nodefs",
        "runtime" => "imagefs",
        _ => return None,
    };
    let signal = format!("{of}.{}", if inodes { "inodesFree" } else { "available" });
    let text = samples.thresholds.value()?.hard.get(&signal)?;
    let limit = Threshold::parse(text).ok()?.of(all);
    (limit > 0).then(|| (limit, format!("{signal} {text}")))
}

/// How fast something is used up: what was left at some moments of the last while.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trend(Vec<(Mono, u64)>);

/// Points that are kept of the time looked at.
const POINTS: u64 = 10;

impl Trend {
    pub(super) fn take(&mut self, at: Mono, left: u64, over: Span) {
        // The newest point moves until it is far enough from the one before it.
        if let [.., (before, _), _] = self.0.as_slice()
            && at.since_ms(*before) < over.ms() / POINTS
        {
            self.0.pop();
        }
        self.0.push((at, left));
        // One point older than the time looked at stays, so that the whole of it is seen.
        while self.0.get(1).is_some_and(|(second, _)| at.since_ms(*second) >= over.ms()) {
            self.0.remove(0);
        }
    }

    /// Used per second, by the slower half of the time; none before the whole of it was seen, or where it does not shrink.
    /// An image that is unpacked is fast and soon over; only what goes on is a rate.
    pub(super) fn per_s(&self, over: Span) -> Option<f64> {
        let ((from, first), (to, last)) = (self.0.first()?, self.0.last()?);
        if to.since_ms(*from) < over.ms() / POINTS * (POINTS - 1) {
            return None;
        }
        let half = from.plus_ms(to.since_ms(*from) / 2);
        let (middle_at, middle) = self.0.iter().min_by_key(|(at, _)| at.0.abs_diff(half.0))?;
        let used = |before: u64, after: u64, ms: u64| ratio(before.saturating_sub(after).saturating_mul(1000), ms);
        let rates = [used(*first, *middle, middle_at.since_ms(*from)), used(*middle, *last, to.since_ms(*middle_at))];
        let slower = rates[0].min(rates[1]);
        (slower > 0.0).then_some(slower)
    }

    /// When so much will be used up, ms from now.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Milliseconds, positive; a cast saturates.
    pub(super) fn left_ms(&self, amount: u64, over: Span) -> Option<u64> {
        self.per_s(over).map(|rate| (amount as f64 / rate * 1000.0) as u64)
    }
}
