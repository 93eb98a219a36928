//! Records of the kernel's log, as /dev/kmsg gives them: `pri,seq,us,flags;text`, then lines of a dictionary. Format: the kernel's
//! Documentation/ABI/testing/dev-kmsg. It refuses a record without its head.

use serde::{Deserialize, Serialize};

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Sequence number: records are never seen twice in a boot.
    pub seq: u64,
    /// Level, 0 (emergency) to 7 (debug).
    pub level: u8,
    /// Facility; 0 is the kernel, anything else was written by a program.
    pub facility: u8,
    /// Microseconds of CLOCK_MONOTONIC.
    pub at_us: u64,
    /// The text, unescaped, without the trailing dictionary.
    pub text: String,
    /// `SUBSYSTEM` of the dictionary; empty where there is none.
    pub subsystem: String,
    /// `DEVICE` of the dictionary, such as `+scsi:0:0:0:0` or `b8:0`; empty where there is none.
    pub device: String,
}

/// What is new in the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KernelLog {
    /// New records, in order.
    pub records: Vec<Record>,
    /// Records that were overwritten before they could be read, since the last turn.
    pub lost: u64,
    /// Why there is no kernel log.
    pub unreadable: Option<String>,
}

impl Record {
    /// The record as the kernel gives it, with a line end.
    pub fn raw(&self) -> String {
        let priority = (u32::from(self.facility) << 3) | u32::from(self.level);
        let mut raw = format!("{priority},{},{},-;{}\n", self.seq, self.at_us, escape(&self.text));
        for (key, value) in [("SUBSYSTEM", &self.subsystem), ("DEVICE", &self.device)] {
            if !value.is_empty() {
                raw += &format!(" {key}={}\n", escape(value));
            }
        }
        raw
    }

    /// Reads one raw record; nothing where it has no head. A dictionary line starts with a space, and what is not printable is `\xNN`.
    pub fn parse(raw: &[u8]) -> Option<Self> {
        let (head, rest) = split(raw, b';')?;
        let mut fields = std::str::from_utf8(head).ok()?.split(',');
        let priority: u32 = fields.next()?.parse().ok()?;
        let seq = fields.next()?.parse().ok()?;
        let at_us = fields.next()?.parse().ok()?;
        let mut lines = rest.split(|byte| *byte == b'\n');
        let text = unescape(lines.next().unwrap_or_default());
        let mut record = Self {
            seq,
            level: u8::try_from(priority & 7).unwrap_or(7),
            facility: u8::try_from(priority >> 3).unwrap_or(u8::MAX),
            at_us,
            text,
            subsystem: String::new(),
            device: String::new(),
        };
        for line in lines {
            let Some((key, value)) = line.strip_prefix(b" ").and_then(|line| split(line, b'=')) else { continue };
            match key {
                b"SUBSYSTEM" => record.subsystem = unescape(value),
                b"DEVICE" => record.device = unescape(value),
                _ => {}
            }
        }
        Some(record)
    }
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..place], &bytes[place + 1..]))
}

/// As the kernel writes what is not printable, and the backslash itself.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'\\' => escaped.push(char::from(byte)),
            other => escaped += &format!("\\x{other:02x}"),
        }
    }
    escaped
}

fn unescape(bytes: &[u8]) -> String {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let code = after.strip_prefix(b"x").and_then(|after| {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            // `+5` is a number to from_str_radix, and no escape.
            if digits.starts_with('+') { None } else { u8::from_str_radix(digits, 16).ok() }
        });
        match (first, code) {
            (b'\\', Some(code)) => {
                plain.push(code);
                rest = &after[3..];
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_its_dictionary() {
        let raw = b"3,480387,166455642,-,caller=T12;critical \\x5c medium\\x0a  error; dev sda\n SUBSYSTEM=scsi\n DEVICE=+scsi:0:0:0:0\n";
        let record = Record::parse(raw).unwrap();
        assert_eq!((record.seq, record.level, record.facility, record.at_us), (480_387, 3, 0, 166_455_642));
        assert_eq!(record.text, "critical \\ medium\n  error; dev sda");
        assert_eq!((record.subsystem.as_str(), record.device.as_str()), ("scsi", "+scsi:0:0:0:0"));
    }

    #[test]
    fn programs_are_told_from_the_kernel() {
        let record = Record::parse(b"30,7,8,-;systemd[1]: \\xffhello \\x+1 \\x4").unwrap();
        assert_eq!((record.level, record.facility), (6, 3));
        assert_eq!(record.text, "systemd[1]: \u{fffd}hello \\x+1 \\x4");
        // Facility 128 and more fits no byte, and is still not the kernel's.
        assert_eq!(Record::parse(b"4096,7,8,-;x").unwrap().facility, u8::MAX);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for raw in [&b""[..], b"6,1,2,-", b"x,1,2,-;t", b"6,1;t", b"-1,1,2,-;t", b"6,1,2;"] {
            let parsed = Record::parse(raw);
            // The flags may be missing; text may be empty.
            assert_eq!(parsed.is_some(), raw == b"6,1,2;", "{raw:?}");
        }
    }
}
