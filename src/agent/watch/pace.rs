//! When the next turn is due: the regular beat, and early turns that streams ask for. It refuses to be hurried: early turns keep a distance, so
//! that no stream can make the agent itself the load.

use crate::model::time::Mono;

/// Early turns of a kind are at least so far from each other, and one that reads everything from the one before that did.
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
    /// Early turns that are asked for.
    heard: Option<Mono>,
    whole: Option<Mono>,
    /// The last early turn that only heard, and the last that read everything.
    last_heard: Option<Mono>,
    last_whole: Option<Mono>,
}

impl Pace {
    /// The first turn is due at once.
    pub fn new(period_ms: u64, now: Mono) -> Self {
        Self { period_ms, regular: now, heard: None, whole: None, last_heard: None, last_whole: None }
    }

    /// Another period, from the next turn on.
    pub fn set_period(&mut self, period_ms: u64) {
        self.period_ms = period_ms;
    }

    /// A turn is asked for, not before `from` and not too close to the last one of its kind. What is only heard cuts no window short: right after a
    /// regular turn it is judged at once all the same.
    pub fn hurry(&mut self, from: Mono, extent: Extent) {
        let (asked, last) = match extent {
            Extent::Heard => (&mut self.heard, self.last_heard),
            Extent::Whole => (&mut self.whole, self.last_whole),
        };
        let earliest = last.map_or(from, |last| last.plus_ms(DISTANCE_MS)).max(from);
        *asked = Some(asked.map_or(earliest, |before| before.min(earliest)));
    }

    /// When the next turn is due.
    pub fn next(&self) -> Mono {
        [self.heard, self.whole].into_iter().flatten().fold(self.regular, Mono::min)
    }

    /// A turn is made now: how much of it. The beat starts anew with each whole one, so that windows are never shorter than they need be.
    pub fn make(&mut self, now: Mono) -> Extent {
        let due = now >= self.regular;
        self.heard = None;
        if !due && self.whole.is_none_or(|whole| now < whole) {
            self.last_heard = Some(now);
            return Extent::Heard;
        }
        (self.whole, self.last_whole) = (None, Some(now));
        if due {
            // Beats that were missed are not made up for.
            let missed = now.since_ms(self.regular) / self.period_ms;
            self.regular = self.regular.plus_ms((missed + 1).saturating_mul(self.period_ms));
        } else {
            self.regular = now.plus_ms(self.period_ms);
        }
        Extent::Whole
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
    fn what_was_heard_leaves_the_beat_alone_and_keeps_its_distance_from_its_like() {
        let mut pace = Pace::new(10_000, Mono(0));
        pace.make(Mono(0));
        pace.hurry(Mono(300), Extent::Heard);
        assert_eq!(pace.next(), Mono(300), "a turn that read everything holds it up no longer");
        assert_eq!(pace.make(Mono(300)), Extent::Heard);
        pace.hurry(Mono(400), Extent::Heard);
        pace.hurry(Mono(700), Extent::Heard);
        assert_eq!(pace.next(), Mono(1300));
        assert_eq!(pace.make(Mono(1300)), Extent::Heard);
        assert_eq!(pace.next(), Mono(10_000));
    }

    #[test]
    fn a_flood_makes_a_turn_a_second_and_no_more() {
        let mut pace = Pace::new(10_000, Mono(0));
        let (mut heard, mut whole) = (0, 0);
        for now in 0..60_000 {
            pace.hurry(Mono(now), Extent::Heard);
            if Mono(now) >= pace.next() {
                match pace.make(Mono(now)) {
                    Extent::Heard => heard += 1,
                    Extent::Whole => whole += 1,
                }
            }
        }
        assert_eq!((heard, whole), (60, 6));
    }

    #[test]
    fn an_early_whole_turn_starts_the_beat_anew_and_keeps_its_distance_from_whole_ones() {
        let mut pace = Pace::new(10_000, Mono(0));
        pace.make(Mono(0));
        pace.hurry(Mono(500), Extent::Whole);
        assert_eq!(pace.next(), Mono(1000));
        pace.hurry(Mono(600), Extent::Heard);
        assert_eq!(pace.make(Mono(600)), Extent::Heard);
        assert_eq!(pace.next(), Mono(1000), "what was heard does not take its place");
        pace.hurry(Mono(900), Extent::Heard);
        assert_eq!(pace.make(Mono(1000)), Extent::Whole);
        assert_eq!(pace.next(), Mono(11_000), "nor is anything left to be heard");
    }
}
