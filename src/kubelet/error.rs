//! Why a configuration was not placed. It refuses to be vague about whose fault it is: the machine's, the document's, or our own refusal.

use std::path::PathBuf;

use crate::host::HostError;
use crate::model::Complaint;

/// See the head of this file.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A file could not be read or written.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A document could not be understood.
    #[error("{0}")]
    Document(Box<Complaint>),
    /// The base that was named is not there.
    #[error("there is no base file {}", .0.display())]
    NoBase(PathBuf),
    /// Nothing tells how kubelet is configured here.
    #[error("{0}")]
    NoLayout(String),
    /// A result could not be written as text.
    #[error("cannot write the configuration as text: {0}")]
    Render(String),
    /// kubelet would not start with the result, or not safely.
    #[error("refused, nothing was written: {0}")]
    Refused(String),
}
