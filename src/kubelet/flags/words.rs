//! From the text of environment files and systemd units to kubelet's words. It refuses expansion of anything but the
//! variables that it is given, and it runs nothing.

use std::collections::BTreeMap;

/// Splits a line into words as systemd and POSIX shells do: blanks part words, quotes keep them together, a backslash
/// takes the next character as it is.
///
/// # Errors
/// An open quote.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (c, Some(q)) if c == q => quote = None,
            ('\\', None | Some('"')) => {
                if let Some(next) = letters.next().filter(|c| *c != '\n') {
                    word.get_or_insert_default().push(next);
                }
            }
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        return Err(format!("an open {open} in {text:?}"));
    }
    words.extend(word);
    Ok(words)
}

/// The assignments of an EnvironmentFile such as `/etc/sysconfig/kubelet` or `/etc/default/kubelet`.
pub fn environment_file(text: &str) -> BTreeMap<String, String> {
    let joined = join_lines(text);
    let lines = joined.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    lines
        .filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='))
        .filter_map(assignment)
        .collect()
}

fn assignment((name, value): (&str, &str)) -> Option<(String, String)> {
    // The whole value is one text: quotes around it go, blanks within it stay.
    let value = value.trim();
    let bare = |q: char| value.strip_prefix(q).and_then(|v| v.strip_suffix(q));
    let value = bare('"').or_else(|| bare('\'')).map_or_else(|| value.to_owned(), |v| v.replace("\\\"", "\""));
    Some((name.trim().to_owned(), value)).filter(|(name, _)| !name.is_empty())
}

/// What concerns kubelet's command line in a unit file or one of its drop-ins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unit {
    /// `Environment=` assignments, in order.
    pub environment: Vec<(String, String)>,
    /// `EnvironmentFile=` paths, a leading `-` kept; an empty one clears those before it.
    pub environment_files: Vec<String>,
    /// `ExecStart=` lines; an empty one clears those before it.
    pub exec_start: Vec<String>,
}

/// Reads the `[Service]` section of a unit file.
pub fn unit(text: &str) -> Unit {
    let mut unit = Unit::default();
    let mut service = false;
    for line in join_lines(text).lines().map(str::trim) {
        if line.starts_with('[') {
            service = line == "[Service]";
        }
        let Some((key, value)) = line.split_once('=').filter(|_| service && !line.starts_with(['#', ';'])) else {
            continue;
        };
        let value = value.trim();
        match key.trim() {
            "Environment" if value.is_empty() => unit.environment.clear(),
            "Environment" => {
                let words = split(value).unwrap_or_default();
                let pairs = words.iter().filter_map(|w| w.split_once('='));
                unit.environment.extend(pairs.map(|(n, v)| (n.to_owned(), v.to_owned())));
            }
            "EnvironmentFile" => unit.environment_files.push(value.to_owned()),
            "ExecStart" => unit.exec_start.push(value.to_owned()),
            _ => {}
        }
    }
    unit
}

/// The words of an `ExecStart=` line with its variables: `$NAME` as a word of its own is split at blanks, `${NAME}` is
/// put in as it is.
///
/// # Errors
/// An open quote.
pub fn command(exec_start: &str, environment: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    for word in split(exec_start)? {
        match word
            .strip_prefix('$')
            .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_'))
        {
            Some(name) => words.extend(split(environment.get(name).map_or("", String::as_str))?),
            None => words.push(fill(&word, environment)),
        }
    }
    Ok(words)
}

fn fill(word: &str, environment: &BTreeMap<String, String>) -> String {
    let mut filled = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once("${") {
        filled.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            filled.push_str("${");
            rest = after;
            continue;
        };
        filled.push_str(environment.get(name).map_or("", String::as_str));
        rest = after;
    }
    filled + rest
}

/// Lines that end in a backslash go on in the next one.
fn join_lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace("\\\n", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_quotes_and_backslashes() {
        assert_eq!(split(r#"a "b c" 'd "e' f\ g """#).unwrap(), ["a", "b c", "d \"e", "f g", ""]);
        assert!(split("a 'b").is_err());
    }

    #[test]
    fn reads_what_real_nodes_have() {
        // kubeadm's drop-in for kubelet.service, and a Debian /etc/default/kubelet.
        let unit = unit(
            "[Unit]\nExecStart=/no\n[Service]\nEnvironment=\"KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml\"\n\
             EnvironmentFile=-/etc/default/kubelet\nExecStart=\nExecStart=/usr/bin/kubelet $KUBELET_CONFIG_ARGS \\\n  $KUBELET_EXTRA_ARGS --v=${V} $NONE\n",
        );
        assert_eq!(unit.environment_files, ["-/etc/default/kubelet"]);
        assert_eq!(unit.exec_start[0], "");
        let mut environment: BTreeMap<String, String> = unit.environment.into_iter().collect();
        environment
            .extend(environment_file("# x\nKUBELET_EXTRA_ARGS=\"--max-pods=20 --node-labels='a=b'\"\nexport V=2\n"));
        assert_eq!(
            command(&unit.exec_start[1], &environment).unwrap(),
            [
                "/usr/bin/kubelet",
                "--config=/var/lib/kubelet/config.yaml",
                "--max-pods=20",
                "--node-labels=a=b",
                "--v=2"
            ]
        );
    }
}
