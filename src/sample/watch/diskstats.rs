//! /proc/diskstats: what the block devices have done (Documentation/admin-guide/iostats.rst). It refuses a table with a line that it cannot read.

use super::raw::bad_line;
use crate::model::watch::DiskCounters;

pub(super) const PATH: &str = "/proc/diskstats";

/// Fields after the name before kernel 4.18; discards came then, flushes with 5.5.
const LEAST_FIELDS: usize = 11;

/// Parses over the old table, whose names mostly stay.
pub(super) fn parse(text: &str, table: &mut Vec<DiskCounters>) -> Result<(), String> {
    let mut lines = 0;
    for (index, line) in text.lines().enumerate() {
        let bad = || bad_line(index, line, "two numbers, a name and 11, 15 or 17 counters");
        let mut fields = line.split_ascii_whitespace();
        let numbered = fields
            .next()
            .zip(fields.next())
            .is_some_and(|(major, minor)| major.parse::<u32>().is_ok() && minor.parse::<u32>().is_ok());
        let name = fields.next().filter(|_| numbered).ok_or_else(bad)?;
        let mut counters = [0u64; 17];
        let mut count = 0;
        for (field, counter) in fields.zip(&mut counters) {
            *counter = field.parse().map_err(|_| bad())?;
            count += 1;
        }
        if count < LEAST_FIELDS {
            return Err(bad());
        }
        if table.len() == lines {
            table.push(DiskCounters::default());
        }
        let entry = &mut table[lines];
        if entry.name != name {
            entry.name = name.to_owned();
        }
        fill(entry, &counters);
        lines += 1;
    }
    table.truncate(lines);
    Ok(())
}

fn fill(entry: &mut DiskCounters, counters: &[u64; 17]) {
    // Times are the kernel's unsigned int: they wrap, and a wider one would be cut the same way.
    let ms = |index: usize| u32::try_from(counters[index] & u64::from(u32::MAX)).unwrap_or(0);
    entry.reads = counters[0];
    entry.sectors_read = counters[2];
    entry.read_ms = ms(3);
    entry.writes = counters[4];
    entry.sectors_written = counters[6];
    entry.write_ms = ms(7);
    entry.in_flight = counters[8];
    entry.busy_ms = ms(9);
    entry.discards = counters[11];
    entry.discard_ms = ms(14);
    entry.flushes = counters[15];
    entry.flush_ms = ms(16);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = " 259       0 nvme0n1 58211 1204 3661986 41234 910284 512011 41239992 1892011 2 933112 1990311 11 12 13 14 70211 57066\n   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn every_kernels_columns() {
        let mut table = Vec::new();
        parse(NEW, &mut table).unwrap();
        let disk = &table[0];
        assert_eq!(
            (disk.name.as_str(), disk.reads, disk.sectors_read, disk.read_ms),
            ("nvme0n1", 58211, 3_661_986, 41234)
        );
        assert_eq!((disk.writes, disk.sectors_written, disk.write_ms), (910_284, 41_239_992, 1_892_011));
        assert_eq!((disk.in_flight, disk.busy_ms), (2, 933_112));
        assert_eq!((disk.discards, disk.discard_ms, disk.flushes, disk.flush_ms), (11, 14, 70211, 57066));
        // A table that became shorter, of a kernel before 4.18, with a time past 32 bits.
        parse("8 0 sda 1 2 3 4 5 6 7 4294967298 9 10 11\n", &mut table).unwrap();
        assert_eq!(table.len(), 1);
        assert_eq!((table[0].name.as_str(), table[0].write_ms, table[0].flushes, table[0].discards), ("sda", 2, 0, 0));
    }

    #[test]
    fn a_bad_line_is_named() {
        for text in [
            "8 0 sda 1 2 3",
            "8 0 sda 1 2 3 4 5 6 7 8 9 10 x",
            "sda",
            "8 0",
            "\u{0}\u{1}",
            " ",
            "-1 0 sda 1 2 3 4 5 6 7 8 9 10 11",
        ] {
            let why = parse(&format!("7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n{text}\n"), &mut Vec::new()).unwrap_err();
            assert!(why.starts_with("line 2 is "), "{text:?}: {why}");
        }
        for end in 0..NEW.len() {
            let _ = parse(&NEW[..end], &mut Vec::new());
        }
    }
}
