//! What is installed: the system's release, the image's stamp, kernels, and who asks for a reboot. Files on a disk: only a probe child, or a recording,
//! reads them. It refuses to take a directory of modules without its kernel for one that could be booted.

use std::path::Path;

use crate::host::{Host, HostResult};
use crate::model::Reading;
use crate::model::watch::Image;

/// Where an image's build writes when that was, as a date or as RFC 3339.
const STAMPS: [&str; 2] = ["/etc/node-steward/image-built", "/usr/lib/node-steward/image-built"];

/// Reads them all.
pub(super) fn read(host: &Host) -> Reading<Image> {
    match look(host) {
        Ok(Some(image)) => Reading::fresh(image, "os-release, /lib/modules"),
        Ok(None) => Reading::absent("there is no /proc/sys/kernel/osrelease"),
        Err(error) => Reading::failed(error.to_string()),
    }
}

/// A file that is there and cannot be read is no word that all is well.
fn look(host: &Host) -> HostResult<Option<Image>> {
    let Some(running) = host.read_text(Path::new("/proc/sys/kernel/osrelease"))? else { return Ok(None) };
    let release = first(host, ["/etc/os-release", "/usr/lib/os-release"])?;
    Ok(Some(Image {
        os: value(&release, "PRETTY_NAME").unwrap_or_default(),
        support_end: value(&release, "SUPPORT_END").unwrap_or_default(),
        built: first(host, STAMPS)?,
        running,
        kernels: kernels(host)?,
        reboot_required: reboot_required(host)?,
    }))
}

/// The text of the first that is there; empty where none is.
fn first(host: &Host, paths: [&str; 2]) -> HostResult<String> {
    for path in paths {
        if let Some(text) = host.read_text(Path::new(path))? {
            return Ok(text);
        }
    }
    Ok(String::new())
}

/// A value of os-release(5), without quotes.
fn value(release: &str, key: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

/// Nothing where there is no list of them, as with kernels that are part of an image.
fn kernels(host: &Host) -> HostResult<Option<Vec<String>>> {
    for dir in ["/usr/lib/modules", "/lib/modules"] {
        let Some(names) = host.list_dirs(Path::new(dir))? else { continue };
        let mut bootable = Vec::new();
        for name in names {
            let there = |file: String| host.facts(Path::new(&file)).map(|facts| facts.is_some());
            if there(format!("{dir}/{name}/vmlinuz"))? || there(format!("/boot/vmlinuz-{name}"))? {
                bootable.push(name);
            }
        }
        bootable.sort();
        return Ok(Some(bootable));
    }
    Ok(None)
}

/// Debian's and Ubuntu's packages leave word.
fn reboot_required(host: &Host) -> HostResult<Option<Vec<String>>> {
    if host.facts(Path::new("/run/reboot-required"))?.is_none() {
        return Ok(None);
    }
    let packages = host.read_text(Path::new("/run/reboot-required.pkgs"))?.unwrap_or_default();
    let mut packages: Vec<String> = packages.lines().map(str::to_owned).collect();
    packages.sort();
    packages.dedup();
    Ok(Some(packages))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the files that are read.
mod tests {
    use super::*;

    #[test]
    fn kernels_that_can_be_booted_are_listed() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| crate::host::made::put(root.path(), path, text);
        let host = Host::new(root.path()).unwrap();
        assert!(matches!(read(&host), Reading::Absent { .. }));
        put("proc/sys/kernel/osrelease", "6.1.0-1-amd64\n");
        assert_eq!(read(&host).value(), Some(&Image { running: "6.1.0-1-amd64".to_owned(), ..Image::default() }));
        put("etc/os-release", "NAME=x\nPRETTY_NAME=\"Amazon Linux 2023\"\nSUPPORT_END=\"2029-06-30\"\n");
        put("usr/lib/modules/6.1.2/vmlinuz", "");
        put("usr/lib/modules/6.1.1/modules.dep", "");
        put("usr/lib/modules/6.1.0-1-amd64/modules.dep", "");
        put("boot/vmlinuz-6.1.0-1-amd64", "");
        put("run/reboot-required", "*** System restart required ***\n");
        put("run/reboot-required.pkgs", "linux-image\nlibc6\nlibc6\n");
        put("usr/lib/node-steward/image-built", "2026-01-02\n");
        let reading = read(&host);
        let image = reading.value().unwrap();
        assert_eq!(
            (image.os.as_str(), image.support_end.as_str(), image.built.as_str()),
            ("Amazon Linux 2023", "2029-06-30", "2026-01-02")
        );
        assert_eq!(image.kernels.as_deref().unwrap(), ["6.1.0-1-amd64", "6.1.2"]);
        assert_eq!(image.reboot_required.as_deref().unwrap(), ["libc6", "linux-image"]);
        put(".recorded/errno.json", "{\"/etc/os-release\": 5}");
        let host = Host::new(root.path()).unwrap();
        let Reading::Failed { why } = read(&host) else { panic!("an error is no system without an end of support") };
        assert!(why.contains("/etc/os-release"), "{why}");
    }
}
