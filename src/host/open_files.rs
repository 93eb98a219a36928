//! Who has certain files open for reading: a walk over the open files of all processes. A recording answers from its notes. It refuses to look at a file
//! whose name does not fit: what a process has open may lie on a network that hangs.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{self, AtFlags, OFlag};
use nix::sys::stat;
use serde::{Deserialize, Serialize};

use super::error::{HostError, HostResult, Reason};
use super::root::Host;

/// A file that a process has open for reading.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenFile {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// The file, by the name that was asked for.
    pub path: String,
}

/// Device and inode: containers know a file by another path.
type Identity = (u64, u64);

impl Host {
    /// Who has one of `paths` open for reading; nothing where a recording does not say.
    pub fn readers(&self, paths: &[String]) -> HostResult<Option<Vec<OpenFile>>> {
        let failed = |reason| HostError { act: "look for readers of", path: "/proc/*/fd".into(), reason };
        let told = self.told("look for readers of", Path::new("/readers"), || {
            let found = self.walk(paths).map_err(|errno| failed(Reason::System(errno)))?;
            Ok(Some(serde_json::to_string(&found).unwrap_or_default()))
        })?;
        told.map(|text| serde_json::from_str(&text).map_err(|error| failed(Reason::Other(error.to_string()))))
            .transpose()
    }

    fn walk(&self, paths: &[String]) -> Result<Vec<OpenFile>, Errno> {
        let mut wanted: BTreeMap<Identity, &str> = BTreeMap::new();
        let mut names: BTreeSet<OsString> = BTreeSet::new();
        for path in paths {
            match self.open(Path::new(path), OFlag::O_PATH) {
                Ok(file) => {
                    let facts = stat::fstat(file.as_fd())?;
                    wanted.insert((facts.st_dev, facts.st_ino), path);
                    names.extend(Path::new(path).file_name().map(OsString::from));
                }
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(errno) => return Err(errno),
            }
        }
        let mut found = Vec::new();
        if wanted.is_empty() {
            return Ok(found);
        }
        let mut proc = Dir::from_fd(self.open(Path::new("/proc"), OFlag::O_RDONLY | OFlag::O_DIRECTORY)?)?;
        for entry in proc.iter() {
            let Some(pid) = entry?.file_name().to_str().ok().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            match self.walk_one(pid, &wanted, &names) {
                Ok(paths) if paths.is_empty() => {}
                Ok(paths) => {
                    let comm =
                        self.read_text(Path::new(&format!("/proc/{pid}/comm"))).ok().flatten().unwrap_or_default();
                    found.extend(paths.into_iter().map(|path| OpenFile { pid, comm: comm.clone(), path }));
                }
                // It has ended.
                Err(Errno::ENOENT | Errno::ESRCH) => {}
                // Without a look at all of them nobody knows.
                Err(errno) => return Err(errno),
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    fn walk_one(
        &self,
        pid: u32,
        wanted: &BTreeMap<Identity, &str>,
        names: &BTreeSet<OsString>,
    ) -> Result<Vec<String>, Errno> {
        let dir = self.open(Path::new(&format!("/proc/{pid}/fd")), OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let mut numbers = Vec::new();
        for entry in Dir::from_fd(dir.try_clone().map_err(|_| Errno::EMFILE)?)?.iter() {
            let name = entry?.file_name().to_owned();
            if name.to_bytes() != b"." && name.to_bytes() != b".." {
                numbers.push(name);
            }
        }
        let mut paths = Vec::new();
        for number in numbers {
            let Ok(target) = fcntl::readlinkat(dir.as_fd(), number.as_c_str()) else { continue };
            if !Path::new(&target).file_name().is_some_and(|name| names.contains(name)) {
                continue;
            }
            let Ok(facts) = stat::fstatat(dir.as_fd(), number.as_c_str(), AtFlags::empty()) else { continue };
            if let Some(path) = wanted.get(&(facts.st_dev, facts.st_ino))
                && self.may_read(pid, &number.to_string_lossy())
            {
                paths.push((*path).to_owned());
            }
        }
        Ok(paths)
    }

    /// Whether it was opened for reading; where the kernel does not say, it counts as such.
    fn may_read(&self, pid: u32, number: &str) -> bool {
        let info =
            self.read_text(Path::new(&format!("/proc/{pid}/fdinfo/{number}"))).ok().flatten().unwrap_or_default();
        let flags = info.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
        flags.is_none_or(|flags| flags & 3 != 1)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)] // Opens the files that are looked for.
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_found_by_what_the_file_is_and_a_writer_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        for name in ["messages", "syslog", "unread"] {
            std::fs::write(path(name), "x").unwrap();
        }
        let _writes = std::fs::OpenOptions::new().append(true).open(path("syslog")).unwrap();
        let _reads = std::fs::File::open(path("messages")).unwrap();
        std::fs::create_dir(path("other")).unwrap();
        std::fs::write(path("other/unread"), "another file of that name").unwrap();
        let _other = std::fs::File::open(path("other/unread")).unwrap();
        let host = Host::new(Path::new("/")).unwrap();
        if !nix::unistd::geteuid().is_root() {
            assert!(host.readers(&[path("messages")]).is_err(), "others' files cannot be seen");
            return;
        }
        let found = host.readers(&["messages", "syslog", "unread", "none"].map(path)).unwrap().unwrap();
        let [one] = &found[..] else { panic!("{found:?}") };
        assert_eq!((one.pid, one.path.as_str()), (std::process::id(), path("messages").as_str()));
        assert!(!one.comm.is_empty());
        let recorded = Host::new(dir.path()).unwrap();
        assert_eq!(recorded.readers(&[]).unwrap(), None);
    }
}
