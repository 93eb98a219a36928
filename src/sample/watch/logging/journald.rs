//! journald's settings: journald.conf and its drop-ins in the order of journald.conf(5), then the kernel's command line. It refuses to believe one
//! default for all systems: what is built in is read from the comments of the file that the system ships.

use std::collections::BTreeMap;
use std::path::Path;

use super::text;
use crate::host::Host;
use crate::model::watch::JournalSetup;

/// Highest first.
const DIRS: [&str; 4] = ["/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"];
const STORE: &str = "/var/log/journal";

pub(super) fn read(host: &Host) -> Result<JournalSetup, String> {
    let mut values: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut built_in: BTreeMap<String, String> = BTreeMap::new();
    let mut main = None;
    for dir in DIRS {
        let path = format!("{dir}/journald.conf");
        if let Some(text) = text::file(host, &path)? {
            // The lowest one is the distributor's; its comments tell what is built in.
            built_in = comments(&text);
            main = main.or(Some((path, text)));
        }
    }
    for (path, text) in main.into_iter().chain(drop_ins(host)?) {
        take(&text, &path, &mut values);
    }
    let line = text::file(host, "/proc/cmdline")?.unwrap_or_default();
    for word in line.split_whitespace() {
        let Some(option) = word.strip_prefix("systemd.journald.") else { continue };
        let (name, value) = option.split_once('=').unwrap_or((option, "yes"));
        values.insert(name.replace('_', ""), (value.to_owned(), "the kernel's command line".to_owned()));
    }
    let value = |name: &str| values.get(&name.to_ascii_lowercase()).map(|(value, _)| value.clone());
    let forward = values.get("forwardtosyslog").and_then(|(value, from)| Some((text::truth(value)?, from.clone())));
    let (forward_to_syslog, forward_from) = forward.unwrap_or_else(|| {
        let built_in = built_in.get("forwardtosyslog").and_then(|value| text::truth(value));
        (built_in.unwrap_or_else(|| patched(host)), "built in".to_owned())
    });
    let storage = value("Storage").unwrap_or_else(|| "auto".to_owned()).to_ascii_lowercase();
    // `persistent` makes the directory; a journal is there once journald has been told to flush to it.
    let persistent = ["auto", "persistent"].contains(&storage.as_str()) && kept(host)?;
    Ok(JournalSetup {
        storage,
        persistent,
        forward_to_syslog,
        forward_from,
        sync_interval: value("SyncIntervalSec").unwrap_or_default(),
        rate_limit: (value("RateLimitIntervalSec").unwrap_or_default(), value("RateLimitBurst").unwrap_or_default()),
        system_max_use: value("SystemMaxUse").unwrap_or_default(),
    })
}

/// Of one name, the highest directory's; sorted by name over all.
fn drop_ins(host: &Host) -> Result<Vec<(String, String)>, String> {
    let mut by_name = BTreeMap::new();
    for dir in DIRS {
        let dir = format!("{dir}/journald.conf.d");
        for entry in host.list(Path::new(&dir)).map_err(|error| error.to_string())?.unwrap_or_default() {
            if entry.name.ends_with(".conf") && !entry.is_dir {
                by_name.entry(entry.name.clone()).or_insert_with(|| format!("{dir}/{}", entry.name));
            }
        }
    }
    let mut files = Vec::new();
    for path in by_name.into_values() {
        // A link to /dev/null takes one away.
        let bytes = match host.read(Path::new(&path), super::MOST_BYTES) {
            Err(error) if matches!(error.reason, crate::host::Reason::NotRegular) => None,
            read => read.map_err(|error| error.to_string())?,
        };
        files.extend(bytes.map(|bytes| (path, String::from_utf8_lossy(&bytes).into_owned())));
    }
    Ok(files)
}

/// Assignments of the `[Journal]` section; an empty one takes an earlier one back.
fn take(text: &str, path: &str, values: &mut BTreeMap<String, (String, String)>) {
    let mut ours = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            ours = line == "[Journal]";
        }
        let Some((name, value)) = line.split_once('=').filter(|_| ours && !line.starts_with(['#', ';'])) else {
            continue;
        };
        let name = name.trim().to_ascii_lowercase();
        match value.trim() {
            "" => drop(values.remove(&name)),
            value => drop(values.insert(name, (value.to_owned(), path.to_owned()))),
        }
    }
}

/// `#ForwardToSyslog=yes`: "entries in this file show the compile time defaults".
fn comments(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.trim().strip_prefix('#')?.split_once('='));
    let plain = pairs.filter(|(name, _)| name.chars().all(|letter| letter.is_ascii_alphanumeric()));
    plain.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect()
}

/// Debian and what is made of it build it in.
fn patched(host: &Host) -> bool {
    let release =
        ["/etc/os-release", "/usr/lib/os-release"].into_iter().find_map(|path| text::file(host, path).ok()?);
    let release = release.unwrap_or_default();
    release.lines().any(|line| {
        let value = line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE="));
        value.is_some_and(|ids| ids.trim_matches('"').split_whitespace().any(|id| id == "debian" || id == "ubuntu"))
    })
}

fn kept(host: &Host) -> Result<bool, String> {
    let machines = host.list(Path::new(STORE)).map_err(|error| error.to_string())?.unwrap_or_default();
    Ok(machines.iter().any(|machine| host.exists(Path::new(&format!("{STORE}/{}/system.journal", machine.name)))))
}
