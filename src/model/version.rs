//! The kubelet's version, as far as it changes what a configuration may say: major and minor. Patch levels are ignored.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A kubelet's minor version, such as 1.36.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubeletVersion {
    /// Always 1 so far.
    pub major: u16,
    /// 28 to 37 are known; newer ones are treated as the newest known.
    pub minor: u16,
}

impl KubeletVersion {
    /// The oldest version whose rules are known here.
    pub const OLDEST: Self = Self { major: 1, minor: 28 };
    /// The newest version whose rules are known here.
    pub const NEWEST: Self = Self { major: 1, minor: 37 };

    /// The nearest version whose rules are known.
    pub fn clamped(self) -> Self {
        self.clamp(Self::OLDEST, Self::NEWEST)
    }
}

impl fmt::Display for KubeletVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Serialize for KubeletVersion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for KubeletVersion {
    type Err = String;

    /// Takes `1.36`, `v1.36.2`, `Kubernetes v1.36.2-eks-abc` (what `kubelet --version` prints) and `1.34+`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{:?} is not a kubelet version; expected something like v1.36.2", text.trim());
        let word = text.split_whitespace().last().ok_or_else(wrong)?;
        let mut parts = word.strip_prefix('v').unwrap_or(word).split('.');
        let major = parts.next().and_then(|p| p.parse().ok()).ok_or_else(wrong)?;
        let minor = parts.next().ok_or_else(wrong)?;
        let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
        let minor = minor[..digits].parse().map_err(|_| wrong())?;
        Ok(Self { major, minor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubelet_and_image_builders_print() {
        for text in ["1.36", "v1.36.2", "Kubernetes v1.36.2-eks-ab12\n", "1.36+", "v1.36.0-rc.1"] {
            assert_eq!(text.parse(), Ok(KubeletVersion { major: 1, minor: 36 }), "{text}");
        }
        for text in ["", "kubelet", "v1", "1.x"] {
            assert!(text.parse::<KubeletVersion>().is_err(), "{text}");
        }
    }
}
