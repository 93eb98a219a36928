//! Reading files, listing directories and looking at what is there. It refuses pipes and devices, and more bytes than the caller allows.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{self, SFlag};
use nix::unistd;

use super::error::{HostError, HostResult, Reason};
use super::root::Host;
use super::tape::Answered;

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name alone.
    pub name: String,
    /// Whether it is a directory itself (not a link to one).
    pub is_dir: bool,
}

/// What a file is, apart from its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// The device number of the file system that it lies on.
    pub device: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
}

impl Host {
    /// The whole file, or nothing where there is none. At most `limit` bytes.
    pub fn read(&self, path: &Path, limit: u64) -> HostResult<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        Ok(self.read_into(path, limit, &mut bytes)?.then_some(bytes))
    }

    /// The same into a buffer that is used again and again; false where there is no file, and the buffer is empty then.
    pub fn read_into(&self, path: &Path, limit: u64, bytes: &mut Vec<u8>) -> HostResult<bool> {
        let came = self.read_untaped(path, limit, bytes);
        self.taped(path, || Answered::of_file(&came, bytes));
        came
    }

    fn read_untaped(&self, path: &Path, limit: u64, bytes: &mut Vec<u8>) -> HostResult<bool> {
        bytes.clear();
        let failed = |reason| HostError { act: "read", path: path.to_owned(), reason };
        // Non-blocking, so that a pipe at the place of a file is refused instead of waited for.
        let file = match self.open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            Ok(file) => file,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(false),
            Err(errno) => return Err(failed(Reason::System(errno))),
        };
        read_to_end(&file, limit, bytes).map_err(failed)?;
        Ok(true)
    }

    /// The file as text without surrounding white space. Small kernel files only: at most 64 KiB.
    pub fn read_text(&self, path: &Path) -> HostResult<Option<String>> {
        let bytes = self.read(path, 64 << 10)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
    }

    /// What every layer of a recording has at `path`, the topmost first.
    pub(super) fn read_layers(&self, path: &Path) -> HostResult<Vec<Vec<u8>>> {
        let failed = |errno| HostError { act: "read", path: path.to_owned(), reason: Reason::System(errno) };
        let files = self.open_all(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK).map_err(failed)?;
        let read_all = |file: OwnedFd| {
            let mut bytes = Vec::new();
            read_to_end(&file, 16 << 20, &mut bytes).map_err(|reason| HostError {
                act: "read",
                path: path.to_owned(),
                reason,
            })?;
            Ok(bytes)
        };
        files.into_iter().map(|(_, file)| read_all(file)).collect()
    }

    /// The names in a directory, sorted; nothing where there is no such directory.
    pub fn list(&self, path: &Path) -> HostResult<Option<Vec<Entry>>> {
        let listed = self.list_untaped(path);
        self.taped(path, || match &listed {
            Ok(Some(entries)) => Some(Answered::Names(entries.clone())),
            Ok(None) => Some(Answered::Missing),
            Err(error) => error.errno().map(|errno| Answered::Refused(errno as i32)),
        });
        listed
    }

    fn list_untaped(&self, path: &Path) -> HostResult<Option<Vec<Entry>>> {
        let failed = |errno| HostError { act: "list", path: path.to_owned(), reason: Reason::System(errno) };
        let dirs = match self.open_all(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Ok(dirs) if dirs.is_empty() => return Ok(None),
            Ok(dirs) => dirs,
            Err(errno) => return Err(failed(errno)),
        };
        let mut entries = Vec::new();
        for (depth, dir) in dirs {
            for entry in Dir::from_fd(dir).map_err(failed)?.iter() {
                let entry = entry.map_err(failed)?;
                let name = entry.file_name().to_string_lossy();
                let unseen = name != "." && name != "..";
                if unseen && (depth == 0 || !self.hidden_above(&path.join(&*name), depth)) {
                    let is_dir = entry.file_type() == Some(Type::Directory);
                    entries.push(Entry { name: name.into_owned(), is_dir });
                }
            }
        }
        entries.sort();
        entries.dedup_by(|a, b| a.name == b.name);
        Ok(Some(entries))
    }

    /// Names of the directories in a directory of the kernel's, in its order: no more is kept than that. Nothing where there is no such directory.
    pub fn list_dirs(&self, path: &Path) -> HostResult<Option<Vec<String>>> {
        if self.tape.is_some() || self.layers.len() > 1 {
            let dirs = |entries: Vec<Entry>| {
                entries.into_iter().filter(|entry| entry.is_dir).map(|entry| entry.name).collect()
            };
            return Ok(self.list(path)?.map(dirs));
        }
        let failed = |errno| HostError { act: "list", path: path.to_owned(), reason: Reason::System(errno) };
        let dir = match self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Ok(dir) => dir,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        // Where subdirectories are counted in the number of links, a leaf among a thousand cgroups need not be listed; file systems that do not
        // count them say 1.
        if stat::fstat(dir.as_fd()).is_ok_and(|facts| facts.st_nlink == 2) {
            return Ok(Some(Vec::new()));
        }
        let mut names = Vec::new();
        for entry in Dir::from_fd(dir).map_err(failed)?.iter() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if entry.file_type() == Some(Type::Directory) && name != b"." && name != b".." {
                names.push(String::from_utf8_lossy(name).into_owned());
            }
        }
        Ok(Some(names))
    }

    /// What `path` leads to; nothing where there is nothing.
    pub fn facts(&self, path: &Path) -> HostResult<Option<FileFacts>> {
        let facts = self.facts_untaped(path);
        self.taped(path, || match &facts {
            Ok(Some(facts)) => Some(Answered::There { is_dir: facts.is_dir }),
            Ok(None) => Some(Answered::Missing),
            Err(error) => error.errno().map(|errno| Answered::Refused(errno as i32)),
        });
        facts
    }

    fn facts_untaped(&self, path: &Path) -> HostResult<Option<FileFacts>> {
        let failed = |errno| HostError { act: "look at", path: path.to_owned(), reason: Reason::System(errno) };
        let file = match self.open(path, OFlag::O_PATH) {
            Ok(file) => file,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        let facts = stat::fstat(file.as_fd()).map_err(failed)?;
        let is_dir = SFlag::from_bits_truncate(facts.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
        Ok(Some(FileFacts { device: facts.st_dev, is_dir }))
    }

    /// Whether anything is there. A path that cannot be looked at counts as not there.
    pub fn exists(&self, path: &Path) -> bool {
        self.facts(path).is_ok_and(|facts| facts.is_some())
    }
}

/// A regular file's bytes. A buffer that has been used keeps its room.
fn read_to_end(file: &OwnedFd, limit: u64, bytes: &mut Vec<u8>) -> Result<(), Reason> {
    let facts = stat::fstat(file.as_fd()).map_err(Reason::System)?;
    if SFlag::from_bits_truncate(facts.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
        return Err(Reason::NotRegular);
    }
    // Files of /proc and /sys say a size of 0 or one page: the buffer grows as needed, up to the limit.
    let limit_len = usize::try_from(limit).unwrap_or(usize::MAX);
    let expected = usize::try_from(facts.st_size).unwrap_or(0);
    if expected > limit_len {
        return Err(Reason::TooLarge(limit));
    }
    // No more of a large buffer is filled with zeros than a small file needs.
    bytes.resize(expected.max(4096) + 1, 0);
    let mut filled = 0;
    let ended = loop {
        match unistd::read(file.as_fd(), &mut bytes[filled..]) {
            Ok(0) => break Ok(()),
            Ok(count) => filled += count,
            Err(Errno::EINTR) => continue,
            Err(errno) => break Err(Reason::System(errno)),
        }
        if filled > limit_len {
            break Err(Reason::TooLarge(limit));
        }
        if filled == bytes.len() {
            bytes.resize(bytes.len() * 2, 0);
        }
    };
    bytes.truncate(if ended.is_ok() { filled } else { 0 });
    ended
}
