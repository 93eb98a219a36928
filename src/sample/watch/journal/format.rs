//! The journal's file format, as far as counting needs it: header, fields, data objects and their counts, and which entries have which data. Pure: bytes
//! come from a closure. It refuses offsets outside the file and walks without end: the file may be corrupt, and it grows while it is read.
//!
//! Format: systemd's documentation of the journal file, stable since 2012; the compact form since 252.

use std::collections::BTreeMap;

/// Bytes of a header that every version has, up to the number of data objects.
const HEADER: usize = 208;
const SIGNATURE: &[u8] = b"LPKSHHRH";
const COMPACT: u32 = 16;
/// Objects read in one file; a file of 128 MB with ten thousand units has fewer.
const MOST_READS: u32 = 20_000;
/// Objects of one chain.
const MOST_STEPS: u32 = 10_000;
/// Buckets of the table of fields; journald makes 333.
const MOST_BUCKETS: u64 = 4096;
/// Longest payload of a data object that is read: names of units and ids are shorter.
const MOST_PAYLOAD: usize = 320;
const DATA: u8 = 1;
const FIELD: u8 = 2;
const ENTRY: u8 = 3;
const ENTRY_ARRAY: u8 = 6;
/// Flags of a data object whose payload is compressed.
const COMPRESSED: u8 = 7;

/// State of a file that is written to, or was when its writer ended.
const ONLINE: u8 = 1;

/// Reads bytes at an offset into a buffer; how many there were, or why nobody knows.
pub(super) type ReadAt<'a> = &'a dyn Fn(u64, &mut [u8]) -> Result<usize, String>;

/// Whether a file that journald has set aside is whole as far as its header tells: its writer ended before it closed it, by a kill or a power cut.
pub(super) fn is_left_open(read_at: ReadAt<'_>, len: u64) -> Result<bool, String> {
    let mut header = [0; HEADER];
    let whole = read_at(0, &mut header)? == HEADER && header.starts_with(SIGNATURE) && header[16] == ONLINE;
    let (size, arena, tail) = (u64_at(&header, 88), u64_at(&header, 96), u64_at(&header, 136));
    let end = size.checked_add(arena).filter(|end| *end <= len);
    let sized = u64::try_from(HEADER).is_ok_and(|least| size >= least) && size.is_multiple_of(8);
    Ok(whole && sized && end.is_some_and(|end| tail.is_multiple_of(8) && tail < end))
}

/// A data object: a field's value, and where it occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) offset: u64,
    pub(super) value: Vec<u8>,
    /// Messages that have it.
    pub(super) entries: u64,
    next: u64,
    first: u64,
    arrays: u64,
}

/// A file being read.
pub(super) struct Index<'a> {
    read_at: ReadAt<'a>,
    len: u64,
    compact: bool,
    reads: u32,
    /// Which file it is.
    pub(super) id: String,
    /// Messages in it.
    pub(super) entries: u64,
    fields: BTreeMap<String, u64>,
    /// Why not all of it was read.
    pub(super) cut: Option<String>,
}

impl<'a> Index<'a> {
    /// Reads header and fields.
    pub(super) fn open(read_at: ReadAt<'a>, len: u64) -> Result<Self, String> {
        let mut header = [0; HEADER];
        if read_at(0, &mut header)? != HEADER || !header.starts_with(SIGNATURE) {
            return Err("it is no journal file".to_owned());
        }
        let flags = u32_at(&header, 12);
        // Bits 0 to 4: compressed by XZ and LZ4, keyed hash, ZSTD, compact. Others may change what is read here.
        if flags & !31 != 0 {
            return Err(format!("it has a form that is not known (flags {flags:#x})"));
        }
        let mut index = Self {
            read_at,
            len,
            compact: flags & COMPACT != 0,
            reads: 0,
            id: header[24..40].iter().map(|byte| format!("{byte:02x}")).collect(),
            entries: u64_at(&header, 152),
            fields: BTreeMap::new(),
            cut: None,
        };
        index.read_fields(u64_at(&header, 120), u64_at(&header, 128));
        Ok(index)
    }

    fn stop(&mut self, why: &str) {
        self.cut.get_or_insert_with(|| why.to_owned());
    }

    /// So many bytes of an object of that type; nothing where there is none.
    fn object(&mut self, offset: u64, kind: u8, wanted: usize) -> Option<(Vec<u8>, u64)> {
        if self.reads >= MOST_READS {
            self.stop("it has more objects than are read");
            return None;
        }
        self.reads += 1;
        let fits =
            offset >= 64 && offset.is_multiple_of(8) && offset.checked_add(16).is_some_and(|end| end <= self.len);
        if !fits {
            self.stop("an offset leads out of it");
            return None;
        }
        let mut bytes = vec![0; wanted];
        let count = match (self.read_at)(offset, &mut bytes) {
            Ok(count) => count,
            Err(why) => {
                self.stop(&why);
                return None;
            }
        };
        let size = u64_at(&bytes, 8);
        if count < 16 || bytes[0] != kind || size < 16 || offset.checked_add(size).is_none_or(|end| end > self.len) {
            self.stop("an object is not what it should be");
            return None;
        }
        let there = usize::try_from(size).unwrap_or(usize::MAX).min(count);
        bytes.truncate(there);
        Some((bytes, size))
    }

