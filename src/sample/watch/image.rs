//! What is installed: the system's release, the image's stamp, kernels, and who asks for a reboot. Files on a disk: only a probe child, or a recording,
//! reads them. It refuses to take a directory of modules without its kernel for one that could be booted.

use std::path::Path;

use super::raw::word;
use crate::host::Host;
use crate::model::Reading;
use crate::model::watch::Image;

/// Where an image's build writes when that was, as a date or as RFC 3339.
const STAMPS: [&str; 2] = ["/etc/node-steward/image-built", "/usr/lib/node-steward/image-built"];

/// Reads them all.
pub(super) fn read(host: &Host) -> Reading<Image> {
    let Some(running) = word(host, "/proc/sys/kernel/osrelease") else {
        return Reading::absent("there is no /proc/sys/kernel/osrelease");
    };
    let release = ["/etc/os-release", "/usr/lib/os-release"].into_iter().find_map(|path| word(host, path));
    let release = release.unwrap_or_default();
    let kernels = match kernels(host) {
        Ok(kernels) => kernels,
        Err(why) => return Reading::failed(why),
    };
    let image = Image {
        os: value(&release, "PRETTY_NAME").unwrap_or_default(),
        support_end: value(&release, "SUPPORT_END").unwrap_or_default(),
        built: STAMPS.into_iter().find_map(|path| word(host, path)).unwrap_or_default(),
        running,
        kernels,
        reboot_required: reboot_required(host),
    };
    Reading::fresh(image, "os-release, /lib/modules")
}

/// A value of os-release(5), without quotes.
fn value(release: &str, key: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

/// Nothing where there is no list of them, as with kernels that are part of an image.
fn kernels(host: &Host) -> Result<Option<Vec<String>>, String> {
    for dir in ["/usr/lib/modules", "/lib/modules"] {
        let Some(names) = host.list_dirs(Path::new(dir)).map_err(|error| error.to_string())? else { continue };
        let bootable = |name: &String| {
            let files = [format!("{dir}/{name}/vmlinuz"), format!("/boot/vmlinuz-{name}")];
            files.iter().any(|file| host.exists(Path::new(file)))
        };
        let mut names: Vec<String> = names.into_iter().filter(bootable).collect();
        names.sort();
        return Ok(Some(names));
    }
    Ok(None)
}

/// Debian's and Ubuntu's packages leave word.
fn reboot_required(host: &Host) -> Option<Vec<String>> {
    if !host.exists(Path::new("/run/reboot-required")) {
        return None;
    }
    let packages = word(host, "/run/reboot-required.pkgs").unwrap_or_default();
    let mut packages: Vec<String> = packages.lines().map(str::to_owned).collect();
    packages.sort();
    packages.dedup();
    Some(packages)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Makes the files that are read.
mod tests {
    use super::*;

    #[test]
    fn kernels_that_can_be_booted_are_listed() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let file = root.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
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
    }
}
