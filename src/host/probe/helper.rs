//! The daemon's end of the probe helper. It refuses to wait for it: a helper that does not read is gone, and is replaced.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio::net::unix::pipe;

use super::{CHUNK, Line, lines};
use crate::host::error::{HostError, HostResult, Reason};

/// The daemon's end.
#[derive(Debug)]
pub struct Helper {
    child: Child,
    questions: pipe::Sender,
    answers: pipe::Receiver,
    partial: Vec<u8>,
    ready: VecDeque<Line>,
}

impl Helper {
    /// Starts this program anew with `args` (which must lead to [`serve`]). It needs a runtime.
    #[allow(clippy::disallowed_methods)] // The door itself: our own program, an empty environment, no descriptors but two pipes.
    pub fn start(args: &[&OsStr]) -> HostResult<Self> {
        let program = Path::new("/proc/self/exe");
        let failed = |error: io::Error| HostError {
            act: "run",
            path: program.to_owned(),
            reason: Reason::Other(error.to_string()),
        };
        let mut child = Command::new(program)
            .args(args)
            .arg0("node-steward-probes")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(io::Error::other("it has no pipes")));
        };
        let questions = pipe::Sender::from_owned_fd(OwnedFd::from(stdin)).map_err(failed)?;
        let answers = pipe::Receiver::from_owned_fd(OwnedFd::from(stdout)).map_err(failed)?;
        Ok(Self { child, questions, answers, partial: Vec::new(), ready: VecDeque::new() })
    }

    /// Hands a question over; fails where the helper is gone or does not read.
    pub fn ask(&self, line: &Line) -> Result<(), String> {
        let mut bytes = serde_json::to_vec(line).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        // Longer ones are not written whole or not at all.
        if bytes.len() > 4096 {
            return Err("the question is longer than 4096 bytes".to_owned());
        }
        match self.questions.try_write(&bytes) {
            Ok(count) if count == bytes.len() => Ok(()),
            Ok(_) => Err("the probe helper took half a question".to_owned()),
            Err(error) => Err(format!("the probe helper does not read: {error}")),
        }
    }

    /// The next answer; an error when the helper is gone. Nothing is lost where this is dropped half-way.
    pub async fn answer(&mut self) -> Result<Line, String> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(line);
            }
            self.answers.readable().await.map_err(|error| error.to_string())?;
            let mut chunk = [0; CHUNK];
            match self.answers.try_read(&mut chunk) {
                Ok(0) => return Err("the probe helper has ended".to_owned()),
                Ok(count) => self.partial.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.to_string()),
            }
            self.ready.extend(lines(&mut self.partial));
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without waiting for it. True once there is nothing left to collect.
    pub fn end(&mut self) -> bool {
        let _ = self.child.kill();
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.end();
    }
}
