//! What can be typed. It refuses flags without a help line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::agent::{Question, Settings};
use crate::kubelet::{Layout, OnExisting};
use crate::model::drain::Allow;
use crate::model::time::Span;
use crate::model::{KubeletVersion, Quantity};
use crate::reserve;

/// An on-host agent for Kubernetes nodes: reserves resources before kubelet starts, and watches for problems.
#[derive(Debug, Parser)]
#[command(name = "node-steward", version, max_term_width = 100, after_help = AFTER)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub verb: Verb,
}

const AFTER: &str = "Exit codes: 0 ok, 1 it failed, 2 usage or bad settings, 3 (check) problems of warning or worse, (drain) pods that stay, 4 refused, 130 interrupted.\n\
Settings: /usr/lib/node-steward/config.d/*.toml < /etc/node-steward/config.toml < /etc/node-steward/config.d/*.toml < \
/run/node-steward/config.d/*.toml < flags.";

/// Flags of every verb.
#[derive(Debug, ClapArgs)]
pub struct Common {
    /// Take DIR for /: a recorded machine, or one that is being installed
    #[arg(long, global = true, value_name = "DIR", default_value = "/", hide_default_value = true)]
    pub root: PathBuf,
    /// Settings file in place of the whole chain
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to answer
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t = Output::Text)]
    pub output: Output,
    /// Say more: advice, and where each value comes from
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// How to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For a person
    Text,
    /// For a program
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Look once: this machine's facts, the reservations in every profile, what kubelet would say to them, and the problems found now
    Check(CheckArgs),
    /// Print the reservations, for this machine or for one described by flags
    Reserve(ReserveArgs),
    /// What this node's own history says of its reservations: reserved, used, recommended and why
    Recommend(RecommendArgs),
    /// Compute the reservations and place them in kubelet's configuration
    Bootstrap(BootstrapArgs),
    /// Watch the node: the daemon
    Run(RunArgs),
    /// Record this host as a directory of plain files that can be played again: no serial numbers, no secrets
    Capture(CaptureArgs),
    /// Ask the daemon how it and the node stand
    Status(AskArgs),
    /// Ask the daemon what is wrong, who is behind it and what to do
    Problems(AskArgs),
    /// Ask the daemon what it does about each problem, or why it does not
    Decisions(AskArgs),
    /// Change the host where it was asked for, with a way back; never done by the daemon
    Fix {
        #[command(subcommand)]
        verb: FixVerb,
    },
    /// Cordon this node, through the daemon: `kubectl` and others see whose cordon it is, and why
    Cordon(OrderArgs),
    /// Take off a cordon that node-steward has put on; what others have put on stays
    Uncordon(OrderArgs),
    /// Cordon this node and evict its pods, through the daemon, and show how far it is: Ctrl-C ends the showing, not the drain
    Drain(DrainArgs),
    /// Look after settings and kubelet configurations
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// Try the rules over log text
    Rules {
        #[command(subcommand)]
        verb: RulesVerb,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Subcommand)]
pub enum FixVerb {
    /// Let logs be written once: switch off a syslog daemon that writes what a persistent journal keeps already
    Syslog(FixArgs),
}

#[derive(Debug, ClapArgs)]
pub struct FixArgs {
    /// Show what would be done, and what stands against it
    #[arg(long, required_unless_present_any = ["apply", "undo"], conflicts_with_all = ["apply", "undo"])]
    pub dry_run: bool,
    /// Do it
    #[arg(long, conflicts_with = "undo")]
    pub apply: bool,
    /// Take back what --apply did
    #[arg(long)]
    pub undo: bool,
    /// Do it although somebody reads the syslog daemon's files
    #[arg(long, conflicts_with_all = ["dry_run", "undo"])]
    pub force: bool,
}

