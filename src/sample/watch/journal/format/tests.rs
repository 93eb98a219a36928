//! Made-up journal files, compact and not, whole and broken in every way that chance finds. They refuse to take long.

use proptest::prelude::*;

use super::*;

/// A file as journald would lay it out, as far as it is read here.
pub struct Made {
    bytes: Vec<u8>,
    compact: bool,
}

impl Made {
    /// Messages, each a list of `NAME=value`, short and all different.
    pub fn file(compact: bool, messages: &[Vec<String>]) -> Vec<u8> {
        let mut made = Self { bytes: vec![0; 256], compact };
        made.bytes[..8].copy_from_slice(SIGNATURE);
        made.u32(12, if compact { 4 | 8 | COMPACT } else { 4 });
        made.bytes[24..40].copy_from_slice(&[0xab; 16]);
        made.u64(88, 256);
        made.u64(152, messages.len() as u64);
        // Few buckets, so that chains are walked.
        let table = made.object(5, &[0; 16 * 3]);
        made.u64(120, table + 16);
        made.u64(128, 16 * 3);
        let mut fields: BTreeMap<String, u64> = BTreeMap::new();
        let mut datas: BTreeMap<String, u64> = BTreeMap::new();
        let mut entries: Vec<(u64, Vec<u64>)> = Vec::new();
        for message in messages {
            let items: Vec<u64> =
                message.iter().map(|pair| made.intern(pair, table + 16, &mut fields, &mut datas)).collect();
            let mut body = vec![0; 48];
            for item in &items {
                match compact {
                    true => body.extend(u32::try_from(*item).unwrap().to_le_bytes()),
                    false => body.extend([item.to_le_bytes(), [7; 8]].concat()),
                }
            }
            entries.push((made.object(ENTRY, &body), items));
        }
        for data in datas.values() {
            let theirs: Vec<u64> =
                entries.iter().filter(|(_, items)| items.contains(data)).map(|(at, _)| *at).collect();
            made.link(*data, &theirs);
        }
        made.bytes
    }

    fn intern(
        &mut self,
        pair: &str,
        table: u64,
        fields: &mut BTreeMap<String, u64>,
        datas: &mut BTreeMap<String, u64>,
    ) -> u64 {
        if let Some(at) = datas.get(pair) {
            return *at;
        }
        let (name, _) = pair.split_once('=').unwrap();
        let field = match fields.get(name) {
            Some(at) => *at,
            None => {
                let at = self.object(FIELD, &[&[0; 24][..], name.as_bytes()].concat());
                let bucket = table + 16 * (fields.len() as u64 % 3);
                let head = u64_at(&self.bytes, usize::try_from(bucket).unwrap());
                self.u64(at + 24, head);
                self.u64(bucket, at);
                fields.insert(name.to_owned(), at);
                at
            }
        };
        let head = u64_at(&self.bytes, usize::try_from(field + 32).unwrap());
        let fixed = vec![0; if self.compact { 56 } else { 48 }];
        let at = self.object(DATA, &[&fixed[..], pair.as_bytes()].concat());
        self.u64(at + 32, head);
        self.u64(field + 32, at);
        datas.insert(pair.to_owned(), at);
        at
    }

    /// First entry in the object, the others in arrays of 4, 8, 16...
    fn link(&mut self, data: u64, entries: &[u64]) {
        self.u64(data + 56, entries.len() as u64);
        self.u64(data + 40, entries[0]);
        let (mut rest, mut size, mut link) = (&entries[1..], 4, data + 48);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(size));
            let width = if self.compact { 4 } else { 8 };
            let mut body = vec![0; 8 + size * width];
            for (place, entry) in now.iter().enumerate() {
                body[8 + place * width..][..width].copy_from_slice(&entry.to_le_bytes()[..width]);
            }
            let at = self.object(ENTRY_ARRAY, &body);
            self.u64(link, at);
            (rest, size, link) = (later, size * 2, at + 16);
        }
    }

    fn object(&mut self, kind: u8, body: &[u8]) -> u64 {
        let at = self.bytes.len() as u64;
        self.bytes.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
        self.bytes.extend((16 + body.len() as u64).to_le_bytes());
        self.bytes.extend(body);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        at
    }

    fn u64(&mut self, at: u64, value: u64) {
        self.bytes[usize::try_from(at).unwrap()..][..8].copy_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
}

