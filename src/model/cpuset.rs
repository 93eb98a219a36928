//! A set of CPU numbers in the kernel's list format (`0-3,8`). It refuses stepped and reversed ranges, as kubelet does.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// CPU (or NUMA node) numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpuSet(pub BTreeSet<u32>);

/// More CPUs than any machine has; a range beyond it is a mistake, not a machine.
const MOST: u32 = 1 << 16;

impl CpuSet {
    /// How many there are.
    pub fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of these are in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }
}

impl FromStr for CpuSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let mut set = BTreeSet::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let number = |s: &str| {
                s.parse::<u32>()
                    .ok()
                    .filter(|n| *n < MOST)
                    .ok_or_else(|| format!("{part:?} in {text:?} is not a CPU number or range such as 0-3"))
            };
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("the range {part:?} in {text:?} runs backwards"));
            }
            set.extend(first..=last);
        }
        Ok(Self(set))
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.iter().copied().peekable();
        let mut first_part = true;
        while let Some(first) = rest.next() {
            let mut last = first;
            while rest.peek() == Some(&(last + 1)) {
                last += 1;
                rest.next();
            }
            if !first_part {
                f.write_str(",")?;
            }
            first_part = false;
            if first == last { write!(f, "{first}")? } else { write!(f, "{first}-{last}")? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_the_kernels_format() {
        for text in ["", "0", "0-3", "0-1,4,6-7"] {
            let set: CpuSet = text.parse().expect(text);
            assert_eq!(set.to_string(), text);
        }
        assert_eq!("0-3,2".parse::<CpuSet>().expect("overlap").len(), 4);
        for text in ["3-0", "a", "0-", "0,,1", "0-99999999"] {
            assert!(text.parse::<CpuSet>().is_err(), "{text}");
        }
    }
}
