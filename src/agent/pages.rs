//! The pages of the manual that are made and not written: every setting, every problem. It refuses to know a setting or a problem that the program does not.

use std::fmt::Write;

use serde_json::Value;

use super::schema;
use super::turn::State;
use crate::model::problem::{Condition, Entry};

/// `settings.md`.
pub fn settings() -> String {
    let mut page = "# Settings of node-steward\n\n\
        Made by `BLESS=1 cargo test --test pages` from the program itself; `node-steward config schema` prints the same as a JSON schema and\n\
        `node-steward config show --origin` what is in force on a machine, with the file and line of each key.\n\n\
        TOML files, later ones win, key by key: `/usr/lib/node-steward/config.d/*.toml`, `/etc/node-steward/config.toml`,\n\
        `/etc/node-steward/config.d/*.toml`, `/run/node-steward/config.d/*.toml`, then flags; `--config FILE` replaces them all. No file at all is a\n\
        valid configuration. A key that does not exist is an error that names file, line, column and the nearest key.\n\n\
        A duration is written like `\"10s\"`, `\"5m\"` or `\"1h 30m\"`, a quantity as Kubernetes writes it. A default of - means: not set.\n"
        .to_owned();
    for (section, about, rows) in schema::rows() {
        let about = about.strip_prefix(&format!("`[{section}]`: ")).unwrap_or(&about).trim_end_matches('.');
        let _ = write!(page, "\n## [{section}]\n\n{}.\n\n", capital(about));
        page.push_str("| key | default | unit | meaning |\n|---|---|---|---|\n");
        for row in rows {
            let key = row.key.strip_prefix(&format!("{section}.")).unwrap_or(&row.key);
            let default = row.default.as_ref().map_or("-".to_owned(), |value| format!("`{}`", shown(value)));
            let _ = writeln!(page, "| `{key}` | {default} | {} | {} |", row.unit, cell(&row.meaning));
        }
    }
    page
}

/// As TOML writes it.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        other => other.to_string(),
    }
}

/// `problems.md`.
pub fn problems() -> String {
    let mut entries: Vec<&Entry> = State::new().catalogue();
    entries.sort_by(|a, b| (a.condition, &a.kind).cmp(&(b.condition, &b.kind)));
    let mut page = "# Problems that node-steward finds\n\n\
        Made by `BLESS=1 cargo test --test pages` from the program's own catalogue. The severity is the worst that a problem of the kind can have:\n\
        `advice` is never a condition, an event or a reason to act; `warning` means that pods or the node suffer or soon will; `critical` that the\n\
        node does not do its work. Only kinds that may cordon ever do, only where the settings allow it, and only for the node's own disks.\n\n\
        | kind | severity | condition | may cordon |\n|---|---|---|---|\n"
        .to_owned();
    let name = |condition: Condition| format!("{condition:?}");
    for entry in &entries {
        let may = if entry.may_cordon { "yes" } else { "no" };
        let _ = writeln!(page, "| {} | {} | {} | {may} |", entry.kind, entry.severity, name(entry.condition));
    }
    for entry in &entries {
        let _ = write!(page, "\n## {}\n\n{}\n\n**What to do:** {}\n", entry.kind, entry.meaning, entry.advice);
    }
    page
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
