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
    /// Nobody waits for it any more.
    void: bool,
}

/// Where a question stands that has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delay {
    /// Asked so many ms ago about a place, and overdue.
    Stuck {
        /// The place.
        place: String,
        /// For how long.
        for_ms: u64,
    },
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
            || self.out.values().any(|out| !out.void && out.question == question);
        if !known {
            self.waiting.push_back((place.to_owned(), question));
        }
    }

    /// Questions that may go out now, with their numbers.
    pub fn send(&mut self, now: Mono) -> Vec<(u64, Q)> {
        let mut sent = Vec::new();
        let mut rest = VecDeque::new();
        for (place, question) in std::mem::take(&mut self.waiting) {
            if self.out.len() >= MOST || self.out.values().any(|out| !out.void && out.place == place) {
                rest.push_back((place, question));
                continue;
            }
            self.newest += 1;
            sent.push((self.newest, question.clone()));
            self.out.insert(self.newest, Out { place, question, asked: now, overdue: false, void: false });
        }
        self.waiting = rest;
        sent
    }

    /// An answer came; the question that it is to.
    pub fn answered(&mut self, id: u64) -> Option<Q> {
        self.out.remove(&id).filter(|out| !out.void).map(|out| out.question)
    }

    /// Questions without an answer in time, and those that wait behind them. The second number counts those that became overdue just now.
    pub fn delayed(&mut self, now: Mono, deadline_ms: u64) -> (Vec<(Q, Delay)>, u64) {
        let mut delayed = Vec::new();
        let mut new = 0;
        for out in self.out.values_mut().filter(|out| !out.void) {
            let age = now.since_ms(out.asked);
            if age >= deadline_ms {
                new += u64::from(!out.overdue);
                out.overdue = true;
                delayed.push((out.question.clone(), Delay::Stuck { place: out.place.clone(), for_ms: age }));
            }
        }
        let stuck = self.out.values().filter(|out| out.overdue).count();
        for (place, question) in &self.waiting {
            let why = match self.out.values().find(|out| out.overdue && !out.void && out.place == *place) {
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

    /// A question that is overdue is no longer about what is there: its place is free for another, and its answer says nothing. Its child counts still.
    pub fn let_go(&mut self, question: &Q) {
        for out in self.out.values_mut().filter(|out| out.overdue && out.question == *question) {
            out.void = true;
        }
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
        let waiting = std::mem::take(&mut self.waiting).into_iter().map(|(_, question)| question);
        let out = std::mem::take(&mut self.out).into_values().filter(|out| !out.void).map(|out| out.question);
        out.chain(waiting).collect()
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
        let stuck = |for_ms| ("data", Delay::Stuck { place: "/data".to_owned(), for_ms });
        assert_eq!(desk.delayed(Mono(6000), 5000), (vec![stuck(6000), behind()], 1));
        desk.put("/data", "more");
        assert_eq!(desk.delayed(Mono(16_000), 5000), (vec![stuck(16_000), behind()], 0));
        assert_eq!(desk.answered(2), Some("data"));
        assert_eq!(desk.answered(2), None);
        desk.put("/data", "more");
        assert_eq!(desk.send(Mono(20_000)), [(4, "more")]);
    }

    #[test]
    fn what_is_let_go_says_nothing_and_keeps_no_place() {
        let mut desk = Desk::new();
        desk.put("/", "both");
        assert_eq!(desk.send(Mono(0)), [(1, "both")]);
        assert_eq!(desk.delayed(Mono(6000), 5000).1, 1);
        desk.let_go(&"both");
        assert_eq!(desk.delayed(Mono(7000), 5000), (vec![], 0));
        desk.put("/", "both");
        assert_eq!(desk.send(Mono(7000)), [(2, "both")], "anew, beside the old one");
        assert_eq!(desk.count(), (2, 1), "whose child is there still");
        assert_eq!((desk.answered(1), desk.answered(2)), (None, Some("both")));
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