#[derive(Debug, Subcommand)]
pub enum RulesVerb {
    /// Run the rules over a log file: which rule matches which line
    Test {
        /// Raw /dev/kmsg records, dmesg's output in any of its forms, or a syslog file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Verify the settings, or a kubelet configuration alone
    Check {
        /// A kubelet configuration, or a directory with one (config.json or config.yaml, conf.d/*.conf, flags), instead of our settings
        #[arg(long, value_name = "FILE")]
        kubelet: Option<PathBuf>,
        /// The version of the kubelet that it is for, where it is not this machine's
        #[arg(long, value_name = "VERSION", requires = "kubelet")]
        kubelet_version: Option<KubeletVersion>,
    },
    /// Show every setting that a file has made, with the file
    Show {
        /// All settings, those that have their default as well
        #[arg(long)]
        origin: bool,
    },
    /// Print the JSON schema of a settings file
    Schema,
}

/// Flags that describe the machine or the wish.
#[derive(Debug, ClapArgs, Default)]
pub struct WishArgs {
    /// Profile in place of the settings' one
    #[arg(long, value_name = "PROFILE", value_parser = profile_name)]
    pub profile: Option<String>,
    /// Pods that the node may hold
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=2_147_483_647))]
    pub max_pods: Option<u32>,
    /// Cloud instance type, such as m5.xlarge
    #[arg(long, value_name = "TYPE")]
    pub instance_type: Option<String>,
    /// kubelet's version, such as 1.36
    #[arg(long, value_name = "VERSION")]
    pub kubelet_version: Option<KubeletVersion>,
    /// Ask the EC2 instance metadata service for the instance type where DMI does not say (2 s at most)
    #[arg(long)]
    pub imds: bool,
}

#[derive(Debug, ClapArgs)]
pub struct CheckArgs {
    #[command(flatten)]
    pub wish: WishArgs,
    /// Where to write kubelet-config.json; a new directory under /tmp where it is not given
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
}

#[derive(Debug, ClapArgs, Default)]
pub struct ReserveArgs {
    #[command(flatten)]
    pub wish: WishArgs,
    /// Cores of a machine that is not this one; with --memory, nothing is read
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub cores: Option<u32>,
    /// Its MemTotal, such as 15.5Gi
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory: Option<Quantity>,
    /// Its installed memory, for the profiles that take the size on the label
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub installed_memory: Option<Quantity>,
}

#[derive(Debug, ClapArgs, Default)]
pub struct RecommendArgs {
    #[command(flatten)]
    pub wish: WishArgs,
}

#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    /// One turn, then the end: no lock, no state, no socket
    #[arg(long)]
    pub once: bool,
    /// Do nothing about problems, whatever the settings say
    #[arg(long)]
    pub dry_run: bool,
    /// The kubeconfig, in place of the settings' cluster.kubeconfig and of kubelet's usual places, also after a reload
    #[arg(long, value_name = "FILE", value_parser = absolute, conflicts_with = "once")]
    pub kubeconfig: Option<String>,
    /// Play a recording made by `capture`: a line of JSON a turn, the same every time
    #[arg(long, value_name = "DIR", conflicts_with_all = ["once", "dry_run", "kubeconfig"])]
    pub replay: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct CaptureArgs {
    /// A new directory
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// How often to look
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=999))]
    pub turns: u32,
    /// From one look to the next
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = span)]
    pub period: Span,
}

#[derive(Debug, ClapArgs, Default)]
pub struct AskArgs {
    /// The daemon's socket, in place of the settings' one
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Show it anew every 2 s until Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// Lay out for N columns, in place of the terminal's; a pipe gets whole lines
    #[arg(long, value_name = "N")]
    pub width: Option<u16>,
}

