//! Pressure stall totals of the node and of the cgroups that matter most (Documentation/accounting/psi.rst). It refuses the kernel's averages:
//! windows are made from totals.

use std::path::Path;

use super::raw::{Came, Raw, bad_line, text};
use crate::host::Host;
use crate::model::Reading;
use crate::model::time::Mono;
use crate::model::watch::{NodePressure, Pressure, Sampled, Stall};

/// Cgroups whose waiting harms the node; those that exist are read.
const GROUPS: [&str; 10] = [
    "/system.slice/kubelet.service",
    "/runtime.slice/kubelet.service",
    "/system.slice/containerd.service",
    "/runtime.slice/containerd.service",
    "/system.slice/crio.service",
    "/runtime.slice/crio.service",
    "/system.slice/docker.service",
    "/system.slice/systemd-journald.service",
    "/kubepods.slice",
    "/kubepods",
];
/// A cgroup that comes is seen after so long.
const LOOK_AGAIN_MS: u64 = 60_000;

/// What is kept between reads.
#[derive(Debug, Default)]
pub(super) struct Source {
    raw: Raw,
    groups: Vec<(String, String)>,
    groups_of: Option<String>,
    looked: Option<Mono>,
}

impl Source {
    /// Reads the node's pressure, and that of the known cgroups beneath `groups`, the mount point of the cgroup v2 hierarchy.
    pub(super) fn read(&mut self, host: &Host, at: Mono, groups: Option<&str>, slot: &mut Sampled<NodePressure>) {
        slot.taken = at;
        let mut value = match std::mem::replace(&mut slot.reading, Reading::absent("")) {
            Reading::Fresh { value, .. } => value,
            _ => NodePressure::default(),
        };
        slot.reading = match self.node(host) {
            Ok(Some(node)) => {
                value.node = node;
                self.find(host, at, groups);
                self.read_groups(host, &mut value.groups);
                Reading::fresh(value, "/proc/pressure")
            }
            Ok(None) => {
                Reading::absent("this kernel has no /proc/pressure/io (built without PSI, or started with psi=0)")
            }
            Err(why) => Reading::failed(why),
        };
    }

    fn node(&mut self, host: &Host) -> Result<Option<Pressure>, String> {
        let io = self.file(host, "/proc/pressure/io")?;
        if io.is_none() {
            return Ok(None);
        }
        let memory = self.file(host, "/proc/pressure/memory")?;
        Ok(Some(Pressure { io, memory, cpu: self.file(host, "/proc/pressure/cpu")? }))
    }

    fn file(&mut self, host: &Host, path: &str) -> Result<Option<Stall>, String> {
        match self.raw.read(host, path) {
            Came::Same | Came::New => {
                text(self.raw.bytes()).and_then(parse).map(Some).map_err(|why| format!("{path}: {why}"))
            }
            Came::Gone => Ok(None),
            Came::Failed(why) => Err(why),
        }
    }

    fn find(&mut self, host: &Host, at: Mono, groups: Option<&str>) {
        let due = self.looked.is_none_or(|looked| at.since_ms(looked) >= LOOK_AGAIN_MS);
        if !due && self.groups_of.as_deref() == groups {
            return;
        }
        self.looked = Some(at);
        self.groups_of = groups.map(str::to_owned);
        self.groups.clear();
        let Some(root) = groups else { return };
        for group in GROUPS {
            let path = format!("{root}{group}/io.pressure");
            if host.exists(Path::new(&path)) {
                self.groups.push((group.to_owned(), path));
            }
        }
    }

    fn read_groups(&mut self, host: &Host, values: &mut Vec<(String, Pressure)>) {
        let mut count = 0;
        for (group, path) in &self.groups {
            // A cgroup that goes away in between, or whose pressure is switched off, is left out.
            if !matches!(self.raw.read(host, path), Came::Same | Came::New) {
                continue;
            }
            let Ok(stall) = text(self.raw.bytes()).and_then(parse) else { continue };
            let pressure = Pressure { io: Some(stall), ..Pressure::default() };
            match values.get_mut(count) {
                Some((name, old)) if name == group => *old = pressure,
                _ => {
                    values.truncate(count);
                    values.push((group.clone(), pressure));
                }
            }
            count += 1;
        }
        values.truncate(count);
    }
}

/// `some` is always there; `full` of the CPU only in newer kernels.
pub(super) fn parse(text: &str) -> Result<Stall, String> {
    let mut stall = Stall::default();
    let mut some = false;
    for (index, line) in text.lines().enumerate() {
        let bad = || bad_line(index, line, "some or full, averages, and total=MICROSECONDS");
        let mut words = line.split_ascii_whitespace();
        let which = words.next().ok_or_else(bad)?;
        let total = words.find_map(|word| word.strip_prefix("total=")).ok_or_else(bad)?;
        let total = total.parse().map_err(|_| bad())?;
        match which {
            "some" => (stall.some_us, some) = (total, true),
            "full" => stall.full_us = total,
            _ => return Err(bad()),
        }
    }
    if some { Ok(stall) } else { Err("there is no line that starts with some".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_taken() {
        let text = "some avg10=69.26 avg60=23.84 avg300=16.17 total=379425856\nfull avg10=55.57 avg60=17.59 avg300=12.79 total=224072842\n";
        assert_eq!(parse(text), Ok(Stall { some_us: 379_425_856, full_us: 224_072_842 }));
        assert_eq!(parse("some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"), Ok(Stall { some_us: 7, full_us: 0 }));
        for end in 0..text.len() {
            let _ = parse(&text[..end]);
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        for text in ["some avg10=0.00", "some total=x", "none total=1", "", "\u{0}"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse("some total=1\nfull total=-1").unwrap_err().starts_with("line 2"));
    }
}
