//! An eviction threshold: a quantity, or a share of the capacity. It refuses what kubelet's own reader refuses.

use std::fmt;

use super::Quantity;

/// One value of `evictionHard` or `evictionSoft`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// Switched off: `0%` or `100%`.
    Off,
    /// So much must be left.
    Quantity(Quantity),
    /// Such a share (0 to 1) must be left; single precision, as kubelet holds it.
    Share(f32),
}

impl Threshold {
    /// Reads `100Mi` or `10%`.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        // kubelet compares the text: "0.0%" is no way to switch off.
        if text == "0%" || text == "100%" {
            return Ok(Self::Off);
        }
        if text.ends_with('%') {
            let number = text.trim_end_matches('%');
            let percent: f32 = number
                .parse()
                .ok()
                .filter(|p: &f32| p.is_finite())
                .ok_or_else(|| format!("{text:?} is not a percentage; expected something like 10%"))?;
            return match percent / 100.0 {
                share if share < 0.0 => Err(format!("{text:?} is below 0%")),
                share if share > 1.0 => Err(format!("{text:?} is above 100%")),
                share => Ok(Self::Share(share)),
            };
        }
        let quantity: Quantity = text.parse()?;
        if quantity <= Quantity::ZERO {
            return Err(format!("{text:?} is not above zero; expected a positive quantity, or 0% to switch it off"));
        }
        Ok(Self::Quantity(quantity))
    }

    /// Whole units of it at this capacity, by kubelet's own arithmetic: to the byte.
    pub fn of(self, capacity: u64) -> u64 {
        match self {
            Self::Off => 0,
            Self::Quantity(quantity) => quantity.to_u64(),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "kubelet multiplies doubles and cuts; the share is between 0 and 1"
            )]
            Self::Share(share) => (capacity as f64 * f64::from(share)) as u64,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Quantity(quantity) => quantity.fmt(f),
            Self::Share(share) => write!(f, "{}%", share * 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubelet_reads() {
        assert_eq!(Threshold::parse("0%"), Ok(Threshold::Off));
        assert_eq!(Threshold::parse("100%"), Ok(Threshold::Off));
        assert_eq!(Threshold::parse("10%").map(|t| t.of(1_000_000_001)), Ok(100_000_001));
        assert_eq!(Threshold::parse("100Mi").map(|t| t.of(5)), Ok(100 << 20));
        for text in ["", "0", "-1Mi", "101%", "-1%", "x%", "%", "NaN%", "1GB", "10 %"] {
            assert!(Threshold::parse(text).is_err(), "{text}");
        }
    }
}
