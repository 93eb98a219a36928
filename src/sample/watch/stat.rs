//! What /proc tells of one task without its memory: stat and cgroup. It refuses cmdline, environ and maps, which wait for a hung disk.

use super::raw::{Came, Raw};
use crate::host::Host;

/// Of /proc/PID/stat (proc_pid_stat(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) comm: String,
    pub(super) state: char,
    pub(super) threads: u32,
    pub(super) start_ticks: u64,
}

/// A name may hold anything, parentheses and line ends too: the fields begin after the last `)`.
pub(super) fn parse(bytes: &[u8]) -> Result<Stat, String> {
    let bad = || format!("{:?} is not the stat of a task", String::from_utf8_lossy(bytes.get(..80).unwrap_or(bytes)));
    let open = bytes.iter().position(|byte| *byte == b'(').ok_or_else(bad)?;
    let close = bytes.iter().rposition(|byte| *byte == b')').filter(|close| *close > open).ok_or_else(bad)?;
    let rest = std::str::from_utf8(&bytes[close + 1..]).map_err(|_| bad())?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next().and_then(|state| state.chars().next()).ok_or_else(bad)?;
    // num_threads is field 20 and starttime field 22, the state field 3.
    let threads = fields.nth(16).and_then(|field| field.parse().ok()).ok_or_else(bad)?;
    let start_ticks = fields.nth(1).and_then(|field| field.parse().ok()).ok_or_else(bad)?;
    Ok(Stat { comm: String::from_utf8_lossy(&bytes[open + 1..close]).into_owned(), state, threads, start_ticks })
}

/// Reads a stat file; nothing where the task is gone.
pub(super) fn read(host: &Host, raw: &mut Raw, path: &str) -> Result<Option<Stat>, String> {
    match raw.read(host, path) {
        Came::Same | Came::New => parse(raw.bytes()).map(Some).map_err(|why| format!("{path}: {why}")),
        // ESRCH: it went away between open and read.
        Came::Gone | Came::Failed(_) => Ok(None),
    }
}

/// The task's cgroup: of the v2 hierarchy where it is in one, else of systemd's.
pub(super) fn cgroup(host: &Host, raw: &mut Raw, id: u32) -> String {
    match raw.read(host, &format!("/proc/{id}/cgroup")) {
        Came::Same | Came::New => parse_cgroup(&String::from_utf8_lossy(raw.bytes())),
        Came::Gone | Came::Failed(_) => String::new(),
    }
}

fn parse_cgroup(text: &str) -> String {
    let named = |name: &str| {
        text.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(name)?.strip_prefix(':').map(str::to_owned))
    };
    let unified = named("").unwrap_or_default();
    // In a hybrid layout everything may lie at the root of v2.
    if unified.len() > 1 { unified } else { named("name=systemd").filter(|path| !path.is_empty()).unwrap_or(unified) }
}

/// Process ids, as /proc lists them.
pub(super) fn pids(host: &Host) -> Result<Vec<u32>, String> {
    let names = host.list_dirs(std::path::Path::new("/proc")).map_err(|error| error.to_string())?;
    let mut pids: Vec<u32> = names.unwrap_or_default().iter().filter_map(|name| name.parse().ok()).collect();
    pids.sort_unstable();
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let tail = "D 1 2 2 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 33 0 987654 100 200 18446744073709551615 1";
        for comm in ["sh", "a b", "x) S 1 (y", "))", "("] {
            let stat = parse(format!("42 ({comm}) {tail}\n").as_bytes()).unwrap();
            assert_eq!((stat.comm.as_str(), stat.state, stat.threads, stat.start_ticks), (comm, 'D', 33, 987_654));
        }
        let text = format!("42 (x) {tail}");
        for text in ["", "42", "42 (x", "42 )x(", "42 (x)", "42 (x) D", "42 (x) D 1 2 3"] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
        for end in 0..text.len() {
            let _ = parse(&text.as_bytes()[..end]);
        }
        assert!(parse(b"1 (\xff\xfe) \xff").is_err());
    }

    #[test]
    fn the_better_hierarchy_is_taken() {
        assert_eq!(parse_cgroup("0::/system.slice/a:b.service\n"), "/system.slice/a:b.service");
        assert_eq!(
            parse_cgroup("9:blkio:/x\n1:name=systemd:/system.slice/c.service\n0::/\n"),
            "/system.slice/c.service"
        );
        assert_eq!(parse_cgroup("9:blkio:/x\n0::/\n"), "/");
        assert_eq!(parse_cgroup("garbage\n"), "");
    }
}
