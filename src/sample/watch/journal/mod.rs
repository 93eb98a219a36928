//! The journal's files: counts by unit and priority from their own index, the room that they take, and those that were found damaged. Files on a disk:
//! only a probe child, or a recording's note, answers. It refuses to read a message, and to go on for long on a slow disk.

mod format;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::host::{Host, HostError, Pages, clock};
use crate::model::Reading;
use crate::model::time::Mono;
use crate::model::watch::{Journal, JournalFile, Newest};
use format::{Data, Index};

const STORES: [(&str, bool); 2] = [("/var/log/journal", true), ("/run/log/journal", false)];
/// Units whose counts are kept, those with most messages.
const MOST_UNITS: usize = 128;
/// Newest messages of a kind that are asked whose they are.
const MOST_NEWEST: usize = 64;
/// Newest notices that are read.
const MOST_NOTICES: usize = 4;
/// Files that are written to: the system's and those of users.
const MOST_FILES: usize = 16;
/// Indexes are walked for so long: where a probe takes much more, its disk counts as one that hangs.
const LONGEST_MS: u64 = 2000;
/// What the kernel's messages count as, which have no unit.
const KERNEL: &str = "kernel";

const STARTED: &[u8] = b"f77379a8490b408bbe5f6940505a777b";
const SUPPRESSED: &[u8] = b"a596d6fe7bfa4994828e72309e95d61e";
const MISSED_KERNEL: &[u8] = b"e9bf28e6e834481bb6f48f548ad13606";
const MISSED_FORWARD: &[u8] = b"0027229ca0644181a76c4e92458afa2e";
const UNIT_FAILED: &[u8] = b"d9b373ed55a64feb8242e02dbe79a49c";

/// Looks at all of it.
pub(super) fn read(host: &Host) -> Reading<Journal> {
    let live = || live(host).map(|journal| journal.map(|journal| serde_json::to_string(&journal).unwrap_or_default()));
    match host.noted("/journal", live) {
        Ok(Some(text)) => match serde_json::from_str(&text) {
            Ok(journal) => Reading::fresh(journal, "the journal's files"),
            Err(error) => Reading::failed(error.to_string()),
        },
        Ok(None) => Reading::absent("there is no journal in /var/log/journal or /run/log/journal"),
        Err(error) => Reading::failed(error.to_string()),
    }
}

fn live(host: &Host) -> Result<Option<Journal>, HostError> {
    let until = clock::monotonic().plus_ms(LONGEST_MS);
    let this = host.read_text(Path::new("/etc/machine-id"))?.filter(|id| is_id(id)).unwrap_or_default();
    let mut journal = Journal::default();
    let mut found = false;
    for (store, persistent) in STORES {
        for machine in host.list(Path::new(store))?.unwrap_or_default().into_iter().filter(|entry| entry.is_dir) {
            let dir = format!("{store}/{}", machine.name);
            for entry in host.list(Path::new(&dir))?.unwrap_or_default() {
                let path = format!("{dir}/{}", entry.name);
                let (kept, aside) = (entry.name.ends_with(".journal"), entry.name.ends_with(".journal~"));
                if !kept && !aside {
                    continue;
                }
                let Some(pages) = host.pages(Path::new(&path))? else { continue };
                let read_at = |offset: u64, buffer: &mut [u8]| read_before(until, &pages, offset, buffer);
                found = true;
                journal.disk_bytes = journal.disk_bytes.saturating_add(pages.disk_bytes);
                journal.count += 1;
                journal.persistent |= persistent;
                // Where its header cannot be read, nobody knows why it was set aside.
                if aside && format::is_left_open(&read_at, pages.len) == Ok(false) {
                    journal.set_aside_wall_ms.extend(set_aside(&entry.name));
                }
                let written = kept && !entry.name.contains('@') && is_own(&machine.name, &this);
                if written && journal.files.len() < MOST_FILES {
                    journal.files.push(file(&read_at, pages.len, &path));
                }
            }
        }
    }
    Ok(found.then_some(journal))
}

fn read_before(until: Mono, pages: &Pages, offset: u64, buffer: &mut [u8]) -> Result<usize, String> {
    if clock::monotonic() > until {
        return Err(format!("its disk is slow: its index was not read within {LONGEST_MS} ms"));
    }
    pages.read_at(offset, buffer).map_err(|errno| errno.to_string())
}

