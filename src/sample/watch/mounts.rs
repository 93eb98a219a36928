//! /proc/self/mountinfo: what is mounted (proc_pid_mountinfo(5)). It refuses to look at a mount point itself.

use super::raw::bad_line;
use crate::model::watch::Mount;

pub(super) const PATH: &str = "/proc/self/mountinfo";

pub(super) fn parse(text: &str, mounts: &mut Vec<Mount>) -> Result<(), String> {
    mounts.clear();
    for (index, line) in text.lines().enumerate() {
        mounts.push(parse_line(line).ok_or_else(|| {
            bad_line(index, line, "id, parent, device, root, mount point, options, -, type, source and options")
        })?);
    }
    Ok(())
}

/// Every file system has a line.
pub(super) fn parse_line(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ');
    let id = fields.next()?.parse().ok()?;
    let _parent: u32 = fields.next()?.parse().ok()?;
    let dev = fields.next()?.parse().ok()?;
    let root = unescaped(fields.next()?);
    let point = unescaped(fields.next()?);
    let options = fields.next()?.to_owned();
    // Any number of optional fields, then a dash.
    fields.by_ref().find(|field| *field == "-")?;
    let kind = fields.next()?.to_owned();
    let source = unescaped(fields.next()?);
    let super_options = fields.next()?.to_owned();
    Some(Mount { id, dev, root, point, options, kind, source, super_options })
}

/// Space, tab, line end and backslash are written as three octal digits.
fn unescaped(field: &str) -> String {
    if !field.contains('\\') {
        return field.to_owned();
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|digits| first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        let value = octal.and_then(|digits| {
            u8::try_from(digits.iter().fold(0u32, |sum, digit| sum * 8 + u32::from(digit - b'0'))).ok()
        });
        match value {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "22 1 259:1 / / rw,noatime shared:1 master:2 - xfs /dev/nvme0n1p1 rw,attr2,inode64\n36 22 0:21 /a\\040b /mnt/with\\040space\\134x ro - tmpfs my\\011source ro,size=4k\n";

    #[test]
    fn fields_and_escapes() {
        let mut mounts = Vec::new();
        parse(TEXT, &mut mounts).unwrap();
        assert_eq!(mounts.len(), 2);
        assert_eq!((mounts[0].id, mounts[0].dev.to_string(), mounts[0].kind.as_str()), (22, "259:1".to_owned(), "xfs"));
        assert_eq!(
            (mounts[0].source.as_str(), mounts[0].super_options.as_str()),
            ("/dev/nvme0n1p1", "rw,attr2,inode64")
        );
        assert_eq!((mounts[1].root.as_str(), mounts[1].point.as_str()), ("/a b", "/mnt/with space\\x"));
        assert_eq!(mounts[1].source, "my\tsource");
        assert_eq!(unescaped("\\777\\04"), "\\777\\04");
    }

    #[test]
    fn a_bad_line_is_named() {
        for line in ["", "x", "1 2 3 / / rw - ext4 a rw", "1 2 8:1 / / rw ext4 a rw", "1 2 8:1 / / rw -", "\u{0}"] {
            let text = format!("{}\n{line}\n", TEXT.lines().next().unwrap());
            assert!(parse(&text, &mut Vec::new()).unwrap_err().starts_with("line 2"), "{line:?}");
        }
        for end in 0..TEXT.len() {
            let _ = parse(&TEXT[..end], &mut Vec::new());
        }
    }
}