#[derive(Debug, ClapArgs)]
pub struct OrderArgs {
    /// Why, in a few words: it is written on the Node
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Who wants it; the user's number where it is not given
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// The daemon's socket, in place of the settings' one
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct DrainArgs {
    #[command(flatten)]
    pub order: OrderArgs,
    /// Pods that may go although they stay by default, beside those that the settings allow; may be given again
    #[arg(long, value_name = "WHAT", value_parser = allow, conflicts_with = "cancel")]
    pub allow: Vec<Allow>,
    /// When to give up, in place of the settings' drain.deadline
    #[arg(long, value_name = "TIME", value_parser = span, conflicts_with_all = ["cancel", "plan"])]
    pub deadline: Option<Span>,
    /// Show what would be done, and do nothing
    #[arg(long, conflicts_with = "cancel")]
    pub plan: bool,
    /// Stop the drain that goes on; the cordon stays
    #[arg(long)]
    pub cancel: bool,
    /// Do not wait for the end
    #[arg(long, conflicts_with_all = ["cancel", "plan"])]
    pub no_wait: bool,
}

#[derive(Debug, ClapArgs)]
pub struct BootstrapArgs {
    #[command(flatten)]
    pub wish: WishArgs,
    /// How this image configures kubelet, where it is not to be found out
    #[arg(long, value_name = "LAYOUT", value_parser = clap::value_parser!(Layout))]
    pub layout: Option<Layout>,
    /// kubelet configuration to start from (stand-alone)
    #[arg(long, value_name = "FILE", requires = "out_or_drop_in")]
    pub base: Option<PathBuf>,
    /// Write the whole result there (stand-alone)
    #[arg(long, value_name = "FILE", group = "out_or_drop_in")]
    pub out: Option<PathBuf>,
    /// Write a drop-in into this directory of kubelet's --config-dir
    #[arg(long, value_name = "DIR", group = "out_or_drop_in", conflicts_with = "out")]
    pub drop_in: Option<PathBuf>,
    /// Show what would change in the file
    #[arg(long)]
    pub diff: bool,
    /// Write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write although kubelet may have started in this boot: running pods can lose their limits
    #[arg(long)]
    pub force: bool,
    /// Others will still write before kubelet starts; the run at kubelet's start has the last word
    #[arg(long)]
    pub early: bool,
    /// A failure is printed on the console as well
    #[arg(long)]
    pub console: bool,
    /// What is done with keys that others have set: keep or override
    #[arg(long, value_name = "WHAT", value_parser = on_existing)]
    pub on_existing: Option<OnExisting>,
}

impl WishArgs {
    pub fn question(&self) -> Question {
        Question {
            max_pods: self.max_pods,
            instance_type: self.instance_type.clone(),
            kubelet_version: self.kubelet_version,
            imds: self.imds,
            installed_memory: false,
            history: false,
            state: None,
        }
    }

    /// Flags win over settings.
    pub fn apply(&self, settings: &mut Settings) {
        if let Some(profile) = &self.profile {
            settings.reserve.profile.clone_from(profile);
        }
    }
}

impl BootstrapArgs {
    pub fn apply(&self, settings: &mut Settings, inside: impl Fn(&std::path::Path) -> PathBuf) {
        self.wish.apply(settings);
        let rules = &mut settings.kubelet;
        rules.layout = self.layout.or(rules.layout);
        rules.on_existing = self.on_existing.unwrap_or(rules.on_existing);
        if let Some(dir) = &self.drop_in {
            rules.drop_in = Some(inside(dir));
            rules.layout = rules.layout.or(Some(Layout::DropIn));
        }
    }
}

fn profile_name(text: &str) -> Result<String, String> {
    reserve::profile(text).map(|profile| profile.name().to_owned())
}

fn allow(text: &str) -> Result<Allow, String> {
    let all = Allow::ALL.map(Allow::word).join(", ");
    Allow::ALL.into_iter().find(|one| one.word() == text).ok_or_else(|| format!("{text:?} is none of {all}"))
}

/// As in the settings: probes read it, which are nobody's shell.
fn absolute(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err(format!("{text:?} does not start with /")) }
}

fn span(text: &str) -> Result<Span, String> {
    serde_json::from_value(text.into()).map_err(|error: serde_json::Error| error.to_string())
}

fn size(text: &str) -> Result<Quantity, String> {
    text.parse::<Quantity>()
        .and_then(|size| if size > Quantity::ZERO { Ok(size) } else { Err(format!("{text:?} is not above zero")) })
}

fn on_existing(text: &str) -> Result<OnExisting, String> {
    match text {
        "keep" => Ok(OnExisting::Keep),
        "override" => Ok(OnExisting::Override),
        other => Err(format!("{other:?} is neither keep nor override")),
    }
}
