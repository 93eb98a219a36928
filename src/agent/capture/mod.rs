//! A host recorded as a fixture: what the watch and the forecast read, turn by turn, as plain files that `--root` and `run --replay` play again.
//! It refuses to keep serial numbers and secrets, and files that nothing here reads.

mod layer;
mod redact;

use std::path::Path;
use std::time::Duration;

use super::{Settings, eviction, forecast};
use crate::agent::Question;
use crate::host::{Host, HostError, HostResult, Kmsg, Recording, clock};
use crate::kubelet::setup;
use crate::model::time::Now;
use crate::model::watch::{KernelLog, Samples, Wants};
use crate::sample::Watcher;
use crate::sample::guarded::Pending;
use layer::Layers;

/// How long to look.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Turns.
    pub turns: u32,
    /// From one to the next.
    pub period: Duration,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Files written.
    pub files: usize,
    /// Turns recorded.
    pub turns: u32,
}

/// Records `host` into a new directory. `seen` is shown each turn's samples.
pub fn capture(
    host: Host,
    settings: &Settings,
    into: &Path,
    options: Options,
    mut seen: impl FnMut(&Now, &Samples),
) -> HostResult<Captured> {
    let recording = Recording::new(into)?;
    let host = host.taping();
    let mut layers = Layers::new(&recording);
    let mut kmsg = Kmsg::open(&host);
    if let Err(error) = &kmsg {
        layers.refused(Path::new("/dev/kmsg"), error);
    }
    // What the forecast reads is read once: it is the same in all turns.
    let found = setup::find(&host, &settings.kubelet).ok();
    let machine = forecast::facts(&host, settings, found.as_ref(), &Question::default());
    let mut pending = Pending::new(&eviction::kubelet_root(&host, &settings.kubelet).to_string_lossy());
    let mut watcher = Watcher::new();
    let wants = Wants { contributors: true, blocked_tasks: true };
    for turn in 0..options.turns.max(1) {
        let now = now(&host)?;
        let log = match &mut kmsg {
            Ok(kmsg) => kmsg.drain(),
            Err(error) => KernelLog { unreadable: Some(error.to_string()), ..KernelLog::default() },
        };
        layers.kernel_log(&log);
        let kept = log.clone();
        watcher.look_whole(&host, now.mono, wants, &mut pending, log, |host| {
            eviction::thresholds(host, &settings.kubelet)
        });
        layers.turn(turn, &now, host.taken())?;
        if turn == 0
            && let Some(version) = machine.kubelet_version.value()
        {
            layers.kubelet_version(version)?;
        }
        seen(&now, &with(watcher.samples(), kept));
        if turn + 1 < options.turns {
            std::thread::sleep(options.period);
        }
    }
    Ok(Captured { files: layers.files(), turns: options.turns.max(1) })
}

fn with(samples: &Samples, kernel_log: KernelLog) -> Samples {
    Samples { kernel_log, ..samples.clone() }
}

fn now(host: &Host) -> Result<Now, HostError> {
    Ok(Now { mono: clock::monotonic(), wall: clock::wall(), boot_id: host.boot_id()? })
}
