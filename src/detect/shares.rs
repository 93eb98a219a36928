//! A device's work in a window, divided among those who were seen to ask for it. It refuses shares that do not add up to exactly 1, and a negative rest.
//!
//! What cgroups and processes are charged with and what the device did are counted at two moments: a request is charged when it is handed over and
//! done when it completes, and the device counts merged requests once. At the edges of a window the charges can therefore be more than the work. Each
//! direction is then scaled down to what the device did; nothing is left unattributed in it. Where the device did nothing at all, it is divided by what
//! was asked for.
//!
//! Where processes are counted, some of the charges are guesses. What is known goes first, and guesses divide no more than what it leaves: a kernel
//! thread that writes a loop device's file is charged with the same bytes as whoever wrote to the loop device.

use std::collections::BTreeMap;

use super::window::DiskWindow;
use crate::model::problem::{Contributor, Who};
use crate::model::watch::IoCounters;

/// Shares are multiples of 2^-20, which a float holds and adds exactly.
const UNITS: u32 = 1 << 20;
/// So many are listed by themselves.
const LISTED: usize = 5;

/// What one of them was charged with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Bytes and operations.
    pub done: IoCounters,
    /// How sure it is that they are this device's.
    pub sure: Sure,
}

/// How sure a charge is, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Sure {
    /// It was counted on the device.
    #[default]
    Counted,
    /// It was divided among a few devices, or taken from a longer time.
    Divided,
    /// It may be any device's.
    Guessed,
}

/// A line before it is a share.
struct Line {
    who: Who,
    work: Work,
    bytes: u32,
    operations: u32,
}

/// The contributors of a window, the largest first. `operations` tells whether the work has operations at all.
pub fn divide(window: &DiskWindow, works: &BTreeMap<Who, Work>, operations: bool) -> Vec<Contributor> {
    let asked = |which: &dyn Fn(Sure) -> bool| {
        works.values().filter(|work| which(work.sure)).map(|work| work.done).fold(IoCounters::default(), more)
    };
    let idle = window.bytes() == 0;
    let did = if idle { asked(&|sure| sure < Sure::Guessed) } else { window.done };
    // More than any device does in a window, and sums of two still fit.
    let sane = |count: u64| count.min(u64::MAX / 4);
    let counted = |count: u64| if operations { sane(count) } else { 0 };
    let did = IoCounters {
        read_bytes: sane(did.read_bytes),
        write_bytes: sane(did.write_bytes),
        reads: counted(did.reads),
        writes: counted(did.writes),
    };
    let all_bytes = did.read_bytes.saturating_add(did.write_bytes);
    let all_operations = did.reads.saturating_add(did.writes);
    if all_bytes == 0 {
        return Vec::new();
    }
    let mut rest = did;
    let mut lines = Vec::new();
    for sure in [Sure::Counted, Sure::Divided, Sure::Guessed] {
        let asked = asked(&|other| other == sure);
        let left = rest;
        for (who, work) in works.iter().filter(|(_, work)| work.sure == sure) {
            // Sums beyond 2^64 are cut off: the rest is the bound then.
            let done = IoCounters {
                read_bytes: scaled(work.done.read_bytes, left.read_bytes, asked.read_bytes).min(rest.read_bytes),
                write_bytes: scaled(work.done.write_bytes, left.write_bytes, asked.write_bytes).min(rest.write_bytes),
                reads: scaled(work.done.reads, left.reads, asked.reads).min(rest.reads),
                writes: scaled(work.done.writes, left.writes, asked.writes).min(rest.writes),
            };
            rest = less(rest, done);
            lines.push(Line::new(who.clone(), Work { done, sure }, all_bytes, all_operations));
        }
    }
    lines.push(Line::new(Who::Unattributed, Work { done: rest, sure: Sure::Counted }, all_bytes, all_operations));
    lines.retain(|line| line.bytes > 0 || line.operations > 0);
    lines.sort_by(|a, b| b.weight().cmp(&a.weight()).then_with(|| a.who.cmp(&b.who)));
    even_out(&mut lines, all_operations > 0);
    let lines = shortened(lines);
    lines
        .into_iter()
        .map(|line| Contributor {
            who: line.who,
            share_of_bytes: share(line.bytes),
            share_of_operations: (all_operations > 0).then(|| share(line.operations)),
            read_bytes_per_s: window.per_s(line.work.done.read_bytes),
            write_bytes_per_s: window.per_s(line.work.done.write_bytes),
            estimated: line.work.sure > Sure::Counted,
        })
        .collect()
}

