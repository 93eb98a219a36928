//! Locking this process's pages, so that a disk that hangs cannot take the code of the alarm path away. It refuses to lock where the limit does
//! not allow it: a later allocation would fail.

use std::ptr::NonNull;

use nix::errno::Errno;
use nix::sys::mman::{MlockAllFlags, MmapAdvise, madvise, mlockall};
use nix::sys::resource::{Resource, getrlimit};

/// What is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// All that is mapped now, read in where it was not: the whole program.
    Whole,
    /// What is in memory now, and whatever comes in later: what has run stays, what never ran is read when it is needed.
    Touched,
}

/// The kernel's MCL_ONFAULT (since 4.4), which nix does not name.
const ON_FAULT: i32 = 4;

/// Locks what is there and what comes; says why not.
pub fn lock(what: Locked) -> Result<(), String> {
    // Without CAP_IPC_LOCK a limited amount would make every allocation past it fail.
    match getrlimit(Resource::RLIMIT_MEMLOCK) {
        Ok((soft, _)) if soft == nix::libc::RLIM_INFINITY || nix::unistd::geteuid().is_root() => {}
        Ok((soft, _)) => return Err(format!("only {} KiB may be locked (LimitMEMLOCK=infinity)", soft / 1024)),
        Err(errno) => return Err(errno.desc().to_owned()),
    }
    let on_fault = MlockAllFlags::from_bits_retain(ON_FAULT);
    let said = |errno: Errno| format!("the kernel refuses: {}", errno.desc());
    if what == Locked::Whole {
        mlockall(MlockAllFlags::MCL_CURRENT).map_err(said)?;
        return mlockall(MlockAllFlags::MCL_FUTURE | on_fault).map_err(said);
    }
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault).map_err(said)
}

/// Unmaps the program's code and its loader's tables, so that only what is used from now on comes back (from memory, where it still is): what the
/// start alone needed, such as the command line's parser and the relocations, is then neither counted nor locked. Best effort: without it more is
/// kept.
pub fn forget_start() {
    #[allow(clippy::disallowed_methods)] // This process's own table, whatever the root is.
    let Ok(table) = std::fs::read_to_string("/proc/self/maps") else { return };
    let lines: Vec<Mapping<'_>> = table.lines().filter_map(mapping).collect();
    for (start, length) in own_file(&lines) {
        let Some(start) = NonNull::new(std::ptr::with_exposed_provenance_mut(start)) else { continue };
        #[allow(unsafe_code)]
        // SAFETY: the range is a mapping of this program's own file, as the kernel lists it: private, read-only and never written, so each page
        // comes back from the file with the same content, also while code in it runs.
        let _ = unsafe { madvise(start, length, MmapAdvise::MADV_DONTNEED) };
    }
}

/// The mappings of the file that holds this very function which nothing has ever written to: its code, and what lies at its beginning. Other
/// read-only ones may hold what the loader has written and then protected.
fn own_file(lines: &[Mapping<'_>]) -> Vec<(usize, usize)> {
    let here = own_file as *const () as usize;
    let Some(code) = lines.iter().find(|line| (line.start..line.end).contains(&here) && line.rights == "r-xp") else {
        return Vec::new();
    };
    let ours = lines.iter().filter(|line| line.file == code.file && never_written(line));
    ours.filter_map(|line| Some((line.start, line.end.checked_sub(line.start)?))).collect()
}

/// A line of /proc/PID/maps (proc_pid_maps(5)).
struct Mapping<'a> {
    start: usize,
    end: usize,
    rights: &'a str,
    offset: &'a str,
    /// Device and inode.
    file: (&'a str, &'a str),
}

fn mapping(line: &str) -> Option<Mapping<'_>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let [start, end] = [start, end].map(|number| usize::from_str_radix(number, 16).ok());
    let (rights, offset) = (words.next()?, words.next()?);
    Some(Mapping { start: start?, end: end?, rights, offset, file: (words.next()?, words.next()?) })
}

fn never_written(line: &Mapping<'_>) -> bool {
    line.rights == "r-xp" || (line.rights == "r--p" && line.offset.bytes().all(|digit| digit == b'0'))
}

/// Major page faults of this thread so far: each one waited for a disk.
pub fn major_faults() -> u64 {
    use nix::sys::resource::{UsageWho, getrusage};
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| u64::try_from(usage.major_page_faults()).unwrap_or(0))
}
