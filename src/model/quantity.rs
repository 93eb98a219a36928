//! Kubernetes quantities, exact: parsing, arithmetic on whole units, and the canonical text.
//! It refuses floating point, and it refuses what `resource.ParseQuantity` refuses.
//!
//! Format and canonical form: the grammar in `k8s.io/apimachinery/pkg/api/resource` (suffixes n u m k M G T P E, Ki..Ei, exponents).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A thousandth of a CPU core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Millicores(pub u64);

/// Bytes of memory or storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bytes(pub u64);

/// Bytes in a mebibyte.
pub const MIB: u64 = 1 << 20;
/// Bytes in a gibibyte.
pub const GIB: u64 = 1 << 30;

impl Bytes {
    /// From mebibytes; saturates at the largest number of bytes.
    pub fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(MIB))
    }

    /// Whole mebibytes, rounded down.
    pub fn mib(self) -> u64 {
        self.0 / MIB
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quantity::bytes(*self).fmt(f)
    }
}

impl fmt::Display for Millicores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quantity::millicores(*self).fmt(f)
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

/// Which family of suffixes a quantity was written with, and so is printed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suffixes {
    Decimal,
    Binary,
    Exponent,
}

/// An exact quantity, held in billionths (`n`), the finest unit that Kubernetes knows.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    nano: i128,
    suffixes: Suffixes,
}

const NANO: i128 = 1_000_000_000;
/// Kubernetes caps every quantity at 2^63-1 whole units.
const MOST: i128 = i64::MAX as i128 * NANO;
const BINARY: [(&str, i128); 6] =
    [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("Ti", 1 << 40), ("Pi", 1 << 50), ("Ei", 1 << 60)];
const DECIMAL: [(&str, i128, i32); 10] = [
    ("n", 1, -9),
    ("u", 1_000, -6),
    ("m", 1_000_000, -3),
    ("", NANO, 0),
    ("k", 1_000 * NANO, 3),
    ("M", 1_000_000 * NANO, 6),
    ("G", NANO * NANO, 9),
    ("T", 1_000 * NANO * NANO, 12),
    ("P", 1_000_000 * NANO * NANO, 15),
    ("E", NANO * NANO * NANO, 18),
];

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nano: 0, suffixes: Suffixes::Decimal };

    /// CPU, printed as `80m` or `2`.
    pub fn millicores(value: Millicores) -> Self {
        Self { nano: i128::from(value.0) * 1_000_000, suffixes: Suffixes::Decimal }
    }

    /// Memory or storage, printed with the largest binary suffix that divides it.
    pub fn bytes(value: Bytes) -> Self {
        Self { nano: i128::from(value.0) * NANO, suffixes: Suffixes::Binary }
    }

    /// A plain count, such as process ids.
    pub fn count(value: u64) -> Self {
        Self { nano: i128::from(value) * NANO, suffixes: Suffixes::Decimal }
    }

    /// Whole units, rounded up, as `Quantity.Value()` does. Negative values give 0.
    pub fn to_u64(self) -> u64 {
        u64::try_from(self.nano.max(0).div_ceil_by(NANO)).unwrap_or(u64::MAX)
    }

    /// Thousandths, rounded up, as `Quantity.MilliValue()` does. Negative values give 0.
    pub fn to_millis(self) -> u64 {
        u64::try_from(self.nano.max(0).div_ceil_by(1_000_000)).unwrap_or(u64::MAX)
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.nano < 0
    }

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        self.nano == 0
    }

    /// The sum; printed in the left side's suffixes.
    pub fn plus(self, other: Self) -> Self {
        Self { nano: self.nano.saturating_add(other.nano), suffixes: self.suffixes }
    }

    /// The difference, which may be negative; printed in the left side's suffixes.
    pub fn minus(self, other: Self) -> Self {
        Self { nano: self.nano.saturating_sub(other.nano), suffixes: self.suffixes }
    }

    /// `hundredths` of a per cent of it, rounded down to a whole unit (thousandths for decimal suffixes).
    pub fn share(self, hundredths_of_percent: u32) -> Self {
        let unit = if self.suffixes == Suffixes::Binary { NANO } else { 1_000_000 };
        let exact = self.nano.saturating_mul(i128::from(hundredths_of_percent)) / 10_000;
        Self { nano: exact / unit * unit, suffixes: self.suffixes }
    }
}

trait DivCeil {
    fn div_ceil_by(self, unit: i128) -> i128;
}

impl DivCeil for i128 {
    /// Only for values from 0 up.
    fn div_ceil_by(self, unit: i128) -> i128 {
        self / unit + i128::from(self % unit != 0)
    }
}

impl PartialEq for Quantity {
    /// By value: `1Gi` equals `1024Mi`.
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl FromStr for Quantity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| {
            format!(
                "{text:?} is not a quantity; expected a number with an optional suffix, such as 500m, 1.5Gi, 100Mi or 2"
            )
        })
    }
}

/// The value of a number with suffix, or nothing where Kubernetes would not take it.
fn parse(text: &str) -> Option<Quantity> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (suffixes, scale, shift) = scale_of(suffix)?;
    let nano = scaled(whole, fraction, scale, shift)?.min(MOST);
    Some(Quantity { nano: if negative { -nano } else { nano }, suffixes })
}

