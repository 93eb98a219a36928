//! rsyslog.conf in all its dialects, and the syslog.conf of older daemons: what is loaded, which files are written and whether each message is synced.
//! It refuses to evaluate filters: a file that some message may go to is written.

use super::text::{self, truth};
use crate::host::Host;
use crate::model::watch::{LogFile, SyslogDaemon};

/// Includes within includes.
const DEEPEST: usize = 8;
/// Files read at most.
const MOST_FILES: usize = 200;
/// Objects of RainerScript that matter here.
const OBJECTS: [&str; 4] = ["module", "input", "action", "include"];

/// Whose configuration it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Files are synced only where that is switched on; `-` before a name excepts it.
    Rsyslog,
    /// Files are synced unless a `-` stands before their name.
    Syslogd,
}

struct Reader<'a> {
    host: &'a Host,
    daemon: &'a mut SyslogDaemon,
    /// What `$ActionFileEnableSync` says at this point.
    sync: bool,
    files: usize,
    local: bool,
}

/// Reads it with its includes.
pub(super) fn read(host: &Host, path: &str, dialect: Dialect, daemon: &mut SyslogDaemon) -> Result<(), String> {
    let Some(text) = text::file(host, path)? else {
        return Err(format!("{} runs, and there is no {path}", daemon.unit));
    };
    let mut reader = Reader { host, daemon, sync: dialect == Dialect::Syslogd, files: 1, local: true };
    if dialect == Dialect::Syslogd {
        reader.daemon.inputs.push("socket".to_owned());
    }
    reader.file(&text, path, 0)?;
    let local = reader.local;
    let has = |name: &str| daemon.inputs.iter().any(|input| input == name);
    daemon.reads_socket = has("socket") || (local && has("imuxsock"));
    daemon.reads_journal = has("imjournal");
    let network = ["imudp", "imtcp", "imptcp", "imrelp", "imgssapi", "imdtls"];
    daemon.listens = daemon.inputs.iter().filter(|input| network.contains(&input.as_str())).cloned().collect();
    Ok(())
}

impl Reader<'_> {
    fn file(&mut self, text: &str, path: &str, depth: usize) -> Result<(), String> {
        let mut line = String::new();
        let mut number = 1;
        let mut started = 1;
        let mut letters = text.char_indices().peekable();
        let mut quote = None;
        let mut word_start = true;
        while let Some((at, letter)) = letters.next() {
            if letter == '\n' {
                number += 1;
            }
            let starts = quote.is_none() && word_start && letter.is_ascii_lowercase();
            if let Some((name, inside, length)) = object(&text[at..]).filter(|_| starts) {
                self.object(name, &parameters(inside), (path, number), depth)?;
                number += inside.matches('\n').count();
                while letters.next_if(|(next, _)| *next < at + length).is_some() {}
                continue;
            }
            match (letter, quote) {
                ('#', None) if line.trim().is_empty() || line.ends_with(char::is_whitespace) => {
                    while letters.next_if(|(_, next)| *next != '\n').is_some() {}
                }
                ('\\', _) if letters.peek().is_some_and(|(_, next)| *next == '\n') => {
                    letters.next();
                    number += 1;
                }
                // A quote that is never closed ends with its line.
                ('\n', _) => {
                    self.line(&line, (path, started), depth)?;
                    line.clear();
                    (quote, started) = (None, number);
                }
                (c, Some(open)) => {
                    quote = if c == open { None } else { quote };
                    line.push(c);
                }
                (c @ ('"' | '\''), None) => {
                    quote = Some(c);
                    line.push(c);
                }
                (c, None) => line.push(c),
            }
            word_start = !(letter.is_ascii_alphanumeric() || ['_', '.', '$', '-', '/', '!'].contains(&letter));
        }
        self.line(&line, (path, started), depth)
    }

    fn include(&mut self, pattern: &str, depth: usize) -> Result<(), String> {
        if depth >= DEEPEST {
            return Err(format!("{pattern}: includes lie deeper than {DEEPEST}"));
        }
        // A directory includes all that is in it.
        let pattern = if pattern.ends_with('/') { format!("{pattern}*") } else { pattern.to_owned() };
        for path in text::files(self.host, &pattern)? {
            self.files += 1;
            if self.files > MOST_FILES {
                return Err(format!("more than {MOST_FILES} files are included"));
            }
            if let Some(text) = text::file(self.host, &path)? {
                self.file(&text, &path, depth + 1)?;
            }
        }
        Ok(())
    }

    fn object(
        &mut self,
        name: &str,
        parameters: &[(String, String)],
        at: (&str, usize),
        depth: usize,
    ) -> Result<(), String> {
        let value = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        match name {
            "include" => {
                if let Some(file) = value("file") {
                    self.include(file, depth)?;
                }
            }
            "module" => {
                self.load(value("load").unwrap_or_default());
                if value("syssock.use").and_then(truth) == Some(false) {
                    self.local = false;
                }
            }
            "input" => self.load(value("type").unwrap_or_default()),
            _ => self.action(value("type").unwrap_or_default(), &value, at),
        }
        Ok(())
    }

    fn action<'v>(&mut self, kind: &str, value: &impl Fn(&str) -> Option<&'v str>, at: (&str, usize)) {
        match kind {
            "omfile" | "builtin:omfile" => {
                let path = value("file").or_else(|| value("dynafile")).unwrap_or_default();
                self.writes(path, value("sync").and_then(truth) == Some(true), at);
            }
            "omfwd" | "omrelp" | "builtin:omfwd" => {
                self.daemon.sends.push(format!("{kind} to {}", value("target").unwrap_or("somewhere")));
            }
            // To users' terminals, to nobody, and to the console.
            "omusrmsg" | "builtin:omusrmsg" | "omdiscard" | "" => {}
            other => self.daemon.sends.push(other.to_owned()),
        }
    }

    fn load(&mut self, module: &str) {
        let name = module.rsplit('/').next().unwrap_or(module).trim_end_matches(".so");
        if name.starts_with("im") && !self.daemon.inputs.iter().any(|input| input == name) {
            self.daemon.inputs.push(name.to_owned());
        }
    }

    fn line(&mut self, line: &str, at: (&str, usize), depth: usize) -> Result<(), String> {
        let line = line.trim();
        if let Some(directive) = line.strip_prefix('$') {
            let (name, value) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "includeconfig" => self.include(value, depth)?,
                "modload" => self.load(value),
                "actionfileenablesync" => self.sync = truth(value) == Some(true),
                "omitlocallogging" if truth(value) == Some(true) => self.local = false,
                _ => {}
            }
        } else if let Some(include) = line.strip_prefix("include ").filter(|_| !line.contains('(')) {
            // sysklogd's own word.
            self.include(include.trim(), depth)?;
        } else if let Some(target) = target(line) {
            self.legacy(target, at);
        }
        Ok(())
    }

    /// An action as syslogd always had them.
    fn legacy(&mut self, target: &str, at: (&str, usize)) {
        let target = target.split(';').next().unwrap_or_default().trim();
        let (spared, name) = target.strip_prefix('-').map_or((false, target), |name| (true, name));
        match name.chars().next() {
            Some('/' | '?') => self.writes(name, self.sync && !spared, at),
            Some('@') => self.daemon.sends.push(name.to_owned()),
            Some('|') if !name[1..].trim().starts_with("/dev/") => self.daemon.sends.push(name.to_owned()),
            Some('^') => self.daemon.sends.push(name.to_owned()),
            Some(':') if name.starts_with(":om") => {
                let module = name[1..].split(':').next().unwrap_or_default();
                self.action(module, &|_| None, at);
            }
            _ => {}
        }
    }

    fn writes(&mut self, path: &str, synced: bool, (file, line): (&str, usize)) {
        if path.is_empty() || path.starts_with("/dev/") {
            return;
        }
        let files = &mut self.daemon.files;
        match files.iter_mut().find(|known| known.path == path) {
            Some(known) if synced && !known.synced => (known.synced, known.from) = (true, format!("{file}:{line}")),
            Some(_) => {}
            None => files.push(LogFile { path: path.to_owned(), synced, from: format!("{file}:{line}") }),
        }
    }
}

