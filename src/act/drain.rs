//! A drain, step by step. Pure: lists of pods, sights of them and answers to evictions come in; evictions as values go out. It refuses to delete, to have more
//! than five pods end at once, to ask for a pod in one go again and again, and to go on beyond its time.

use std::collections::BTreeMap;

mod job;

use super::plan::{Fate, fate, named, shown, sort};
use crate::cluster::{Error, Pod, Request, jitter};
use crate::model::drain::{DrainPod, DrainState, DrainStatus, PodStep};
use crate::model::time::{Mono, Wall};

pub use job::{End, Job, Kept};

/// Evictions that are asked for, and pods that end because of them, at a time.
pub const AT_ONCE: usize = 5;
/// From one refusal to the next attempt at the same pod, and up to half of it more.
const AGAIN_MS: u64 = 5_000;
/// The same after an answer that waiting rarely changes; and how many are enough of those that it never does.
const LATER_MS: u64 = 10_000;
const ENOUGH: u32 = 3;
/// So many pods of one controller are evicted that came after the list; who makes them here again tolerates the cordon.
const LATE: usize = 3;
/// In the server's words for a pod that several budgets are about.
const SEVERAL: &str = "more than one PodDisruptionBudget";

/// See the head of this file.
#[derive(Debug)]
pub struct Drain {
    job: Job,
    pods: BTreeMap<String, One>,
    /// There was a whole list: what is not in it is not there.
    listed: bool,
    /// An earlier run has begun it: what ends already may be what that one has asked for.
    again: bool,
    /// Why nothing goes out just now, by what keeps it: the end of one is not the end of another.
    trouble: BTreeMap<Keeps, String>,
    end: Option<End>,
    after: Option<String>,
    /// As an earlier run has left them; until the first list.
    last: Vec<DrainPod>,
}

/// What can keep a whole drain from going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keeps {
    /// Our Node cannot be seen.
    Node,
    /// The fleet's limits have not let it.
    Limits,
    /// The pods cannot be seen.
    Pods,
}

#[derive(Debug)]
struct One {
    shown: DrainPod,
    /// It came after the list: whose it is.
    late: Option<String>,
    fate: Fate,
    step: Step,
    refused: u32,
    attempts: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// To be asked for, not before.
    Waits(Mono),
    Asked,
    Ending,
    Gone,
    GivenUp,
    /// A drain is not about it, or it stays.
    Left,
}

impl Drain {
    /// It begins with the first list.
    pub fn new(job: Job) -> Self {
        Self {
            job,
            pods: BTreeMap::new(),
            listed: false,
            again: false,
            trouble: BTreeMap::new(),
            end: None,
            after: None,
            last: Vec::new(),
        }
    }

    /// As an earlier run of this boot has left it.
    pub fn resumed(kept: Kept) -> Self {
        // What was to follow an end belongs to the run that saw the end.
        let after = kept.after.or_else(|| kept.end.as_ref().map(|_| String::new()));
        Self { end: kept.end, after, last: kept.pods, again: true, ..Self::new(kept.job) }
    }

    /// To be saved.
    pub fn kept(&self) -> Kept {
        Kept { job: self.job.clone(), end: self.end.clone(), after: self.after.clone(), pods: self.shown() }
    }

    /// What is to be done.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Whether it goes on.
    pub fn is_running(&self) -> bool {
        self.end.is_none()
    }

    /// All pods of the node, as they are now.
    pub fn listed(&mut self, now: Mono, pods: &[Pod]) {
        let there: Vec<&str> = pods.iter().map(|pod| pod.metadata.uid.as_str()).collect();
        let gone: Vec<String> = self.pods.keys().filter(|uid| !there.contains(&uid.as_str())).cloned().collect();
        gone.iter().for_each(|uid| self.gone(uid));
        pods.iter().for_each(|pod| self.saw(now, pod));
        self.listed = true;
        self.trouble.remove(&Keeps::Pods);
        self.last.clear();
    }

