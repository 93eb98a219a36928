//! Writing a recording: a new directory, filled with plain files. It refuses a directory that has something in it already.

use std::path::{Path, PathBuf};

use super::error::{HostError, HostResult, Reason};
use super::layers::beneath;

/// A directory that becomes a recording.
#[derive(Debug)]
pub struct Recording {
    dir: PathBuf,
}

impl Recording {
    /// Makes the directory, or takes an empty one.
    pub fn new(dir: &Path) -> HostResult<Self> {
        std::fs::create_dir_all(dir).map_err(|error| failed("make", dir, &error))?;
        #[allow(clippy::disallowed_methods)] // The caller's directory on this machine, not beneath a root.
        let mut entries = std::fs::read_dir(dir).map_err(|error| failed("list", dir, &error))?;
        match entries.next() {
            None => Ok(Self { dir: dir.to_owned() }),
            Some(_) => {
                let why = "it is not empty (name a new directory)".to_owned();
                Err(HostError { act: "record into", path: dir.to_owned(), reason: Reason::Other(why) })
            }
        }
    }

    /// Writes a file of the layer `layer`, such as `root`; `path` is as the recorded machine sees it.
    pub fn file(&self, layer: &str, path: &Path, bytes: &[u8]) -> HostResult<()> {
        let target = self.at(layer, path);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed("make", parent, &error))?;
        }
        #[allow(clippy::disallowed_methods)] // A recording that is cut short is made anew: nothing to be whole for.
        std::fs::write(&target, bytes).map_err(|error| failed("write", &target, &error))
    }

    /// Makes a directory of a layer.
    pub fn directory(&self, layer: &str, path: &Path) -> HostResult<()> {
        let target = self.at(layer, path);
        std::fs::create_dir_all(&target).map_err(|error| failed("make", &target, &error))
    }

    /// The recording's own directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn at(&self, layer: &str, path: &Path) -> PathBuf {
        // Making `x/.` fails where there is no `x`.
        match beneath(path) {
            top if top == Path::new(".") => self.dir.join(layer),
            inner => self.dir.join(layer).join(inner),
        }
    }
}

fn failed(act: &'static str, path: &Path, error: &std::io::Error) -> HostError {
    let reason = match error.raw_os_error() {
        Some(errno) => Reason::System(nix::errno::Errno::from_raw(errno)),
        None => Reason::Other(error.to_string()),
    };
    HostError { act, path: path.to_owned(), reason }
}
