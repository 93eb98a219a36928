//! Locking this process's pages, so that a disk that hangs cannot take the code of the alarm path away. It refuses to lock where the limit does
//! not allow it: a later allocation would fail.

use std::ops::Range;
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

/// What the linker has put apart because it seldom runs is brought in by pieces of this size.
const PIECE: usize = 16 << 10;
/// The kernel refuses advice on parts of a page; no node has larger ones than this.
#[cfg(seldom_apart)]
const PAGE: usize = 64 << 10;

/// Unmaps what came from the program's file and is as it is there (code, constants, the loader's tables), so that only what is used from now on comes
/// back (from memory, where it still is): what the start alone needed, such as the command line's parser and the relocations, is then neither counted
/// nor locked. The kernel maps up to 16 pages around each one that is touched, and those stay too: an alarm finds what it needs beside what the turns
/// use. Not so among code that seldom runs: the kernel maps none beyond a mapping's end, and with advice that changes from piece to piece each is a
/// mapping of its own. Best effort: without it more is kept.
pub fn forget_start() {
    #[allow(clippy::disallowed_methods)] // This process's own table, whatever the root is.
    let Ok(table) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for (start, length) in own_file(&mappings(&table), forget_start as *const () as usize) {
        advise(start, length, MmapAdvise::MADV_DONTNEED);
    }
    let seldom = apart().seldom;
    for piece in seldom.clone().step_by(2 * PIECE) {
        advise(piece, PIECE.min(seldom.end - piece), MmapAdvise::MADV_RANDOM);
    }
}

/// Brings in all that speaks to an API server, for one that is there: what an alarm has to say must not wait for a disk either.
pub fn bring_cluster() {
    let cluster = apart().cluster;
    if !cluster.is_empty() {
        advise(cluster.start, cluster.len(), MmapAdvise::MADV_POPULATE_READ);
    }
}

/// What the linker has put apart, in whole pages: all that seldom runs, and in it what speaks to an API server. Empty where the linker was not told to.
struct Apart {
    seldom: Range<usize>,
    cluster: Range<usize>,
}

#[cfg(seldom_apart)]
fn apart() -> Apart {
    #[allow(unsafe_code)]
    // SAFETY: packaging/seldom.ld defines them all; nothing but their addresses is taken.
    unsafe extern "C" {
        safe static seldom_begins: u8;
        safe static seldom_ends: u8;
        safe static cluster_begins: u8;
        safe static cluster_ends: u8;
    }
    let inner = |begins: *const u8, ends: *const u8| begins.addr().next_multiple_of(PAGE)..ends.addr() / PAGE * PAGE;
    Apart {
        seldom: inner(&raw const seldom_begins, &raw const seldom_ends),
        cluster: inner(&raw const cluster_begins, &raw const cluster_ends),
    }
}

#[cfg(not(seldom_apart))]
const fn apart() -> Apart {
    Apart { seldom: 0..0, cluster: 0..0 }
}

fn advise(start: usize, length: usize, advice: MmapAdvise) {
    let Some(start) = NonNull::new(std::ptr::with_exposed_provenance_mut(start)) else { return };
    #[allow(unsafe_code)]
    // SAFETY: the range lies in a mapping of this program's own file, as the kernel or the linker lists it: private, not writable, and without a page of
    // its own, so nobody has ever written to it; each page comes back from the file with the same content, also while code in it runs.
    let _ = unsafe { madvise(start, length, advice) };
}

