//! A large file read in pieces, such as a journal that grows meanwhile. It refuses pipes and devices, and to change when the file was last read.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{self, SFlag};
use nix::sys::uio;

use super::error::{HostError, HostResult, Reason};
use super::root::Host;

/// An open file.
#[derive(Debug)]
pub struct Pages {
    file: OwnedFd,
    /// Its length when it was opened.
    pub len: u64,
    /// What it takes of the disk.
    pub disk_bytes: u64,
}

impl Host {
    /// Opens a regular file to be read in pieces; nothing where there is none.
    pub fn pages(&self, path: &Path) -> HostResult<Option<Pages>> {
        let failed = |reason| HostError { act: "read", path: path.to_owned(), reason };
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        // Only the owner of a file may read it without a trace.
        let opened = match self.open(path, flags | OFlag::O_NOATIME) {
            Err(Errno::EPERM) => self.open(path, flags),
            opened => opened,
        };
        let file = match opened {
            Ok(file) => file,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(errno) => return Err(failed(Reason::System(errno))),
        };
        let facts = stat::fstat(file.as_fd()).map_err(|errno| failed(Reason::System(errno)))?;
        if SFlag::from_bits_truncate(facts.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return Err(failed(Reason::NotRegular));
        }
        let len = u64::try_from(facts.st_size).unwrap_or(0);
        Ok(Some(Pages { file, len, disk_bytes: u64::try_from(facts.st_blocks).unwrap_or(0).saturating_mul(512) }))
    }

    /// What somebody found out on the machine itself, in his own words; a recording answers from its note of that name.
    pub fn noted(&self, name: &str, live: impl Fn() -> HostResult<Option<String>>) -> HostResult<Option<String>> {
        self.told("find out about", Path::new(name), live)
    }
}

impl Pages {
    /// Fills the buffer from an offset; how many bytes there were.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let Ok(mut at) = i64::try_from(offset) else { return Ok(0) };
        let mut filled = 0;
        while filled < buffer.len() {
            match uio::pread(self.file.as_fd(), &mut buffer[filled..], at) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    at = at.saturating_add(i64::try_from(count).unwrap_or(i64::MAX));
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the file that is read.
mod tests {
    use super::*;

    #[test]
    fn pieces_come_as_far_as_the_file_goes() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), b"0123456789").unwrap();
        let host = Host::new(root.path()).unwrap();
        let pages = host.pages(Path::new("/file")).unwrap().unwrap();
        let mut buffer = [0; 4];
        assert_eq!((pages.len, pages.read_at(2, &mut buffer), &buffer), (10, Ok(4), b"2345"));
        assert_eq!((pages.read_at(8, &mut buffer), &buffer[..2]), (Ok(2), &b"89"[..]));
        assert_eq!((pages.read_at(100, &mut buffer), pages.read_at(u64::MAX, &mut buffer)), (Ok(0), Ok(0)));
        assert!(host.pages(Path::new("/none")).unwrap().is_none());
        assert!(host.pages(Path::new("/")).is_err());
    }
}