    fn read_fields(&mut self, table: u64, size: u64) {
        if size / 16 > MOST_BUCKETS {
            self.stop("its table of fields is larger than any");
            return;
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        match (self.read_at)(table, &mut bytes) {
            Ok(there) if there == bytes.len() => {}
            Ok(_) => return self.stop("an offset leads out of it"),
            Err(why) => return self.stop(&why),
        }
        let heads: Vec<u64> =
            bytes.chunks_exact(16).map(|bucket| u64_at(bucket, 0)).filter(|head| *head != 0).collect();
        for head in heads {
            let mut at = head;
            let mut steps = 0;
            while at != 0 && steps < MOST_STEPS {
                steps += 1;
                let Some((bytes, _)) = self.object(at, FIELD, 40 + MOST_PAYLOAD) else { break };
                if bytes.len() < 40 {
                    self.stop("an object is shorter than it must be");
                    break;
                }
                let name = String::from_utf8_lossy(&bytes[40..]).into_owned();
                self.fields.insert(name, u64_at(&bytes, 32));
                at = u64_at(&bytes, 24);
            }
            if steps >= MOST_STEPS {
                self.stop("a chain has no end");
            }
        }
        if self.entries > 0 && self.fields.is_empty() {
            self.stop("it has messages and no fields");
        }
    }

    /// All values of a field.
    pub(super) fn values(&mut self, field: &str) -> Vec<Data> {
        let mut all = Vec::new();
        let mut at = self.fields.get(field).copied().unwrap_or(0);
        let mut steps = 0;
        while at != 0 {
            steps += 1;
            if steps > MOST_STEPS {
                self.stop("a chain has no end");
                break;
            }
            let Some(data) = self.data(at, field.len() + 1) else { break };
            at = data.next;
            all.push(data);
        }
        all
    }

    fn data(&mut self, offset: u64, name: usize) -> Option<Data> {
        let payload = if self.compact { 72 } else { 64 };
        let (bytes, _) = self.object(offset, DATA, payload + MOST_PAYLOAD)?;
        if bytes.len() < payload {
            self.stop("an object is shorter than it must be");
            return None;
        }
        let value = if bytes[1] & COMPRESSED == 0 {
            bytes.get(payload + name..).unwrap_or_default().to_vec()
        } else {
            Vec::new()
        };
        Some(Data {
            offset,
            value,
            entries: u64_at(&bytes, 56),
            next: u64_at(&bytes, 32),
            first: u64_at(&bytes, 40),
            arrays: u64_at(&bytes, 48),
        })
    }

    /// Offsets of the newest entries that have a value, at most so many, the newest last.
    pub(super) fn newest(&mut self, data: &Data, most: usize) -> Vec<u64> {
        let mut found = Vec::new();
        if data.entries > 0 {
            found.push(data.first);
        }
        let mut left = data.entries.saturating_sub(1);
        let mut at = data.arrays;
        let width = if self.compact { 4 } else { 8 };
        let mut steps = 0;
        // Each array is larger than the one before, so there are few; of each only the last items can be the newest.
        while at != 0 && left > 0 && steps < 128 {
            steps += 1;
            let Some((head, size)) = self.object(at, ENTRY_ARRAY, 24) else { break };
            if head.len() < 24 {
                self.stop("an object is shorter than it must be");
                break;
            }
            let used = ((size - 24.min(size)) / width).min(left);
            let wanted = used.min(u64::try_from(most).unwrap_or(u64::MAX));
            let mut items = vec![0; usize::try_from(wanted * width).unwrap_or(0)];
            let from = at + 24 + (used - wanted) * width;
            let there = match (self.read_at)(from, &mut items) {
                Ok(there) => there,
                Err(why) => {
                    self.stop(&why);
                    break;
                }
            };
            let width = usize::try_from(width).unwrap_or(8);
            found.extend(items[..there].chunks_exact(width).map(number).filter(|offset| *offset != 0));
            left -= used;
            at = u64_at(&head, 16);
        }
        found.split_off(found.len().saturating_sub(most))
    }

    /// Offsets of the data objects of an entry.
    pub(super) fn items(&mut self, entry: u64) -> Vec<u64> {
        let Some((bytes, _)) = self.object(entry, ENTRY, 64 + 16 * 64) else { return Vec::new() };
        let width = if self.compact { 4 } else { 16 };
        let items = bytes.get(64..).unwrap_or_default().chunks_exact(width);
        items.map(|item| number(&item[..width.min(8)])).collect()
    }

    /// `NAME=value` of a data object, where it is short and not compressed.
    pub(super) fn pair(&mut self, offset: u64) -> Option<(String, String)> {
        let data = self.data(offset, 0)?;
        let text = String::from_utf8(data.value).ok()?;
        text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|eight| eight.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Of four or eight bytes.
fn number(bytes: &[u8]) -> u64 {
    if bytes.len() >= 8 { u64_at(bytes, 0) } else { u64::from(u32_at(bytes, 0)) }
}

#[cfg(test)]
mod tests;
