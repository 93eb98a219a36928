//! What probe children are asked, and their side of it: everything that touches a file system that may hang. It refuses to run in the daemon
//! itself, except where the root is a recording.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::agent::eviction::thresholds;
use crate::cluster::{self, Errand};
use crate::host::{Host, Wanted, run_with};
use crate::kubelet;
use crate::model::Reading;
use crate::model::recommendation::Recommendation;
use crate::sample::guarded::{self, Request};
use crate::sample::{history, machine};
use crate::settings::Merged;

/// For what follows a drain.
const PROGRAM_PATIENCE: Duration = Duration::from_secs(60);

/// A question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ask {
    /// What the settings are made of.
    Settings,
    /// What the samples need and what may hang, all at one place: one child, and one wake-up for its answer.
    Guarded {
        /// What.
        requests: Vec<Request>,
    },
    /// This machine's reservations.
    Reservations,
    /// What the connection to the API server needs of a disk, a program or a name server.
    Cluster {
        /// What.
        errand: Errand,
    },
    /// Run what the settings say after a drain.
    Program {
        /// By its path, with its arguments.
        command: Vec<String>,
    },
    /// What the history says, and keep it on disk. Both read the state that was saved just now.
    History {
        /// That state.
        state: PathBuf,
        /// Whether it is kept.
        keep: bool,
    },
    /// Write metrics for node_exporter.
    Textfile {
        /// Where.
        path: PathBuf,
        /// All of it.
        text: String,
    },
}

/// The settings' texts and /etc/group, which names who may ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Texts {
    /// Files in the order in which they count.
    pub files: Vec<(PathBuf, String)>,
    /// /etc/group.
    pub groups: String,
}

/// What became of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Whether it was kept, where that was asked for.
    pub kept: Result<(), String>,
    /// What it says.
    pub recommendation: Reading<Recommendation>,
}

/// What a child knows besides the question: as it was when the helper was started.
#[derive(Debug, Clone)]
pub struct Known {
    /// How kubelet's configuration is found.
    pub kubelet: kubelet::Rules,
    /// One settings file in place of the chain.
    pub config: Option<PathBuf>,
    /// Computes the reservations.
    pub reservations: fn(&Host, Option<&Path>) -> Value,
    /// Computes what the history says of them.
    pub recommendation: fn(&Host, Option<&Path>, &Path) -> Reading<Recommendation>,
}

/// A child's whole life: reads the question, looks, answers.
pub fn answer(known: &Known, question: Value) -> Value {
    // The helper has closed every descriptor of the daemon, so the child opens the root anew.
    let Ok(host) = Host::new(Path::new("/")) else { return Value::Null };
    let config = known.config.as_deref();
    let answer = match serde_json::from_value(question) {
        Ok(Ask::Settings) => serde_json::to_value(texts(&host, config)),
        Ok(Ask::Guarded { requests }) => {
            serde_json::to_value(guarded::answer(&host, &requests, |host| thresholds(host, &known.kubelet)))
        }
        Ok(Ask::Reservations) => Ok((known.reservations)(&host, config)),
        Ok(Ask::Cluster { errand }) => serde_json::to_value(cluster::run(&host, &errand)),
        Ok(Ask::Program { command }) => serde_json::to_value(program(&host, &command)),
        Ok(Ask::History { state, keep }) => serde_json::to_value(Told {
            kept: if keep { history::keep(&host, &state, &machine::identity(&host)) } else { Ok(()) },
            recommendation: (known.recommendation)(&host, config, &state),
        }),
        Ok(Ask::Textfile { path, text }) => serde_json::to_value(textfile(&host, path, text)),
        Err(_) => return Value::Null,
    };
    answer.unwrap_or_default()
}

/// Reads the settings' texts.
pub fn texts(host: &Host, config: Option<&Path>) -> Result<Texts, String> {
    let texts = Merged::read(host, config).map_err(|error| error.to_string())?;
    let text = |(file, bytes): (PathBuf, Vec<u8>)| match String::from_utf8(bytes) {
        Ok(text) => Ok((file, text)),
        Err(error) => Err(format!("{}: not UTF-8 text: {error}", file.display())),
    };
    let groups = host.read(Path::new("/etc/group"), 1 << 20).ok().flatten().unwrap_or_default();
    let groups = String::from_utf8_lossy(&groups).into_owned();
    Ok(Texts { files: texts.into_iter().map(text).collect::<Result<_, _>>()?, groups })
}

fn program(host: &Host, command: &[String]) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Err("there is no program".to_owned()) };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (finished, _) =
        run_with(host, Path::new(program), &arguments, &[], PROGRAM_PATIENCE).map_err(|error| error.to_string())?;
    match finished.code {
        Some(0) => Ok(()),
        Some(code) => Err(format!("it ended with {code}: {:.200}", finished.output.trim())),
        None => Err("a signal has ended it".to_owned()),
    }
}

fn textfile(host: &Host, path: PathBuf, text: String) -> Result<(), String> {
    let wanted = Wanted { path, bytes: text.into_bytes(), mode: 0o644 };
    host.write_atomic(&wanted).map(drop).map_err(|error| error.to_string())
}