/// What one unit of the suffix is worth: a power of two and a power of ten.
fn scale_of(suffix: &str) -> Option<(Suffixes, i128, i32)> {
    if let Some((_, factor)) = BINARY.iter().find(|(s, _)| *s == suffix) {
        return Some((Suffixes::Binary, *factor, 0));
    }
    if let Some((_, _, power)) = DECIMAL.iter().find(|(s, _, _)| *s == suffix) {
        return Some((Suffixes::Decimal, 1, *power));
    }
    let digits = suffix.strip_prefix(['e', 'E'])?;
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    (!unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit())).then_some(())?;
    Some((Suffixes::Exponent, 1, digits.parse::<i32>().ok()?.clamp(-1_000, 1_000)))
}

/// `whole.fraction` times `scale` times 10^`shift`, in billionths, rounded up at the last one; capped, never overflowing.
fn scaled(whole: &str, fraction: &str, scale: i128, shift: i32) -> Option<i128> {
    let digits = format!("{whole}{}", fraction.trim_end_matches('0'));
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    let fraction_len = i32::try_from(fraction.trim_end_matches('0').len()).ok()?;
    let mut power = 9 + shift - fraction_len;
    // Beyond 27 digits the value is either over the cap or finer than a billionth, whatever follows.
    let kept = digits.len().min(27);
    power = power.saturating_add(i32::try_from(digits.len() - kept).ok()?);
    let mut value = digits[..kept].parse::<i128>().ok()?;
    let mut inexact = digits[kept..].bytes().any(|b| b != b'0');
    while power > 0 {
        value = value.saturating_mul(10);
        if value > MOST {
            return Some(MOST);
        }
        power -= 1;
    }
    // The power of two comes before the division, so that 0.5Ki is exact.
    value = value.saturating_mul(scale);
    while power < 0 && value > 0 {
        inexact |= value % 10 != 0;
        value /= 10;
        power += 1;
    }
    Some(value.saturating_add(i128::from(inexact)).min(MOST))
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that keeps the number whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.nano < 0 { "-" } else { "" };
        let nano = self.nano.abs();
        if self.suffixes == Suffixes::Binary && nano % NANO == 0 {
            let units = nano / NANO;
            let (suffix, factor) = BINARY
                .iter()
                .rev()
                .find(|(_, factor)| units >= *factor && units % factor == 0)
                .copied()
                .unwrap_or(("", 1));
            return write!(f, "{sign}{}{suffix}", units / factor);
        }
        let (suffix, factor, power) = DECIMAL
            .iter()
            .rev()
            .find(|(_, factor, _)| nano % factor == 0 && (nano >= *factor || *factor == NANO))
            .copied()
            .unwrap_or(DECIMAL[0]);
        if self.suffixes == Suffixes::Exponent && power != 0 {
            return write!(f, "{sign}{}e{power}", nano / factor);
        }
        write!(f, "{sign}{}{suffix}", nano / factor)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "quantity", "description": "A Kubernetes quantity such as \"100m\" or \"300Mi\""})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_prints_canonically() {
        for (text, canonical) in [
            ("0", "0"),
            ("80m", "80m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            ("893Mi", "893Mi"),
            ("1024Mi", "1Gi"),
            ("1Gi", "1Gi"),
            ("0.5Ki", "512"),
            ("1.5Gi", "1536Mi"),
            ("100M", "100M"),
            ("1e3", "1e3"),
            ("12E", "9223372036854775807"),
            ("-1Gi", "-1Gi"),
            ("+2", "2"),
            ("5.", "5"),
            (".5", "500m"),
            ("1n", "1n"),
            ("0.1n", "1n"),
            ("1k", "1k"),
            ("1000000", "1M"),
            ("1e-3", "1e-3"),
        ] {
            assert_eq!(text.parse::<Quantity>().map(|q| q.to_string()), Ok(canonical.to_owned()), "{text}");
        }
    }

    #[test]
    fn refuses_what_kubernetes_refuses() {
        for text in
            ["", " 1", "1 Gi", "1GB", "1gi", "Gi", "-", "1.2.3", "1e", "1e+", "0x10", "10%", "1Mi5", "--1", "1KI"]
        {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[-+]?[0-9.]{0,40}([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]{0,12}|.{0,3})") {
            let _ = text.parse::<Quantity>();
        }

        #[test]
        fn bytes_come_back(bytes in 0..=i64::MAX.unsigned_abs()) {
            let quantity = Quantity::bytes(Bytes(bytes));
            prop_assert_eq!(quantity.to_string().parse::<Quantity>().unwrap().to_u64(), bytes);
        }

        #[test]
        fn the_canonical_form_keeps_the_value(text in "[0-9]{1,6}(\\.[0-9]{1,3})?(m|k|Ki|Mi|Gi|M|G|e[0-6])?") {
            let quantity: Quantity = text.parse().unwrap();
            let again: Quantity = quantity.to_string().parse().unwrap();
            prop_assert_eq!(quantity, again);
            // As in Kubernetes, a binary amount that no 1024 divides is written without a suffix, and a second reading takes that for decimal: the
            // text settles after one more round.
            let settled: Quantity = again.to_string().parse().unwrap();
            prop_assert_eq!((settled, settled.to_string()), (again, again.to_string()));
        }
    }
}
