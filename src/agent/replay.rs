//! A recording played turn by turn: what the watch saw then, seen again. It refuses a recording without a moment for each turn: the machine's own clock
//! has no part in it.

use std::path::{Path, PathBuf};

use super::turn::{State, Turn};
use super::{Settings, eviction};
use crate::detect;
use crate::host::{Host, HostError, HostResult, Kmsg, Reason};
use crate::model::time::{Mono, Now, Wall};
use crate::model::watch::{KernelLog, Samples, Wants};
use crate::policy::Ground;
use crate::sample::Watcher;
use crate::sample::guarded::Pending;
use crate::settings::SettingsError;

/// A moment's few bytes.
const NOW_BYTES: u64 = 4096;

/// A recording and how far it was played.
#[derive(Debug)]
pub struct Replay {
    /// The base, and the layers of the turns that were played.
    layers: Vec<PathBuf>,
    /// Each turn's moment, and its layer if anything was different.
    turns: Vec<(Now, Option<PathBuf>)>,
    played: usize,
    watcher: Watcher,
    pending: Pending,
    settings: Settings,
    log: Option<Kmsg>,
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
    /// Opens `dir`: `root` is the base, `turns/NNN` hold `now`, and in `root` what was different then. A recording without turns is one turn. The
    /// settings are the recorded host's own, or the file `config`.
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
            turns.push((moment(&outside, &format!("/turns/{name}/now"))?, layer));
        }
        if turns.is_empty() {
            turns.push((Now { mono: Mono(1), wall: Wall(0), boot_id: host.boot_id().unwrap_or_default() }, None));
        }
        let pending = Pending::new(&eviction::kubelet_root(&host, &settings.kubelet).to_string_lossy());
        Ok(Self { layers: vec![base], turns, played: 0, watcher: Watcher::new(), pending, settings, log: None })
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
            let ground = Ground { nodes_own: detect::nodes_own(&samples), cluster: false };
            let turn = state.turn(&self.settings.policy, &ground, &now, &samples);
            wants = turn.wants;
            each(turn, &mut state)?;
        }
        Ok(())
    }

    /// The next turn's moment and samples; none after the last.
    pub fn turn(&mut self, wants: Wants) -> HostResult<Option<(Now, Samples)>> {
        let Some((now, layer)) = self.turns.get(self.played).cloned() else { return Ok(None) };
        self.played += 1;
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

fn moment(outside: &Host, path: &str) -> HostResult<Now> {
    let failed = |why: String| HostError { act: "understand", path: PathBuf::from(path), reason: Reason::Other(why) };
    let bytes = outside.read(Path::new(path), NOW_BYTES)?.ok_or_else(|| failed("there is none".to_owned()))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
}
