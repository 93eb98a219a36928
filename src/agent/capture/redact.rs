//! What of a host may be kept: serial numbers become counting ones, and whatever looks like a secret in a configuration is replaced.
//! It refuses a kubelet configuration that carries headers for a request of its own.

use std::path::Path;

use crate::model::watch::Record;

const UUID: &[u8] = b"00000000-0000-4000-8000-000000000000\n";
const REPLACED: &str = "redacted";
/// Names in configurations and environment files whose values are nobody's business.
const SECRETS: [&str; 8] =
    ["token", "secret", "passw", "credential", "apikey", "api_key", "access_key", "authorization"];

/// A file's bytes as they are kept, or nothing where it is better left out.
pub(super) fn file(path: &Path, bytes: Vec<u8>) -> Option<Vec<u8>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.contains("uuid") && path.starts_with("/sys/class/dmi") {
        return Some(UUID.to_vec());
    }
    if name.contains("serial") && path.starts_with("/sys") {
        return Some(serial(path, &bytes));
    }
    // Of the kernel's command line journald's options are looked at, and others may be secrets.
    if path == Path::new("/proc/cmdline") {
        return None;
    }
    // The machine's id is nobody's business, and names the journal's directory.
    if path == Path::new("/etc/machine-id") {
        return None;
    }
    if path == Path::new("/.recorded/told/journal") {
        return Some(machines(&String::from_utf8_lossy(&bytes)).into_bytes());
    }
    let kernels = ["/proc", "/sys", "/dev"].iter().any(|dir| path.starts_with(dir));
    if kernels {
        return Some(bytes);
    }
    let Ok(text) = std::str::from_utf8(&bytes) else { return Some(bytes) };
    if text.contains("staticPodURLHeader") {
        return None;
    }
    let lines: String = text.split_inclusive('\n').map(line).collect();
    Some(lines.into_bytes())
}

/// Directories of the journal by no machine's id; ids of files stay, which tell that one was rotated.
fn machines(text: &str) -> String {
    const STORE: &str = "/log/journal/";
    let mut parts = text.split(STORE);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let id = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        out.push_str(STORE);
        out.push_str(&"0".repeat(id));
        out.push_str(&part[id..]);
    }
    out
}

/// Of the same form, and counting up with the device's number.
fn serial(path: &Path, bytes: &[u8]) -> Vec<u8> {
    let device = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let number: u32 = device.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
    let volume = String::from_utf8_lossy(bytes).trim_start().starts_with("vol");
    if volume { format!("vol{number:017x}\n").into_bytes() } else { format!("{number:020}\n").into_bytes() }
}

fn line(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let end = if line.ends_with('\n') { "\n" } else { "" };
    let value = lower.find(['=', ':']).filter(|at| SECRETS.iter().any(|name| lower[..*at].contains(name)));
    if let Some(at) = value {
        return format!("{}\"{REPLACED}\"{end}", &line[..=at]);
    }
    // A user and a password in an address.
    match (line.find("://"), line.find('@')) {
        (Some(scheme), Some(at)) if at > scheme && !line[scheme + 3..at].contains(['/', ' ', '"', '\'']) => {
            format!("{}{REPLACED}{}", &line[..scheme + 3], &line[at..])
        }
        _ => line.to_owned(),
    }
}

/// A record of the kernel's log: its place in the sequence stays, a serial number does not.
pub(super) fn record(record: &Record) -> Record {
    let mut kept = record.clone();
    if kept.text.to_ascii_lowercase().contains("serial") || kept.facility != 0 {
        REPLACED.clone_into(&mut kept.text);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_and_secrets_do_not_stay() {
        let kept = |path: &str, text: &str| {
            file(Path::new(path), text.as_bytes().to_vec()).map(|bytes| String::from_utf8(bytes).unwrap())
        };
        let same = |path: &str, text: &str| assert_eq!(kept(path, text).as_deref(), Some(text), "{path}");
        assert_eq!(
            kept("/sys/class/nvme/nvme3/serial", "vol0a1b2c3d4e5f60718\n").as_deref(),
            Some("vol00000000000000003\n")
        );
        assert_eq!(kept("/sys/class/nvme/nvme0/serial", "S4EWNX0R123456\n").as_deref(), Some("00000000000000000000\n"));
        assert_eq!(kept("/sys/class/dmi/id/product_uuid", "ec2e1916-9099\n").unwrap().as_bytes(), UUID);
        assert_eq!(kept("/proc/cmdline", "quiet luks.key=1"), None);
        assert_eq!(kept("/etc/machine-id", "0123456789abcdef0123456789abcdef\n"), None);
        assert_eq!(
            kept(
                "/.recorded/told/journal",
                r#"[{"path":"/var/log/journal/0a1b/system.journal","id":"0a1b"},{"path":"/run/log/journal/ff/x"}]"#
            )
            .as_deref(),
            Some(r#"[{"path":"/var/log/journal/0000/system.journal","id":"0a1b"},{"path":"/run/log/journal/00/x"}]"#)
        );
        same("/proc/diskstats", "8 0 sda token=1\n");
        same("/etc/k.yaml", "maxPods: 58\nevictionHard:\n  nodefs.available: 10%\n");
        same("/etc/default/kubelet", "KUBELET_EXTRA_ARGS=--max-pods=58 --node-labels=a=b\n");
        let env = "HTTPS_PROXY=http://me:pw@proxy:3128\nAWS_SECRET_ACCESS_KEY=abc\nX=1\n";
        assert_eq!(
            kept("/etc/environment", env).as_deref(),
            Some("HTTPS_PROXY=http://redacted@proxy:3128\nAWS_SECRET_ACCESS_KEY=\"redacted\"\nX=1\n")
        );
        assert_eq!(kept("/etc/k.json", "{\"staticPodURLHeader\": {}}"), None);
    }

    #[test]
    fn programs_lines_and_serials_leave_the_kernels_log() {
        let from = |raw: &str| record(&Record::parse(raw.as_bytes()).unwrap());
        assert_eq!(from("6,7,1,-;usb 1-1: SerialNumber: 4711").text, REPLACED);
        assert_eq!(from("14,8,1,-;hello").text, REPLACED);
        let plain = from("3,9,1,-;I/O error, dev sda, sector 1\n SUBSYSTEM=block\n DEVICE=b8:0");
        assert_eq!(
            (plain.seq, plain.text.as_str(), plain.device.as_str()),
            (9, "I/O error, dev sda, sector 1", "b8:0")
        );
        assert_eq!(Record::parse(plain.raw().trim_end().as_bytes()).unwrap(), plain);
    }
}
