//! The daemon at work: what may happen, and what is done about it. One thread, and nothing here waits: what may block is asked of probes.
//! It refuses to keep a sign of life for itself: the watchdog hears of whole turns only.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;

use sd_notify::NotifyState;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};

use super::ask::Ask;
use super::desk::Delay;
use super::ear::Ear;
use super::engine::{Engine, Outcome};
use super::pace::{Extent, Pace};
use super::probes::Probes;
use super::reload::{Asker, Reload};
use super::saved::Saved;
use super::{Glance, LockMemory, drill, figures, lines};
use crate::agent::turn::Turn;
use crate::agent::{Settings, eviction};
use crate::api::{Api, Published};
use crate::host::memory::Locked;
use crate::host::probe::Line;
use crate::host::{self, Host, Log, Priority, Service, Share, Signal, Signals, Trigger, clock};
use crate::metrics;
use crate::model::status::{Part, Standing, Status};
use crate::model::time::{Mono, Now};
use crate::model::watch::Wants;
use crate::sample::guarded::Pending;
use crate::sample::{self, Watcher};

/// For the first probes to answer, so that the second turn sees everything.
const FIRST_ANSWERS_MS: u64 = 1000;
const NO_ANSWER: &str = "the probe ended without an answer";

/// See the head of this file.
pub struct Daemon {
    pub(super) host: Host,
    pub(super) service: Service,
    pub(super) log: Log,
    pub(super) settings: Settings,
    pub(super) config: Option<PathBuf>,
    pub(super) dry_run: bool,
    pub(super) boot_id: String,
    pub(super) state_file: Option<PathBuf>,
    pub(super) socket: Option<PathBuf>,
    pub(super) engine: Engine,
    pub(super) watcher: Watcher,
    pub(super) pending: Pending,
    pub(super) ear: Ear,
    pub(super) published: Rc<RefCell<Published>>,
    pub(super) api: Rc<Api>,
    pub(super) pace: Pace,
    pub(super) probes: Probes,
    pub(super) signals: Signals,
    pub(super) reloads: mpsc::UnboundedReceiver<Asker>,
    pub(super) triggers: Vec<(Share, Trigger)>,
    pub(super) reload: Option<Reload>,
    pub(super) counters: Counters,
    /// Since when some task has waited, and whether the next look was asked for by that.
    pub(super) alarm: Option<Mono>,
    pub(super) alarmed: bool,
    /// Parts of the daemon itself that do not work, and why.
    pub(super) parts: Vec<Part>,
    pub(super) once: Option<Once>,
}

/// A run of two looks.
#[derive(Debug)]
pub(super) struct Once {
    /// How.
    pub(super) glance: Glance,
    /// What came of it.
    pub(super) turn: Option<Turn>,
}

/// What is counted here.
#[derive(Debug, Default)]
pub(super) struct Counters {
    wakeups: u64,
    pressure: u64,
    panics: u64,
    unsaved: u64,
    textfile: u64,
}

enum Event {
    Signal(Signal),
    Line(Result<Line, String>),
    Pressure(usize, Result<(), String>),
    Asked(Asker),
    Kernel,
    Due,
}

impl Daemon {
    /// Until somebody says stop.
    pub async fn work(&mut self) {
        loop {
            let event = self.event().await;
            self.counters.wakeups = self.counters.wakeups.saturating_add(1);
            match event {
                Event::Signal(Signal::Stop) => return,
                Event::Signal(Signal::Reload) => self.reload(None),
                Event::Asked(asker) => self.reload(Some(asker)),
                Event::Line(line) => self.line(line),
                Event::Pressure(index, fired) => self.pressure(index, fired),
                Event::Kernel => {
                    let now = clock::monotonic();
                    if self.ear.hear(now) {
                        self.pace.hurry(now, Extent::Heard);
                    }
                }
                Event::Due => {}
            }
            self.due();
            if self.once.as_ref().is_some_and(|once| once.turn.is_some()) {
                return;
            }
        }
    }

