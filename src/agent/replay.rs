//! A recording played turn by turn: what the watch saw then, seen again. It refuses a recording without a moment for each turn: the machine's own clock
//! has no part in it.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::turn::{State, Turn};
use super::{Settings, eviction};
use crate::detect;
use crate::host::{Host, HostError, HostResult, Kmsg, Reason};
use crate::model::Reading;
use crate::model::time::{Mono, Now, Wall};
use crate::model::watch::{KernelLog, Offer, Sampled, Samples, Wants};
use crate::policy::Ground;
use crate::sample::Watcher;
use crate::sample::guarded::Pending;
use crate::settings::SettingsError;

/// A moment's few bytes, and those of what a Node offers.
const STEP_BYTES: u64 = 4096;

/// A recording and how far it was played.
#[derive(Debug)]
pub struct Replay {
    /// The base, and the layers of the turns that were played.
    layers: Vec<PathBuf>,
    turns: Vec<Step>,
    played: usize,
    /// What the Node offered in the turn that was played last.
    offer: Option<Offer>,
    watcher: Watcher,
    pending: Pending,
    settings: Settings,
    log: Option<Kmsg>,
}

/// A turn of it.
#[derive(Debug, Clone)]
struct Step {
    now: Now,
    /// None where nothing was different.
    layer: Option<PathBuf>,
    /// What the Node offered, where that was different.
    offer: Option<Offer>,
}

/// Why a recording cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Its settings do not fit.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl Replay {
    /// Opens `dir`: `root` is the base, `turns/NNN` hold `now`, in `root` what was different then, and in `node` what the Node offered from then
    /// on (capacity and allocatable). A recording without turns is one turn. The settings are the recorded host's own, or the file `config`.
    pub fn open(dir: &Path, config: Option<&Path>) -> Result<Self, ReplayError> {
        let base = dir.join("root");
        let host = Host::layered(std::slice::from_ref(&base))?;
        let settings = match config {
            None => Settings::load(&host, None)?,
            Some(file) => Settings::load(&Host::new(Path::new("/"))?, Some(file))?,
        };
        let outside = Host::new(dir)?;
        let mut names = outside.list_dirs(Path::new("/turns"))?.unwrap_or_default();
        names.sort();
        let mut turns = Vec::new();
        for name in &names {
            let layer = format!("/turns/{name}/root");
            let layer = outside.exists(Path::new(&layer)).then(|| outside.outside_path(Path::new(&layer)));
            let now = format!("/turns/{name}/now");
            let now = told(&outside, &now)?.ok_or_else(|| failed(&now, "there is none".to_owned()))?;
            turns.push(Step { now, layer, offer: told(&outside, &format!("/turns/{name}/node"))? });
        }
        if turns.is_empty() {
            let now = Now { mono: Mono(1), wall: Wall(0), boot_id: host.boot_id().unwrap_or_default() };
            turns.push(Step { now, layer: None, offer: None });
        }
        let pending = Pending::new(&eviction::kubelet_root(&host, &settings.kubelet).to_string_lossy());
        let layers = vec![base];
        Ok(Self { layers, turns, played: 0, offer: None, watcher: Watcher::new(), pending, settings, log: None })
    }

    /// The settings that it is played with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many turns there are.
    pub fn turns(&self) -> usize {
        self.turns.len()
    }

    /// Plays what is left of it with a state that has the recording's settings; `each` is shown every turn, and may put another state in the place of
    /// the one that there is.
    pub fn play<E: From<ReplayError>>(
        &mut self,
        mut each: impl FnMut(Turn, &mut State) -> Result<(), E>,
    ) -> Result<(), E> {
        let fail = |error: ReplayError| E::from(error);
        let mut state = State::new();
        self.settings.configure(&mut state).map_err(|error| fail(error.into()))?;
        let mut wants = Wants::default();
        while let Some((now, samples)) = self.turn(wants).map_err(|error| fail(error.into()))? {
            let ground = Ground { nodes_own: detect::nodes_own(&samples), ..Ground::default() };
            let turn = state.turn(&self.settings.policy, &ground, &now, &samples);
            wants = turn.wants;
            each(turn, &mut state)?;
        }
        Ok(())
    }

    /// The next turn's moment and samples; none after the last.
    pub fn turn(&mut self, wants: Wants) -> HostResult<Option<(Now, Samples)>> {
        let Some(Step { now, layer, offer }) = self.turns.get(self.played).cloned() else { return Ok(None) };
        self.played += 1;
        self.offer = offer.or_else(|| self.offer.take());
        let offer = match &self.offer {
            Some(offer) => Reading::fresh(offer.clone(), "the Node"),
            None => Reading::absent("the recording has no Node"),
        };
        self.watcher.told(Sampled::at(now.mono, offer));
        self.layers.extend(layer);
        let host = Host::layered(&self.layers)?;
        let kubelet = &self.settings.kubelet;
        let log = match Kmsg::open(&host) {
            Ok(log) => {
                let mut log = match &self.log {
                    Some(before) => log.after(before),
                    None => log,
                };
                let records = log.drain();
                self.log = Some(log);
                records
            }
            Err(error) => KernelLog { unreadable: Some(error.to_string()), ..KernelLog::default() },
        };
        let samples = self
            .watcher
            .look_whole(&host, now.mono, wants, &mut self.pending, log, |host| eviction::thresholds(host, kubelet));
        Ok(Some((now, samples.clone())))
    }
}

/// What a file of the recording itself says; none where there is no such file.
fn told<T: DeserializeOwned>(outside: &Host, path: &str) -> HostResult<Option<T>> {
    let Some(bytes) = outside.read(Path::new(path), STEP_BYTES)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(path, error.to_string()))
}

fn failed(path: &str, why: String) -> HostError {
    HostError { act: "understand", path: PathBuf::from(path), reason: Reason::Other(why) }
}
