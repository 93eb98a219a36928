//! /sys/fs/ext4: errors that ext4 has counted in its superblock, from memory. It refuses to guess the device behind a label.

use std::path::Path;

use super::raw::{needed_number, number, word};
use crate::host::Host;
use crate::model::Reading;
use crate::model::watch::ExtErrors;

const ROOT: &str = "/sys/fs/ext4";

/// The names of the devices: they change with the mounts.
pub(super) fn devices(host: &Host) -> Result<Option<Vec<String>>, String> {
    let entries = host.list(Path::new(ROOT)).map_err(|error| error.to_string())?;
    // `features` is no device and has no counter.
    let counts = |name: &String| host.exists(Path::new(&format!("{ROOT}/{name}/errors_count")));
    Ok(entries.map(|entries| entries.into_iter().map(|entry| entry.name).filter(counts).collect()))
}

/// Reads the counters of these devices; the details only where there is an error.
pub(super) fn read(host: &Host, names: &[String]) -> Reading<Vec<ExtErrors>> {
    let mut all = Vec::with_capacity(names.len());
    for name in names {
        match one(host, name) {
            Ok(Some(errors)) => all.push(errors),
            // Unmounted since the last listing.
            Ok(None) => {}
            Err(why) => return Reading::failed(why),
        }
    }
    Reading::fresh(all, ROOT)
}

fn one(host: &Host, name: &str) -> Result<Option<ExtErrors>, String> {
    let file = |file: &str| format!("{ROOT}/{name}/{file}");
    let Some(errors) = needed_number(host, &file("errors_count"))? else { return Ok(None) };
    let mut one = ExtErrors {
        device: name.to_owned(),
        errors,
        warnings: number(host, &file("warning_count")).unwrap_or(0),
        last_error_time: 0,
        last_error_func: String::new(),
        last_error_code: 0,
    };
    if errors > 0 {
        one.last_error_time = number(host, &file("last_error_time")).unwrap_or(0);
        one.last_error_func = word(host, &file("last_error_func")).unwrap_or_default();
        // Since kernel 5.8.
        one.last_error_code = number(host, &file("last_error_errcode")).unwrap_or(0);
    }
    Ok(Some(one))
}
