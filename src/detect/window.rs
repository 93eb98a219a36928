//! Rates of one disk between two samples. Formulas as in Documentation/admin-guide/iostats.rst; 32-bit times wrap.
//! It refuses a window across a device that was replaced.

use crate::model::status::WindowStatus;
use crate::model::time::Mono;
use crate::model::watch::{Dev, DiskCounters, IoCounters};

const SECTOR: u64 = 512;
/// The largest operation of an EBS volume on SSD; a larger request is several.
const LARGEST_OPERATION: u64 = 256 << 10;
/// What file systems write at least.
const BLOCK: u64 = 4096;

/// What a disk did in a window.
#[derive(Debug, Clone, PartialEq)]
pub struct DiskWindow {
    /// The kernel's name.
    pub name: String,
    /// Its number.
    pub dev: Dev,
    /// Start of the window.
    pub start: Mono,
    /// End of the window.
    pub end: Mono,
    /// Completed in the window.
    pub done: IoCounters,
    /// Flushes that the disk itself was asked for.
    pub flushes: u64,
    /// Completed in the window, of any kind: reads, writes, discards and flushes.
    pub completions: u64,
    /// Time of all completed requests, ms (flushes included).
    pub spent_ms: u64,
    /// Time of the reads and writes alone, ms.
    pub io_ms: u64,
    /// Time with anything in flight, ms.
    pub busy_ms: u64,
    /// In flight at the start.
    pub in_flight_before: u64,
    /// In flight at the end.
    pub in_flight: u64,
}

impl DiskWindow {
    /// The window between two lines of one device; none where a counter went back, or no time passed.
    pub fn between(
        dev: Dev,
        (start, before): (Mono, &DiskCounters),
        (end, after): (Mono, &DiskCounters),
    ) -> Option<Self> {
        if end <= start {
            return None;
        }
        let reads = after.reads.checked_sub(before.reads)?;
        let writes = after.writes.checked_sub(before.writes)?;
        let discards = after.discards.checked_sub(before.discards)?;
        let flushes = after.flushes.checked_sub(before.flushes)?;
        let took = |before: u32, after: u32| u64::from(after.wrapping_sub(before));
        let io_ms = took(before.read_ms, after.read_ms) + took(before.write_ms, after.write_ms);
        Some(Self {
            name: after.name.clone(),
            dev,
            start,
            end,
            done: IoCounters {
                read_bytes: after.sectors_read.checked_sub(before.sectors_read)?.saturating_mul(SECTOR),
                write_bytes: after.sectors_written.checked_sub(before.sectors_written)?.saturating_mul(SECTOR),
                reads,
                writes,
            },
            flushes,
            completions: [reads, writes, discards, flushes].into_iter().fold(0, u64::saturating_add),
            spent_ms: io_ms + took(before.discard_ms, after.discard_ms) + took(before.flush_ms, after.flush_ms),
            io_ms,
            busy_ms: took(before.busy_ms, after.busy_ms),
            in_flight_before: before.in_flight,
            in_flight: after.in_flight,
        })
    }

    /// Its length in ms.
    pub fn length_ms(&self) -> u64 {
        self.end.since_ms(self.start)
    }

    /// Reads and writes completed.
    pub fn operations(&self) -> u64 {
        self.done.reads.saturating_add(self.done.writes)
    }

    /// Reads and writes that move data. A flush without data counts as a write of no bytes (the kernel's block/blk-flush.c), and many are done by one flush
    /// of the disk: half of what a storm of fsyncs does is such writes, and to a mean over all of them the disk looks twice as fast as it is. Where the disk
    /// was flushed, there are no more writes than blocks written, and at least half as many as are counted: who syncs has written something.
    pub fn requests(&self) -> u64 {
        let least = self.done.write_bytes / BLOCK;
        let writes = match self.flushes {
            0 => self.done.writes,
            _ => self.done.writes.min(least.max(self.done.writes.div_ceil(2))),
        };
        self.done.reads.saturating_add(writes)
    }

