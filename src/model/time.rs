//! Moments: the clock that never jumps and the one that people read. It refuses to read either; `host::clock` does.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds of CLOCK_MONOTONIC. Only differences within one boot mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mono(pub u64);

impl Mono {
    /// Milliseconds since `earlier`; 0 where `earlier` is later.
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment and so many milliseconds.
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// Milliseconds since 1970-01-01 UTC, as the machine's clock has them; shown as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(pub i64);

impl Wall {
    /// From RFC 3339, as Kubernetes writes it.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|time| Self(time.as_millisecond()))
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.0}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// A moment on both clocks, in one boot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Now {
    /// For differences.
    #[serde(rename = "monoMs")]
    pub mono: Mono,
    /// For people.
    #[serde(rename = "wallMs")]
    pub wall: Wall,
    /// Which boot: `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

/// A length of time in a settings file, such as "10s", "5m" or "1h 30m".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    ms: u64,
}

impl Span {
    /// So many milliseconds.
    pub const fn millis(ms: u64) -> Self {
        Self { ms }
    }

    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self { ms: seconds * 1000 }
    }

    /// So many minutes.
    pub const fn minutes(minutes: u64) -> Self {
        Self::seconds(minutes * 60)
    }

    /// In milliseconds.
    pub const fn ms(self) -> u64 {
        self.ms
    }
}

const DAY_MS: u64 = 86_400_000;

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // humantime counts in months of 30.44 days from there on, and nobody recognises 90 days.
        match self.ms.checked_div(DAY_MS) {
            Some(days) if days > 1 && self.ms.checked_rem(DAY_MS) == Some(0) => write!(f, "{days}days"),
            _ => write!(f, "{}", humantime::format_duration(core::time::Duration::from_millis(self.ms))),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = humantime::parse_duration(&text).map_err(|error| {
            serde::de::Error::custom(format!(
                "{text:?} is no length of time ({error}); write it like \"10s\" or \"5m\""
            ))
        })?;
        let ms =
            u64::try_from(span.as_millis()).map_err(|_| serde::de::Error::custom(format!("{text:?} is too long")))?;
        Ok(Self { ms })
    }
}

impl schemars::JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "duration", "description": "A length of time such as \"10s\", \"5m\" or \"1h 30m\""})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_utc() {
        assert_eq!(Wall(1_700_000_000_123).to_string(), "2023-11-14T22:13:20Z");
        assert_eq!(Wall::parse("2023-11-14T22:13:20Z"), Some(Wall(1_700_000_000_000)));
        assert_eq!(Wall::parse("yesterday"), None);
    }

    #[test]
    fn spans_are_read_and_written() {
        let span: Span = serde_json::from_str("\"1h 30m\"").unwrap();
        assert_eq!(span.ms(), 5_400_000);
        assert_eq!(serde_json::to_string(&span).unwrap(), "\"1h 30m\"");
        assert!(serde_json::from_str::<Span>("\"10\"").unwrap_err().to_string().contains("10s"));
    }
}
