//! Events about the node: what waits to be said, by reason. Pure. It refuses a second Event where one can be counted up, a reason that speaks all the time,
//! and to grow: while nobody listens, what happens again is counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::conditions::cut;
use crate::cluster::{Error, Event, Request};
use crate::model::time::{Mono, Now, Wall};

/// From one word of a reason to its next: doubled each time, up to the longest, and back again after so long a quiet.
const FIRST_MS: u64 = 10_000;
const LONGEST_MS: u64 = 300_000;
const QUIET_MS: u64 = 900_000;
/// The server forgets an Event an hour after it was last written.
const LIFE_MS: u64 = 3_000_000;
/// More than all kinds that we know have; companions may bring their own.
const MOST: usize = 128;
/// So many subjects are kept, and so many are named.
const MOST_SUBJECTS: usize = 32;
const NAMED: usize = 4;
/// After an answer that waiting does not change.
const REFUSED_MS: u64 = 300_000;

/// All reasons that ever spoke.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Notices(BTreeMap<String, Notice>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notice {
    warning: bool,
    /// What is not said yet: how often, of whom, since when, until when.
    waiting: u64,
    subjects: Vec<String>,
    message: String,
    first: Wall,
    last: Wall,
    /// What the server has.
    written: Option<Written>,
    /// Not before.
    next: Mono,
    apart_ms: u64,
    spoke: Mono,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Written {
    name: String,
    first: Wall,
    count: u64,
}

impl Notices {
    /// Something happened.
    pub fn say(&mut self, now: &Now, reason: &str, warning: bool, subject: &str, message: &str) {
        if !self.0.contains_key(reason) && self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, notice)| notice.last).map(|(reason, _)| reason.clone());
            oldest.and_then(|reason| self.0.remove(&reason));
        }
        let notice = self.0.entry(reason.to_owned()).or_insert_with(|| Notice {
            warning,
            waiting: 0,
            subjects: Vec::new(),
            message: String::new(),
            first: now.wall,
            last: now.wall,
            written: None,
            next: Mono(0),
            apart_ms: FIRST_MS,
            spoke: Mono(0),
        });
        if notice.waiting == 0 {
            notice.first = now.wall;
            notice.subjects.clear();
        }
        notice.waiting = notice.waiting.saturating_add(1);
        notice.last = now.wall;
        notice.subjects.retain(|other| other != subject);
        notice.subjects.push(subject.to_owned());
        let excess = notice.subjects.len().saturating_sub(MOST_SUBJECTS);
        notice.subjects.drain(..excess);
        message.clone_into(&mut notice.message);
    }

    /// When there is something to say next.
    pub fn next(&self) -> Option<Mono> {
        self.0.values().filter(|notice| notice.waiting > 0).map(|notice| notice.next).min()
    }

    /// How many reasons wait.
    pub fn waiting(&self) -> usize {
        self.0.values().filter(|notice| notice.waiting > 0).count()
    }

    /// What is to be said now, with its reason and how much of it that is: who has been silent longest goes first.
    pub fn take(&self, now: Mono, node: &str) -> Option<(String, u64, Request)> {
        let ripe = self.0.iter().filter(|(_, notice)| notice.waiting > 0 && notice.next <= now);
        let (reason, notice) = ripe.min_by_key(|(_, notice)| (notice.spoke, notice.first))?;
        let written = notice.written.as_ref().filter(|_| now.since_ms(notice.spoke) < LIFE_MS);
        let event = Event {
            kind: if notice.warning { "Warning" } else { "Normal" }.to_owned(),
            reason: reason.clone(),
            message: notice.text(),
            node: node.to_owned(),
            name: written.map_or_else(|| name(node, reason, notice.first), |written| written.name.clone()),
            first_timestamp: written.map_or(notice.first, |written| written.first).to_string(),
            last_timestamp: notice.last.to_string(),
            count: written.map_or(0, |written| written.count).saturating_add(notice.waiting),
        };
        let request = if written.is_some() { Request::PatchEvent(event) } else { Request::CreateEvent(event) };
        Some((reason.clone(), notice.waiting, request))
    }

    /// What came of it.
    pub fn answered(&mut self, now: Mono, reason: &str, said: u64, request: &Request, error: Option<&Error>) {
        let Some(notice) = self.0.get_mut(reason) else { return };
        let (Request::CreateEvent(event) | Request::PatchEvent(event)) = request else { return };
        match error {
            None => {
                let first = notice.written.take().filter(|old| old.name == event.name).map(|old| old.first);
                let first = first.unwrap_or(notice.first);
                notice.written = Some(Written { name: event.name.clone(), first, count: event.count });
                notice.waiting = notice.waiting.saturating_sub(said);
                notice.first = notice.last;
                let quiet = now.since_ms(notice.spoke) > QUIET_MS || notice.spoke == Mono(0);
                notice.apart_ms = if quiet { FIRST_MS } else { notice.apart_ms.saturating_mul(2).min(LONGEST_MS) };
                (notice.spoke, notice.next) = (now, now.plus_ms(notice.apart_ms));
            }
            // Its hour is over; or the namespace is not there yet, in a cluster that has just begun.
            Some(Error::NotFound(_)) => {
                // One that was not ours to write, since it exists: a server that says both is not asked in circles.
                if notice.written.take().is_none_or(|written| written.count == 0) {
                    notice.next = now.plus_ms(FIRST_MS);
                }
            }
            // It was made, and the answer was lost.
            Some(Error::AlreadyExists(_)) => {
                notice.written = Some(Written { name: event.name.clone(), first: notice.first, count: 0 });
                notice.spoke = now;
            }
            Some(Error::HeldBack { ms }) => notice.next = now.plus_ms(*ms),
            Some(Error::Forbidden(_) | Error::Invalid { .. }) => notice.next = now.plus_ms(REFUSED_MS),
            Some(_) => notice.next = now.plus_ms(FIRST_MS),
        }
    }
}

impl Notice {
    fn text(&self) -> String {
        let others = self.subjects.len().saturating_sub(1);
        let mut text = self.message.clone();
        if others > 0 {
            let names: Vec<&str> = self.subjects.iter().rev().skip(1).take(NAMED).map(String::as_str).collect();
            let more = if others > NAMED { format!(" and {} more", others - NAMED) } else { String::new() };
            text.push_str(&format!("; the same of {}{more}", names.join(", ")));
        }
        cut(text)
    }
}

/// As other writers name theirs: the object, then what makes it the only one.
fn name(node: &str, reason: &str, first: Wall) -> String {
    format!("{node}.{}.{:x}", reason.to_ascii_lowercase(), first.0)
}