impl Line {
    fn new(who: Who, work: Work, all_bytes: u64, all_operations: u64) -> Self {
        let done = work.done;
        Self {
            who,
            work,
            bytes: units(done.read_bytes.saturating_add(done.write_bytes), all_bytes),
            operations: units(done.reads.saturating_add(done.writes), all_operations),
        }
    }

    /// Few large requests and many small ones both use up a disk.
    fn weight(&self) -> u32 {
        self.bytes.max(self.operations)
    }
}

/// What rounding left over goes to the first, which is the largest.
fn even_out(lines: &mut [Line], operations: bool) {
    let sum = |part: fn(&Line) -> u32, lines: &[Line]| lines.iter().map(part).fold(0, u32::saturating_add);
    let bytes = UNITS.saturating_sub(sum(|line| line.bytes, lines));
    let left = UNITS.saturating_sub(sum(|line| line.operations, lines));
    if let Some(first) = lines.first_mut() {
        first.bytes = first.bytes.saturating_add(bytes);
        if operations {
            first.operations = first.operations.saturating_add(left);
        }
    }
}

/// The largest, and all others as one line; one more than the number is listed, for "1 others" would tell less.
fn shortened(lines: Vec<Line>) -> Vec<Line> {
    let named = lines.iter().filter(|line| line.who != Who::Unattributed).count();
    if named <= LISTED + 1 {
        return lines;
    }
    let mut kept = Vec::new();
    let mut others = Line { who: Who::Others { count: 0 }, work: Work::default(), bytes: 0, operations: 0 };
    let mut seen = 0;
    for line in lines {
        seen += usize::from(line.who != Who::Unattributed);
        if line.who == Who::Unattributed || seen <= LISTED {
            kept.push(line);
            continue;
        }
        others.bytes = others.bytes.saturating_add(line.bytes);
        others.operations = others.operations.saturating_add(line.operations);
        others.work.done = more(others.work.done, line.work.done);
        others.work.sure = others.work.sure.max(line.work.sure);
    }
    let count = u32::try_from(named - LISTED).unwrap_or(u32::MAX);
    kept.push(Line { who: Who::Others { count }, ..others });
    kept
}

/// Sums, counter by counter.
pub fn more(a: IoCounters, b: IoCounters) -> IoCounters {
    IoCounters {
        read_bytes: a.read_bytes.saturating_add(b.read_bytes),
        write_bytes: a.write_bytes.saturating_add(b.write_bytes),
        reads: a.reads.saturating_add(b.reads),
        writes: a.writes.saturating_add(b.writes),
    }
}

/// Differences, counter by counter, not below 0.
pub fn less(a: IoCounters, b: IoCounters) -> IoCounters {
    IoCounters {
        read_bytes: a.read_bytes.saturating_sub(b.read_bytes),
        write_bytes: a.write_bytes.saturating_sub(b.write_bytes),
        reads: a.reads.saturating_sub(b.reads),
        writes: a.writes.saturating_sub(b.writes),
    }
}

fn scaled(part: u64, did: u64, asked: u64) -> u64 {
    if asked <= did { part } else { muldiv(part, did, asked) }
}

fn units(part: u64, whole: u64) -> u32 {
    u32::try_from(muldiv(part.min(whole), u64::from(UNITS), whole)).unwrap_or(UNITS)
}

/// `a * b / c`, rounded down; 0 where `c` is.
pub fn muldiv(a: u64, b: u64, c: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product.checked_div(u128::from(c)).map_or(0, |quotient| u64::try_from(quotient).unwrap_or(u64::MAX))
}

fn share(units: u32) -> f64 {
    f64::from(units) / f64::from(UNITS)
}
