//! `config check` and `config show`: settings with the file that made each, and the preflight alone on any kubelet configuration.

use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::args::{Common, Output};
use super::{Ending, Failure, print_json};
use crate::agent::{Question, judge};
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

pub(super) fn show(common: &Common) -> Result<Ending, Failure> {
    let host = common.host()?;
    let settings = common.settings(&host)?;
    let keys = settings.merged.keys();
    if common.output == Output::Json {
        let list: Vec<_> = keys
            .map(|(path, value, origin)| json!({"key": path, "value": value, "origin": origin.to_string()}))
            .collect();
        print_json(&list)?;
    } else {
        let mut out = anstream::stdout().lock();
        for (path, value, origin) in keys {
            // JSON's scalars and lists read as TOML's do.
            writeln!(out, "{path} = {}  # {origin}", serde_json::to_string(value)?)?;
        }
    }
    Ok(Ending::Fine)
}
