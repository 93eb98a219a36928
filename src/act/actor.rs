//! When to begin and when to end a cordon by ourselves. Pure: turns and sights of the Node come in, tasks go out, and what came of them is told. It refuses
//! to act on what it was shown a while ago, and to begin twice what it could not do once.

use super::hold::{For, Held, Mark};
use crate::cluster::jitter;
use crate::model::time::{Mono, Wall};
use crate::policy::{Bears, Budget, Mode, Rules, Want, Withheld};

/// What was shown longer ago than this is no ground to act on.
const STALE_MS: u64 = 60_000;
/// So long without a turn, nobody knows what was: turns are a minute apart at most, and one may be late.
const GAP_MS: u64 = 150_000;
/// After a day the ledger's line is taken away.
const DAY_MS: u64 = 86_400_000;
/// For the first look at the ledger: by the node's name, within this.
const FIRST_LOOK_MS: u64 = 60_000;
/// The node's jitter for this, and for each attempt.
const LOOK: u64 = 5;
const ATTEMPT: u64 = 1 << 33;

/// Something to be done, in the order of its requests, by whoever may wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Ask the ledger, and cordon.
    Begin(Want),
    /// Take the cordon off that was put on for this, and release the ledger's line.
    End(String),
    /// Drain the node for the cordon that is there since then.
    Drain(String),
    /// Look whether our line of the ledger is as it should be.
    Settle,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is done; our line is to be taken away a day later.
    Released,
    /// Not now, and why.
    Not(Withheld, String),
}

/// See the head of this file.
#[derive(Debug)]
pub struct Actor {
    rules: Rules,
    /// From a refusal to the next attempt.
    beat_ms: u64,
    node: String,
    shown: Mono,
    wanted: Option<Want>,
    attempts: u64,
    due: Mono,
    against: Option<(Withheld, String)>,
    held: Held,
    /// Since when nothing is wrong, as far as can be seen.
    clear: Option<Mono>,
    /// The cordon beside which something was wrong whose end is not to be trusted, whatever that was put on for: since when it is there.
    lasting: Option<String>,
    settle: Option<Mono>,
    /// The cordon that a drain was begun for: one a cordon.
    drained: Option<String>,
    drains: Mono,
    /// Why the cordon that is there was not taken off, and not drained for, the last time.
    refused: [Option<Withheld>; 2],
}

impl Actor {
    /// Nothing is known yet. `beat_ms` is how often the Node is reported.
    pub fn new(rules: Rules, beat_ms: u64, node: &str) -> Self {
        Self {
            rules,
            beat_ms,
            node: node.to_owned(),
            shown: Mono(0),
            wanted: None,
            attempts: 0,
            due: Mono(0),
            against: None,
            held: Held::Open,
            clear: None,
            lasting: None,
            settle: None,
            drained: None,
            drains: Mono(0),
            refused: [None, None],
        }
    }

    /// What an earlier run of this boot has drained for, and beside which cordon it saw what lasts.
    pub fn resumed(&mut self, drained: Option<String>, lasting: Option<String>) {
        (self.drained, self.lasting) = (drained, lasting);
    }

    /// The second of these, to be kept for a next run.
    pub fn lasting(&self) -> Option<&str> {
        self.lasting.as_deref()
    }

    /// Other settings.
    pub fn configure(&mut self, rules: Rules, beat_ms: u64) {
        (self.rules, self.beat_ms) = (rules, beat_ms);
    }