/// Of three units: every seventh message is for debugging, every hundredth critical.
fn messages(count: usize) -> Vec<Vec<String>> {
    let message = |number: usize| {
        let priority = if number % 100 == 99 {
            2
        } else if number.is_multiple_of(7) {
            7
        } else {
            6
        };
        let unit = ["a.service", "b.service", "kubelet.service"][number % 3];
        let mut all = vec![format!("PRIORITY={priority}"), format!("MESSAGE={number}")];
        match number {
            // Of the ten that are critical, one is a daemon's by syslog, one the kernel's; the rest have no facility.
            199 => all.extend(["_TRANSPORT=syslog", "SYSLOG_FACILITY=3"].map(str::to_owned)),
            299 => all.extend(["_TRANSPORT=kernel", "SYSLOG_FACILITY=0"].map(str::to_owned)),
            _ => all.push("_TRANSPORT=journal".to_owned()),
        }
        if number != 299 {
            all.push(format!("_SYSTEMD_UNIT={unit}"));
        }
        if number == 50 {
            all.extend(
                ["MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e", "OBJECT_SYSTEMD_UNIT=noisy.service", "N_DROPPED=8236"]
                    .map(str::to_owned),
            );
        }
        all
    };
    (0..count).map(message).collect()
}

pub fn count(bytes: &[u8]) -> crate::model::watch::JournalFile {
    let read_at = |offset: u64, buffer: &mut [u8]| {
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    };
    super::super::file(&read_at, bytes.len() as u64, "made")
}

fn left_open(bytes: &[u8]) -> bool {
    let read_at = |_: u64, buffer: &mut [u8]| {
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    };
    is_left_open(&read_at, bytes.len() as u64).unwrap()
}

#[test]
fn left_open_is_not_damaged() {
    let mut made = Made::file(true, &messages(30));
    let arena = made.len() as u64 - 256;
    made[96..104].copy_from_slice(&arena.to_le_bytes());
    made[136..144].copy_from_slice(&arena.to_le_bytes());
    assert!(!left_open(&made), "it was closed");
    made[16] = 1;
    assert!(left_open(&made));
    assert!(!left_open(&made[..made.len() - 8]), "cut off");
    for (at, byte) in [(0, 0), (16, 3), (89, 0), (103, 0xff), (136, 1), (142, 9)] {
        let mut damaged = made.clone();
        damaged[at] = byte;
        assert!(!left_open(&damaged), "{at}");
    }
    assert!(!left_open(&[]) && !left_open(&[0; 4096]));
}

#[test]
fn both_forms_are_counted() {
    for compact in [false, true] {
        let counted = count(&Made::file(compact, &messages(1000)));
        assert_eq!((counted.entries, counted.cut, counted.id), (1000, None, "ab".repeat(16)));
        assert_eq!(counted.priorities, [0, 0, 10, 0, 0, 0, 848, 142]);
        let units: Vec<_> = counted.units.iter().map(|(unit, entries)| (unit.as_str(), *entries)).collect();
        // 299 is the third unit's turn.
        assert_eq!(units, [("a.service", 334), ("b.service", 333), ("kernel", 1), ("kubelet.service", 332)]);
        assert_eq!((counted.debug.of, counted.debug.synced, counted.debug.units.len()), (64, 64, 3));
        assert_eq!((counted.critical.of, counted.critical.synced), (10, 9));
        assert_eq!(counted.critical.units.values().sum::<u64>(), 9, "of those that are synced");
        assert_eq!(counted.critical.units["kernel"], 1);
        assert_eq!(counted.notices.suppressed, 1);
        assert_eq!(counted.dropped, [("noisy.service".to_owned(), 8236)]);
    }
}

