//! The drain that this node has, or had last: made known, ended, told, kept for a next run. It refuses to let one go on whose cordon is still to come.

use super::shared::Shared;
use crate::act::drain::{Drain, Job, Kept};
use crate::act::hold::For;
use crate::host::clock;
use crate::model::drain::{Allow, DrainState, DrainStatus};
use crate::model::time::{Span, Wall};

/// The drain of this node, and the program that is to follow it.
#[derive(Debug, Default)]
pub(super) struct Drained {
    pub(super) drain: Option<Drain>,
    /// What was there before one whose cordon is still to come: until then that one does nothing.
    before: Option<Option<Drain>>,
    pub(super) unsaved: bool,
    /// The plan was told.
    pub(super) planned: bool,
    /// Goes up with each drain: one may begin at once after another was cancelled.
    number: u64,
}

impl Drained {
    /// As an earlier run of this boot has left it.
    pub(super) fn resumed(kept: Option<Kept>) -> Self {
        Self { drain: kept.map(Drain::resumed), ..Self::default() }
    }

    fn announce(&mut self, drain: Drain) {
        let (before, number) = (Some(self.drain.take()), self.number.wrapping_add(1));
        *self = Self { drain: Some(drain), before, unsaved: true, planned: false, number };
    }

    fn forget(&mut self) -> bool {
        let Some(before) = self.before.take() else { return false };
        (self.drain, self.unsaved) = (before, true);
        true
    }

    /// Since when the cordon is there that it went with; none where nobody but a person has asked for one.
    pub(super) fn cordoned(&self) -> Option<String> {
        let job = self.drain.as_ref()?.job();
        (job.whose == For::Problem).then(|| job.cordoned.clone())
    }
}

impl Shared {
    /// Whether a drain goes on.
    pub(super) fn drains(&self) -> bool {
        self.drained.borrow().drain.as_ref().is_some_and(Drain::is_running)
    }

    /// Whether what goes on is what somebody would begin now. When one of a person's ends is said already.
    pub(super) fn drains_by(&self, allow: &[Allow], deadline: Option<Span>) -> bool {
        let asked = self.allowed_with(allow);
        let drained = self.drained.borrow();
        let job = drained.drain.as_ref().map(Drain::job);
        job.is_some_and(|job| job.allow == asked && (deadline.is_none() || job.whose == For::Person))
    }

