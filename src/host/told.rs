//! What only a system call tells besides files and file systems: the kernel's clock, where a link of /proc leads, how many files a process has open.
//! Others beside this file (`bus`, `ethtool`) tell of more in the same way.
//! A recording answers from its own notes in `.recorded/told`. It refuses to set anything.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::libc;
use nix::sys::stat;

use super::error::{HostError, HostResult, Reason};
use super::root::Host;
use super::tape::Answered;
use crate::model::watch::ClockState;

/// Notes of a recording: `clock` holds a [`ClockState`] as JSON, any other path what was told about it.
const NOTES: &str = "/.recorded/told";

impl Host {
    /// What the kernel knows of its clock; nothing where a recording does not say.
    pub fn clock_state(&self) -> HostResult<Option<ClockState>> {
        let failed = |reason| HostError { act: "ask for", path: "the kernel's clock".into(), reason };
        let told = self.told("ask for", Path::new("/clock"), || {
            let state = adjtimex().map_err(|errno| failed(Reason::System(errno)))?;
            Ok(Some(serde_json::to_string(&state).unwrap_or_default()))
        })?;
        told.map(|text| serde_json::from_str(&text).map_err(|error| failed(Reason::Other(error.to_string()))))
            .transpose()
    }

    /// Where the link `path` leads, its words as they are; nothing where there is no such link.
    pub fn link(&self, path: &Path) -> HostResult<Option<String>> {
        self.told("follow", path, || {
            let failed = |errno| HostError { act: "follow", path: path.to_owned(), reason: Reason::System(errno) };
            let dir = match self.open(path.parent().unwrap_or(path), OFlag::O_PATH | OFlag::O_DIRECTORY) {
                Ok(dir) => dir,
                Err(Errno::ENOENT) => return Ok(None),
                Err(errno) => return Err(failed(errno)),
            };
            match fcntl::readlinkat(dir.as_fd(), path.file_name().unwrap_or_default()) {
                Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
                Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
                Err(errno) => Err(failed(errno)),
            }
        })
    }

    /// How many names a directory of /proc has; nothing where there is none.
    pub fn count(&self, path: &Path) -> HostResult<Option<u64>> {
        let failed = |reason| HostError { act: "count", path: path.to_owned(), reason };
        let told = self.told("count", path, || {
            let dir = match self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
                Ok(dir) => dir,
                Err(Errno::ENOENT) => return Ok(None),
                Err(errno) => return Err(failed(Reason::System(errno))),
            };
            // Since 6.2 the kernel tells the number of open files as the size of /proc/PID/fd.
            let size = stat::fstat(dir.as_fd()).map_err(|errno| failed(Reason::System(errno)))?.st_size;
            if size > 0 {
                return Ok(Some(size.to_string()));
            }
            let mut dir = Dir::from_fd(dir).map_err(|errno| failed(Reason::System(errno)))?;
            Ok(Some(dir.iter().count().saturating_sub(2).to_string()))
        })?;
        told.map(|text| text.parse().map_err(|_| failed(Reason::Other(format!("{text:?} is not a number")))))
            .transpose()
    }

    pub(super) fn told(
        &self,
        act: &'static str,
        about: &Path,
        live: impl Fn() -> HostResult<Option<String>>,
    ) -> HostResult<Option<String>> {
        let note = PathBuf::from(format!("{NOTES}{}", about.display()));
        if !self.is_real() {
            // A refusal that was recorded is told as it was.
            return self.read_text(&note).map_err(|HostError { reason, .. }| HostError {
                act,
                path: about.to_owned(),
                reason,
            });
        }
        let told = live();
        self.taped(&note, || match &told {
            Ok(Some(text)) => Some(Answered::File(text.clone().into_bytes())),
            Ok(None) => Some(Answered::Missing),
            Err(error) => error.errno().map(|errno| Answered::Refused(errno as i32)),
        });
        told
    }
}

/// NTP_PHASE_LIMIT: what the kernel starts with, and where it stops counting.
const NOBODY_CARES_US: u64 = 16_000_000;

#[allow(unsafe_code)] // adjtimex has no safe wrapper.
fn adjtimex() -> Result<ClockState, Errno> {
    // SAFETY: `timex` holds integers alone, for which zero is a value; `modes` of 0 asks and sets nothing.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is the C library's own, lives through the call, and is all that the kernel writes to.
    if unsafe { libc::adjtimex(&raw mut state) } < 0 {
        return Err(Errno::last());
    }
    let max_error_us = u64::try_from(state.maxerror).unwrap_or(0);
    Ok(ClockState {
        // chrony without rtcsync keeps the clock and leaves the flag; the error then never grows to what nobody's care grows to.
        synchronized: state.status & libc::STA_UNSYNC == 0 || max_error_us < NOBODY_CARES_US,
        max_error_us,
        estimated_error_us: u64::try_from(state.esterror).unwrap_or(0),
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the notes that are read, and opens the files that are counted.
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_and_a_recording_has_its_notes() {
        let host = Host::new(Path::new("/")).unwrap();
        let state = host.clock_state().unwrap().unwrap();
        assert!(state.max_error_us <= 16_000_000, "{state:?}");
        let exe = host.link(Path::new("/proc/self/exe")).unwrap().unwrap();
        assert_eq!(Path::new(&exe), std::fs::read_link("/proc/self/exe").unwrap());
        assert_eq!(host.link(Path::new("/proc/none/exe")).unwrap(), None);
        let before = host.count(Path::new("/proc/self/fd")).unwrap().unwrap();
        let pipes: Vec<_> = (0..50).map(|_| std::io::pipe().unwrap()).collect();
        let after = host.count(Path::new("/proc/self/fd")).unwrap().unwrap();
        // Other tests open files too.
        assert!(after >= before + 60 && pipes.len() == 50, "{before} {after}");

        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| crate::host::made::put(&root.path().join(".recorded/told"), path, text);
        let recorded = Host::new(root.path()).unwrap();
        assert_eq!(recorded.clock_state().unwrap(), None);
        put("clock", r#"{"synchronized":false,"maxErrorUs":16000000,"estimatedErrorUs":7}"#);
        put("proc/7/fd", "900\n");
        put("proc/7/exe", "/usr/bin/kubelet (deleted)");
        assert!(!recorded.clock_state().unwrap().unwrap().synchronized);
        assert_eq!(recorded.count(Path::new("/proc/7/fd")).unwrap(), Some(900));
        assert_eq!(recorded.link(Path::new("/proc/7/exe")).unwrap().as_deref(), Some("/usr/bin/kubelet (deleted)"));
        put("clock", "x");
        put("proc/7/fd", "-1");
        assert!(recorded.clock_state().is_err() && recorded.count(Path::new("/proc/7/fd")).is_err());
    }
}
