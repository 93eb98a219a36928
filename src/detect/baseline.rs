//! What a disk needs when it is not busy: the median time of a request by size class, learned from quiet windows, in bounded memory.
//! It refuses to guess low: where a class was never seen, what stands in for it is an upper bound, so that a guess may miss but not accuse.

use serde::{Deserialize, Serialize};

use super::window::{DiskWindow, ratio};
use crate::model::status::BaselineStatus;
use crate::model::time::Mono;

/// Requests up to this size are small...
const SMALL: u64 = 32 * 1024;
/// ...and up to this one medium.
const MEDIUM: u64 = 256 * 1024;
/// Slices of time in a class: a full `keep`, and the one that is being filled.
const SLICES: usize = 7;
/// Steps of the scale per doubling of the time: a bucket is 3 % wide at most.
const STEPS: u64 = 32;

/// Which windows teach, and how much is enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lesson {
    /// Only windows with a shorter mean queue.
    pub quiet_aqu: f64,
    /// Only windows with so many reads and writes.
    pub operations: u64,
    /// So many windows make a baseline.
    pub windows: u32,
    /// For how long they are kept, ms.
    pub keep_ms: u64,
}

/// The baseline of one disk.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Baseline {
    /// Small, medium, large.
    classes: [Class; 3],
}

/// What a request may take, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expected {
    /// Median of quiet windows, ms.
    pub ms: f64,
    /// The same of a small request, ms.
    pub small_ms: f64,
    /// Another class stood in for either.
    pub borrowed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Class {
    slices: Vec<Slice>,
}

/// Windows of a stretch of time: how many at each step of the scale.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Slice {
    start: Mono,
    operations: u64,
    bytes: u64,
    /// Bucket and count, by bucket.
    times: Vec<(u16, u32)>,
}

impl Baseline {
    /// Learns from a window if it was quiet.
    pub fn learn(&mut self, window: &DiskWindow, lesson: &Lesson) {
        let Some(mean) = window.mean_bytes() else { return };
        if window.aqu() >= lesson.quiet_aqu || window.operations() < lesson.operations {
            return;
        }
        let us = window.io_ms.saturating_mul(1000).checked_div(window.requests()).unwrap_or(0);
        if let Some(class) = self.classes.get_mut(class_of(mean)) {
            class.add(us, window, lesson);
        }
    }

    /// What a request of this mean size takes on the quiet disk; none before enough was seen.
    ///
    /// Where the size's own class was not seen enough, another stands in, as an upper bound: a larger class as it is, for a larger request never
    /// takes less than a smaller one; and a smaller class times the ratio of the sizes, for the larger request could be split and its parts done one
    /// after the other. The lowest of those bounds counts.
    pub fn expected(&self, mean_bytes: u64, lesson: &Lesson) -> Option<Expected> {
        let (ms, borrowed) = self.median_ms(mean_bytes, lesson)?;
        let (small_ms, small_borrowed) = self.median_ms(1, lesson)?;
        Some(Expected { ms, small_ms, borrowed: borrowed || small_borrowed })
    }

    /// The time, and whether another class stood in.
    fn median_ms(&self, mean_bytes: u64, lesson: &Lesson) -> Option<(f64, bool)> {
        let own = class_of(mean_bytes);
        if let Some(ms) = self.classes.get(own).and_then(|class| class.median_ms(lesson)) {
            return Some((ms, false));
        }
        let bound = |(at, class): (usize, &Class)| {
            let ms = class.median_ms(lesson)?;
            Some(if at < own { ms * ratio(mean_bytes, class.mean_bytes().max(1)).max(1.0) } else { ms })
        };
        Some((self.classes.iter().enumerate().filter_map(bound).min_by(f64::total_cmp)?, true))
    }

    /// Whether any class was seen enough.
    pub fn is_learned(&self, lesson: &Lesson) -> bool {
        self.classes.iter().any(|class| class.windows() >= lesson.windows)
    }

    /// Windows of the class that was seen most.
    pub fn most(&self) -> u32 {
        self.classes.iter().map(Class::windows).max().unwrap_or(0)
    }

    /// As it is shown.
    pub fn status(&self, lesson: &Lesson) -> BaselineStatus {
        let [small, medium, large] = &self.classes;
        BaselineStatus {
            small: small.median_ms(lesson),
            medium: medium.median_ms(lesson),
            large: large.median_ms(lesson),
            windows: self.classes.iter().fold(0, |sum, class| sum.saturating_add(class.windows())),
        }
    }
}