    /// A pod as it is now.
    pub fn saw(&mut self, now: Mono, pod: &Pod) {
        let fate = fate(pod, &self.job.allow);
        let mut shown = shown(pod, fate);
        let attempts = u64::from(self.again && !self.listed && fate == Fate::Ends);
        let late = (self.listed && fate == Fate::Goes).then(|| controller(pod));
        let so_far = self.pods.values().filter(|one| late.is_some() && one.late == late).count();
        let step = if so_far < LATE { Step::Left } else { Step::GivenUp };
        let one = self.pods.entry(pod.metadata.uid.clone()).or_insert_with(|| One {
            shown: shown.clone(),
            late,
            fate,
            step,
            refused: 0,
            attempts,
        });
        let step = match (fate, one.step) {
            (Fate::Stays(_) | Fate::Skipped(_), _) => Step::Left,
            (Fate::Ends, _) => Step::Ending,
            (Fate::Goes, Step::Left | Step::Gone) => Step::Waits(now),
            (Fate::Goes, Step::GivenUp) if one.late.is_some() && one.attempts == 0 => {
                "what manages it makes it here again: it comes back each time".clone_into(&mut shown.why);
                Step::GivenUp
            }
            // Its deletion was taken back, which nobody can; or the sight is an older one.
            (Fate::Goes, step) => {
                shown.why.clone_from(&one.shown.why);
                step
            }
        };
        // We have asked for it ourselves.
        if fate == Fate::Ends && one.attempts > 0 {
            shown.why = String::new();
        }
        (one.shown, one.fate, one.step) = (shown, fate, step);
    }

    /// A pod is there no more.
    pub fn gone(&mut self, uid: &str) {
        let Some(one) = self.pods.get_mut(uid) else { return };
        let never_asked = one.step == Step::GivenUp && one.attempts == 0;
        if one.step == Step::Left || never_asked {
            self.pods.remove(uid);
        } else {
            one.step = Step::Gone;
            one.shown.why = String::new();
        }
    }

    /// The next eviction to be asked for, and the pod's identity.
    pub fn take(&mut self, now: Mono) -> Option<(String, Request)> {
        if !self.listed || !self.is_running() || !self.trouble.is_empty() || now >= self.job.until {
            return None;
        }
        let ends = |one: &&One| matches!(one.step, Step::Asked | Step::Ending) && one.attempts > 0;
        if self.pods.values().filter(ends).count() >= AT_ONCE {
            return None;
        }
        let ripe = |one: &One| match one.step {
            Step::Waits(at) if at <= now => Some(at),
            _ => None,
        };
        // Who has waited longest goes first.
        let next = self.pods.iter().filter_map(|(uid, one)| Some((ripe(one)?, one.attempts, uid))).min();
        let uid = next.map(|(_, _, uid)| uid.clone())?;
        let one = self.pods.get_mut(&uid)?;
        (one.step, one.attempts) = (Step::Asked, one.attempts.saturating_add(1));
        let DrainPod { namespace, name, .. } = one.shown.clone();
        Some((uid.clone(), Request::Evict { namespace, name, uid }))
    }

    /// What came of it.
    pub fn answered(&mut self, now: Mono, uid: &str, error: Option<&Error>) {
        let Some(one) = self.pods.get_mut(uid) else { return };
        // It may have been seen to end, or to be gone, before the answer came.
        if one.step != Step::Asked {
            return;
        }
        let jitter = |most: u64| jitter(uid, one.attempts, most);
        let Some(error) = error else {
            (one.step, one.shown.why) = (Step::Ending, String::new());
            return;
        };
        one.shown.why = match error {
            Error::TooManyRequests { message, .. } | Error::Unavailable { message, .. } => message.clone(),
            error => error.to_string(),
        };
        let lasting = match error {
            Error::Forbidden(_) | Error::Invalid { .. } => true,
            Error::Unavailable { code: Some(500), message } => message.contains(SEVERAL),
            _ => false,
        };
        let wait = match error {
            // The list or the watch will say so.
            Error::NotFound(_) => {
                one.step = Step::Ending;
                return;
            }
            Error::TooManyRequests { retry_after_ms, .. } => {
                retry_after_ms.unwrap_or(0).max(AGAIN_MS).saturating_add(jitter(AGAIN_MS / 2))
            }
            // Several budgets for one pod, a right that is missing: said, and not asked for ever.
            _ if lasting => {
                one.refused = one.refused.saturating_add(1);
                if one.refused >= ENOUGH {
                    one.step = Step::GivenUp;
                    return;
                }
                LATER_MS + jitter(LATER_MS / 2)
            }
            // A store that is away, a webhook that fails.
            Error::Unavailable { code: Some(500), .. } => LATER_MS + jitter(LATER_MS / 2),
            Error::HeldBack { ms } => (*ms).max(AGAIN_MS).saturating_add(jitter(AGAIN_MS / 2)),
            _ => AGAIN_MS + jitter(AGAIN_MS / 2),
        };
        one.step = Step::Waits(now.plus_ms(wait));
    }

