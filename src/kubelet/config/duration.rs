//! Durations as Go writes them (`2h45m`, `300ms`). It refuses a number without a unit, except 0.

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Nanoseconds in a second.
pub const SECOND: i64 = 1_000_000_000;

/// Nanoseconds, or nothing where kubelet would not take the text.
pub fn parse_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let read = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
        total = total.checked_add(read(whole)?.checked_mul(*size)?)?;
        // Eighteen digits of a fraction are finer than a nanosecond of any unit.
        let digits = &fraction[..fraction.len().min(18)];
        let scale = 10_i128.checked_pow(u32::try_from(digits.len()).ok()?)?;
        total = total.checked_add(read(digits)? * size / scale)?;
        rest = after;
    }
    i64::try_from(sign * total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanos) in [
            ("0", 0),
            ("10s", 10 * SECOND),
            ("2h45m", 9900 * SECOND),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("-1m", -60 * SECOND),
            ("+5us", 5_000),
            ("1m30s", 90 * SECOND),
        ] {
            assert_eq!(parse_duration(text), Some(nanos), "{text}");
        }
        for text in ["", "10", "s", "1d", "1 s", "1.s.", ".s", "9999999999h", "-", "1.2.3s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[-+]?[0-9.]{0,30}(ns|us|µs|ms|s|m|h|\\PC)?[0-9.]{0,3}[a-zµ]{0,2}") {
            let _ = parse_duration(&text);
        }
    }
}
