//! Words that the readers of logging configurations share. It refuses nothing that is text; bytes that are none are replaced.

use std::path::Path;

use super::MOST_BYTES;
use crate::host::Host;

/// A whole file; nothing where there is none.
pub(super) fn file(host: &Host, path: &str) -> Result<Option<String>, String> {
    let bytes = host.read(Path::new(path), MOST_BYTES).map_err(|error| error.to_string())?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// The files that a pattern names, sorted: only its last part may hold stars, as in `/etc/rsyslog.d/*.conf`.
pub(super) fn files(host: &Host, pattern: &str) -> Result<Vec<String>, String> {
    if !pattern.contains('*') {
        return Ok(vec![pattern.to_owned()]);
    }
    let Some((dir, name)) = pattern.rsplit_once('/') else { return Ok(Vec::new()) };
    let entries = host.list(Path::new(dir)).map_err(|error| error.to_string())?.unwrap_or_default();
    let hidden = |name: &str| name.starts_with('.');
    let fits = entries.into_iter().filter(|entry| !entry.is_dir && !hidden(&entry.name) && fits(name, &entry.name));
    Ok(fits.map(|entry| format!("{dir}/{}", entry.name)).collect())
}

/// Whether a pattern with stars fits a text; a star also stands for `/`, so that nothing is overlooked.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*').filter(|part| !part.is_empty()).peekable();
    let mut rest = text;
    let (open_start, open_end) = (pattern.starts_with('*'), pattern.ends_with('*'));
    let mut first = true;
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let at = match (first && !open_start, last && !open_end) {
            (true, true) => (rest == part).then_some(0),
            (true, false) => rest.starts_with(part).then_some(0),
            (false, true) => rest.ends_with(part).then(|| rest.len() - part.len()),
            (false, false) => rest.find(part),
        };
        let Some(at) = at else { return false };
        rest = &rest[at + part.len()..];
        first = false;
    }
    !first || open_start || text.is_empty()
}

/// `on`, `yes`, `true` and 1 as these programs take them.
pub(super) fn truth(word: &str) -> Option<bool> {
    match word.trim().to_ascii_lowercase().as_str() {
        "on" | "yes" | "true" | "1" | "y" | "t" => Some(true),
        "off" | "no" | "false" | "0" | "n" | "f" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_fit() {
        for (pattern, text, expected) in [
            ("/var/log/*.log", "/var/log/auth.log", true),
            ("/var/log/*.log", "/var/log/syslog", false),
            ("/var/log/**", "/var/log/a/b", true),
            ("/var/log/*", "/var/log/messages", true),
            ("/var/log/messages", "/var/log/messages", true),
            ("/var/log/messages", "/var/log/messages.1", false),
            ("/var/log/mess*", "/var/log/messages", true),
            ("*.conf", "a.conf", true),
            ("a*a", "a", false),
            ("*", "x", true),
            ("", "x", false),
            ("/var/log/*sys*log", "/var/log/syslog", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
