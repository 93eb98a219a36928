//! Placing the forecast: once per boot, in one place, whole or not at all, never with another machine's numbers.
//! It refuses what kubelet would refuse, and on any error leaves what was there, except numbers that were computed for another machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::forecast::{self, Forecast, Question, Unforeseeable};
use super::{Settings, judge, protect};
use crate::host::{Host, HostResult, Reason, Staged, Wanted};
use crate::kubelet::setup::{self, Setup};
use crate::kubelet::target::{self, Moment, Target};
use crate::kubelet::{Layout, PlaceError, record, render, stamp};
use crate::model::machine::Identity;
use crate::model::{Complaint, Weight};
use crate::settings::SettingsError;

const LOCK: &str = "/run/node-steward/bootstrap.lock";
/// Longer than any run takes; shorter than systemd's patience.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the caller wants.
#[derive(Debug, Clone)]
pub struct Order {
    /// What the forecast is asked.
    pub question: Question,
    /// Base of a stand-alone run.
    pub base: Option<PathBuf>,
    /// Result of a stand-alone run.
    pub out: Option<PathBuf>,
    /// Write nothing.
    pub dry_run: bool,
    /// Write although this boot has been settled.
    pub force: bool,
    /// Early or late.
    pub moment: Moment,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything was as it should be; nothing was touched.
    Unchanged,
    /// The new content is in place.
    Written,
    /// It differs, but this boot is settled; the next one will place it.
    Pending,
    /// It differs, and a dry run writes nothing.
    WouldWrite,
}

/// The whole story, for a person or a program.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which layout.
    pub layout: Layout,
    /// The place.
    pub target: Target,
    /// What became of it.
    pub outcome: Outcome,
    /// Our files in other places that were removed, or would be.
    pub removed: Vec<PathBuf>,
    /// With `protect = true`: the systemd drop-ins of the two slices, with what they say.
    pub protected: Vec<(PathBuf, String)>,
    /// The values and how they came about.
    pub forecast: Forecast,
    /// What kubelet would say; fatal only in a run that writes nothing because this boot is settled.
    pub findings: Vec<Complaint>,
}

