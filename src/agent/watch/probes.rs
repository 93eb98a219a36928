//! The probe helper and the desk in front of it: asks, takes answers, replaces a helper that is gone. It refuses to wait.

use serde_json::Value;

use super::ask::{self, Ask, Known};
use super::desk::{Delay, Desk};
use crate::host::probe::{Helper, Line};
use crate::model::time::Mono;

/// From one start of a helper to the next.
const RESTART_MS: u64 = 10_000;

/// See the head of this file.
#[derive(Debug)]
pub struct Probes {
    known: Known,
    helper: Option<Helper>,
    old: Vec<Helper>,
    desk: Desk<Ask>,
    restart: Mono,
    failing: bool,
    /// Questions handed to a child.
    pub started: u64,
    /// Questions whose child was given up because it did not answer in time.
    pub abandoned: u64,
}

impl Probes {
    /// Starts the first helper; says why there is none. A recording needs none.
    pub fn start(now: Mono, known: Known, real: bool) -> (Self, Option<String>) {
        let mut probes = Self {
            known,
            helper: None,
            old: Vec::new(),
            desk: Desk::new(),
            restart: Mono(0),
            failing: false,
            started: 0,
            abandoned: 0,
        };
        let failed = if real { probes.revive(now).err() } else { None };
        (probes, failed)
    }

    /// Starts a helper where there is none and it is time; true where it did.
    pub fn revive(&mut self, now: Mono) -> Result<bool, String> {
        self.old.retain_mut(|old| !old.end());
        if self.helper.is_some() || now < self.restart {
            return Ok(false);
        }
        self.restart = now.plus_ms(RESTART_MS);
        match Helper::start(&|question| ask::answer(&self.known, question)) {
            Ok(helper) => self.helper = Some(helper),
            // Said once, and tried again.
            Err(_) if std::mem::replace(&mut self.failing, true) => return Ok(false),
            Err(error) => return Err(error.to_string()),
        }
        self.failing = false;
        Ok(true)
    }

    /// Puts a question about a place on the desk.
    pub fn put(&mut self, place: &str, question: Ask) {
        self.desk.put(place, question);
    }

    /// Hands out what may go out now. An error says that the helper is gone.
    pub fn send(&mut self, now: Mono) -> Result<(), String> {
        if self.helper.is_none() {
            return Ok(());
        }
        for (id, question) in self.desk.send(now) {
            let line = Line { id, body: serde_json::to_value(&question).unwrap_or_default() };
            let taken = self.helper.as_mut().map_or(Ok(()), |helper| helper.ask(&line));
            taken?;
            self.started = self.started.saturating_add(1);
        }
        Ok(())
    }

    /// The next answer, or the helper's end; never where there is no helper.
    pub async fn line(&mut self) -> Result<Line, String> {
        match &mut self.helper {
            Some(helper) => helper.answer().await,
            None => std::future::pending().await,
        }
    }

    /// The question that an answer is to; none where nobody waits for it any more.
    pub fn take(&mut self, line: Line) -> Option<(Ask, Value)> {
        let question = self.desk.answered(line.id)?;
        Some((question, line.body))
    }

    /// The helper is gone: what was out with it, and what waited for it.
    pub fn lost(&mut self) -> Vec<Ask> {
        self.old.extend(self.helper.take());
        self.desk.forget()
    }

    /// Questions without an answer in time.
    pub fn delayed(&mut self, now: Mono, deadline_ms: u64) -> Vec<(Ask, Delay)> {
        let (delayed, new) = self.desk.delayed(now, deadline_ms);
        self.abandoned = self.abandoned.saturating_add(new);
        delayed
    }

    /// Whatever comes of this question, it says nothing any more, and its place is free for others.
    pub fn let_go(&mut self, question: &Ask) {
        self.desk.let_go(question);
    }

    /// The earliest moment at which a question becomes overdue.
    pub fn next_overdue(&self, deadline_ms: u64) -> Option<Mono> {
        self.desk.next_overdue(deadline_ms)
    }

    /// Whether everybody has answered who is going to.
    pub fn idle(&self, now: Mono, deadline_ms: u64) -> bool {
        self.helper.is_none() || self.desk.next_overdue(deadline_ms).is_none_or(|overdue| overdue <= now)
    }

    /// Whether there is a helper.
    pub fn is_alive(&self) -> bool {
        self.helper.is_some()
    }
}
