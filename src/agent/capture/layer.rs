//! From answers at the door to layers of files: the first turn makes the base, each later one writes what has changed. It refuses to write the
//! same bytes twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::redact;
use crate::host::{Answered, HostError, HostResult, Recording, SMART_PAGE};
use crate::model::KubeletVersion;
use crate::model::time::Now;
use crate::model::watch::{Answer, KernelLog};

const BASE: &str = "root";
const NOTES: &str = "/.recorded";

/// What is recorded of a path so far.
#[derive(Debug, Clone, PartialEq)]
enum Known {
    File(Vec<u8>),
    Directory,
    /// Named in a listing, and nothing more.
    Named,
    Refused(i32),
}

/// The recording as it grows.
#[derive(Debug)]
pub(super) struct Layers<'a> {
    recording: &'a Recording,
    known: BTreeMap<PathBuf, Known>,
    places: BTreeMap<String, Value>,
    pages: BTreeMap<PathBuf, Vec<u8>>,
    early: Vec<(PathBuf, Answered)>,
    files: usize,
}

/// One turn's changes.
#[derive(Debug, Default)]
struct Changes {
    gone: BTreeSet<PathBuf>,
    refused: BTreeMap<PathBuf, i32>,
    places: BTreeMap<String, Value>,
    names: BTreeMap<PathBuf, bool>,
}

impl<'a> Layers<'a> {
    pub(super) fn new(recording: &'a Recording) -> Self {
        Self {
            recording,
            known: BTreeMap::new(),
            places: BTreeMap::new(),
            pages: BTreeMap::new(),
            early: Vec::new(),
            files: 0,
        }
    }

    /// How many files were written.
    pub(super) fn files(&self) -> usize {
        self.files
    }

    /// Something that is not read through the door's files could not be opened.
    pub(super) fn refused(&mut self, path: &Path, error: &HostError) {
        let answer = error.errno().map(|errno| Answered::Refused(errno as i32));
        self.early.extend(answer.map(|answer| (path.to_owned(), answer)));
    }

    /// New records of the kernel's log; a turn without any writes no file.
    pub(super) fn kernel_log(&mut self, log: &KernelLog) {
        if log.records.is_empty() {
            return;
        }
        let text: String = log.records.iter().map(|record| redact::record(record).raw()).collect();
        self.early.push((PathBuf::from("/dev/kmsg"), Answered::File(text.into_bytes())));
    }

    /// The version that a program told, as an image would bake it.
    pub(super) fn kubelet_version(&mut self, version: &KubeletVersion) -> HostResult<()> {
        let path = Path::new("/etc/node-steward/kubelet-version");
        if self.known.contains_key(path) {
            return Ok(());
        }
        self.write(BASE, path, format!("{version}\n").as_bytes())
    }

    /// Writes a turn.
    pub(super) fn turn(&mut self, turn: u32, now: &Now, answers: Vec<(PathBuf, Answered)>) -> HostResult<()> {
        let place = format!("turns/{turn:03}");
        let layer = if turn == 0 { BASE.to_owned() } else { format!("{place}/root") };
        let mut changes = Changes::default();
        let early = std::mem::take(&mut self.early);
        for (path, answer) in early.into_iter().chain(answers) {
            self.take(&layer, path, answer, &mut changes)?;
        }
        self.names(&layer, &changes)?;
        self.notes(&layer, changes)?;
        let now = serde_json::to_vec(now).unwrap_or_default();
        self.write(&place, Path::new("/now"), &now)
    }

    fn take(&mut self, layer: &str, path: PathBuf, answer: Answered, changes: &mut Changes) -> HostResult<()> {
        match answer {
            Answered::File(bytes) => {
                let Some(bytes) = redact::file(&path, bytes) else { return Ok(()) };
                changes.refused.remove(&path);
                if self.known.get(&path).is_none_or(|known| *known != Known::File(bytes.clone())) {
                    self.write(layer, &path, &bytes)?;
                    self.known.insert(path, Known::File(bytes));
                }
            }
            Answered::Names(entries) => {
                self.vanished(&path, |name| entries.iter().any(|entry| entry.name == name), changes);
                changes.names.insert(path.clone(), true);
                changes.names.extend(entries.into_iter().map(|entry| (path.join(&entry.name), entry.is_dir)));
            }
            Answered::There { is_dir } => {
                changes.names.entry(path).or_insert(is_dir);
            }
            Answered::Missing => {
                if self.forget(&path) {
                    changes.gone.insert(path);
                }
            }
            Answered::Refused(errno) => {
                if self.known.insert(path.clone(), Known::Refused(errno)) != Some(Known::Refused(errno)) {
                    changes.refused.insert(path, errno);
                }
            }
            Answered::Looked(answer) => {
                let name = path.display().to_string();
                if let Some(value) = place(&answer).filter(|value| self.places.get(&name) != Some(value)) {
                    self.places.insert(name.clone(), value.clone());
                    changes.places.insert(name, value);
                }
            }
            Answered::Page { id, bytes } => {
                let name = if id == SMART_PAGE { "smart.bin".to_owned() } else { format!("{id:02x}.bin") };
                let path = path.join(name);
                if self.pages.get(&path) != Some(&bytes) {
                    self.write(layer, &path, &bytes)?;
                    self.pages.insert(path, bytes);
                }
            }
        }
        Ok(())
    }

