//! What is wrong, or unwise, in a kubelet configuration: one value per complaint. It refuses to be a bare sentence: place, found, expected and way out are apart.

use std::fmt;

use serde::Serialize;

/// How much a complaint matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Works, but the field warns of it.
    Advice,
    /// kubelet starts and silently does something else than the file says.
    Warning,
    /// kubelet refuses to start.
    Fatal,
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Advice => "advice",
            Self::Warning => "warning",
            Self::Fatal => "fatal",
        })
    }
}

/// One complaint about a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Complaint {
    /// Stable name of the rule, such as `unknown-field`.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Weight,
    /// The file, or the flag, that holds it.
    pub file: String,
    /// JSON path in it, such as `kubeReserved.memory`; empty for the whole file.
    pub path: String,
    /// What stands there.
    pub found: String,
    /// What kubelet takes.
    pub expected: String,
    /// What to do.
    pub action: String,
}

impl fmt::Display for Complaint {
    /// One line: place, code, found, expected, way out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.path.is_empty() { String::new() } else { format!(" {}", self.path) };
        write!(
            f,
            "{}: {}{at}: [{}] found {}; expected {}; {}",
            self.severity, self.file, self.code, self.found, self.expected, self.action
        )
    }
}
