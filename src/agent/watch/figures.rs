//! How the turns went: gaps as a histogram, durations. It refuses to average: what counts is the longest.

use crate::model::status::Turns;
use crate::model::time::Mono;

/// Upper bounds of the gaps, ms: around the default period and its double.
const BOUNDS: [u64; 9] = [1000, 2000, 5000, 9000, 11_000, 15_000, 20_000, 30_000, 60_000];

/// A histogram without turns.
pub fn fresh() -> Turns {
    let bounds = BOUNDS.iter().map(u64::to_string).chain(["inf".to_owned()]);
    Turns { gaps: bounds.map(|bound| (bound, 0)).collect(), ..Turns::default() }
}

/// Takes a turn that began at `began` and took so long.
pub fn take(turns: &mut Turns, began: Mono, took_us: u64) {
    if turns.count > 0 {
        let gap = began.since_ms(turns.last_ms);
        turns.longest_gap_ms = turns.longest_gap_ms.max(gap);
        turns.gaps_sum_ms = turns.gaps_sum_ms.saturating_add(gap);
        let place = BOUNDS.iter().position(|bound| gap <= *bound).unwrap_or(BOUNDS.len());
        if let Some((_, count)) = turns.gaps.get_mut(place) {
            *count = count.saturating_add(1);
        }
    }
    turns.count = turns.count.saturating_add(1);
    turns.last_ms = began;
    turns.duration_us.last = took_us;
    turns.duration_us.max = turns.duration_us.max.max(took_us);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_fall_into_their_places() {
        let mut turns = fresh();
        for (at, took) in [(0, 900), (10_000, 300), (20_003, 400), (100_000, 500)] {
            take(&mut turns, Mono(at), took);
        }
        assert_eq!((turns.count, turns.longest_gap_ms, turns.gaps_sum_ms), (4, 79_997, 100_000));
        let counts: Vec<_> = turns.gaps.iter().filter(|(_, count)| *count > 0).cloned().collect();
        assert_eq!(counts, [("11000".to_owned(), 2), ("inf".to_owned(), 1)]);
        assert_eq!((turns.duration_us.last, turns.duration_us.max), (500, 900));
    }
}