    /// Mean time of a read or write that moves data, ms; none where there was none.
    pub fn request_ms(&self) -> Option<f64> {
        (self.requests() > 0).then(|| ratio(self.io_ms, self.requests()))
    }

    /// Bytes moved.
    pub fn bytes(&self) -> u64 {
        self.done.read_bytes.saturating_add(self.done.write_bytes)
    }

    /// Mean time of a read or write as iostat counts them, ms; none where none completed.
    pub fn await_ms(&self) -> Option<f64> {
        (self.operations() > 0).then(|| ratio(self.io_ms, self.operations()))
    }

    /// Mean size of a read or write in bytes.
    pub fn mean_bytes(&self) -> Option<u64> {
        self.bytes().checked_div(self.operations())
    }

    /// Mean number of requests queued and in service (Little's law).
    pub fn aqu(&self) -> f64 {
        ratio(self.spent_ms, self.length_ms())
    }

    /// The same in operations as volumes count them: three requests of 1 MiB that wait are twelve.
    pub fn depth(&self) -> f64 {
        let largest = self.operations().saturating_mul(LARGEST_OPERATION);
        self.aqu() * if self.bytes() > largest { ratio(self.bytes(), largest) } else { 1.0 }
    }

    /// Time with anything in flight, 0 to 1.
    pub fn util(&self) -> f64 {
        ratio(self.busy_ms, self.length_ms()).min(1.0)
    }

    /// A count of the window, per second.
    pub fn per_s(&self, count: u64) -> f64 {
        ratio(count.saturating_mul(1000), self.length_ms())
    }

    /// As it is shown.
    pub fn status(&self) -> WindowStatus {
        WindowStatus {
            start_ms: self.start,
            end_ms: self.end,
            reads_per_s: self.per_s(self.done.reads),
            writes_per_s: self.per_s(self.done.writes),
            bytes_per_s: self.per_s(self.bytes()),
            await_ms: self.await_ms(),
            aqu: self.aqu(),
            util_percent: self.util() * 100.0,
            in_flight: self.in_flight,
        }
    }
}

/// A quotient of counts. Counts beyond 2^53 lose their last digits, which no rate shows.
#[allow(clippy::cast_precision_loss)]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: Dev = Dev { major: 259, minor: 0 };

    #[test]
    fn times_wrap_and_counts_do_not() {
        let before = DiskCounters { reads: 10, read_ms: u32::MAX - 4, ..DiskCounters::default() };
        let after = DiskCounters { reads: 20, read_ms: 5, sectors_read: 80, ..before.clone() };
        let window = DiskWindow::between(DEV, (Mono(0), &before), (Mono(1000), &after)).unwrap();
        assert_eq!((window.io_ms, window.await_ms(), window.mean_bytes()), (10, Some(1.0), Some(4096)));
        assert_eq!(DiskWindow::between(DEV, (Mono(0), &after), (Mono(1000), &before)), None);
        assert_eq!(DiskWindow::between(DEV, (Mono(5), &before), (Mono(5), &after)), None);
    }

    #[test]
    fn flushes_without_data_are_no_requests() {
        let requests = |writes, written_kib: u64, flushes| {
            let before = DiskCounters::default();
            let sectors_written = written_kib * 2;
            let after = DiskCounters { reads: 10, writes, write_ms: 1000, sectors_written, flushes, ..before.clone() };
            DiskWindow::between(DEV, (Mono(0), &before), (Mono(1000), &after)).unwrap().requests()
        };
        assert_eq!(requests(1000, 2000, 100), 510, "every second write is a block");
        assert_eq!(requests(1000, 2000, 0), 1010, "a disk that is never flushed was asked for small writes");
        assert_eq!(requests(1000, 500, 100), 510, "sectors, with flushes: half of them have data at least");
        assert_eq!(requests(1000, 8000, 100), 1010);
        assert_eq!((requests(0, 0, 5), requests(1, 0, 1)), (10, 11));
    }
}
