//! Who writes the host's logs: the syslog daemon that runs and its configuration, journald's settings, and who reads the daemon's files. Files in /etc and
//! /var/log: only a probe child, a recording, or `fix` reads them. It refuses to guess at a configuration that it cannot read.

mod journald;
mod readers;
mod rsyslog;
mod syslog_ng;
mod text;

use std::path::Path;

use super::raw::{Came, Raw};
use super::{daemons, mounts, stat};
use crate::host::Host;
use crate::model::Reading;
use crate::model::watch::{Logging, SYSLOG_UNITS, SyslogDaemon};

/// More than any such configuration has.
const MOST_BYTES: u64 = 1 << 20;
/// Where units are enabled.
const UNITS: &str = "/etc/systemd/system";

/// Looks at all of it.
pub fn read(host: &Host) -> Reading<Logging> {
    match look(host) {
        Ok(logging) => Reading::fresh(logging, "units, configuration files and open files"),
        Err(why) => Reading::failed(why),
    }
}

fn look(host: &Host) -> Result<Logging, String> {
    let journal = journald::read(host)?;
    let mut daemons = Vec::new();
    for (unit, pid, start_ticks) in running(host)? {
        let mut daemon = SyslogDaemon { unit: unit.to_owned(), pid, start_ticks, ..SyslogDaemon::default() };
        match unit {
            "rsyslog.service" => rsyslog::read(host, "/etc/rsyslog.conf", rsyslog::Dialect::Rsyslog, &mut daemon)?,
            "syslog-ng.service" => syslog_ng::read(host, &mut daemon)?,
            _ => rsyslog::read(host, "/etc/syslog.conf", rsyslog::Dialect::Syslogd, &mut daemon)?,
        }
        let alias = host.link(Path::new(&format!("{UNITS}/syslog.service"))).map_err(|error| error.to_string())?;
        daemon.alias = alias.is_some_and(|target| target.rsplit('/').next() == Some(unit));
        daemon.enabled = enabled(host, unit)?;
        daemons.push(daemon);
    }
    let readers = readers::read(host, &daemons)?;
    Ok(Logging { daemons, journal, readers })
}

/// Syslog daemons by their units' cgroups: a cgroup has the unit's real name, never an alias.
fn running(host: &Host) -> Result<Vec<(&'static str, u32, u64)>, String> {
    let mut raw = Raw::default();
    // Longer than any configuration: each container's layers are named in it.
    let table: Vec<_> = match raw.read(host, mounts::PATH) {
        Came::Same | Came::New => String::from_utf8_lossy(raw.bytes()).lines().filter_map(mounts::parse_line).collect(),
        Came::Gone => Vec::new(),
        Came::Failed(why) => return Err(why),
    };
    let Some(root) = daemons::hierarchy(&table) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (unit, name) in SYSLOG_UNITS {
        for slice in ["system.slice", "runtime.slice"] {
            let Some(pids) = text::file(host, &format!("{root}/{slice}/{unit}/cgroup.procs"))? else { continue };
            for pid in pids.lines().filter_map(|pid| pid.trim().parse::<u32>().ok()) {
                let stat = stat::read(host, &mut raw, &format!("/proc/{pid}/stat"))?;
                if let Some(stat) = stat.filter(|stat| stat.comm == name) {
                    found.push((unit, pid, stat.start_ticks));
                    break;
                }
            }
        }
    }
    Ok(found)
}

/// Whether some target wants it.
fn enabled(host: &Host, unit: &str) -> Result<bool, String> {
    let entries = host.list(Path::new(UNITS)).map_err(|error| error.to_string())?.unwrap_or_default();
    for entry in entries.iter().filter(|entry| entry.name.ends_with(".wants") || entry.name.ends_with(".requires")) {
        if host.exists(Path::new(&format!("{UNITS}/{}/{unit}", entry.name))) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the files that are read.
mod tests;
