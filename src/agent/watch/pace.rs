//! When the next turn is due: the regular beat, and early turns that streams ask for. It refuses to be hurried: early turns keep a distance, so
//! that no stream can make the agent itself the load.

use crate::model::time::Mono;

/// Early turns are at least so far from the turn before.
const DISTANCE_MS: u64 = 1000;

/// How much of a turn is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// Only what streams brought is judged: no window is cut short.
    Heard,
    /// Everything is read.
    Whole,
}

/// The beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    period_ms: u64,
    regular: Mono,
    early: Option<(Mono, Extent)>,
    last: Option<Mono>,
}

impl Pace {
    /// The first turn is due at once.
    pub fn new(period_ms: u64, now: Mono) -> Self {
        Self { period_ms, regular: now, early: None, last: None }
    }

    /// Another period, from the next turn on.
    pub fn set_period(&mut self, period_ms: u64) {
        self.period_ms = period_ms;
    }

    /// A turn is asked for, not before `from` and not too close to the last one.
    pub fn hurry(&mut self, from: Mono, extent: Extent) {
        let earliest = self.last.map_or(from, |last| last.plus_ms(DISTANCE_MS)).max(from);
        self.early = Some(match self.early {
            None => (earliest, extent),
            Some((early, other)) => (early.min(earliest), other.max(extent)),
        });
    }

    /// When the next turn is due.
    pub fn next(&self) -> Mono {
        self.early.map_or(self.regular, |(early, _)| early.min(self.regular))
    }

    /// A turn is made now: how much of it. The beat starts anew with each whole one, so that windows are never shorter than they need be.
    pub fn make(&mut self, now: Mono) -> Extent {
        let due = now >= self.regular;
        let extent = if due { Extent::Whole } else { self.early.map_or(Extent::Heard, |(_, extent)| extent) };
        self.early = None;
        self.last = Some(now);
        if due {
            // Beats that were missed are not made up for.
            let missed = now.since_ms(self.regular) / self.period_ms;
            self.regular = self.regular.plus_ms((missed + 1).saturating_mul(self.period_ms));
        } else if extent == Extent::Whole {
            self.regular = now.plus_ms(self.period_ms);
        }
        extent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beat_does_not_drift_and_missed_beats_are_gone() {
        let mut pace = Pace::new(10_000, Mono(500));
        assert_eq!(pace.next(), Mono(500));
        assert_eq!(pace.make(Mono(507)), Extent::Whole);
        assert_eq!(pace.next(), Mono(10_500));
        assert_eq!(pace.make(Mono(45_700)), Extent::Whole);
        assert_eq!(pace.next(), Mono(50_500));
    }

    #[test]
    fn what_was_heard_leaves_the_beat_alone_and_keeps_its_distance() {
        let mut pace = Pace::new(10_000, Mono(0));
        pace.make(Mono(0));
        pace.hurry(Mono(300), Extent::Heard);
        assert_eq!(pace.next(), Mono(1000));
        pace.hurry(Mono(400), Extent::Heard);
        assert_eq!(pace.make(Mono(1000)), Extent::Heard);
        assert_eq!(pace.next(), Mono(10_000));
    }

    #[test]
    fn an_early_whole_turn_starts_the_beat_anew() {
        let mut pace = Pace::new(10_000, Mono(0));
        pace.make(Mono(0));
        pace.hurry(Mono(2000), Extent::Heard);
        pace.hurry(Mono(2500), Extent::Whole);
        assert_eq!(pace.make(Mono(2000)), Extent::Whole);
        assert_eq!(pace.next(), Mono(12_000));
    }
}
