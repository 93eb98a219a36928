//! From the start of the daemon to its end: lock, state, helper, first turn, work, stop. It refuses to run beside another one.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::mpsc;

use super::ask::{Ask, Known};
use super::daemon::{Daemon, Once};
use super::doors::{self, Asks};
use super::ear::Ear;
use super::engine::Engine;
use super::envoy::Envoy;
use super::keeping::Keeping;
use super::pace::Pace;
use super::probes::Probes;
use super::saved::{Found, Past, Saved};
use crate::agent::Settings;
use crate::agent::turn::Turn;
use crate::api::Published;
use crate::host::{Host, HostError, Log, Priority, Reason, Service, Share, Signals, Trigger, clock};
use crate::model::Reading;
use crate::model::recommendation::Recommendation;
use crate::model::status::{Part, Standing, Status};
use crate::policy::Mode;
use crate::sample::guarded::Pending;
use crate::sample::{Watcher, history, machine};
use crate::settings::SettingsError;

/// How `run` was called.
#[derive(Debug)]
pub struct Options {
    /// Settings file in place of the chain.
    pub config: Option<PathBuf>,
    /// What goes before the settings.
    pub flags: Flags,
    /// Two looks and the end: no lock, no state, no socket.
    pub glance: Option<Glance>,
    /// Computes the reservations, for the API.
    pub reservations: fn(&Host, Option<&Path>) -> serde_json::Value,
    /// What the history says of them, by a state file; for the status.
    pub recommendation: fn(&Host, Option<&Path>, &Path) -> Reading<Recommendation>,
}

/// What goes before the settings, also before those that come with a reload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    /// Nothing is done about problems.
    pub dry_run: bool,
    /// The kubeconfig.
    pub kubeconfig: Option<String>,
}

impl Flags {
    pub(super) fn apply(&self, settings: &mut Settings) {
        if self.dry_run {
            settings.policy.mode = Mode::Observe;
        }
        if self.kubeconfig.is_some() {
            settings.cluster.kubeconfig.clone_from(&self.kubeconfig);
        }
    }
}

/// A run of two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance {
    /// From the first look to the second, ms; a recording needs none.
    pub apart_ms: u64,
    /// Who does the I/O and which tasks wait, whether or not a turn would ask for it.
    pub everything: bool,
}