    /// The settings.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    fn acts(&self) -> bool {
        self.rules.mode >= Mode::Cordon
    }

    /// What a turn has shown: what would cordon, what of the node's own is wrong, and whether what our cordon was put on for can be judged, ends by itself and
    /// is over.
    pub fn observe(&mut self, now: Mono, wanted: Option<Want>, bears: Bears, ends: impl Fn(&Mark) -> bool) {
        if now.since_ms(self.shown) > GAP_MS {
            self.clear = None;
        }
        self.shown = now;
        if self.wanted.is_none() && wanted.is_some() {
            self.attempts = 0;
            self.line_up(now);
        }
        if wanted.is_none() {
            self.against = None;
        }
        self.wanted = wanted;
        let well = match &self.held {
            Held::Ours(mark) if mark.whose == For::Problem => {
                if bears == Bears::Lasting && self.lasting.as_ref() != Some(&mark.since) {
                    self.lasting = Some(mark.since.clone());
                }
                bears == Bears::Nothing && self.lasting.as_ref() != Some(&mark.since) && ends(mark)
            }
            _ => false,
        };
        self.clear = if well { self.clear.or(Some(now)) } else { None };
        // What was held before the mode was switched off is given back all the same.
        let held = matches!(&self.held, Held::Ours(mark) | Held::TakenOff(Some(mark)) if mark.whose == For::Problem);
        if self.settle.is_none() && (self.acts() || held) && self.rules.budget == Budget::Ledger {
            self.settle = Some(now.plus_ms(jitter(&self.node, LOOK, FIRST_LOOK_MS)));
        }
    }

    /// At random, so that a fleet does not ask at once.
    fn line_up(&mut self, now: Mono) {
        let wait = self.rules.ledger_wait.ms();
        self.again(now, if self.rules.budget == Budget::None { 0 } else { wait }, wait.saturating_mul(3));
        self.against = Some((Withheld::WaitsItsTurn, Withheld::WaitsItsTurn.to_string()));
    }

    fn again(&mut self, now: Mono, least: u64, spread: u64) {
        self.attempts = self.attempts.wrapping_add(1);
        // Not by the name alone: a node must not be the last of its fleet each time.
        let salt = ATTEMPT.wrapping_add(now.0);
        self.due = now.plus_ms(least.saturating_add(jitter(&self.node, salt, spread)));
    }

    /// How the Node stands to cordons now.
    pub fn saw(&mut self, now: Mono, held: Held) {
        // A person's as well: it may have been ours before, with a line of the ledger.
        let ours = |held: &Held| matches!(held, Held::Ours(_));
        if ours(&self.held) && !ours(&held) && self.settle.is_some() {
            self.settle = Some(now);
        }
        if self.held != held {
            (self.clear, self.refused) = (None, [None, None]);
            // Many nodes may be given back at once.
            if held == Held::Open && self.wanted.is_some() {
                let before = self.due;
                self.line_up(now);
                self.due = self.due.max(before);
            }
        }
        self.held = held;
    }

    /// What speaks against acting beyond this node's problems; none where it is done.
    pub fn against(&self) -> Option<(Withheld, String)> {
        match &self.held {
            Held::Ours(mark) if mark.whose == For::Problem => None,
            Held::Ours(mark) => Some((Withheld::HeldByAnother, format!("{} has asked for a cordon already", mark.by))),
            Held::Another(why) => Some((Withheld::HeldByAnother, why.clone())),
            Held::Open | Held::TakenOff(_) => {
                Some(self.against.clone().unwrap_or((Withheld::WaitsItsTurn, Withheld::WaitsItsTurn.to_string())))
            }
        }
    }

    fn ends_at(&self) -> Option<Mono> {
        let Held::Ours(mark) = &self.held else { return None };
        let clear = self.clear.filter(|_| self.acts() && mark.whose == For::Problem)?;
        Some(clear.plus_ms(self.rules.uncordon_after.ms()).max(self.due))
    }

    fn begins_at(&self) -> Option<Mono> {
        self.wanted.as_ref().filter(|_| self.acts() && self.held == Held::Open).map(|_| self.due)
    }

    /// While the problem that it is cordoned for, or another that would cordon, is still there.
    fn drains_at(&self) -> Option<Mono> {
        let Held::Ours(mark) = &self.held else { return None };
        let due = self.rules.mode >= Mode::Drain && mark.whose == For::Problem && self.wanted.is_some();
        (due && self.drained.as_ref() != Some(&mark.since)).then_some(self.drains)
    }

    fn settles_at(&self) -> Option<Mono> {
        self.settle.filter(|_| self.rules.budget == Budget::Ledger)
    }

    /// When there is something to do next. While nothing was shown lately that is nothing: the next turn will say.
    pub fn next(&self, now: Mono) -> Option<Mono> {
        let of_turns = [self.begins_at(), self.ends_at(), self.drains_at()]
            .into_iter()
            .filter(|_| now.since_ms(self.shown) <= STALE_MS);
        of_turns.chain([self.settles_at()]).flatten().min()
    }

    /// What is to be done now; one thing at a time.
    pub fn task(&self, now: Mono) -> Option<Task> {
        let due = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        if now.since_ms(self.shown) <= STALE_MS {
            if due(self.begins_at()) {
                return self.wanted.clone().map(Task::Begin);
            }
            if let (true, Held::Ours(mark)) = (due(self.ends_at()), &self.held) {
                return Some(Task::End(mark.reason.clone()));
            }
            if let (true, Held::Ours(mark)) = (due(self.drains_at()), &self.held) {
                return Some(Task::Drain(mark.since.clone()));
            }
        }
        due(self.settles_at()).then_some(Task::Settle)
    }

    /// Whether this is still wanted, right before it is done.
    pub fn still(&self, now: Mono, task: &Task) -> bool {
        if now.since_ms(self.shown) > STALE_MS || !self.acts() {
            return false;
        }
        match task {
            Task::Begin(want) => {
                self.wanted.as_ref().is_some_and(|now| (&now.kind, &now.subject) == (&want.kind, &want.subject))
            }
            Task::End(_) => self.ends_at().is_some_and(|at| at <= now),
            Task::Drain(_) => self.drains_at().is_some(),
            Task::Settle => true,
        }
    }

    /// What came of a task; whether a refusal is another one than before.
    pub fn answered(&mut self, now: Mono, task: &Task, outcome: Outcome) -> bool {
        let mut news = true;
        let later = match &outcome {
            Outcome::Released => DAY_MS + self.beat_ms,
            Outcome::Done | Outcome::Not(..) => self.beat_ms,
        };
        match (task, outcome) {
            (Task::Settle, Outcome::Done) => self.settle = Some(now.plus_ms(DAY_MS)),
            (Task::Settle, _) => self.settle = Some(now.plus_ms(later)),
            (Task::Begin(_), Outcome::Not(no, why)) => {
                news = self.against.as_ref().map(|(before, _)| *before) != Some(no);
                // A line may have been written whose answer was lost.
                if matches!(
                    no,
                    Withheld::NoLedger | Withheld::NodeNotPatched | Withheld::NotJudged | Withheld::NoCluster
                ) {
                    self.settle = self.settle.map(|at| at.min(now.plus_ms(self.beat_ms)));
                }
                self.against = Some((no, why));
                self.again(now, self.beat_ms, self.beat_ms / 2);
            }
            (Task::Begin(_), _) => self.against = None,
            (Task::Drain(_), Outcome::Not(no, _)) => {
                news = self.refused[1].replace(no) != Some(no);
                self.drains = now.plus_ms(later);
            }
            (Task::Drain(cordoned), _) => self.drained = Some(cordoned.clone()),
            (Task::End(_), Outcome::Not(no, _)) => {
                news = self.refused[0].replace(no) != Some(no);
                self.again(now, self.beat_ms, self.beat_ms / 2);
            }
            (Task::End(_), _) => {
                (self.clear, self.due) = (None, now);
                self.settle = self.settle.map(|_| now.plus_ms(later));
            }
        }
        news
    }
}

/// Since when a Node was last cordoned by itself: whether that is long enough ago.
pub fn long_enough(last: Option<&str>, apart_ms: u64, now: Wall) -> bool {
    let Some(last) = last else { return true };
    let apart = i64::try_from(apart_ms).unwrap_or(i64::MAX);
    // What cannot be read, or lies ahead, is recent.
    Wall::parse(last).is_some_and(|at| at.0.saturating_add(apart) <= now.0)
}

#[cfg(test)]
mod tests;
