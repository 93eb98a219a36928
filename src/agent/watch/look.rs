//! The daemon's turns: samples are taken, judged, told, published and saved. It refuses to give a sign of life for a turn that was not a whole one.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use sd_notify::NotifyState;

use super::ask::Ask;
use super::daemon::Daemon;
use super::engine::Outcome;
use super::envoy::Envoy;
use super::pace::Extent;
use super::saved::Saved;
use super::{LockMemory, drill, figures, lines};
use crate::agent::eviction;
use crate::host::memory::Locked;
use crate::host::{self, Host, Priority, clock};
use crate::metrics;
use crate::model::status::{Part, Standing, Status};
use crate::model::time::{Mono, Now};
use crate::model::watch::Wants;
use crate::sample;
use crate::sample::guarded::Request;

/// For the first probes to answer, so that the second turn sees everything.
const FIRST_ANSWERS_MS: u64 = 1000;
/// After so many turns all has been seen once.
const SETTLED: u64 = 2;

impl Daemon {
    /// One turn, whatever happens in it.
    pub(super) fn turn(&mut self, began: Mono) {
        if self.once.is_some() && self.ready() && !self.probes.idle(began, self.settings.watch.probe_deadline.ms()) {
            return self.pace.hurry(began.plus_ms(FIRST_ANSWERS_MS / 10), Extent::Whole);
        }
        let began_us = clock::monotonic_us();
        let extent = self.pace.make(began);
        if catch_unwind(AssertUnwindSafe(|| self.look(began, extent))).is_err() {
            self.counters.panics = self.counters.panics.saturating_add(1);
            let words = "a turn failed; this is a bug of node-steward. The next turn starts anew";
            return self.log.line(Priority::Error, words, &[("NODE_STEWARD_EVENT", "bug")]);
        }
        let took = clock::monotonic_us().saturating_sub(began_us);
        let first = !self.ready();
        figures::take(&mut self.engine.status_mut().turns, began, took);
        self.publish();
        if extent == Extent::Whole {
            self.textfile();
        }
        self.send(began);
        self.alive(first);
        match self.engine.status().turns.count {
            ..SETTLED => {}
            SETTLED => self.settle(),
            _ => self.keep_the_way(),
        }
    }

    /// After the first whole look: what an alarm needs is brought into memory and kept there.
    fn settle(&mut self) {
        let what = match self.settings.watch.lock_memory {
            _ if self.once.is_some() || !self.host.is_real() => return,
            LockMemory::Off => return,
            LockMemory::Touched => Locked::Touched,
            LockMemory::Whole => Locked::Whole,
        };
        // Twice: the first time brings up what an alarm needs once (patterns are compiled), the second time only what it needs each time.
        drill::play();
        if what == Locked::Touched {
            host::memory::forget_start();
            // What is seldom read is read once more now, not first in an hour from a disk that hangs.
            self.watcher.look_again();
            self.pending.ask_again();
        }
        self.log.rehearse();
        self.save();
        drill::play();
        if self.envoy.is_some() {
            drill::alone(&self.settings);
        }
        if let Err(why) = host::memory::lock(what) {
            self.log.line(
                Priority::Notice,
                &format!("pages are not locked: {why}"),
                &[("NODE_STEWARD_EVENT", "memory")],
            );
            self.parts.push(Part { name: "memory_lock".to_owned(), standing: Standing::Unknown { why } });
        }
    }

    /// Once the API server is spoken to, what speaks to it is kept in memory as well.
    fn keep_the_way(&mut self) {
        let keeps = self.host.is_real() && self.settings.watch.lock_memory == LockMemory::Touched;
        if keeps && self.envoy.as_mut().is_some_and(Envoy::begins) {
            host::memory::bring_cluster();
        }
    }

    fn ready(&self) -> bool {
        self.engine.status().turns.count > 0
    }

