//! What came of looking at something. It refuses to let "could not look" pass for a value.

use serde::{Deserialize, Serialize};

/// The three outcomes of a read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Reading<T> {
    /// It was read just now, and `from` says where.
    Fresh {
        /// What was read.
        value: T,
        /// The file, table, flag or call that it came from.
        from: String,
    },
    /// It does not exist here; `why` is a sentence for a person.
    Absent {
        /// Why it is not there.
        why: String,
    },
    /// It could not be read; `why` holds the error chain.
    Failed {
        /// What went wrong.
        why: String,
    },
}

impl<T> Reading<T> {
    /// A value and where it came from.
    pub fn fresh(value: T, from: impl Into<String>) -> Self {
        Self::Fresh { value, from: from.into() }
    }

    /// Not here, and why.
    pub fn absent(why: impl Into<String>) -> Self {
        Self::Absent { why: why.into() }
    }

    /// Not readable, and why.
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Failed { why: why.into() }
    }

    /// The value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Fresh { value, .. } => Some(value),
            Self::Absent { .. } | Self::Failed { .. } => None,
        }
    }

    /// Where the value came from, or why there is none.
    pub fn origin(&self) -> &str {
        match self {
            Self::Fresh { from, .. } => from,
            Self::Absent { why } | Self::Failed { why } => why,
        }
    }

    /// The same reading with its value changed; origin and reason stay.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Self::Fresh { value, from } => Reading::Fresh { value: change(value), from },
            Self::Absent { why } => Reading::Absent { why },
            Self::Failed { why } => Reading::Failed { why },
        }
    }
}
