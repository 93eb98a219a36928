//! The daemon's end of the probe helper. It refuses to wait for it: a helper that does not read is gone, and is replaced.
//!
//! The helper is a fork of this process and not a program that is started: replacing one must work while the root disk hangs, and starting
//! our own program would then wait for the disk.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{self, FcntlArg, OFlag};
use nix::sys::prctl;
use nix::sys::signal::{self, SigHandler, Signal};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{self, ForkResult, Pid};
use tokio::net::unix::pipe;

use super::serve::{Answer, serve};
use super::{CHUNK, Line, lines};
use crate::host::error::{HostError, HostResult, Reason};
use crate::host::memory::forget_start;

/// A helper that leaves more than this unread is stuck itself.
const MOST_UNREAD: usize = 4 << 20;

/// The daemon's end.
#[derive(Debug)]
pub struct Helper {
    pid: Pid,
    questions: pipe::Sender,
    unread: Vec<u8>,
    answers: pipe::Receiver,
    partial: Vec<u8>,
    ready: VecDeque<Line>,
    gone: bool,
}

impl Helper {
    /// Starts the helper. It needs a runtime, and that this process has no second thread.
    pub fn start(answer: Answer<'_>) -> HostResult<Self> {
        let failed = |reason| HostError { act: "fork", path: Path::new("/proc/self/exe").to_owned(), reason };
        let system = |errno| failed(Reason::System(errno));
        let io_failed = |error: io::Error| failed(Reason::Other(error.to_string()));
        let threads = directory("/proc/self/task").map_err(system)?.len();
        if threads != 1 {
            return Err(failed(Reason::Other(format!("this process has {threads} threads, and only one may fork"))));
        }
        let (their_questions, questions) = unistd::pipe2(OFlag::O_CLOEXEC).map_err(system)?;
        let (answers, their_answers) = unistd::pipe2(OFlag::O_CLOEXEC).map_err(system)?;
        let parent = unistd::getpid();
        let pid = match fork().map_err(system)? {
            ForkResult::Parent { child } => child,
            ForkResult::Child => child(parent, &their_questions, &their_answers, answer),
        };
        for end in [&questions, &answers] {
            fcntl::fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(system)?;
        }
        Ok(Self {
            pid,
            questions: pipe::Sender::from_owned_fd(questions).map_err(io_failed)?,
            unread: Vec::new(),
            answers: pipe::Receiver::from_owned_fd(answers).map_err(io_failed)?,
            partial: Vec::new(),
            ready: VecDeque::new(),
            gone: false,
        })
    }

    /// Hands a question over; fails where the helper is gone or does not read.
    pub fn ask(&mut self, line: &Line) -> Result<(), String> {
        serde_json::to_writer(&mut self.unread, line).map_err(|error| error.to_string())?;
        self.unread.push(b'\n');
        if self.unread.len() > MOST_UNREAD {
            return Err("the probe helper does not read".to_owned());
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), String> {
        while !self.unread.is_empty() {
            match self.questions.try_write(&self.unread) {
                Ok(count) => drop(self.unread.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("the probe helper is gone: {error}")),
            }
        }
        Ok(())
    }

    /// The next answer; an error when the helper is gone. Nothing is lost where this is dropped half-way.
    pub async fn answer(&mut self) -> Result<Line, String> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(line);
            }
            tokio::select! {
                readable = self.answers.readable() => readable.map_err(|error| error.to_string())?,
                writable = self.questions.writable(), if !self.unread.is_empty() => {
                    writable.map_err(|error| error.to_string())?;
                    self.flush()?;
                    continue;
                }
            }
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

    /// Ends it without waiting for it; true once there is nothing left of it.
    pub fn end(&mut self) -> bool {
        if !self.gone {
            // Ours until it is collected, so the number cannot be another's.
            let _ = signal::kill(self.pid, Signal::SIGKILL);
            self.gone = !matches!(waitpid(self.pid, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive));
        }
        self.gone
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.end();
    }
}

#[allow(unsafe_code)]
fn fork() -> Result<ForkResult, Errno> {
    // SAFETY: the caller has made sure that this process has one thread, so that no lock is held by a thread that the child does not have.
    unsafe { unistd::fork() }
}

/// The helper's life. Nothing above this frame is ever returned to: its descriptors are closed.
fn child(parent: Pid, questions: &OwnedFd, answers: &OwnedFd, answer: Answer<'_>) -> ! {
    let _ = become_helper(questions, answers).and_then(|()| {
        let parent = u32::try_from(parent.as_raw()).map_err(|_| Errno::ERANGE)?;
        serve(parent, answer).map_err(|_| Errno::EIO)
    });
    #[allow(clippy::exit)] // The fork's only way out.
    std::process::exit(0)
}

/// No descriptor but the two pipes, no signal handler, a name and a process group of its own.
fn become_helper(questions: &OwnedFd, answers: &OwnedFd) -> Result<(), Errno> {
    let null = fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    unistd::dup2_stdin(questions)?;
    unistd::dup2_stdout(answers)?;
    unistd::dup2_stderr(&null)?;
    drop(null);
    for number in directory("/proc/self/fd")? {
        if number > 2 {
            // The lock and the sockets among them are the daemon's: they stay open there.
            let _ = unistd::close(number);
        }
    }
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        #[allow(unsafe_code)]
        // SAFETY: the default action runs no code of ours.
        let _ = unsafe { signal::signal(signal, SigHandler::SigDfl) };
    }
    let _ = unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0));
    let _ = prctl::set_name(c"steward-probes");
    forget_start();
    Ok(())
}

/// The numbers in a directory of /proc; that of the listing itself is already closed again.
fn directory(path: &str) -> Result<Vec<RawFd>, Errno> {
    let mut dir = Dir::open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let own = dir.as_raw_fd();
    let names = dir.iter().filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse().ok());
    Ok(names.filter(|number| *number != own).collect())
}