    async fn event(&mut self) -> Event {
        let alarm = self.alarm();
        let triggers = &self.triggers;
        tokio::select! {
            biased;
            signal = self.signals.next() => Event::Signal(signal),
            Some(asker) = self.reloads.recv() => Event::Asked(asker),
            line = self.probes.line() => Event::Line(line),
            (index, fired) = any(triggers) => Event::Pressure(index, fired),
            () = self.ear.woken() => Event::Kernel,
            () = sleep_until(alarm) => Event::Due,
        }
    }

    /// The next moment at which there is something to do.
    fn alarm(&self) -> Instant {
        let deadline_ms = self.settings.watch.probe_deadline.ms();
        let moments = [
            Some(self.pace.next()),
            self.reload.as_ref().map(|reload| reload.until),
            self.probes.next_overdue(deadline_ms),
            self.ear.again().filter(|_| self.host.is_real()),
        ];
        let next = moments.into_iter().flatten().min().unwrap_or_default();
        Instant::now() + Duration::from_millis(next.since_ms(clock::monotonic()))
    }

    /// Does what is due.
    fn due(&mut self) {
        let now = clock::monotonic();
        if self.host.is_real()
            && let Err(why) = self.probes.revive(now)
        {
            self.log.line(Priority::Warning, &format!("no probe helper: {why}"), &[("NODE_STEWARD_EVENT", "helper")]);
        }
        if self.reload.as_ref().is_some_and(|reload| now >= reload.until) {
            self.reloaded(
                Err("the settings could not be read in time: is the disk that they lie on stuck?".to_owned()),
            );
        }
        if self.host.is_real() {
            self.ear.listen(now);
        }
        if now >= self.pace.next() {
            self.turn(now);
        }
    }

    /// One turn, whatever happens in it.
    fn turn(&mut self, began: Mono) {
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
        if self.engine.status().turns.count == 2 {
            self.settle();
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
        }
        self.log.rehearse();
        self.save();
        drill::play();
        if let Err(why) = host::memory::lock(what) {
            self.log.line(
                Priority::Notice,
                &format!("pages are not locked: {why}"),
                &[("NODE_STEWARD_EVENT", "memory")],
            );
            self.parts.push(Part { name: "memory_lock".to_owned(), standing: Standing::Unknown { why } });
        }
    }

    fn ready(&self) -> bool {
        self.engine.status().turns.count > 0
    }

