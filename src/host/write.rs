//! Atomic writes: a temporary file in the same directory, mode, owner and label, fsync, rename, fsync of the directory.
//! It refuses to touch the target before the new content is safe on disk, and to write what is there already.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{self, AtFlags, OFlag};
use nix::sys::stat::{self, Mode, SFlag};
use nix::unistd::{self, Gid, Uid, UnlinkatFlags};

use super::error::{HostError, HostResult, Reason};
use super::root::Host;

/// What a file shall hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where, as seen from inside the root.
    pub path: PathBuf,
    /// All of it.
    pub bytes: Vec<u8>,
    /// Permission bits for a new file; an existing one keeps its own.
    pub mode: u32,
}

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It was there already, to the byte; nothing was touched.
    Unchanged,
    /// The new content is in place and on disk.
    Replaced,
}

/// Longest chain of symbolic links that is followed at the end of a path.
const MOST_LINKS: usize = 16;

/// New content on disk under a temporary name, with the mode, owner and label that it shall have; the target is still as it was.
/// Dropped without [`Staged::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct Staged {
    dir: OwnedFd,
    temporary: OsString,
    name: OsString,
    path: PathBuf,
    in_place: bool,
}

impl Staged {
    /// The one step that changes the target: after it the new content is there, and on disk.
    pub fn commit(mut self) -> HostResult<()> {
        let failed = |errno| HostError { act: "write", path: self.path.clone(), reason: Reason::System(errno) };
        fcntl::renameat(&self.dir, self.temporary.as_os_str(), &self.dir, self.name.as_os_str()).map_err(failed)?;
        let synced = unistd::fsync(&self.dir).map_err(failed);
        self.in_place = true;
        synced
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.in_place {
            // Best effort: the error that is told is the one that stopped the write.
            let _ = unistd::unlinkat(&self.dir, self.temporary.as_os_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

impl Host {
    /// Puts `wanted` in place, whole or not at all. A symbolic link at the target stays, and the file it leads to is replaced.
    pub fn write_atomic(&self, wanted: &Wanted) -> HostResult<Written> {
        match self.stage(wanted)? {
            None => Ok(Written::Unchanged),
            Some(staged) => staged.commit().map(|()| Written::Replaced),
        }
    }

    /// Everything of a write that can lack space or permission, so that several files are changed only once all of them can be. Nothing where
    /// the content is there already, to the byte.
    pub fn stage(&self, wanted: &Wanted) -> HostResult<Option<Staged>> {
        let limit = u64::try_from(wanted.bytes.len()).unwrap_or(u64::MAX).max(1 << 20);
        // What cannot be read, or is longer than the limit, differs for sure.
        if self.read(&wanted.path, limit).is_ok_and(|old| old.as_deref() == Some(&wanted.bytes[..])) {
            return Ok(None);
        }
        let path = self.follow_links(&wanted.path)?;
        let failed = |reason| HostError { act: "write", path: path.clone(), reason };
        let (dir, name) = self.open_parent(&path, "write")?;
        let old = match stat::fstatat(&dir, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(facts) => Some(facts),
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(failed(Reason::System(errno))),
        };
        if old.is_some_and(|old| SFlag::from_bits_truncate(old.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG) {
            // A rename would replace a device or a pipe as readily as a file.
            return Err(failed(Reason::NotRegular));
        }
        let temporary = temporary_name(&name);
        // One left behind by a run that was killed; the caller's lock makes sure that nobody else is writing it.
        match unistd::unlinkat(&dir, temporary.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(failed(Reason::System(errno))),
        }
        let staged = Staged { dir, temporary, name, path: path.clone(), in_place: false };
        fill(&staged, old.is_some(), wanted).map_err(|errno| failed(Reason::System(errno)))?;
        Ok(Some(staged))
    }

    /// Takes away what a killed write to `path` may have left beside it. Best effort: it is in nobody's way.
    pub fn sweep(&self, path: &Path) {
        let Ok(path) = self.follow_links(path) else { return };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        if let Ok(dir) = self.open(parent, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            let _ = unistd::unlinkat(&dir, temporary_name(name).as_os_str(), UnlinkatFlags::NoRemoveDir);
        }
    }

    /// Removes a file, durably. Nothing there is fine.
    pub fn remove(&self, path: &Path) -> HostResult<()> {
        let failed = |errno| HostError { act: "remove", path: path.to_owned(), reason: Reason::System(errno) };
        if !self.exists(path.parent().unwrap_or(Path::new("/"))) {
            return Ok(());
        }
        let (dir, name) = self.open_parent(path, "remove")?;
        match unistd::unlinkat(&dir, name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) => unistd::fsync(&dir).map_err(failed),
            Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Opens the directory of `path`, making it (0755) where it is missing, and gives the last name.
    pub(super) fn open_parent(&self, path: &Path, act: &'static str) -> HostResult<(OwnedFd, OsString)> {
        let failed = |reason| HostError { act, path: path.to_owned(), reason };
        let name = path.file_name().ok_or_else(|| failed(Reason::Other("it names no file".to_owned())))?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        let dir = self.make_dirs(parent).map_err(|errno| failed(Reason::System(errno)))?;
        Ok((dir, name.to_owned()))
    }

    /// Opens a directory, making each missing one of its path.
    fn make_dirs(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        match (self.open(path, flags), path.parent(), path.file_name()) {
            (Err(Errno::ENOENT), Some(above), Some(name)) => {
                let dir = self.make_dirs(above)?;
                match stat::mkdirat(&dir, name, Mode::from_bits_truncate(0o755)) {
                    // What is put into the new directory is only as durable as its own entry.
                    Ok(()) => unistd::fsync(&dir)?,
                    Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(errno),
                }
                self.open(path, flags)
            }
            (opened, _, _) => opened,
        }
    }

    /// Where a chain of symbolic links at the end of `path` leads, inside the root; the target itself need not exist.
    pub(super) fn follow_links(&self, path: &Path) -> HostResult<PathBuf> {
        let failed = |errno| HostError { act: "follow", path: path.to_owned(), reason: Reason::System(errno) };
        let mut current = path.to_owned();
        for _ in 0..MOST_LINKS {
            let parent = current.parent().unwrap_or(Path::new("/")).to_owned();
            let (Ok(dir), Some(name)) = (self.open(&parent, OFlag::O_PATH | OFlag::O_DIRECTORY), current.file_name())
            else {
                return Ok(current);
            };
            match fcntl::readlinkat(dir.as_fd(), name) {
                Ok(target) if Path::new(&target).is_absolute() => current = PathBuf::from(target),
                Ok(target) => current = parent.join(target),
                Err(Errno::EINVAL | Errno::ENOENT) => return Ok(current),
                Err(errno) => return Err(failed(errno)),
            }
        }
        Err(failed(Errno::ELOOP))
    }
}

/// Fixed, so that the next run finds what a killed one left; hidden, and with an ending that neither kubelet nor nodeadm reads.
fn temporary_name(name: &OsStr) -> OsString {
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(".node-steward.tmp");
    temporary
}

/// Makes the temporary file: content, then owner, mode and label of the file it replaces, then fsync.
fn fill(staged: &Staged, replaces: bool, wanted: &Wanted) -> Result<(), Errno> {
    let Staged { dir, temporary, name, .. } = staged;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = fcntl::openat(dir, temporary.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let mut rest = &wanted.bytes[..];
    while !rest.is_empty() {
        match unistd::write(&file, rest) {
            Ok(count) => rest = &rest[count..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    let mut mode = Mode::from_bits_truncate(wanted.mode);
    if replaces {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let old = fcntl::openat(dir, name.as_os_str(), flags, Mode::empty())?;
        let facts = stat::fstat(&old)?;
        mode = Mode::from_bits_truncate(facts.st_mode & 0o7777);
        let (owner, group) = (Uid::from_raw(facts.st_uid), Gid::from_raw(facts.st_gid));
        if (owner, group) != (unistd::geteuid(), unistd::getegid()) {
            unistd::fchown(&file, Some(owner), Some(group))?;
        }
        keep_label(&old, &file)?;
    }
    stat::fchmod(&file, mode)?;
    unistd::fsync(&file)
}

/// Carries the SELinux label over. A file system or a kernel without labels is no error; a label that cannot be set is.
fn keep_label(old: &OwnedFd, new: &OwnedFd) -> Result<(), Errno> {
    use xattr::FileExt;
    const LABEL: &str = "security.selinux";
    let errno = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
    // xattr's calls hang on the standard File, which borrows nothing here that we could not give it.
    let (old, new) = (borrowed(old)?, borrowed(new)?);
    match old.get_xattr(OsStr::from_bytes(LABEL.as_bytes())) {
        Ok(Some(label)) if new.get_xattr(LABEL).ok().flatten().as_ref() != Some(&label) => {
            new.set_xattr(LABEL, &label).map_err(errno)
        }
        Ok(_) => Ok(()),
        Err(error) => match errno(error) {
            Errno::ENOTSUP | Errno::ENOSYS => Ok(()),
            other => Err(other),
        },
    }
}

#[allow(clippy::disallowed_types)] // A second handle on a file that this room opened itself.
fn borrowed(file: &OwnedFd) -> Result<std::fs::File, Errno> {
    file.try_clone().map(std::fs::File::from).map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(0)))
}