#[test]
fn units_that_are_not_kept_have_fewer_than_any_that_is() {
    let mut list = Vec::new();
    for unit in 0..200_usize {
        let message = vec!["PRIORITY=6".to_owned(), format!("_SYSTEMD_UNIT=u{unit}.service")];
        list.extend(std::iter::repeat_n(message, unit + 1));
    }
    let counted = count(&Made::file(true, &list));
    assert_eq!((counted.units.len(), counted.floor, counted.units["u199.service"]), (128, 72, 200));
    assert!(counted.units.values().all(|count| *count > counted.floor));
    assert_eq!(count(&Made::file(true, &messages(9))).floor, 0);
}

#[test]
fn what_takes_too_long_is_left() {
    let made = Made::file(true, &messages(100));
    let reads = std::cell::Cell::new(0);
    let read_at = |offset: u64, buffer: &mut [u8]| {
        reads.set(reads.get() + 1);
        if reads.get() > 10 {
            return Err("its disk is slow".to_owned());
        }
        let rest = &made[usize::try_from(offset).unwrap()..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    };
    let counted = super::super::file(&read_at, made.len() as u64, "made");
    assert_eq!(counted.cut.as_deref(), Some("its disk is slow"));
    assert!(reads.get() < 30, "{} reads", reads.get());
}

#[test]
fn the_newest_are_the_newest() {
    let mut list: Vec<_> = (0..500)
        .map(|number| {
            vec!["PRIORITY=7".to_owned(), "_SYSTEMD_UNIT=old.service".to_owned(), format!("MESSAGE={number}")]
        })
        .collect();
    list.extend((0..64).map(|number| {
        vec!["PRIORITY=7".to_owned(), "_SYSTEMD_UNIT=new.service".to_owned(), format!("MESSAGE=n{number}")]
    }));
    for compact in [false, true] {
        let counted = count(&Made::file(compact, &list));
        assert_eq!(counted.debug.units.into_iter().collect::<Vec<_>>(), [("new.service".to_owned(), 64)]);
    }
}

#[test]
fn what_is_no_journal_is_said() {
    for bytes in [&b""[..], b"LPKSHHRH", &[0; 4096]] {
        assert!(count(bytes).cut.is_some());
    }
    let mut unknown = Made::file(false, &messages(3));
    unknown[12] = 0x40;
    assert!(count(&unknown).cut.unwrap().contains("form that is not known"));
    // A chain that bites its tail ends.
    let mut circle = Made::file(false, &messages(3));
    let field = u64_at(&circle, usize::try_from(u64_at(&circle, 120)).unwrap());
    let at = usize::try_from(field + 24).unwrap();
    circle[at..at + 8].copy_from_slice(&field.to_le_bytes());
    assert_eq!(count(&circle).cut.as_deref(), Some("a chain has no end"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Any bytes anywhere, and any length: it ends, and counts something or says why not.
    #[test]
    fn broken_files_are_bounded(compact: bool, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>()), 0..12), keep in any::<prop::sample::Index>(), cut: bool) {
        let mut bytes = Made::file(compact, &messages(120));
        let length = bytes.len();
        for (place, value) in changes {
            let at = place.index(length / 8) * 8;
            let known = value.is_multiple_of(4);
            // Offsets that lead somewhere are worse than chance.
            let value = if known { (value / 4 % length as u64) & !7 } else { value };
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        if cut {
            bytes.truncate(keep.index(length));
        }
        let counted = count(&bytes);
        prop_assert!(counted.units.len() <= 128);
        prop_assert!(counted.debug.of <= 64 && counted.critical.of <= 64);
    }
}
