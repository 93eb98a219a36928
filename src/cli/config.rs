//! `config check` and `config show`: settings with the file that made each, and the preflight alone on any kubelet configuration.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::args::{Common, Output};
use super::{Ending, Failure, print_json};
use crate::agent::{Question, judge, schema};
use crate::model::{KubeletVersion, Weight};

pub(super) fn check(
    common: &Common,
    kubelet: Option<&Path>,
    version: Option<KubeletVersion>,
) -> Result<Ending, Failure> {
    let host = common.host()?;
    let settings = common.settings(&host)?;
    let Some(file) = kubelet else {
        let files = settings.merged.files();
        if common.output == Output::Json {
            print_json(&json!({"files": files, "keys": settings.merged.keys().count()}))?;
        } else if files.is_empty() {
            writeln!(anstream::stdout(), "no settings file: every setting has its default")?;
        } else {
            writeln!(
                anstream::stdout(),
                "{} settings in {} files, all understood",
                settings.merged.keys().count(),
                files.len()
            )?;
        }
        return Ok(Ending::Fine);
    };
    let question = Question { kubelet_version: version, ..Question::default() };
    let findings = judge::judge_file(&host, &settings, &question, &common.inside(file))?;
    let worst = findings.iter().map(|finding| finding.severity).max();
    if common.output == Output::Json {
        print_json(&json!({"file": file, "verdict": verdict(worst), "findings": findings}))?;
    } else {
        let mut out = anstream::stdout().lock();
        for finding in &findings {
            writeln!(out, "{finding}")?;
        }
        writeln!(out, "{}: {}", file.display(), verdict(worst))?;
    }
    Ok(if worst == Some(Weight::Fatal) { Ending::Refused } else { Ending::Fine })
}

fn verdict(worst: Option<Weight>) -> &'static str {
    match worst {
        Some(Weight::Fatal) => "kubelet would refuse it",
        Some(Weight::Warning) => "kubelet would start, but not do all that the file says",
        Some(Weight::Advice) => "kubelet would accept it; see the advice",
        None => "kubelet would accept it",
    }
}

/// A key, what it is set to, and by whom; neither where it is not set at all.
type Shown = (String, Option<serde_json::Value>, String);

pub(super) fn show(common: &Common, all: bool) -> Result<Ending, Failure> {
    let host = common.host()?;
    let settings = common.settings(&host)?;
    let set = settings
        .merged
        .keys()
        .map(|(path, value, origin)| Ok((path.to_owned(), Some(serde_json::to_value(value)?), origin.to_string())));
    let set: Vec<Shown> = set.collect::<Result<_, serde_json::Error>>()?;
    let list = if all { with_defaults(&set) } else { set };
    if common.output == Output::Json {
        let list: Vec<_> =
            list.iter().map(|(key, value, origin)| json!({"key": key, "value": value, "origin": origin})).collect();
        print_json(&list)?;
        return Ok(Ending::Fine);
    }
    let mut out = anstream::stdout().lock();
    for (key, value, origin) in list {
        match value {
            // JSON's scalars and lists read as TOML's do.
            Some(value) => writeln!(out, "{key} = {}  # {origin}", serde_json::to_string(&value)?)?,
            None => writeln!(out, "#{key} =  # not set")?,
        }
    }
    Ok(Ending::Fine)
}

/// Every key that there is; what files have set beneath a key that is a table stands at its place.
fn with_defaults(set: &[Shown]) -> Vec<Shown> {
    let mut list = Vec::new();
    for row in schema::rows().into_iter().flat_map(|(_, _, rows)| rows) {
        let within = format!("{}.", row.key);
        let of_files: Vec<_> = set.iter().filter(|(key, ..)| *key == row.key || key.starts_with(&within)).collect();
        if of_files.is_empty() {
            list.push((row.key, row.default, "default".to_owned()));
        } else {
            list.extend(of_files.into_iter().cloned());
        }
    }
    list
}

pub(super) fn schema() -> Result<Ending, Failure> {
    writeln!(anstream::stdout(), "{}", serde_json::to_string_pretty(&schema::schema())?)?;
    Ok(Ending::Fine)
}