    /// Evictions that nobody will answer any more.
    pub fn unanswered(&mut self, now: Mono) {
        self.pods.values_mut().filter(|one| one.step == Step::Asked).for_each(|one| {
            one.step = Step::Waits(now.plus_ms(AGAIN_MS));
        });
    }

    /// Why nothing can go out just now.
    pub fn hold(&mut self, what: Keeps, why: &str) {
        self.trouble.insert(what, why.to_owned());
    }

    /// This one keeps it no more.
    pub fn unhold(&mut self, what: Keeps) {
        self.trouble.remove(&what);
    }

    fn why_held(&self) -> String {
        self.trouble.values().map(String::as_str).collect::<Vec<_>>().join("; ")
    }

    /// Ends it where it is at its end: all are gone, or its time is over. Whether it did.
    pub fn settle(&mut self, now: Mono, wall: Wall) -> bool {
        if !self.is_running() {
            return false;
        }
        let (mut open, mut given_up, mut stay) = (Vec::new(), Vec::new(), Vec::new());
        for one in self.pods.values() {
            match (one.step, one.fate) {
                (Step::Waits(_) | Step::Asked | Step::Ending, _) => open.push(&one.shown),
                (Step::GivenUp, _) => given_up.push(&one.shown),
                (_, Fate::Stays(_)) => stay.push(&one.shown),
                _ => {}
            }
        }
        let over = now >= self.job.until;
        if !over && (!self.listed || !open.is_empty()) {
            return false;
        }
        let (state, why) = if !self.listed {
            (DrainState::Blocked, format!("its time is over, and the pods were never seen: {}", self.why_held()))
        } else if !open.is_empty() {
            (DrainState::Blocked, format!("its time is over; still there: {}", named(&open)))
        } else if given_up.is_empty() && stay.is_empty() {
            (DrainState::Drained, String::new())
        } else {
            let mut words = Vec::new();
            if !given_up.is_empty() {
                words.push(format!("given up: {}", named(&given_up)));
            }
            if !stay.is_empty() {
                words.push(format!("stay: {}", named(&stay)));
            }
            (DrainState::Partial, words.join("; "))
        };
        self.end(state, &why, wall);
        true
    }

    /// Ends it as it is.
    pub fn end(&mut self, state: DrainState, why: &str, at: Wall) {
        if self.is_running() {
            self.end = Some(End { state, why: why.to_owned(), at });
        }
    }

    /// What is done after it, or what came of that.
    pub fn after(&mut self, words: &str) {
        self.after = Some(words.to_owned());
    }

    /// Whether it was full, and nothing was done after it yet.
    pub fn is_to_be_followed(&self) -> bool {
        self.after.is_none() && self.end.as_ref().is_some_and(|end| end.state == DrainState::Drained)
    }

    /// When there is something to be done next by itself. Who is due and has no place among the five waits for somebody's end, not for a moment.
    pub fn next(&self, now: Mono) -> Mono {
        let waits = self.pods.values().filter_map(|one| match one.step {
            Step::Waits(at) if at > now => Some(at),
            _ => None,
        });
        waits.fold(self.job.until, Mono::min)
    }

    /// For the status.
    pub fn status(&self) -> DrainStatus {
        let end = self.end.as_ref();
        DrainStatus {
            state: end.map_or(DrainState::Running, |end| end.state),
            by: self.job.by.clone(),
            reason: self.job.reason.clone(),
            began_wall_ms: self.job.began,
            until_wall_ms: self.job.until_wall,
            ended_wall_ms: end.map(|end| end.at),
            why: end.map_or_else(|| self.why_held(), |end| end.why.clone()),
            after: self.after.clone().unwrap_or_default(),
            pods: self.shown(),
        }
    }

    fn shown(&self) -> Vec<DrainPod> {
        if !self.listed {
            return self.last.clone();
        }
        let shown = |one: &One| {
            let step = match (one.step, one.fate) {
                (Step::Waits(_) | Step::Asked, _) => PodStep::Waits,
                (Step::Ending, _) => PodStep::Ending,
                (Step::Gone, _) => PodStep::Gone,
                (Step::GivenUp, _) => PodStep::GivenUp,
                (Step::Left, Fate::Stays(_)) => PodStep::Stays,
                (Step::Left, _) => PodStep::Skipped,
            };
            DrainPod { step, ..one.shown.clone() }
        };
        let mut pods: Vec<DrainPod> = self.pods.values().map(shown).collect();
        sort(&mut pods);
        pods
    }
}

/// Who makes it anew; empty where nobody does.
fn controller(pod: &Pod) -> String {
    let owners = &pod.metadata.owner_references;
    owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
