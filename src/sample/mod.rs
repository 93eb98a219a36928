//! From the host to readings: one source a file, reading and parsing apart. It refuses to judge what it reads.

pub mod attachments;
mod cpus;
mod dmi;
mod filesystems;
pub mod history;
pub mod imds;
pub mod kube_proxy;
pub mod kubelet_version;
mod limits;
pub mod machine;
mod memory;
pub mod second_opinion;
mod watch;

use std::path::Path;

use crate::host::Host;
use crate::model::Reading;
pub use watch::guarded::{self, Guarded};
pub use watch::{Watcher, sources};
pub use watch::{journal, logging};

/// A small text file of the kernel, parsed; absent and unreadable files keep their reason.
fn text_file<T>(host: &Host, path: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Reading<T> {
    match host.read_text(Path::new(path)) {
        Ok(Some(text)) => match parse(&text) {
            Ok(value) => Reading::fresh(value, path),
            Err(why) => Reading::failed(format!("{path}: {why}")),
        },
        Ok(None) => Reading::absent(format!("there is no {path}")),
        Err(error) => Reading::failed(error.to_string()),
    }
}
