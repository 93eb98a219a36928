//! Hysteresis: a sign must be there in some of the last samples to begin, and be away for a number of samples in a row to end.
//! It refuses to count a sample that could not be judged, in either direction.

use serde::{Deserialize, Serialize};

/// How many samples decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Sick samples needed to begin...
    pub enter: u32,
    /// ...among so many of the newest (at most 64).
    pub among: u32,
    /// Well samples in a row needed to end.
    pub clear: u32,
}

/// What one sample said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The condition to begin holds.
    Sick,
    /// Neither: between the two thresholds.
    Neither,
    /// The condition to end holds.
    Well,
}

/// The memory of one subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hold {
    /// Newest sample in bit 0; set where it was sick.
    history: u64,
    /// Well samples in a row.
    well: u32,
    /// Whether it holds.
    on: bool,
}

impl Hold {
    /// Takes one sample; whether the problem holds after it.
    pub fn take(&mut self, sign: Sign, patience: Patience) -> bool {
        self.history = (self.history << 1) | u64::from(sign == Sign::Sick);
        self.well = if sign == Sign::Well { self.well.saturating_add(1) } else { 0 };
        if self.on {
            self.on = self.well < patience.clear.max(1);
            if !self.on {
                self.history = 0;
            }
        } else {
            let newest = u64::MAX >> (64 - patience.among.clamp(1, 64));
            self.on = (self.history & newest).count_ones() >= patience.enter.max(1);
            self.well = 0;
        }
        self.on
    }

    /// Whether it holds.
    pub fn is_on(&self) -> bool {
        self.on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(signs: &str, patience: Patience) -> String {
        let mut hold = Hold::default();
        signs
            .chars()
            .map(|sign| match sign {
                's' => Sign::Sick,
                'w' => Sign::Well,
                _ => Sign::Neither,
            })
            .map(|sign| if hold.take(sign, patience) { '#' } else { '.' })
            .collect()
    }

    #[test]
    fn three_of_six_begin_and_a_row_of_well_ends() {
        let patience = Patience { enter: 3, among: 6, clear: 4 };
        assert_eq!(play("swswsww", patience), "....###");
        assert_eq!(play("swwwwwsws", patience), ".........");
        assert_eq!(play("ssswwwnwwww", patience), "..########.");
        // After an end, old sick samples do not count again.
        assert_eq!(play("ssswwwws", patience), "..####..");
    }
}