    /// What may go although it stays by default: by the settings, and as it is asked for.
    fn allowed_with(&self, allow: &[Allow]) -> Vec<Allow> {
        let mut all: Vec<Allow> = allow.iter().chain(&self.drain_rules.borrow().allow).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The same, and its cordon is there.
    pub(super) fn drain_goes(&self) -> bool {
        self.drains() && self.drained.borrow().before.is_none()
    }

    pub(super) fn drain_number(&self) -> u64 {
        self.drained.borrow().number
    }

    /// For the status and for whoever asks.
    pub(super) fn drain_status(&self) -> Option<DrainStatus> {
        self.drained.borrow().drain.as_ref().map(Drain::status)
    }

    /// To be saved.
    pub(super) fn drain_kept(&self) -> Option<Kept> {
        self.drained.borrow().drain.as_ref().map(Drain::kept)
    }

    /// Whether there is anything new to be saved.
    pub(super) fn take_drain_unsaved(&self) -> bool {
        std::mem::take(&mut self.drained.borrow_mut().unsaved)
    }

    /// Makes one known in place of one that has ended, to a next run as well. Not before that is there anything to be seen of it: a run that is killed between
    /// its cordon and its first eviction would leave a cordon behind whose drain nobody knows.
    pub(super) async fn announce_drain(
        &self,
        by: &str,
        reason: &str,
        allow: &[Allow],
        deadline: Option<Span>,
        whose: For,
    ) {
        let deadline = deadline.unwrap_or(self.drain_rules.borrow().deadline).ms();
        let began = self.wall();
        let job = Job {
            whose,
            by: by.to_owned(),
            reason: reason.to_owned(),
            allow: self.allowed_with(allow),
            cordoned: self.facts.borrow().cordon.as_ref().map(|hold| hold.since.clone()).unwrap_or_default(),
            began,
            until_wall: Wall(began.0.saturating_add(i64::try_from(deadline).unwrap_or(i64::MAX))),
            until: clock::monotonic().plus_ms(deadline),
        };
        self.drained.borrow_mut().announce(Drain::new(job));
        self.keep.kept().await;
    }

    /// Its cordon is there.
    pub(super) fn go_and_drain(&self) {
        self.drained.borrow_mut().before = None;
        self.drain_wake.notify_one();
    }

    /// There will be no cordon: the one before is the last one again.
    pub(super) async fn forget_drain(&self) {
        if self.drained.borrow_mut().forget() {
            self.keep.kept().await;
        }
    }

    pub(super) fn with_drain(&self, change: impl FnOnce(&mut Drain)) {
        if let Some(drain) = &mut self.drained.borrow_mut().drain {
            change(drain);
        }
    }

    /// At its end, whether it is.
    pub(super) fn settle_drain(&self) -> bool {
        let ended =
            self.drained.borrow_mut().drain.as_mut().is_some_and(|drain| drain.settle(clock::monotonic(), self.wall()));
        if ended {
            self.told_end();
        }
        ended
    }

    /// Ends it as it is, whether it went on.
    pub(super) fn end_drain(&self, state: DrainState, why: &str) -> bool {
        if !self.drains() {
            return false;
        }
        let wall = self.wall();
        self.with_drain(|drain| drain.end(state, why, wall));
        self.told_end();
        self.drain_wake.notify_one();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Duration;

    use crate::agent::Settings;
    use crate::agent::watch::saved::Past;
    use crate::settings::Merged;

    /// While the daemon saves.
    async fn saving<T>(shared: &Shared, work: impl Future<Output = T>) -> T {
        tokio::select! {
            done = work => done,
            () = shared.keep.never() => unreachable!("it goes on for ever"),
        }
    }

    fn with_shared(work: impl AsyncFnOnce(Shared)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let settings = Settings::of(Merged::of(&[]).unwrap()).unwrap();
        let shared = Shared::new("n".to_owned(), "b".to_owned(), &settings, Past::default());
        runtime.block_on(work(shared));
    }

    #[test]
    fn a_drain_is_known_to_a_next_run_before_its_cordon_and_forgotten_without_one() {
        with_shared(async |shared| {
            let announce = |reason: &'static str| shared.announce_drain("alice", reason, &[], None, For::Person);
            let unsaved = tokio::time::timeout(Duration::from_millis(20), announce("one")).await;
            assert!(unsaved.is_err(), "it waits for the write");
            saving(&shared, announce("one")).await;
            let kept = Drained::resumed(shared.drain_kept());
            assert!(kept.drain.as_ref().is_some_and(Drain::is_running), "a next run would take it up");
            assert!(shared.drains() && !shared.drain_goes(), "this one waits for its cordon");
            saving(&shared, shared.forget_drain()).await;
            // The first announcement was dropped in the middle: it is what was there before.
            assert_eq!(shared.drain_status().map(|drain| drain.reason), Some("one".to_owned()));

            assert!(shared.end_drain(DrainState::Cancelled, "bob"));
            saving(&shared, announce("two")).await;
            assert!(shared.end_drain(DrainState::Cancelled, "before its cordon is there"));
            shared.go_and_drain();
            assert!(!shared.drain_goes() && shared.drain_number() == 3);
            saving(&shared, announce("three")).await;
            shared.go_and_drain();
            assert!(shared.drain_goes());
            assert!(shared.drains_by(&[], Some(Span::minutes(1))) && !shared.drains_by(&[Allow::Jobs], None));
            assert!(shared.end_drain(DrainState::Cancelled, "bob"));
            saving(&shared, shared.announce_drain("/", "DiskStalled", &[], None, For::Problem)).await;
            assert!(shared.drains_by(&[], None) && !shared.drains_by(&[], Some(Span::minutes(1))));
        });
    }

    #[test]
    fn what_a_drain_says_goes_out_at_once() {
        with_shared(async |shared| {
            saving(&shared, shared.announce_drain("alice", "why", &[], None, For::Person)).await;
            assert!(shared.end_drain(DrainState::Cancelled, "bob"));
            let woken = tokio::time::timeout(Duration::ZERO, shared.wake.notified()).await;
            assert!(woken.is_ok(), "its Event waits for nobody");
        });
    }
}
