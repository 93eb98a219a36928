//! When the next turn is due: the regular beat, and early turns that streams ask for. It refuses to be hurried: early turns keep a distance, so
//! that no stream can make the agent itself the load.

use crate::model::time::Mono;

/// Early turns are at least so far from the turn before.
const DISTANCE_MS: u64 = 1000;

/// The beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    period_ms: u64,
    regular: Mono,
    early: Option<Mono>,
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

    /// A turn is asked for as soon as the distance allows.
    pub fn hurry(&mut self, now: Mono) {
        let earliest = self.last.map_or(now, |last| last.plus_ms(DISTANCE_MS)).max(now);
        self.early = Some(self.early.map_or(earliest, |early| early.min(earliest)));
    }

    /// When the next turn is due.
    pub fn next(&self) -> Mono {
        self.early.map_or(self.regular, |early| early.min(self.regular))
    }

    /// A turn was made.
    pub fn made(&mut self, now: Mono) {
        self.last = Some(now);
        self.early = None;
        if now >= self.regular {
            // Beats that were missed are not made up for.
            let missed = now.since_ms(self.regular) / self.period_ms;
            self.regular = self.regular.plus_ms((missed + 1).saturating_mul(self.period_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beat_does_not_drift_and_missed_beats_are_gone() {
        let mut pace = Pace::new(10_000, Mono(500));
        assert_eq!(pace.next(), Mono(500));
        pace.made(Mono(507));
        assert_eq!(pace.next(), Mono(10_500));
        pace.made(Mono(45_700));
        assert_eq!(pace.next(), Mono(50_500));
    }

    #[test]
    fn early_turns_keep_their_distance_and_leave_the_beat_alone() {
        let mut pace = Pace::new(10_000, Mono(0));
        pace.made(Mono(0));
        pace.hurry(Mono(300));
        assert_eq!(pace.next(), Mono(1000));
        pace.hurry(Mono(400));
        pace.made(Mono(1000));
        assert_eq!(pace.next(), Mono(10_000));
        pace.hurry(Mono(9_900));
        pace.hurry(Mono(9_950));
        assert_eq!(pace.next(), Mono(9_900));
    }
}