/// `name(...)` at the start of a text: the name, what is between the parentheses, and the length of it all.
fn object(text: &str) -> Option<(&'static str, &str, usize)> {
    let name = OBJECTS.into_iter().find(|name| text.starts_with(name))?;
    let rest = text[name.len()..].trim_start_matches([' ', '\t']);
    let inside = rest.strip_prefix('(')?;
    let (mut quoted, mut escaped, mut comment) = (false, false, false);
    for (at, letter) in inside.char_indices() {
        match letter {
            '\n' if comment => comment = false,
            _ if comment => {}
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '#' if !quoted => comment = true,
            ')' if !quoted => return Some((name, &inside[..at], text.len() - inside.len() + at + 1)),
            _ => {}
        }
    }
    None
}

/// `name="value"` pairs, names in lower case; comments between them are left out.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        while rest.starts_with('#') {
            rest = rest.split_once('\n').map_or("", |(_, after)| after).trim_start();
        }
        let Some((name, after)) = rest.split_once('=') else { return pairs };
        let Some(after) = after.trim_start().strip_prefix('"') else { return pairs };
        let Some(end) = after.find('"') else { return pairs };
        pairs.push((name.trim().to_ascii_lowercase(), after[..end].to_owned()));
        rest = &after[end + 1..];
    }
}

/// What a line does with a message: after a selector, a property filter, `then` or `&`, or alone within a block.
fn target(line: &str) -> Option<&str> {
    let first = line.chars().next()?;
    let rest = match first {
        '&' => &line[1..],
        '/' | '-' | '@' | '?' => line,
        // A filter without a value, such as `:msg, isempty`, ends with its own words.
        ':' if !line.starts_with(":om") => match line.rfind('"') {
            Some(at) => &line[at + 1..],
            None => line.rsplit(char::is_whitespace).next().unwrap_or_default(),
        },
        ':' => line,
        _ if line.starts_with("if ") => line.rfind(" then").map(|at| &line[at + 5..])?,
        _ => {
            let (selector, rest) = line.split_once(char::is_whitespace)?;
            selector.contains('.').then_some(rest)?
        }
    };
    Some(rest.trim().trim_start_matches('{').trim()).filter(|rest| !rest.is_empty())
}