    /// What a listing had and has no more.
    fn vanished(&mut self, dir: &Path, is_there: impl Fn(&str) -> bool, changes: &mut Changes) {
        let beneath = self.known.range(dir.to_owned()..).take_while(|(path, _)| path.starts_with(dir));
        let children: BTreeSet<PathBuf> = beneath
            .filter_map(|(path, _)| path.strip_prefix(dir).ok()?.components().next())
            .map(|name| dir.join(name))
            .filter(|child| !child.file_name().is_some_and(|name| is_there(&name.to_string_lossy())))
            .collect();
        for child in children {
            if self.forget(&child) {
                changes.gone.insert(child);
            }
        }
    }

    /// Forgets a path and all beneath it; whether there was anything to read.
    fn forget(&mut self, path: &Path) -> bool {
        let theirs: Vec<PathBuf> =
            self.known.range(path.to_owned()..).map(|(p, _)| p).take_while(|p| p.starts_with(path)).cloned().collect();
        theirs.iter().filter(|path| self.known.remove(*path).is_some()).count() > 0
    }

    /// Names without content: directories, and files that were never read.
    fn names(&mut self, layer: &str, changes: &Changes) -> HostResult<()> {
        for (path, is_dir) in &changes.names {
            let filled = self.known.range(path.clone()..).next().is_some_and(|(known, _)| known.starts_with(path));
            // Whatever else /proc has is nothing that is read.
            let unread = path.parent() == Some(Path::new("/proc")) && Self::is_no_process(path);
            if filled || unread {
                continue;
            }
            if *is_dir {
                self.recording.directory(layer, path)?;
                self.known.insert(path.clone(), Known::Directory);
                if path.starts_with("/var") {
                    // Directories of pods are names alone, and version control keeps no empty ones.
                    self.write(layer, &path.join(".keep"), b"")?;
                }
            } else {
                self.write(layer, path, b"")?;
                self.known.insert(path.clone(), Known::Named);
            }
        }
        Ok(())
    }

    fn is_no_process(path: &Path) -> bool {
        path.file_name().is_none_or(|name| name.to_string_lossy().parse::<u32>().is_err())
    }

    fn notes(&mut self, layer: &str, changes: Changes) -> HostResult<()> {
        let notes = Path::new(NOTES);
        if !changes.gone.is_empty() {
            let lines: String = changes.gone.iter().map(|path| format!("{}\n", path.display())).collect();
            self.write(layer, &notes.join("gone"), lines.as_bytes())?;
        }
        if !changes.refused.is_empty() {
            let refused =
                json!(changes.refused.iter().map(|(p, e)| (p.display().to_string(), *e)).collect::<BTreeMap<_, _>>());
            self.write(layer, &notes.join("errno.json"), refused.to_string().as_bytes())?;
        }
        if !changes.places.is_empty() {
            let text = serde_json::to_string_pretty(&changes.places).unwrap_or_default();
            self.write(layer, &notes.join("statvfs.json"), text.as_bytes())?;
        }
        Ok(())
    }

    fn write(&mut self, layer: &str, path: &Path, bytes: &[u8]) -> HostResult<()> {
        self.files += 1;
        self.recording.file(layer, path, bytes)
    }
}

/// As `.recorded/statvfs.json` has it; nothing for what was not answered.
fn place(answer: &Answer) -> Option<Value> {
    const ENOENT: i32 = 2;
    Some(match answer {
        Answer::Looked { dev, space } => json!({
            "dev": dev, "totalBytes": space.total_bytes, "availableBytes": space.available_bytes,
            "inodes": space.inodes, "inodesFree": space.inodes_free, "readOnly": space.read_only,
        }),
        Answer::Missing => json!({"errno": ENOENT}),
        Answer::Refused { errno, .. } => json!({"errno": errno}),
        Answer::Stuck { for_ms } => json!({"stuckMs": for_ms}),
        Answer::NotAsked { .. } => return None,
    })
}