/// The mappings of the file that holds the function at `here` which nobody can write to and nobody ever has: what the loader has filled in and then
/// protected has pages of its own.
fn own_file(mappings: &[Mapping<'_>], here: usize) -> Vec<(usize, usize)> {
    let Some(code) = mappings.iter().find(|one| (one.start..one.end).contains(&here) && one.rights == "r-xp") else {
        return Vec::new();
    };
    let ours = mappings.iter().filter(|one| one.file == code.file && matches!(one.rights, "r-xp" | "r--p"));
    let unwritten = ours.filter(|one| one.anonymous == Some(0) && one.swapped == Some(0));
    unwritten.filter_map(|one| Some((one.start, one.end.checked_sub(one.start)?))).collect()
}

/// A mapping in /proc/PID/smaps (proc_pid_smaps(5)).
struct Mapping<'a> {
    start: usize,
    end: usize,
    rights: &'a str,
    /// Device and inode.
    file: (&'a str, &'a str),
    /// Its pages that are no longer the file's, in memory and swapped out; none where the kernel does not say.
    anonymous: Option<u64>,
    swapped: Option<u64>,
}

/// Each begins with a line as in /proc/PID/maps; `Name: value` lines follow.
fn mappings(table: &str) -> Vec<Mapping<'_>> {
    let mut found: Vec<Mapping<'_>> = Vec::new();
    for line in table.lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        if let Some(name) = first.strip_suffix(':') {
            let value = words.next().and_then(|word| word.parse().ok());
            match (name, found.last_mut()) {
                ("Anonymous", Some(mapping)) => mapping.anonymous = value,
                ("Swap", Some(mapping)) => mapping.swapped = value,
                _ => {}
            }
        } else {
            found.extend(mapping(line));
        }
    }
    found
}

fn mapping(line: &str) -> Option<Mapping<'_>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let [start, end] = [start, end].map(|number| usize::from_str_radix(number, 16).ok());
    let (rights, _offset) = (words.next()?, words.next()?);
    let file = (words.next()?, words.next()?);
    Some(Mapping { start: start?, end: end?, rights, file, anonymous: None, swapped: None })
}

/// Major page faults of this thread so far: each one waited for a disk.
pub fn major_faults() -> u64 {
    use nix::sys::resource::{UsageWho, getrusage};
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| u64::try_from(usage.major_page_faults()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
1000-3000 r--p 00000000 fe:00 17 /usr/bin/node-steward
Anonymous:             0 kB
Swap:                  0 kB
3000-9000 r-xp 00002000 fe:00 17 /usr/bin/node-steward
Rss:                  16 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
9000-a000 r--p 00008000 fe:00 17 /usr/bin/node-steward
Anonymous:             0 kB
Swap:                  0 kB
a000-b000 r--p 00009000 fe:00 17 /usr/bin/node-steward
Anonymous:             4 kB
Swap:                  0 kB
b000-c000 r--p 0000a000 fe:00 17 /usr/bin/node-steward
Anonymous:             0 kB
Swap:                  4 kB
c000-d000 rw-p 0000b000 fe:00 17 /usr/bin/node-steward
Anonymous:             0 kB
Swap:                  0 kB
d000-e000 r--p 00000000 fe:00 18 /usr/lib/libc.so.6
Anonymous:             0 kB
Swap:                  0 kB
e000-f000 rw-p 00000000 00:00 0 [heap]
";

    #[test]
    fn only_what_is_as_in_the_programs_file_is_forgotten() {
        let forgotten = own_file(&mappings(TABLE), 0x4000);
        assert_eq!(forgotten, [(0x1000, 0x2000), (0x3000, 0x6000), (0x9000, 0x1000)]);
        assert_eq!(own_file(&mappings(TABLE), 0x1000), [], "that is no code");
        let untold = TABLE.replace("Anonymous:             0 kB\n", "");
        assert_eq!(own_file(&mappings(&untold), 0x4000), [], "a kernel that does not say");
    }

    #[test]
    fn what_is_forgotten_is_out_of_memory_and_comes_back() {
        #[allow(clippy::disallowed_methods)] // This process's own table.
        let resident = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        let before = resident();
        forget_start();
        let after = resident();
        assert!(after < before, "{before} KiB of files before, {after} after");
        assert_eq!(mappings(TABLE).len(), 8);
    }
}
