//! Kernel records from the text of a log file: raw /dev/kmsg records, `dmesg` in its several forms, and syslog files. It refuses to take a program's
//! line for the kernel's where the line says whose it is.

use crate::model::watch::Record;

/// A record and where it begins in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Line number, from 1.
    pub number: u64,
    /// The record; its sequence number is the line's where the text has none.
    pub record: Record,
}

/// All records of a text, in order. Empty lines are none.
pub fn lines(text: &[u8]) -> impl Iterator<Item = Line> {
    let mut numbered = (1..).zip(text.split(|byte| *byte == b'\n')).peekable();
    std::iter::from_fn(move || {
        let (number, first) = numbered.find(|(_, line)| !line.is_empty())?;
        if !is_raw(first) {
            return Some(Line { number, record: told(number, &String::from_utf8_lossy(first)) });
        }
        // A raw record goes on over the lines of its dictionary.
        let mut raw = first.to_vec();
        while let Some((_, next)) = numbered.next_if(|(_, line)| line.first() == Some(&b' ')) {
            raw.push(b'\n');
            raw.extend_from_slice(next);
        }
        let record = Record::parse(&raw).unwrap_or_else(|| told(number, &String::from_utf8_lossy(first)));
        Some(Line { number, record })
    })
}

/// `digits,digits,digits` and something before a semicolon.
fn is_raw(line: &[u8]) -> bool {
    let Some(end) = line.iter().position(|byte| *byte == b';') else { return false };
    let fields: Vec<&[u8]> = line[..end].split(|byte| *byte == b',').collect();
    let number = |field: &&[u8]| !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    fields.len() >= 3 && fields.iter().take(3).all(number)
}

/// A line as dmesg or a syslog daemon wrote it.
fn told(number: u64, line: &str) -> Record {
    let mut record = Record {
        seq: number,
        level: 6,
        facility: 0,
        at_us: 0,
        text: String::new(),
        subsystem: String::new(),
        device: String::new(),
    };
    let mut rest = line.trim_end_matches('\r');
    // `dmesg -r`: <3>[ 12.3] text
    if let Some((priority, after)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'))
        && let Ok(priority) = priority.parse::<u32>()
    {
        record.level = u8::try_from(priority & 7).unwrap_or(7);
        record.facility = u8::try_from(priority >> 3).unwrap_or(u8::MAX);
        rest = after;
    }
    // `dmesg -x`: kern  :err   : [ 12.3] text
    if let Some((facility, after)) = decoded(rest) {
        record.facility = u8::from(facility != "kern").saturating_mul(3);
        rest = after;
    }
    // A syslog file: time, host, `kernel:`. Another tag is another program's.
    if let Some(after) = after_syslog_time(rest) {
        match after.split_once(' ').map(|(_, said)| said) {
            Some(said) if said.starts_with("kernel: ") => rest = said.trim_start_matches("kernel: "),
            Some(said) if tagged(said) => record.facility = 3,
            _ => rest = after,
        }
    }
    rest = after_brackets(rest, &mut record.at_us);
    record.text = rest.to_owned();
    record
}

/// `facility:level : rest`, as `dmesg -x` pads it.
fn decoded(line: &str) -> Option<(&str, &str)> {
    const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];
    let (facility, rest) = line.split_once(':')?;
    let (level, rest) = rest.split_once(':')?;
    let facility = facility.trim_end();
    let word = !facility.is_empty() && facility.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    (word && LEVELS.contains(&level.trim_end())).then_some((facility, rest.trim_start()))
}

/// `name[pid]: ` or `name: ` at the start.
fn tagged(said: &str) -> bool {
    said.split_once(": ").is_some_and(|(tag, _)| {
        let name = tag.split('[').next().unwrap_or_default();
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./@".contains(&byte))
    })
}

