//! io.stat of all cgroups of the v2 hierarchy (Documentation/admin-guide/cgroup-v2.rst). It refuses to descend where the io controller does not count.

use std::path::Path;

use super::raw::{Came, Raw, bad_line, text, word};
use crate::host::Host;
use crate::model::Reading;
use crate::model::watch::{Dev, GroupIo, IoCounters, Mount};

/// A path of an NVMe disk with several has no number; the disk has a line of its own.
const NAMELESS: &str = "(unknown)";
/// More cgroups than a node has; past it something is wrong, and time is short.
const MOST_GROUPS: usize = 20_000;

/// Where the v2 hierarchy is mounted.
pub(super) fn root(mounts: &[Mount]) -> Option<&str> {
    let at = |point: &str| mounts.iter().any(|mount| mount.kind == "cgroup2" && mount.point == point);
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].into_iter().find(|point| at(point))
}

/// Why cgroups do not count I/O here, where they do not.
pub(super) fn why_not(host: &Host, root: Option<&str>) -> Option<String> {
    let Some(root) = root else {
        return Some("cgroup v2 is not mounted here (v1 counts no buffered writes)".to_owned());
    };
    let controllers = word(host, &format!("{root}/cgroup.controllers")).unwrap_or_default();
    if controllers.split_whitespace().any(|one| one == "io") {
        return None;
    }
    Some(format!("the cgroup v2 hierarchy at {root} has no io controller (a v1 hierarchy may hold it)"))
}

/// Reads every cgroup that counts I/O and has done some; the root's own numbers are the devices'.
pub(super) fn read(host: &Host, root: &str, raw: &mut Raw) -> Reading<Vec<GroupIo>> {
    let mut found = Vec::new();
    let mut waiting = vec![String::new()];
    let mut seen = 0;
    let mut path = String::new();
    while let Some(group) = waiting.pop() {
        seen += 1;
        if seen > MOST_GROUPS {
            return Reading::failed(format!("{root} holds more than {MOST_GROUPS} cgroups"));
        }
        if !group.is_empty() {
            path.clear();
            path.extend([root, &group, "/io.stat"]);
            match raw.read(host, &path) {
                Came::Same | Came::New => match text(raw.bytes()).and_then(parse) {
                    Ok(by_device) if by_device.is_empty() => {}
                    Ok(by_device) => found.push(GroupIo { path: group.clone(), by_device }),
                    Err(why) => return Reading::failed(format!("{path}: {why}")),
                },
                // Without io.stat there is none beneath either: the controller is handed down from above. Or the cgroup has just gone.
                Came::Gone => continue,
                Came::Failed(_) if !host.exists(Path::new(&path)) => continue,
                Came::Failed(why) => return Reading::failed(why),
            }
        }
        path.clear();
        path.extend([root, group.as_str()]);
        match host.list_dirs(Path::new(&path)) {
            Ok(children) => waiting.extend(children.into_iter().flatten().map(|child| format!("{group}/{child}"))),
            Err(_) if !host.exists(Path::new(&path)) => {}
            Err(error) => return Reading::failed(error.to_string()),
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Reading::fresh(found, format!("{root}/**/io.stat"))
}

/// Lines such as `259:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`; a device that did nothing is left out.
pub(super) fn parse(text: &str) -> Result<Vec<(Dev, IoCounters)>, String> {
    let mut all = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let bad = || bad_line(index, line, "a device number and name=value pairs");
        let mut dev: Option<Dev> = None;
        let mut nameless = false;
        let mut io = IoCounters::default();
        for word in line.split_ascii_whitespace() {
            let Some((name, value)) = word.split_once('=') else {
                // Some kernels print a device that has no numbers without a line end, before the next one.
                nameless = word == NAMELESS;
                dev = if nameless { None } else { Some(word.parse().map_err(|_| bad())?) };
                continue;
            };
            let slot = match name {
                "rbytes" => &mut io.read_bytes,
                "wbytes" => &mut io.write_bytes,
                "rios" => &mut io.reads,
                "wios" => &mut io.writes,
                // Discards, and what cost models and latency targets add.
                _ => continue,
            };
            *slot = value.parse().map_err(|_| bad())?;
        }
        if nameless {
            continue;
        }
        let dev = dev.ok_or_else(bad)?;
        if io != IoCounters::default() {
            all.push((dev, io));
        }
    }
    Ok(all)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the tree that is read.
mod tests {
    use super::*;

    const TEXT: &str = "259:0 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0 cost.usage=5\n7:0 253:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=50331648 dios=3021\n(unknown) rbytes=0 wbytes=0 rios=2 wios=0 dbytes=0 dios=0\n8:0 rbytes=0 wbytes=0 rios=0 wios=0 dbytes=0 dios=0\n8:16\n";

    #[test]
    fn every_form_of_a_line() {
        let io = |read_bytes, write_bytes, reads, writes| IoCounters { read_bytes, write_bytes, reads, writes };
        assert_eq!(
            parse(TEXT).unwrap(),
            [
                (Dev { major: 259, minor: 0 }, io(1_459_200, 314_773_504, 192, 353)),
                (Dev { major: 253, minor: 0 }, io(90_430_464, 299_008_000, 8950, 1252)),
            ]
        );
        let paths = "(unknown) rbytes=0 wbytes=0 rios=122 wios=5 dbytes=0 dios=0\n259:1 rbytes=9879552 wbytes=20480 rios=122 wios=5 dbytes=0 dios=0\n";
        assert_eq!(parse(paths).unwrap(), [(Dev { major: 259, minor: 1 }, io(9_879_552, 20_480, 122, 5))]);
        for line in ["", "x", "8:0 rbytes=x", "rbytes=1", "8:0 rbytes=-1", "\u{0}"] {
            assert!(parse(&format!("8:0 rbytes=1\n{line}\n")).unwrap_err().starts_with("line 2"), "{line:?}");
        }
        for end in 0..TEXT.len() {
            let _ = parse(&TEXT[..end]);
        }
    }

    #[test]
    fn leaves_and_inner_cgroups_stand_for_themselves() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| crate::host::made::put(&root.path().join("sys/fs/cgroup"), path, text);
        put("cgroup.controllers", "cpu io memory\n");
        put("io.stat", "8:0 rbytes=9 wbytes=9 rios=9 wios=9 dbytes=0 dios=0\n");
        put("kubepods.slice/io.stat", "8:0 rbytes=3 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n");
        put("kubepods.slice/a.slice/io.stat", "8:0 rbytes=2 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n");
        put("kubepods.slice/idle.slice/io.stat", "");
        put("system.slice/none.service/io.pressure", "");
        let host = Host::new(root.path()).unwrap();
        let point = "/sys/fs/cgroup";
        assert_eq!(why_not(&host, Some(point)), None);
        assert!(why_not(&host, Some("/sys/fs/cgroup/unified")).unwrap().contains("no io controller"));
        assert!(why_not(&host, None).unwrap().contains("not mounted"));
        let all = read(&host, point, &mut Raw::default());
        let paths: Vec<_> = all.value().unwrap().iter().map(|group| group.path.as_str()).collect();
        assert_eq!(paths, ["/kubepods.slice", "/kubepods.slice/a.slice"]);
        put("kubepods.slice/a.slice/io.stat", "8:0 rbytes=x");
        let Reading::Failed { why } = read(&host, point, &mut Raw::default()) else { panic!() };
        assert!(why.contains("a.slice/io.stat: line 1"), "{why}");
    }
}