    fn look(&mut self, at: Mono, extent: Extent) {
        let now = Now { mono: at, wall: clock::wall(), boot_id: self.boot_id.clone() };
        let kernel_log = self.ear.told();
        let mut wants = self.engine.wants();
        // The first turn after all has settled looks as in an alarm: what that needs is then in memory, and stays there.
        let rehearsal = self.once.is_none() && self.host.is_real() && self.engine.status().turns.count == SETTLED;
        let everything = rehearsal || self.once.as_ref().is_some_and(|once| once.glance.everything);
        wants.contributors |= std::mem::take(&mut self.alarmed) || everything;
        wants.blocked_tasks |= everything;
        if let Some(envoy) = &self.envoy {
            self.watcher.told(envoy.offer(at));
        }
        let samples = match extent {
            Extent::Heard => self.watcher.hear(kernel_log),
            Extent::Whole if self.host.is_real() => {
                // First: whoever waits for an answer must know what it would be about.
                self.watcher.look_at_mounts(&self.host, at);
                for (question, delay) in self.probes.delayed(at, self.settings.watch.probe_deadline.ms()) {
                    self.overdue(&question, &delay);
                }
                let guarded = self.pending.take(kernel_log);
                self.watcher.look(&self.host, at, wants, guarded)
            }
            Extent::Whole => {
                let thresholds = |host: &Host| eviction::thresholds(host, &self.settings.kubelet);
                self.watcher.look_whole(&self.host, at, wants, &mut self.pending, kernel_log, thresholds)
            }
        };
        let mut sources = sample::sources(samples);
        sources.extend(self.parts.iter().cloned());
        let fleet = self.envoy.as_ref().and_then(Envoy::against);
        let outcome = self.engine.turn(&now, samples, sources, fleet);
        // A run of one turn shows its problems and blind parts itself.
        if self.once.is_none() {
            self.tell(at, &outcome);
        }
        let looked = extent == Extent::Whole && self.ready();
        let mut unsaved = outcome.matters;
        let mut after = None;
        if let Some(envoy) = &mut self.envoy {
            envoy.reserves(at, &self.watcher.samples().thresholds);
            envoy.observe(&now, &self.engine, &outcome, looked);
            after = envoy.take_after();
            unsaved |= envoy.is_unsaved();
        }
        if unsaved {
            self.save();
        }
        // Saved first: it is run once, or not at all.
        if let Some(command) = after {
            self.follow(command);
        }
        if outcome.noted {
            let minute = self.engine.history().points().last().map_or(1, |point| point.minute);
            self.keeping.noted(minute);
        }
        if extent == Extent::Whole && self.host.is_real() {
            self.ask(at, wants);
            if let Some(keep) = self.keeping.due(self.settings.reserve.measured.keep)
                && let Some(state) = self.state_file.clone()
            {
                self.probes.put("history", Ask::History { state, keep });
            }
        }
        if self.ready()
            && let Some(once) = &mut self.once
        {
            once.turn = Some(outcome.turn);
        }
    }

    /// Runs what follows a drain where it may hang.
    fn follow(&mut self, command: Vec<String>) {
        if self.probes.is_alive() {
            return self.probes.put("after a drain", Ask::Program { command });
        }
        if let Some(envoy) = &self.envoy {
            envoy.after_drain(&command, &Err("there is no probe helper that could run it".to_owned()));
        }
    }

