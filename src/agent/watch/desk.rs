//! Who was asked what: questions to probes that wait, are out, or are overdue. It refuses a second question to a mount that owes an answer, and
//! more than eight in all.

use std::collections::{BTreeMap, VecDeque};

use crate::model::time::Mono;

/// Children at a time.
const MOST: usize = 8;

/// The desk. `Q` is the question.
#[derive(Debug)]
pub struct Desk<Q> {
    newest: u64,
    out: BTreeMap<u64, Out<Q>>,
    waiting: VecDeque<(String, Q)>,
}

#[derive(Debug)]
struct Out<Q> {
    place: String,
    question: Q,
    asked: Mono,
    overdue: bool,
}

/// Where a question stands that has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delay {
    /// Asked so many ms ago, and overdue.
    Stuck(u64),
    /// Not asked, because of this.
    NotAsked(String),
}

impl<Q: Clone + PartialEq> Desk<Q> {
    /// An empty desk.
    pub fn new() -> Self {
        Self { newest: 0, out: BTreeMap::new(), waiting: VecDeque::new() }
    }

    /// Takes a question about a place (a mount, a device): one at a time for each. A question that waits or is out already is not taken twice.
    pub fn put(&mut self, place: &str, question: Q) {
        let known = self.waiting.iter().any(|(_, other)| *other == question)
            || self.out.values().any(|out| out.question == question);
        if !known {
            self.waiting.push_back((place.to_owned(), question));
        }
    }

    /// Questions that may go out now, with their numbers.
    pub fn send(&mut self, now: Mono) -> Vec<(u64, Q)> {
        let mut sent = Vec::new();
        let mut rest = VecDeque::new();
        for (place, question) in std::mem::take(&mut self.waiting) {
            if self.out.len() >= MOST || self.out.values().any(|out| out.place == place) {
                rest.push_back((place, question));
                continue;
            }
            self.newest += 1;
            sent.push((self.newest, question.clone()));
            self.out.insert(self.newest, Out { place, question, asked: now, overdue: false });
        }
        self.waiting = rest;
        sent
    }

    /// An answer came; the question that it is to.
    pub fn answered(&mut self, id: u64) -> Option<Q> {
        self.out.remove(&id).map(|out| out.question)
    }

    /// Questions without an answer in time, and those that wait behind them. The second number counts those that became overdue just now.
    pub fn delayed(&mut self, now: Mono, deadline_ms: u64) -> (Vec<(Q, Delay)>, u64) {
        let mut delayed = Vec::new();
        let mut new = 0;
        for out in self.out.values_mut() {
            let age = now.since_ms(out.asked);
            if age >= deadline_ms {
                new += u64::from(!out.overdue);
                out.overdue = true;
                delayed.push((out.question.clone(), Delay::Stuck(age)));
            }
        }
        let stuck = self.out.values().filter(|out| out.overdue).count();
        for (place, question) in &self.waiting {
            let why = match self.out.values().find(|out| out.overdue && out.place == *place) {
                Some(_) => format!("a probe of {place} is stuck"),
                None if stuck >= MOST => format!("{MOST} probes are stuck, and no more are started"),
                None => continue,
            };
            delayed.push((question.clone(), Delay::NotAsked(why)));
        }
        // Asked again when they are due again: their turn may have come by then.
        let told = |question: &Q| delayed.iter().any(|(other, _)| other == question);
        self.waiting.retain(|(_, question)| !told(question));
        (delayed, new)
    }

    /// The earliest moment at which a question that is out becomes overdue.
    pub fn next_overdue(&self, deadline_ms: u64) -> Option<Mono> {
        self.out.values().filter(|out| !out.overdue).map(|out| out.asked.plus_ms(deadline_ms)).min()
    }

    /// How many are out, and how many of those are overdue.
    #[cfg(test)]
    fn count(&self) -> (usize, usize) {
        (self.out.len(), self.out.values().filter(|out| out.overdue).count())
    }

    /// Nobody will answer any more: the helper is gone, and its children with it.
    pub fn forget(&mut self) -> Vec<Q> {
        self.waiting.clear();
        std::mem::take(&mut self.out).into_values().map(|out| out.question).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_a_mount_and_a_stuck_one_is_told_each_time() {
        let mut desk = Desk::new();
        desk.put("/", "kubelet");
        desk.put("/", "runtime");
        desk.put("/", "kubelet");
        desk.put("/data", "data");
        assert_eq!(desk.send(Mono(0)), [(1, "kubelet"), (2, "data")]);
        assert_eq!(desk.answered(1), Some("kubelet"));
        assert_eq!(desk.send(Mono(10)), [(3, "runtime")]);
        assert_eq!(desk.answered(3), Some("runtime"));
        desk.put("/data", "more");
        assert_eq!(desk.send(Mono(20)), []);
        assert_eq!(desk.delayed(Mono(4000), 5000), (vec![], 0));
        let behind = || ("more", Delay::NotAsked("a probe of /data is stuck".to_owned()));
        assert_eq!(desk.delayed(Mono(6000), 5000), (vec![("data", Delay::Stuck(6000)), behind()], 1));
        desk.put("/data", "more");
        assert_eq!(desk.delayed(Mono(16_000), 5000), (vec![("data", Delay::Stuck(16_000)), behind()], 0));
        assert_eq!(desk.answered(2), Some("data"));
        assert_eq!(desk.answered(2), None);
        desk.put("/data", "more");
        assert_eq!(desk.send(Mono(20_000)), [(4, "more")]);
    }

    #[test]
    fn eight_at_a_time() {
        let mut desk = Desk::new();
        for number in 0..10 {
            desk.put(&format!("/{number}"), number);
        }
        assert_eq!(desk.send(Mono(0)).len(), 8);
        assert_eq!(desk.delayed(Mono(100), 50).0.len(), 10, "eight stuck, two not asked");
        assert_eq!(desk.count(), (8, 8));
        assert_eq!(desk.forget().len(), 8);
        assert_eq!(desk.count(), (0, 0));
    }
}