/// A directory of this machine's id, with the name of a namespace or without. Others hold what other machines wrote: `remote`, or the one that an image
/// was made on. Where this machine has no id, any is taken for its own.
fn is_own(dir: &str, this: &str) -> bool {
    let id = dir.split('.').next().unwrap_or_default();
    is_id(id) && (this.is_empty() || id == this)
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `system@REALTIME-RANDOM.journal~`: when it was set aside, in us, 16 hexadecimal digits.
fn set_aside(name: &str) -> Option<i64> {
    let (_, rest) = name.split_once('@')?;
    let micros = u64::from_str_radix(rest.split('-').next()?, 16).ok()?;
    i64::try_from(micros / 1000).ok()
}

/// One file that is written to.
fn file(read_at: format::ReadAt<'_>, len: u64, path: &str) -> JournalFile {
    let mut counted = JournalFile { path: path.to_owned(), ..JournalFile::default() };
    let mut index = match Index::open(read_at, len) {
        Ok(index) => index,
        Err(why) => {
            counted.cut = Some(why);
            return counted;
        }
    };
    (counted.id, counted.entries) = (index.id.clone(), index.entries);
    let mut units = index.values("_SYSTEMD_UNIT");
    // Two values of _TRANSPORT never stand in one message, nor does the kernel's beside a unit.
    units.extend(index.values("_TRANSPORT").into_iter().filter(|data| data.value == KERNEL.as_bytes()));
    let by_offset = units.iter().map(|unit| (unit.offset, String::from_utf8_lossy(&unit.value).into_owned()));
    let facilities = index.values("SYSLOG_FACILITY").into_iter().filter(|data| data.value != b"0");
    let known = Known { names: by_offset.collect(), facilities: facilities.map(|data| data.offset).collect() };
    let mut critical = Vec::new();
    for data in index.values("PRIORITY") {
        let [digit @ b'0'..=b'7'] = data.value[..] else { continue };
        let place = usize::from(digit - b'0');
        counted.priorities[place] = counted.priorities[place].saturating_add(data.entries);
        match place {
            0..=2 => critical.extend(index.newest(&data, MOST_NEWEST)),
            7 => {
                let newest = index.newest(&data, MOST_NEWEST);
                counted.debug = known.whose(&mut index, &newest, false);
            }
            _ => {}
        }
    }
    // Entries are appended: the newest lie furthest back.
    critical.sort_unstable();
    let newest = critical.split_off(critical.len().saturating_sub(MOST_NEWEST));
    counted.critical = known.whose(&mut index, &newest, true);
    for data in index.values("MESSAGE_ID") {
        let notices = &mut counted.notices;
        match &data.value[..] {
            STARTED => notices.started = data.entries,
            SUPPRESSED => {
                notices.suppressed = data.entries;
                let pairs = notes(&mut index, &data, ["OBJECT_SYSTEMD_UNIT", "N_DROPPED"]);
                let pairs = pairs.into_iter().map(|[unit, count]| (unit, count.parse().unwrap_or(0)));
                counted.dropped.extend(pairs);
            }
            MISSED_KERNEL => notices.missed_kernel = data.entries,
            MISSED_FORWARD => notices.missed_forward = data.entries,
            UNIT_FAILED => {
                notices.failed = data.entries;
                let pairs = notes(&mut index, &data, ["UNIT", "UNIT_RESULT"]);
                counted.failed.extend(pairs.into_iter().map(|[unit, result]| (unit, result)));
            }
            _ => {}
        }
    }
    units.sort_unstable_by(|one, other| (other.entries, &one.value).cmp(&(one.entries, &other.value)));
    counted.floor = units.get(MOST_UNITS).map_or(0, |unit| unit.entries);
    let most = units.iter().take(MOST_UNITS);
    counted.units = most.filter_map(|unit| Some((known.names.get(&unit.offset)?.clone(), unit.entries))).collect();
    counted.cut = index.cut;
    counted
}

/// Data objects by their offsets, to tell whose an entry is without reading its fields.
struct Known {
    names: BTreeMap<u64, String>,
    /// Of the facilities that are not the kernel's.
    facilities: BTreeSet<u64>,
}

impl Known {
    /// Whose messages these are; all of them, or those alone that are synced.
    fn whose(&self, index: &mut Index<'_>, entries: &[u64], synced_only: bool) -> Newest {
        let mut newest = Newest::default();
        for entry in entries {
            let items = index.items(*entry);
            if items.is_empty() {
                continue;
            }
            newest.of += 1;
            let synced = !items.iter().any(|item| self.facilities.contains(item));
            newest.synced += u64::from(synced);
            if synced || !synced_only {
                let unit = items.iter().find_map(|item| self.names.get(item)).cloned().unwrap_or_default();
                *newest.units.entry(unit).or_default() += 1;
            }
        }
        newest
    }
}

/// Two fields of the newest entries that have a value, the newest last.
fn notes(index: &mut Index<'_>, data: &Data, wanted: [&str; 2]) -> Vec<[String; 2]> {
    let entries = index.newest(data, MOST_NOTICES);
    let mut all = Vec::new();
    for entry in entries {
        let mut found = [String::new(), String::new()];
        for item in index.items(entry) {
            let Some((name, value)) = index.pair(item) else { continue };
            if let Some(place) = wanted.iter().position(|one| *one == name) {
                found[place] = value;
            }
        }
        all.push(found);
    }
    all
}

/// Counts one file, for whoever compares them with journalctl's.
pub fn count(host: &Host, path: &Path) -> Result<JournalFile, HostError> {
    let Some(pages) = host.pages(path)? else { return Ok(JournalFile::default()) };
    let until = clock::monotonic().plus_ms(LONGEST_MS);
    let read_at = |offset: u64, buffer: &mut [u8]| read_before(until, &pages, offset, buffer);
    Ok(file(&read_at, pages.len, &path.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_and_directories() {
        let name = "system@0006012f8a3c4d5e-9f8e7d6c5b4a3928.journal~";
        assert_eq!(set_aside(name), Some(0x0006_012f_8a3c_4d5e / 1000));
        for other in ["system.journal~", "system@.journal~", "system@x-y.journal~", "system@ffffffffffffffff1-2"] {
            assert_eq!(set_aside(other), None, "{other}");
        }
        let id = "0123456789abcdef0123456789abcdef";
        assert!(is_own(id, id) && is_own(&format!("{id}.tenant"), id) && is_own(id, ""));
        for other in ["remote", "", &id[1..], "1123456789abcdef0123456789abcdef"] {
            assert!(!is_own(other, id), "{other}");
        }
    }
}