impl Class {
    fn add(&mut self, us: u64, window: &DiskWindow, lesson: &Lesson) {
        let span = lesson.keep_ms / (SLICES as u64 - 1);
        if self.slices.last().is_none_or(|slice| window.end.since_ms(slice.start) > span) {
            self.slices.push(Slice { start: window.end, ..Slice::default() });
        }
        if let Some(slice) = self.slices.last_mut() {
            slice.operations = slice.operations.saturating_add(window.operations());
            slice.bytes = slice.bytes.saturating_add(window.bytes());
            slice.count(bucket(us), 1);
        }
        // Age alone forgets nothing: a disk that was loaded for hours, or is idle for most of them, keeps what it was known by.
        if self.slices.len() > SLICES {
            let mut oldest = self.slices.remove(0);
            if self.windows() < lesson.windows
                && let Some(next) = self.slices.first_mut()
            {
                if oldest.windows() >= lesson.windows.saturating_mul(2) {
                    oldest.halve();
                }
                next.merge(oldest);
            }
        }
    }

    fn windows(&self) -> u32 {
        self.slices.iter().fold(0, |sum, slice| sum.saturating_add(slice.windows()))
    }

    fn mean_bytes(&self) -> u64 {
        let sum = |part: fn(&Slice) -> u64| self.slices.iter().map(part).fold(0, u64::saturating_add);
        sum(|slice| slice.bytes).checked_div(sum(|slice| slice.operations)).unwrap_or(0)
    }

    fn median_ms(&self, lesson: &Lesson) -> Option<f64> {
        let windows = self.windows();
        if windows < lesson.windows.max(1) {
            return None;
        }
        let mut times: Vec<_> = self.slices.iter().flat_map(|slice| slice.times.iter().copied()).collect();
        times.sort_unstable();
        let mut seen = 0_u32;
        times.into_iter().find_map(|(bucket, count)| {
            seen = seen.saturating_add(count);
            (seen > (windows - 1) / 2).then(|| ratio(middle(bucket), 1000))
        })
    }
}

impl Slice {
    fn count(&mut self, bucket: u16, more: u32) {
        match self.times.binary_search_by_key(&bucket, |(at, _)| *at) {
            Ok(at) => {
                if let Some((_, count)) = self.times.get_mut(at) {
                    *count = count.saturating_add(more);
                }
            }
            Err(at) => self.times.insert(at, (bucket, more)),
        }
    }