/// Why the daemon did not run.
#[derive(Debug, thiserror::Error)]
pub enum LifeError {
    /// Another one does.
    #[error("another node-steward runs on this host (it holds {})", .0.display())]
    Second(PathBuf),
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The machine refused something that it cannot do without.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The same, of the runtime.
    #[error("cannot wait for events: {0}")]
    Runtime(#[from] std::io::Error),
}

/// Runs until it is told to stop; a glance gives its second turn, and the status after it.
pub fn run(host: Host, options: Options) -> Result<Option<(Turn, Status)>, LifeError> {
    let service = if options.glance.is_some() { Service::default() } else { Service::from_environment() };
    let log = Log::open(&service);
    let mut settings = Settings::load(&host, options.config.as_deref())?;
    options.flags.apply(&mut settings);
    let directory = match options.glance.is_some() {
        true => None,
        false => host.runtime_directory(service.runtime_directory.as_deref()),
    };
    let _lock = match &directory {
        Some(directory) => Some(only_one(&host, &directory.join("daemon.lock"))?),
        None => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let mut daemon = start(host, service, log, settings, options, directory).await?;
        daemon.work().await;
        daemon.service.say(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
        daemon.save();
        daemon.close();
        let status = daemon.engine.status().clone();
        Ok(daemon.once.and_then(|once| once.turn).map(|turn| (turn, status)))
    })
}

fn only_one(host: &Host, path: &Path) -> Result<crate::host::Lock, LifeError> {
    host.lock(path, Duration::from_millis(200)).map_err(|error| match error.reason {
        Reason::Held(_) => LifeError::Second(path.to_owned()),
        _ => LifeError::Host(error),
    })
}

async fn start(
    host: Host,
    service: Service,
    log: Log,
    mut settings: Settings,
    options: Options,
    directory: Option<PathBuf>,
) -> Result<Daemon, LifeError> {
    let now = clock::monotonic();
    let signals = Signals::take()?;
    // Without it no state is found again, and that is all.
    let boot_id = host.boot_id().unwrap_or_else(|_| "unknown".to_owned());
    let mut engine = Engine::new(&settings)?;
    engine.status_mut().started_wall_ms = clock::wall();
    let state_file = directory.as_ref().map(|directory| directory.join("state.json"));
    let kept = match &state_file {
        Some(path) => resume(&host, &log, path, &boot_id, &mut engine),
        None => Past::default(),
    };
    if state_file.is_some() && settings.reserve.measured.keep {
        remember(&host, &log, &mut engine);
    }
    engine.arm(now);
    if let Some(words) = settings.watch.keep_within(service.watchdog) {
        log.line(Priority::Notice, &words, &[("NODE_STEWARD_EVENT", "settings")]);
    }
    let known = Known {
        kubelet: settings.kubelet.clone(),
        config: options.config.clone(),
        reservations: options.reservations,
        recommendation: options.recommendation,
    };
    let (mut probes, failed) = Probes::start(now, known, host.is_real());
    let mut parts = Vec::new();
    if let Some(why) = failed {
        parts.push(blind("probes", why));
    }
    if options.glance.is_none() {
        probes.put("reservations", Ask::Reservations);
    }
    let (triggers, blind_alarms) = triggers(&host, &settings);
    parts.extend(blind_alarms);
    let kubelet_root = crate::agent::eviction::kubelet_root(&host, &settings.kubelet);
    let published = Published {
        status: engine.status().clone(),
        reservations: serde_json::Value::Null,
        catalogue: engine.catalogue(),
        ready: false,
        late_after_ms: settings.watch.period.ms().saturating_mul(3),
    };
    let published = Rc::new(RefCell::new(published));
    let (reload, reloads) = mpsc::unbounded_channel();
    let (order, orders) = mpsc::unbounded_channel();
    let asks = Asks { reloads: reload, orders: order };
    let (api, socket) = match options.glance.is_some() {
        true => (doors::closed(Rc::clone(&published), asks), None),
        false => doors::open(&host, &log, &settings, directory.as_deref(), Rc::clone(&published), asks).await,
    };
    let ear = Ear::open(&host);
    let shut = shut(&host, options.flags.dry_run);
    let envoy = options.glance.is_none().then(|| Envoy::new(&host, &boot_id, &settings, shut, kept));
    Ok(Daemon {
        pace: Pace::new(settings.watch.period.ms(), now),
        host,
        service,
        log,
        settings,
        config: options.config,
        flags: options.flags,
        boot_id,
        state_file,
        socket,
        engine,
        published,
        api,
        probes,
        envoy,
        signals,
        reloads,
        orders,
        triggers,
        reload: None,
        counters: super::daemon::Counters::default(),
        watcher: Watcher::new(),
        pending: Pending::new(&kubelet_root.display().to_string()),
        ear,
        alarm: None,
        alarmed: false,
        keeping: Keeping::new(),
        parts,
        once: options.glance.map(|glance| Once { glance, turn: None }),
    })
}

/// What an earlier run of this boot has left; what the cluster was told is given back.
fn resume(host: &Host, log: &Log, path: &Path, boot_id: &str, engine: &mut Engine) -> Past {
    let (said, kept) = match Saved::load(host, path, boot_id) {
        Found::Nothing => (Vec::new(), Past::default()),
        Found::SetAside(words) => (vec![words], Past::default()),
        Found::State(saved) => {
            let past = Past { report: saved.report, drain: saved.drain, lasting: saved.lasting };
            (engine.resume(saved.watch, saved.status, saved.wants), past)
        }
    };
    for words in said {
        log.line(Priority::Warning, &words, &[("NODE_STEWARD_EVENT", "state")]);
    }
    kept
}

/// Why no API server is spoken to, whatever the settings say.
pub(super) fn shut(host: &Host, dry_run: bool) -> Option<&'static str> {
    match (host.is_real(), dry_run) {
        (false, _) => Some("the root is a recording"),
        (true, true) => Some("this is a dry run"),
        (true, false) => None,
    }
}

/// What was kept over a boot goes before what this boot has seen.
fn remember(host: &Host, log: &Log, engine: &mut Engine) {
    match history::take_up(host, &machine::identity(host)) {
        Ok(older) => engine.remember(older.unwrap_or_default()),
        Err(words) => log.line(Priority::Warning, &words, &[("NODE_STEWARD_EVENT", "history")]),
    }
}

/// Alarms of the kernel; one that is not there is no reason not to run, and is said.
fn triggers(host: &Host, settings: &Settings) -> (Vec<(Share, Trigger)>, Option<Part>) {
    let rules = &settings.watch;
    let mut armed = Vec::new();
    let mut failed = None;
    let wanted = [(Share::Some, rules.pressure_some_percent), (Share::Full, rules.pressure_full_percent)];
    for (share, percent) in wanted.into_iter().filter(|(_, percent)| *percent > 0 && host.is_real()) {
        match host.io_pressure_trigger(share, u64::from(percent)) {
            Ok(trigger) => armed.push((share, trigger)),
            Err(error) => failed = Some(blind("pressure_alarms", error.to_string())),
        }
    }
    (armed, failed)
}

fn blind(name: &str, why: String) -> Part {
    Part { name: name.to_owned(), standing: Standing::Unknown { why } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Merged;

    #[test]
    fn flags_go_before_settings() {
        let text = b"[cluster]\nkubeconfig = \"/settings\"\n[policy]\nmode = \"cordon\"\n".to_vec();
        let of = |flags: Flags| {
            let mut settings = Settings::of(Merged::of(&[(PathBuf::from("/s.toml"), text.clone())]).unwrap()).unwrap();
            flags.apply(&mut settings);
            (settings.cluster.kubeconfig.unwrap_or_default(), settings.policy.mode)
        };
        assert_eq!(of(Flags::default()), ("/settings".to_owned(), Mode::Cordon));
        let flags = Flags { dry_run: true, kubeconfig: Some("/flag".to_owned()) };
        assert_eq!(of(flags), ("/flag".to_owned(), Mode::Observe));
    }
}
