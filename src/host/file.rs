//! Reading files, listing directories and looking at what is there. It refuses pipes and devices, and more bytes than the caller allows.

use std::os::fd::AsFd;
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{self, SFlag};
use nix::unistd;

use super::error::{HostError, HostResult, Reason};
use super::root::Host;

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
        let failed = |reason| HostError { act: "read", path: path.to_owned(), reason };
        // Non-blocking, so that a pipe at the place of a file is refused instead of waited for.
        let file = match self.open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            Ok(file) => file,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(errno) => return Err(failed(Reason::System(errno))),
        };
        let facts = stat::fstat(file.as_fd()).map_err(|errno| failed(Reason::System(errno)))?;
        if SFlag::from_bits_truncate(facts.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return Err(failed(Reason::NotRegular));
        }
        // Files of /proc and /sys say a size of 0 or one page: the buffer grows as needed, up to the limit.
        let limit_len = usize::try_from(limit).unwrap_or(usize::MAX);
        let expected = usize::try_from(facts.st_size).unwrap_or(0);
        if expected > limit_len {
            return Err(failed(Reason::TooLarge(limit)));
        }
        let mut bytes = vec![0; expected.max(4096) + 1];
        let mut filled = 0;
        loop {
            match unistd::read(file.as_fd(), &mut bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(failed(Reason::System(errno))),
            }
            if filled > limit_len {
                return Err(failed(Reason::TooLarge(limit)));
            }
            if filled == bytes.len() {
                bytes.resize(bytes.len() * 2, 0);
            }
        }
        bytes.truncate(filled);
        Ok(Some(bytes))
    }

    /// The file as text without surrounding white space. Small kernel files only: at most 64 KiB.
    pub fn read_text(&self, path: &Path) -> HostResult<Option<String>> {
        let bytes = self.read(path, 64 << 10)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
    }

    /// The names in a directory, sorted; nothing where there is no such directory.
    pub fn list(&self, path: &Path) -> HostResult<Option<Vec<Entry>>> {
        let failed = |errno| HostError { act: "list", path: path.to_owned(), reason: Reason::System(errno) };
        let dir = match self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Ok(dir) => dir,
            Err(Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        let mut entries = Vec::new();
        for entry in Dir::from_fd(dir).map_err(failed)?.iter() {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                entries.push(Entry { name, is_dir: entry.file_type() == Some(Type::Directory) });
            }
        }
        entries.sort();
        Ok(Some(entries))
    }

    /// What `path` leads to; nothing where there is nothing.
    pub fn facts(&self, path: &Path) -> HostResult<Option<FileFacts>> {
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