/// What follows `Nov 21 12:00:01 ` or `2026-11-21T12:00:01.5+00:00 `.
fn after_syslog_time(line: &str) -> Option<&str> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    if MONTHS.iter().any(|month| line.starts_with(month)) {
        let rest = line.get(3..)?.trim_start();
        let (day, rest) = rest.split_once(' ')?;
        let (time, rest) = rest.split_once(' ')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        return (digits(day) && time.split(':').count() == 3).then_some(rest);
    }
    let (time, rest) = line.split_once(' ')?;
    let bytes = time.as_bytes();
    let iso = bytes.len() >= 19 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[10] == b'T' && bytes[13] == b':';
    iso.then_some(rest)
}

/// What follows `[   12.345678]`, `[Sat Nov 21 12:00:01 2026]` and the caller `[    T12]`; the first gives the moment.
fn after_brackets<'a>(line: &'a str, at_us: &mut u64) -> &'a str {
    let mut rest = line;
    for _ in 0..2 {
        let Some((inside, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) else { break };
        let inside = inside.trim();
        let moment = inside.split_once('.').and_then(|(seconds, parts)| {
            let micros: u64 = parts.parse().ok().filter(|_| parts.len() == 6)?;
            Some(seconds.parse::<u64>().ok()?.saturating_mul(1_000_000).saturating_add(micros))
        });
        let dated = inside.len() >= 20 && inside.matches(':').count() == 2;
        let caller = inside
            .strip_prefix(['T', 'C'])
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(moment) = moment {
            *at_us = moment;
        } else if !dated && !caller {
            break;
        }
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_gives_the_kernels_words() {
        let words = "XFS (sda1): log I/O error -5";
        for line in [
            "3,77,12345678,-;XFS (sda1): log I/O error -5\n SUBSYSTEM=block",
            "XFS (sda1): log I/O error -5",
            "[   12.345678] XFS (sda1): log I/O error -5",
            "[   12.345678] [    T12] XFS (sda1): log I/O error -5",
            "[Sat Nov 21 12:00:01 2026] XFS (sda1): log I/O error -5",
            "<3>[   12.345678] XFS (sda1): log I/O error -5",
            "kern  :err   : [   12.345678] XFS (sda1): log I/O error -5",
            "Nov  1 12:00:01 node-1 kernel: [   12.345678] XFS (sda1): log I/O error -5",
            "Nov 21 12:00:01 node-1 kernel: XFS (sda1): log I/O error -5",
            "2026-11-21T12:00:01.123456+00:00 node-1 kernel: [   12.345678] XFS (sda1): log I/O error -5",
            "2026-11-21T12:00:01,123456+00:00 XFS (sda1): log I/O error -5\r",
        ] {
            let found: Vec<_> = lines(line.as_bytes()).collect();
            assert_eq!(found.len(), 1, "{line}");
            assert_eq!((found[0].record.text.as_str(), found[0].record.facility), (words, 0), "{line}");
            if line.contains("12.345678") || line.contains("12345678") {
                assert_eq!(found[0].record.at_us, 12_345_678, "{line}");
            }
        }
    }

    #[test]
    fn what_programs_say_is_not_the_kernels() {
        for line in [
            "30,77,12345678,-;XFS (sda1): log I/O error -5",
            "<14>[   12.345678] XFS (sda1): log I/O error -5",
            "user  :notice: [   12.345678] XFS (sda1): log I/O error -5",
            "Nov 21 12:00:01 node-1 logger[12]: XFS (sda1): log I/O error -5",
            "2026-11-21T12:00:01.123456+00:00 node-1 logger: XFS (sda1): log I/O error -5",
        ] {
            assert!(lines(line.as_bytes()).all(|line| line.record.facility != 0), "{line}");
        }
    }

    #[test]
    fn numbers_count_lines_and_dictionaries_belong_to_their_record() {
        let text = b"\n3,1,2,-;a\n SUBSYSTEM=scsi\n DEVICE=b8:0\n4,2,3,-;b\nplain\n\n";
        let found: Vec<_> = lines(text).map(|line| (line.number, line.record.text, line.record.device)).collect();
        let expected = [(2, "a", "b8:0"), (5, "b", ""), (6, "plain", "")];
        assert_eq!(found, expected.map(|(number, text, device)| (number, text.to_owned(), device.to_owned())));
    }
}