    fn windows(&self) -> u32 {
        self.times.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Every second window of it, from the fastest to the slowest: half as many, and the median as it was.
    fn halve(&mut self) {
        let mut seen = 0_u32;
        for (_, count) in &mut self.times {
            let before = seen / 2;
            seen = seen.saturating_add(*count);
            *count = seen / 2 - before;
        }
        self.times.retain(|(_, count)| *count > 0);
        self.operations /= 2;
        self.bytes /= 2;
    }

    fn merge(&mut self, older: Self) {
        self.start = older.start;
        self.operations = self.operations.saturating_add(older.operations);
        self.bytes = self.bytes.saturating_add(older.bytes);
        older.times.into_iter().for_each(|(bucket, count)| self.count(bucket, count));
    }
}

fn class_of(mean_bytes: u64) -> usize {
    usize::from(mean_bytes > SMALL) + usize::from(mean_bytes > MEDIUM)
}

/// The step of a time on a scale that is even below 32 us and logarithmic above, in whole numbers, so that it is the same on every machine.
fn bucket(us: u64) -> u16 {
    let us = us.min(u64::from(u32::MAX));
    let doublings = u64::from(us.checked_ilog2().unwrap_or(0)).saturating_sub(5);
    let step = if us < STEPS { us } else { doublings * STEPS + (us >> doublings) };
    u16::try_from(step).unwrap_or(u16::MAX)
}

/// The middle of a bucket, us.
fn middle(bucket: u16) -> u64 {
    let step = u64::from(bucket);
    let doublings = (step / STEPS).saturating_sub(1).min(u64::from(u32::BITS));
    ((step - doublings * STEPS) << doublings) + ((1 << doublings) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::watch::{Dev, DiskCounters};

    const LESSON: Lesson = Lesson { quiet_aqu: 1.0, operations: 20, windows: 30, keep_ms: 3_600_000 };

    fn window(at: u64, operations: u64, bytes: u64, us: u32) -> DiskWindow {
        let before = DiskCounters::default();
        let ms = u32::try_from(operations * u64::from(us) / 1000).unwrap();
        let after = DiskCounters {
            writes: operations,
            sectors_written: operations * bytes / 512,
            write_ms: ms,
            ..DiskCounters::default()
        };
        let dev = Dev { major: 259, minor: 0 };
        DiskWindow::between(dev, (Mono(at), &before), (Mono(at + 10_000), &after)).unwrap()
    }

    #[test]
    fn the_scale_is_exact_to_three_percent() {
        for us in (0..2000).chain([9_999, 50_000, 1_000_000, 60_000_000, u64::from(u32::MAX)]) {
            let back = middle(bucket(us));
            assert!(back.abs_diff(us) * 32 <= us.max(32), "{us} came back as {back}");
        }
        assert!((0..100_000_u64).is_sorted_by_key(bucket));
        assert_eq!(bucket(u64::MAX), bucket(u64::from(u32::MAX)));
        assert!(middle(u16::MAX) > 0);
    }

    #[test]
    fn thirty_quiet_windows_of_a_class_make_a_baseline() {
        let mut baseline = Baseline::default();
        for n in 0..30 {
            assert_eq!(baseline.expected(4096, &LESSON), None);
            baseline.learn(&window(n * 10_000, 19, 4096, 500), &LESSON); // Too few requests.
            baseline.learn(&window(n * 10_000, 10_000, 4096, 2000), &LESSON); // A queue of two.
            assert_eq!(baseline.most(), u32::try_from(n).unwrap());
            baseline.learn(&window(n * 10_000, 1000, 4096, if n % 3 == 0 { 9000 } else { 500 }), &LESSON);
        }
        let expected = baseline.expected(4096, &LESSON).unwrap();
        assert!(!expected.borrowed && (expected.ms - 0.5).abs() < 0.02, "{expected:?}");
    }

    #[test]
    fn another_class_stands_in_as_an_upper_bound() {
        let mut baseline = Baseline::default();
        for n in 0..30 {
            baseline.learn(&window(n * 10_000, 200, 64 * 1024, 4000), &LESSON);
        }
        let small = baseline.expected(4096, &LESSON).unwrap();
        assert!(small.borrowed && (small.ms - 4.0).abs() < 0.13, "{small:?}");
        let large = baseline.expected(512 * 1024, &LESSON).unwrap();
        assert!(large.borrowed && (large.ms - 32.0).abs() < 1.0, "{large:?}");
        for n in 0..30 {
            baseline.learn(&window(n * 10_000, 200, 4096, 1000), &LESSON);
        }
        // The lower of 128 x 1 ms and 8 x 4 ms.
        assert!((baseline.expected(512 * 1024, &LESSON).unwrap().ms - 32.0).abs() < 1.0);
    }

    #[test]
    fn an_hour_is_kept_and_no_more_than_needed() {
        let mut baseline = Baseline::default();
        for n in 0..360 {
            baseline.learn(&window(n * 10_000, 100, 4096, 8000), &LESSON);
        }
        for n in 360..535 {
            baseline.learn(&window(n * 10_000, 100, 4096, 1000), &LESSON);
            let ms = baseline.expected(4096, &LESSON).unwrap().ms;
            assert!((ms - 8.0).abs() < 0.25, "the first hour still weighs more after {n} windows: {ms}");
        }
        for n in 535..760 {
            baseline.learn(&window(n * 10_000, 100, 4096, 1000), &LESSON);
        }
        assert!((baseline.expected(4096, &LESSON).unwrap().ms - 1.0).abs() < 0.04);
        // A window in an hour, for days: nothing is lost, and nothing grows.
        let mut rare = Baseline::default();
        for n in 0..500_u64 {
            rare.learn(&window(n * 3_600_000, 100, 4096, u32::try_from(n * 37 % 5000).unwrap()), &LESSON);
        }
        assert!(rare.is_learned(&LESSON) && rare.most() < 70, "{}", rare.most());
        assert!(serde_json::to_string(&rare).unwrap().len() < 2000);
    }
}
