//! The daemon at work: what may happen, and what is done about it. One thread, and nothing here waits: what may block is asked of probes.
//! It refuses to keep a sign of life for itself: the watchdog hears of whole turns only.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};

use super::Glance;
use super::ask::{Ask, Told};
use super::desk::Delay;
use super::ear::Ear;
use super::engine::Engine;
use super::envoy::Envoy;
use super::keeping::Keeping;
use super::life::Flags;
use super::orders::Ordered;
use super::pace::{Extent, Pace};
use super::probes::Probes;
use super::reload::{Asker, Reload};
use crate::agent::Settings;
use crate::agent::turn::Turn;
use crate::api::{Act, Api, Code, Done, Published};
use crate::host::probe::Line;
use crate::host::{Host, Log, Priority, Service, Share, Signal, Signals, Trigger, clock};
use crate::model::status::Part;
use crate::model::time::Mono;
use crate::sample::Watcher;
use crate::sample::guarded::{Pending, Request, Response};

const NO_ANSWER: &str = "the probe ended without an answer";

/// See the head of this file.
pub struct Daemon {
    pub(super) host: Host,
    pub(super) service: Service,
    pub(super) log: Log,
    pub(super) settings: Settings,
    pub(super) config: Option<PathBuf>,
    pub(super) flags: Flags,
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
    /// The way to the API server; none in a run of two looks.
    pub(super) envoy: Option<Envoy>,
    pub(super) signals: Signals,
    pub(super) reloads: mpsc::UnboundedReceiver<Asker>,
    pub(super) orders: mpsc::UnboundedReceiver<Ordered>,
    pub(super) triggers: Vec<(Share, Trigger)>,
    pub(super) reload: Option<Reload>,
    pub(super) counters: Counters,
    /// Since when some task has waited, and whether the next look was asked for by that.
    pub(super) alarm: Option<Mono>,
    pub(super) alarmed: bool,
    /// What is owed to the history.
    pub(super) keeping: Keeping,
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
    pub(super) wakeups: u64,
    pub(super) pressure: u64,
    pub(super) panics: u64,
    pub(super) unsaved: u64,
    textfile: u64,
}

enum Event {
    Signal(Signal),
    Line(Result<Line, String>),
    Pressure(usize, Result<(), String>),
    Asked(Asker),
    Ordered(Ordered),
    Save,
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
                Event::Ordered(ordered) => self.ordered(ordered),
                Event::Save => self.save_for_others(),
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

    fn ordered(&mut self, ordered: Ordered) {
        if let Act::Report(report) = &ordered.order.act {
            let now = clock::monotonic();
            let taken = self.engine.report(now, report.clone());
            self.pace.hurry(now, Extent::Heard);
            let done = |new| Done { node: String::new(), changed: new, drain: None };
            // Whoever asked may have gone.
            let _ = ordered.reply.send(taken.map(done).map_err(|why| (Code::TooMany, why)));
            return;
        }
        let Some(envoy) = &self.envoy else {
            // As above.
            let words = "this run looks twice and ends".to_owned();
            let _ = ordered.reply.send(Err((Code::NoCluster, words)));
            return;
        };
        let Some((reply, answer)) = envoy.obey(ordered) else { return };
        // What is called cancelled must not go on with a next run.
        if envoy.is_unsaved() {
            self.save();
        }
        let _ = reply.send(answer);
    }

    /// Somebody is about to do what a next run must know of.
    fn save_for_others(&mut self) {
        self.save();
        if let Some(envoy) = &self.envoy {
            envoy.saved();
        }
    }

