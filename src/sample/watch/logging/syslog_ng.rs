//! syslog-ng.conf: sources, files with `fsync`, and destinations elsewhere. It refuses to follow log paths: a destination that is defined is written.

use super::text::{self, truth};
use crate::host::Host;
use crate::model::watch::{LogFile, SyslogDaemon};

const PATH: &str = "/etc/syslog-ng/syslog-ng.conf";
/// Destinations that are no file of this host.
const ELSEWHERE: [&str; 8] = ["network", "syslog", "tcp", "udp", "http", "kafka-c", "program", "elasticsearch-http"];
const LISTENS: [&str; 4] = ["network", "syslog", "tcp", "udp"];

pub(super) fn read(host: &Host, daemon: &mut SyslogDaemon) -> Result<(), String> {
    let Some(text) = text::file(host, PATH)? else {
        return Err(format!("{} runs, and there is no {PATH}", daemon.unit));
    };
    take(&text, PATH, daemon);
    for pattern in text.lines().filter_map(|line| line.trim().strip_prefix("@include")) {
        let pattern = pattern.trim().trim_matches('"');
        // scl.conf defines words; what uses them is in the configuration itself.
        if pattern == "scl.conf" {
            continue;
        }
        let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/syslog-ng/{pattern}") };
        for path in text::files(host, &pattern)? {
            if let Some(text) = text::file(host, &path)? {
                take(&text, &path, daemon);
            }
        }
    }
    let has = |name: &str| daemon.inputs.iter().any(|input| input == name);
    // On a host with systemd `system()` reads the journal.
    daemon.reads_journal = has("system") || has("systemd-journal");
    daemon.reads_socket = has("unix-dgram") || has("systemd-syslog");
    Ok(())
}

/// Blocks `source NAME { driver(...); };` and `destination NAME { driver(...); };`.
fn take(text: &str, path: &str, daemon: &mut SyslogDaemon) {
    let plain = uncommented(text);
    let mut from = 0;
    while let Some((source, start)) = next_block(&plain, from) {
        let inside = &plain[start..];
        let mut at = 0;
        let mut depth = 1_u32;
        let mut quoted = false;
        let mut parentheses = 0_u32;
        let mut driver = 0;
        for (index, letter) in inside.char_indices() {
            at = index;
            match letter {
                '"' => quoted = !quoted,
                _ if quoted => {}
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                '(' => {
                    if parentheses == 0 {
                        let line = plain[..start + index].matches('\n').count() + 1;
                        let name = inside[driver..index].trim().trim_start_matches(';').trim();
                        take_driver(name, &inside[index + 1..], source, (path, line), daemon);
                    }
                    parentheses += 1;
                }
                ')' => parentheses = parentheses.saturating_sub(1),
                ';' if parentheses == 0 => driver = index + 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        from = start + at + 1;
        if from >= plain.len() {
            break;
        }
    }
}

fn take_driver(name: &str, arguments: &str, source: bool, (path, line): (&str, usize), daemon: &mut SyslogDaemon) {
    let arguments = balanced(arguments);
    if source {
        if !daemon.inputs.iter().any(|input| input == name) {
            daemon.inputs.push(name.to_owned());
        }
        if LISTENS.contains(&name) {
            daemon.listens.push(name.to_owned());
        }
        return;
    }
    let first = arguments.split('"').nth(1).unwrap_or_default();
    if name == "file" && first.starts_with('/') && !first.starts_with("/dev/") {
        let option = arguments.split("fsync").nth(1).and_then(|rest| rest.trim_start().strip_prefix('('));
        let synced = option.and_then(|rest| truth(rest.split(')').next()?)) == Some(true);
        let (path_of, from) = (first.to_owned(), format!("{path}:{line}"));
        if !daemon.files.iter().any(|file| file.path == path_of && file.synced >= synced) {
            daemon.files.retain(|file| file.path != path_of);
            daemon.files.push(LogFile { path: path_of, synced, from });
        }
    } else if ELSEWHERE.contains(&name) {
        daemon.sends.push(format!("{name} {first}").trim().to_owned());
    }
}

/// Up to the parenthesis that closes.
fn balanced(text: &str) -> &str {
    let mut open = 1_u32;
    let mut quoted = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '(' if !quoted => open += 1,
            ')' if !quoted => open -= 1,
            _ => {}
        }
        if open == 0 {
            return &text[..at];
        }
    }
    text
}

/// The next block that matters: whether it is a source, and where its inside begins.
fn next_block(text: &str, from: usize) -> Option<(bool, usize)> {
    let rest = text.get(from..)?;
    let found = ["source", "destination"].into_iter().filter_map(|word| {
        let mut at = 0;
        loop {
            let here = at + rest.get(at..)?.find(word)?;
            let starts = rest[..here].trim_end_matches([' ', '\t']).ends_with(['\n', ';', '}'])
                || rest[..here].trim().is_empty();
            // `source(s_src);` within a log path names one.
            let body = rest[here + word.len()..].find(['{', '(', ';']).map(|next| here + word.len() + next)?;
            if starts && rest[body..].starts_with('{') {
                return Some((word == "source", here, body + 1));
            }
            at = here + word.len();
        }
    });
    let (source, _, body) = found.min_by_key(|(_, here, _)| *here)?;
    Some((source, from + body))
}

/// Comments become blanks: lines and places stay.
fn uncommented(text: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| match line.find('#') {
        Some(at) if line[..at].matches('"').count() % 2 == 0 => {
            format!("{}{}", &line[..at], if line.ends_with('\n') { "\n" } else { "" })
        }
        _ => line.to_owned(),
    });
    lines.collect()
}