/// Why nothing was placed.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The machine or the settings give no result.
    #[error(transparent)]
    Unforeseeable(#[from] Unforeseeable),
    /// Reading, rendering, writing or refusing.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

impl From<crate::host::HostError> for BootstrapError {
    fn from(error: crate::host::HostError) -> Self {
        Self::Place(error.into())
    }
}

/// Runs `order` with settings that `load` gives; they are loaded inside, so that another machine's numbers go even where the settings are broken.
pub fn bootstrap(
    host: &Host,
    order: &Order,
    load: impl FnOnce() -> Result<Settings, SettingsError>,
) -> Result<Report, BootstrapError> {
    if let Some(out) = &order.out {
        let settings = load()?;
        let _lock = (!order.dry_run).then(|| host.lock_dir(out, PATIENCE)).transpose()?;
        let setup = setup::stand_alone(host, order.base.as_deref(), None)?;
        let target = |forecast: &Forecast| target::out(host, &setup, out, &forecast.changes);
        return place(host, order, &settings, &setup, target, false);
    }
    if let Some(base) = &order.base {
        let settings = load()?;
        let dir = settings.kubelet.drop_in.as_deref();
        let _lock = dir.filter(|_| !order.dry_run).map(|dir| host.lock_dir(&dir.join("x"), PATIENCE)).transpose()?;
        let setup = setup::stand_alone(host, Some(base), dir)?;
        let machine = identity(host);
        let target = |forecast: &Forecast| {
            target::choose(host, &setup, &settings.kubelet, &forecast.changes, &machine, order.moment)
        };
        return place(host, order, &settings, &setup, target, false);
    }
    let lock = match (!order.dry_run).then(|| host.lock(Path::new(LOCK), PATIENCE)).transpose() {
        Ok(lock) => lock,
        // The run that holds it sees to the rest.
        Err(error) if matches!(error.reason, Reason::Held(_)) => return Err(error.into()),
        Err(error) => {
            if !in_force(host) {
                remove_all_foreign(host, load().ok().as_ref())?;
            }
            return Err(error.into());
        }
    };
    let settings = load();
    let kept = settings.as_ref().ok().cloned();
    let result = settings.map_err(BootstrapError::from).and_then(|settings| on_system(host, order, &settings));
    if result.is_err() && lock.is_some() && !in_force(host) {
        remove_all_foreign(host, kept.as_ref())?;
    }
    result
}

fn on_system(host: &Host, order: &Order, settings: &Settings) -> Result<Report, BootstrapError> {
    let setup = setup::find(host, &settings.kubelet)?;
    let machine = identity(host);
    let target = |forecast: &Forecast| {
        target::choose(host, &setup, &settings.kubelet, &forecast.changes, &machine, order.moment)
    };
    let mut report = place(host, order, settings, &setup, target, true)?;
    if settings.kubelet.protect && report.outcome != Outcome::Pending {
        // What cannot be protected is said; kubelet's configuration is in place all the same.
        match protect::place(host, &report.forecast, order.dry_run) {
            Ok(protected) => report.protected = protected,
            Err(error) => report.forecast.warnings.push(error.to_string()),
        }
    }
    Ok(report)
}

/// Forecast, judgement, stamp, write: in this order, so that nothing is touched before all is known.
fn place(
    host: &Host,
    order: &Order,
    settings: &Settings,
    setup: &Setup,
    target: impl FnOnce(&Forecast) -> Result<Target, PlaceError>,
    stamped: bool,
) -> Result<Report, BootstrapError> {
    let facts = forecast::facts(host, settings, Some(setup), &order.question);
    let forecast = forecast::forecast(facts, settings, setup, &order.question)?;
    let findings = judge::judge(host, &forecast, setup, order.moment);
    let fatal: Vec<_> =
        findings.iter().filter(|finding| finding.severity == Weight::Fatal).map(ToString::to_string).collect();
    let earlier = stamp::read(host).filter(|_| stamped);
    let only_compare = stamped && in_force(host) && !order.force;
    // A run that writes nothing anyway says what it found and leaves kubelet's restart alone.
    if !fatal.is_empty() && !only_compare {
        return Err(PlaceError::Refused(fatal.join("; ")).into());
    }
    let target = target(&forecast)?;
    let removed = if stamped { elsewhere(setup, &target.path) } else { Vec::new() };
    let differs = target.text != target.old || !removed.is_empty();
    let outcome = match (differs, only_compare, order.dry_run) {
        (false, _, _) => Outcome::Unchanged,
        (true, true, _) => Outcome::Pending,
        (true, false, true) => Outcome::WouldWrite,
        (true, false, false) => Outcome::Written,
    };
    if order.dry_run {
        return Ok(Report {
            layout: setup.layout,
            target,
            outcome,
            removed,
            protected: Vec::new(),
            forecast,
            findings,
        });
    }
    // An image is baked with kubelet stopped; a stamp of this boot is what keeps a running kubelet's limits.
    let stamp = stamp::Stamp {
        boot_id: stamp::boot_id(host),
        // Without its main file kubelet cannot have started (kubeadm writes it in `join`, after many attempts to start).
        settled: in_force(host)
            || order.moment == Moment::Late && (setup.main.is_none() || setup.present.main.is_some()),
        path: target.path.clone(),
    };
    let stamp = (stamped && !only_compare && earlier.as_ref() != Some(&stamp)).then_some(stamp);
    write(host, outcome, &target, &removed, stamp.as_ref())?;
    Ok(Report { layout: setup.layout, target, outcome, removed, protected: Vec::new(), forecast, findings })
}

/// First all that can lack space or permission, then the changes themselves.
fn write(
    host: &Host,
    outcome: Outcome,
    target: &Target,
    removed: &[PathBuf],
    stamp: Option<&stamp::Stamp>,
) -> HostResult<()> {
    let stage = |wanted: Option<Wanted>| Ok(wanted.map(|wanted| host.stage(&wanted)).transpose()?.flatten());
    let commit = |staged: Option<Staged>| staged.map_or(Ok(()), Staged::commit);
    let stamp = stage(stamp.map(stamp::wanted).transpose()?)?;
    if outcome == Outcome::Written {
        let record = target.record.as_ref().map(|record| record::wanted(&record.on_the_way)).transpose()?;
        let text = target.text.as_ref().map(|text| text.clone().into_bytes());
        let record = stage(record)?;
        let text = stage(text.map(|bytes| Wanted { path: target.path.clone(), bytes, mode: 0o644 }))?;
        // The record goes first: with it, our values can be told from others' whether the file itself was still written or not.
        commit(record)?;
        commit(text)?;
        if target.text.is_none() {
            host.remove(&target.path)?;
        }
        for path in removed {
            host.remove(path)?;
        }
    }
    if outcome != Outcome::Pending {
        // A run that was killed may have stopped short of these two.
        host.sweep(&target.path);
        if let Some(record) = &target.record {
            record::settle(host, &record.settled)?;
        }
    }
    commit(stamp)
}

/// Whether kubelet may be running by what lies there: a late run of this boot has settled it, or kubelet has made its cgroup for
/// pods. Whatever has changed since, a CPU taken offline included, it is this machine's and this boot's.
fn in_force(host: &Host) -> bool {
    stamp::read(host).is_some_and(|stamp| stamp.settled) || setup::kubelet_has_started(host)
}

/// Our files in places that are not the chosen one.
fn elsewhere(setup: &Setup, chosen: &Path) -> Vec<PathBuf> {
    setup.ours.iter().map(|file| file.path.clone()).filter(|path| path != chosen).collect()
}

fn identity(host: &Host) -> Identity {
    crate::sample::machine::identity(host)
}

fn made_for(named: Option<&Identity>, here: &Identity) -> bool {
    named.is_some_and(|machine| machine.same_machine(here))
}

/// Whatever went wrong, an image must not start its kubelet with its builder's numbers. All of them are tried before the first failure is told.
fn remove_all_foreign(host: &Host, settings: Option<&Settings>) -> Result<(), BootstrapError> {
    let here = identity(host);
    let of_unit = setup::config_dir_of_unit(host);
    let mut result = Ok(());
    let mut files = setup::our_files(host, settings.and_then(|settings| settings.kubelet.drop_in.as_deref()))?;
    files.extend(setup::our_files(host, of_unit.as_deref())?);
    for file in files {
        if !made_for(file.machine.as_ref(), &here) {
            result = result.and(host.remove(&file.path).map_err(BootstrapError::from));
        }
    }
    result.and(take_back_foreign(host, &here))
}

/// From a file that is not ours, only our values go. A record that cannot be read has been complained of already.
fn take_back_foreign(host: &Host, here: &Identity) -> Result<(), BootstrapError> {
    let Ok(Some(record)) = record::read(host) else { return Ok(()) };
    let path = PathBuf::from(&record.file);
    let Some(file) = setup::read_document(host, &path)? else { return Ok(record::forget(host)?) };
    if record.is_foreign(&file.node, here) {
        let undo = record.undo(&file.node);
        if !undo.entries().is_empty() {
            let bytes = host.read(&path, setup::MOST_BYTES)?.unwrap_or_default();
            let clean = render::merged(&String::from_utf8_lossy(&bytes), &undo).map_err(PlaceError::Render)?;
            host.write_atomic(&Wanted { path, bytes: clean.into_bytes(), mode: 0o644 })?;
        }
        record::forget(host)?;
    }
    Ok(())
}