    fn tell(&self, at: Mono, outcome: &Outcome) {
        lines::write(&self.log, at, &outcome.turn.changes);
        // One line a reason: where a source is missing, all who live on it are blind.
        let mut blind: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, why) in &outcome.sight {
            blind.entry(why.as_deref().unwrap_or_default()).or_default().push(name);
        }
        for (why, names) in blind {
            let names = names.join(", ");
            let (words, event) = match why {
                "" => (format!("looking again: {names}"), "sees"),
                why => (format!("not looking: {names}: {why}"), "blind"),
            };
            self.log.line(Priority::Info, &words, &[("NODE_STEWARD_EVENT", event), ("NODE_STEWARD_PART", &names)]);
        }
    }

    /// Puts what is due on the desk.
    fn ask(&mut self, at: Mono, wants: Wants) {
        let samples = self.watcher.samples();
        let mounts = samples.mounts.value().map_or(&[][..], Vec::as_slice);
        let mut places: BTreeMap<String, Vec<Request>> = BTreeMap::new();
        for request in self.pending.due(samples, at, wants) {
            if self.probes.is_alive() {
                places.entry(request.stuck_at(mounts)).or_default().push(request);
            } else {
                self.pending.not_asked(&request, "there is no probe helper");
            }
        }
        for (place, requests) in places {
            self.probes.put(&place, Ask::Guarded { requests });
        }
    }

    /// To the service manager: ready after the first turn, then a sign of life.
    fn alive(&mut self, first: bool) {
        let status = summary(self.engine.status());
        if !first {
            return self.service.say(&[NotifyState::Status(&status), NotifyState::Watchdog]);
        }
        self.service.say(&[NotifyState::Ready, NotifyState::Status(&status), NotifyState::Watchdog]);
        // The second turn sees what the first probes have answered by then.
        let after_ms = match &self.once {
            Some(_) if !self.host.is_real() => 0,
            Some(once) => once.glance.apart_ms,
            None => FIRST_ANSWERS_MS,
        };
        self.pace.hurry(clock::monotonic().plus_ms(after_ms), Extent::Whole);
    }

    fn publish(&mut self) {
        let counters = [
            ("logLinesDropped", self.log.dropped()),
            ("probesStarted", self.probes.started),
            ("probesAbandoned", self.probes.abandoned),
            ("kernelRecords", self.ear.records),
            ("kernelRecordsLost", self.ear.lost),
            ("wakeups", self.counters.wakeups),
            ("pressureAlarms", self.counters.pressure),
            ("turnsFailed", self.counters.panics),
            ("stateWritesFailed", self.counters.unsaved),
            ("majorFaults", host::memory::major_faults()),
        ];
        let status = self.engine.status_mut();
        status.counters.extend(counters.map(|(name, count)| (name.to_owned(), count)));
        if let Some(envoy) = &mut self.envoy {
            envoy.show(status, &self.log);
        }
        let mut published = self.published.borrow_mut();
        published.status.clone_from(status);
        published.ready = published.ready || status.turns.count > 1;
    }

    /// For node_exporter, where it is wanted: the directory may lie on a disk that hangs.
    fn textfile(&mut self) {
        let Some(path) = &self.settings.metrics.textfile else { return };
        let published = self.published.borrow();
        let text = metrics::text(&published.status, &published.catalogue, metrics::Format::Prometheus);
        self.probes.put("textfile", Ask::Textfile { path: PathBuf::from(path.as_str()), text });
    }

    /// Puts the state where a next run of this boot finds it. A failure is said when it begins.
    pub(super) fn save(&mut self) {
        let Some(path) = &self.state_file else { return };
        let saved = Saved::new(
            &self.boot_id,
            self.engine.store(&self.boot_id),
            self.engine.status().clone(),
            self.engine.wants(),
            self.envoy.as_ref().map(Envoy::kept).unwrap_or_default(),
        );
        match saved.write(&self.host, path) {
            Ok(_) => self.counters.unsaved = 0,
            Err(error) => {
                if self.counters.unsaved == 0 {
                    let words = format!("the state is not saved: {error}");
                    self.log.line(Priority::Warning, &words, &[("NODE_STEWARD_EVENT", "state")]);
                }
                self.counters.unsaved = self.counters.unsaved.saturating_add(1);
            }
        }
    }
}

/// One line for `systemctl status`.
pub(super) fn summary(status: &Status) -> String {
    let looking =
        status.detectors.iter().filter(|part| part.standing == crate::model::status::Standing::Working).count();
    let worst = status.problems.first().map_or_else(
        || "no problems".to_owned(),
        |worst| match status.problems.len() {
            1 => format!("{} {}", worst.finding.kind, worst.finding.subject),
            more => format!("{} {} and {} more problems", worst.finding.kind, worst.finding.subject, more - 1),
        },
    );
    format!("{worst}; {looking} of {} detectors judge", status.detectors.len())
}