    fn look(&mut self, at: Mono, extent: Extent) {
        let now = Now { mono: at, wall: clock::wall(), boot_id: self.boot_id.clone() };
        let kernel_log = self.ear.told();
        let mut wants = self.engine.wants();
        let everything = self.once.as_ref().is_some_and(|once| once.glance.everything);
        wants.contributors |= std::mem::take(&mut self.alarmed) || everything;
        wants.blocked_tasks |= everything;
        let samples = match extent {
            Extent::Heard => self.watcher.hear(kernel_log),
            Extent::Whole if self.host.is_real() => {
                for (question, delay) in self.probes.delayed(at, self.settings.watch.probe_deadline.ms()) {
                    delayed(&mut self.pending, &question, &delay);
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
        let outcome = self.engine.turn(&now, samples, sources);
        // A run of one turn shows its problems and blind parts itself.
        if self.once.is_none() {
            self.tell(at, &outcome);
        }
        if outcome.matters {
            self.save();
        }
        if extent == Extent::Whole && self.host.is_real() {
            self.ask(at, wants);
        }
        if self.ready()
            && let Some(once) = &mut self.once
        {
            once.turn = Some(outcome.turn);
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
        for request in self.pending.due(samples, at, wants) {
            if self.probes.is_alive() {
                self.probes.put(&request.stuck_at(mounts), Ask::Guarded { request });
            } else {
                self.pending.not_asked(&request, "there is no probe helper");
            }
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

    /// Takes the socket away: whoever asks now is told at once that nobody is there.
    pub(super) fn close(&mut self) {
        if let Some(path) = &self.socket {
            let _ = self.host.remove(path);
        }
    }

    fn pressure(&mut self, index: usize, fired: Result<(), String>) {
        if let Err(why) = fired {
            self.triggers.remove(index);
            let words = format!("pressure wakes nobody any more: {why}");
            return self.log.line(Priority::Info, &words, &[("NODE_STEWARD_EVENT", "blind")]);
        }
        self.counters.pressure = self.counters.pressure.saturating_add(1);
        // Under a lasting load it fires every two seconds: only the first time is news.
        let now = clock::monotonic();
        let news =
            self.alarm.is_none_or(|alarm| now.since_ms(alarm) > self.settings.watch.period.ms().saturating_mul(2));
        self.alarm = Some(now);
        if news {
            self.alarmed = true;
            self.pace.hurry(now, Extent::Whole);
        }
    }

    fn line(&mut self, line: Result<Line, String>) {
        let line = match line {
            Ok(line) => line,
            Err(why) => return self.helper_lost(&why),
        };
        match self.probes.take(line) {
            Some((Ask::Guarded { request }, body)) => match serde_json::from_value(body) {
                Ok(response) => self.pending.answered(&request, response),
                Err(_) => self.pending.not_asked(&request, NO_ANSWER),
            },
            Some((Ask::Reservations, body)) => self.published.borrow_mut().reservations = body,
            Some((Ask::Settings, body)) => self.reloaded(understood(body)),
            Some((Ask::Textfile { .. }, body)) => self.textfile_written(&understood(body)),
            // The helper's own sign that it is up, or an answer that nobody waits for any more.
            None => {}
        }
        self.send(clock::monotonic());
    }

    fn helper_lost(&mut self, why: &str) {
        self.log.line(Priority::Warning, &format!("{why}; it is replaced"), &[("NODE_STEWARD_EVENT", "helper")]);
        for question in self.probes.lost() {
            delayed(&mut self.pending, &question, &Delay::NotAsked(why.to_owned()));
        }
        self.reloaded(Err("the probe helper is gone".to_owned()));
    }

    pub(super) fn send(&mut self, now: Mono) {
        if let Err(why) = self.probes.send(now) {
            self.helper_lost(&why);
        }
    }

    fn textfile_written(&mut self, written: &Result<(), String>) {
        if let Err(why) = written
            && self.counters.textfile == 0
        {
            self.log.line(Priority::Warning, why, &[("NODE_STEWARD_EVENT", "textfile")]);
        }
        self.counters.textfile = if written.is_ok() { 0 } else { self.counters.textfile.saturating_add(1) };
    }
}

/// A question that has no answer, to the samples.
pub(super) fn delayed(pending: &mut Pending, question: &Ask, delay: &Delay) {
    match (question, delay) {
        (Ask::Guarded { request }, Delay::Stuck(for_ms)) => pending.stuck(request, *for_ms),
        (Ask::Guarded { request }, Delay::NotAsked(why)) => pending.not_asked(request, why),
        // The others have a patience of their own.
        (Ask::Settings | Ask::Reservations | Ask::Textfile { .. }, _) => {}
    }
}

/// What a child answered; a child that ended without an answer is an answer as well.
fn understood<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, String> {
    serde_json::from_value(body).unwrap_or_else(|_| Err(NO_ANSWER.to_owned()))
}

/// The first trigger that fires.
async fn any(triggers: &[(Share, Trigger)]) -> (usize, Result<(), String>) {
    match triggers {
        [] => std::future::pending().await,
        [(_, one)] => (0, one.fired().await),
        [(_, one), (_, other), ..] => tokio::select! {
            fired = one.fired() => (0, fired),
            fired = other.fired() => (1, fired),
        },
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