    async fn event(&mut self) -> Event {
        let alarm = self.alarm();
        let triggers = &self.triggers;
        tokio::select! {
            biased;
            signal = self.signals.next() => Event::Signal(signal),
            Some(asker) = self.reloads.recv() => Event::Asked(asker),
            Some(ordered) = self.orders.recv() => Event::Ordered(ordered),
            () = wants_saving(self.envoy.as_ref()) => Event::Save,
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
            self.envoy.as_ref().and_then(Envoy::next),
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
        if self.envoy.as_mut().is_some_and(|envoy| envoy.send(now, &mut self.probes)) {
            self.send(now);
        }
        if now >= self.pace.next() {
            self.turn(now);
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
            Some((Ask::Guarded { requests }, body)) => {
                let responses: Vec<Response> = serde_json::from_value(body).unwrap_or_default();
                let mut responses = responses.into_iter();
                for request in requests {
                    match responses.next() {
                        Some(response) => self.pending.answered(&request, response),
                        None => self.pending.not_asked(&request, NO_ANSWER),
                    }
                }
            }
            Some((Ask::Reservations, body)) => self.published.borrow_mut().reservations = body,
            Some((Ask::Cluster { errand }, body)) => {
                if let Some(envoy) = &mut self.envoy {
                    envoy.learned(&errand, body);
                }
            }
            Some((Ask::Program { command }, body)) => {
                if let Some(envoy) = &self.envoy {
                    envoy.after_drain(&command, &understood(body));
                }
            }
            Some((Ask::Settings, body)) => self.reloaded(understood(body)),
            Some((Ask::History { keep, .. }, body)) => self.history_told(keep, body),
            Some((Ask::Textfile { .. }, body)) => self.textfile_written(&understood(body)),
            // The helper's own sign that it is up, or an answer that nobody waits for any more.
            None => {}
        }
        self.send(clock::monotonic());
    }

    fn helper_lost(&mut self, why: &str) {
        self.log.line(Priority::Warning, &format!("{why}; it is replaced"), &[("NODE_STEWARD_EVENT", "helper")]);
        for question in self.probes.lost() {
            self.overdue(&question, &Delay::NotAsked(why.to_owned()));
        }
        self.reloaded(Err("the probe helper is gone".to_owned()));
    }

    /// Tells whoever waits for it that a question has no answer.
    pub(super) fn overdue(&mut self, question: &Ask, delay: &Delay) {
        if let (Ask::Guarded { requests }, Delay::Stuck { place, .. }) = (question, delay)
            && self.has_moved(requests, place)
        {
            self.probes.let_go(question);
            return self.pending.ask_apart(requests);
        }
        match (question, delay, &mut self.envoy) {
            // One that is stuck may come back still; until then the last good one stands.
            (Ask::Cluster { errand }, Delay::NotAsked(_), Some(envoy)) => envoy.in_vain(errand),
            (Ask::Program { command }, Delay::NotAsked(why), Some(envoy)) => {
                envoy.after_drain(command, &Err(why.clone()));
            }
            _ => delayed(&mut self.pending, question, delay),
        }
    }

    /// Whether any of these would now be asked about another place than the one that they were asked about.
    fn has_moved(&self, requests: &[Request], place: &str) -> bool {
        let Some(mounts) = self.watcher.samples().mounts.value() else { return false };
        requests.iter().any(|request| request.stuck_at(mounts) != place)
    }

    pub(super) fn send(&mut self, now: Mono) {
        if let Err(why) = self.probes.send(now) {
            self.helper_lost(&why);
        }
    }

    fn history_told(&mut self, keep: bool, body: Value) {
        let (kept, recommendation) = match serde_json::from_value::<Told>(body) {
            Ok(told) => (Some(told.kept), Some(told.recommendation)),
            Err(_) => (None, None),
        };
        if let Some(why) = self.keeping.answered(keep, kept, self.settings.reserve.measured.keep) {
            self.log.line(Priority::Warning, &why, &[("NODE_STEWARD_EVENT", "history")]);
        }
        if recommendation.is_some() {
            self.engine.status_mut().recommendation = recommendation;
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
    // The others have a patience of their own.
    let Ask::Guarded { requests } = question else { return };
    for request in requests {
        match delay {
            Delay::Stuck { for_ms, .. } => pending.stuck(request, *for_ms),
            Delay::NotAsked(why) => pending.not_asked(request, why),
        }
    }
}

/// What a child answered; a child that ended without an answer is an answer as well.
fn understood<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, String> {
    serde_json::from_value(body).unwrap_or_else(|_| Err(NO_ANSWER.to_owned()))
}

/// Until somebody waits for the state to be saved; never where there is nobody.
async fn wants_saving(envoy: Option<&Envoy>) {
    match envoy {
        Some(envoy) => envoy.wants_saving().await,
        None => std::future::pending().await,
    }
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
