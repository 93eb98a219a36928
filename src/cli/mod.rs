//! The command line: one verb a file. It refuses to decide anything: it asks, shows, and turns the answer into an exit code.

mod args;
mod ask;
mod bootstrap;
mod capture;
mod check;
mod config;
mod cordon;
mod decisions;
mod drain;
mod fix;
mod grid;
mod problems;
mod recommend;
mod reserve;
mod rules;
mod run;
mod status;
mod view;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::agent::Settings;
use crate::agent::bootstrap::BootstrapError;
use crate::agent::fix::FixError;
use crate::agent::forecast::Unforeseeable;
use crate::agent::replay::ReplayError;
use crate::agent::watch::LifeError;
use crate::host::{Host, HostError};
use crate::kubelet::PlaceError;
use crate::settings::SettingsError;
use args::{Args, Common, ConfigVerb, RulesVerb, Verb};

/// How a run ended, as scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Fine = 0,
    Failed = 1,
    Usage = 2,
    Problems = 3,
    Refused = 4,
    /// As shells count a program that ^C has ended.
    Interrupted = 130,
}

impl Ending {
    /// The stable word for it in JSON.
    fn code(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Problems => "problems",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 130.
        Self::from(ending as u8)
    }
}

/// Everything that a verb can fail with, so that `main` prints one chain and one code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{0}")]
    Usage(String),
    #[error("interrupted: nothing was judged")]
    Interrupted,
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Unforeseeable(#[from] Unforeseeable),
    #[error("{0}")]
    TooShort(String),
    #[error("the built-in rules cannot be used: {0}; this is a bug of node-steward")]
    Rules(String),
    #[error(transparent)]
    Life(#[from] LifeError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    Fix(#[from] FixError),
    #[error(transparent)]
    Ask(#[from] ask::AskError),
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
    #[error("cannot write the answer: {0}")]
    Json(#[from] serde_json::Error),
}

impl Failure {
    fn ending(&self) -> Ending {
        match self {
            Self::Settings(_) | Self::Usage(_) | Self::Bootstrap(BootstrapError::Settings(_)) => Ending::Usage,
            Self::Bootstrap(BootstrapError::Place(error)) | Self::Place(error) => match error {
                PlaceError::Refused(_) => Ending::Refused,
                PlaceError::NoLayout(_) => Ending::Usage,
                _ => Ending::Failed,
            },
            Self::Bootstrap(BootstrapError::Unforeseeable(error)) | Self::Unforeseeable(error) => match error {
                Unforeseeable::Settings(_) => Ending::Refused,
                Unforeseeable::Fact(..) => Ending::Failed,
            },
            Self::Life(error) => match error {
                LifeError::Settings(_) => Ending::Usage,
                LifeError::Second(_) => Ending::Refused,
                LifeError::Host(_) | LifeError::Runtime(_) => Ending::Failed,
            },
            Self::Interrupted => Ending::Interrupted,
            Self::Replay(ReplayError::Settings(_)) => Ending::Usage,
            Self::Replay(ReplayError::Host(_))
            | Self::Host(_)
            | Self::Rules(_)
            | Self::TooShort(_)
            | Self::Output(_)
            | Self::Json(_) => Ending::Failed,
            Self::Fix(FixError::Refused(_)) => Ending::Refused,
            Self::Fix(_) => Ending::Failed,
            Self::Ask(error) => error.ending(),
        }
    }
}

/// Parses the command line, runs the verb, prints a failure once.
pub fn run() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are answers; anything else is a mistake in the call.
            let ending = if error.use_stderr() { Ending::Usage } else { Ending::Fine };
            let _ = error.print();
            return ending.into();
        }
    };
    let console = matches!(&args.verb, Verb::Bootstrap(bootstrap) if bootstrap.console);
    match dispatch(&args) {
        Ok(ending) => ending.into(),
        // Whoever reads us has read enough: `node-steward check | head`.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            let line = format!("node-steward: {}", failure.to_string().replace('\n', " "));
            // Nowhere is left to complain about a closed stderr.
            let _ = writeln!(io::stderr(), "{line}");
            if args.common.output == args::Output::Json {
                let _ = print_json(
                    &serde_json::json!({"error": {"code": failure.ending().code(), "message": failure.to_string()}}),
                );
            }
            if console {
                crate::host::console(&line);
            }
            failure.ending().into()
        }
    }
}

fn dispatch(args: &Args) -> Result<Ending, Failure> {
    match &args.verb {
        Verb::Check(options) => check::run(&args.common, options),
        Verb::Reserve(options) => reserve::run(&args.common, options),
        Verb::Recommend(options) => recommend::run(&args.common, options),
        Verb::Run(options) => run::run(&args.common, options),
        Verb::Capture(options) => capture::run(&args.common, options),
        Verb::Bootstrap(options) => bootstrap::run(&args.common, options),
        Verb::Status(options) => status::run(&args.common, options),
        Verb::Problems(options) => problems::run(&args.common, options),
        Verb::Decisions(options) => decisions::run(&args.common, options),
        Verb::Fix { verb } => fix::run(&args.common, verb),
        Verb::Cordon(options) => cordon::run(&args.common, options, true),
        Verb::Uncordon(options) => cordon::run(&args.common, options, false),
        Verb::Drain(options) => drain::run(&args.common, options),
        Verb::Config { verb: ConfigVerb::Check { kubelet, kubelet_version } } => {
            config::check(&args.common, kubelet.as_deref(), *kubelet_version)
        }
        Verb::Config { verb: ConfigVerb::Show { origin } } => config::show(&args.common, *origin),
        Verb::Config { verb: ConfigVerb::Schema } => config::schema(),
        Verb::Rules { verb: RulesVerb::Test { file } } => rules::test(&args.common, file),
        Verb::Completions { shell } => {
            // Into memory first: the generator panics where its output cannot be written.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "node-steward", &mut script);
            io::stdout().write_all(&script)?;
            Ok(Ending::Fine)
        }
        Verb::Man => {
            clap_mangen::Man::new(Args::command()).render(&mut io::stdout())?;
            Ok(Ending::Fine)
        }
    }
}

impl Common {
    fn host(&self) -> Result<Host, Failure> {
        Ok(Host::new(&self.root)?)
    }

    fn settings(&self, host: &Host) -> Result<Settings, SettingsError> {
        Settings::load(host, self.config.as_deref().map(|path| self.inside(path)).as_deref())
    }

    /// A path from the command line, as seen from inside the root: relative ones start here, where the root is the machine itself.
    fn inside(&self, path: &std::path::Path) -> PathBuf {
        if self.root == std::path::Path::new("/") {
            std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
        } else {
            path.to_owned()
        }
    }
}

/// One JSON document on stdout, with a line end.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)?;
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}

/// One line on stdout.
fn print_line(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}
