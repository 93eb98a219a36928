//! The helper process: one thread, two pipes, a child per question. It refuses to touch a file itself, so that nothing can hang it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{self, ForkResult};
use serde_json::Value;

use super::{CHUNK, Line, lines};
use crate::host::memory::{Locked, lock};

/// More than any answer has; a child that says more is not listened to.
const MOST_BYTES: usize = 4 << 20;

/// What a child does with a question.
pub type Answer<'a> = &'a dyn Fn(Value) -> Value;

/// A question being answered by a child.
struct Asked {
    id: u64,
    pipe: OwnedFd,
    said: Vec<u8>,
}

/// Reads questions from stdin, lets a child answer each, writes answers to stdout; ends with stdin or with `parent`.
pub fn serve(parent: u32, answer: Answer<'_>) -> io::Result<()> {
    // When the daemon dies, however it dies, so does this process; stdin's end says the same.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if u32::try_from(unistd::getppid().as_raw()).ok() != Some(parent) {
        return Ok(());
    }
    let stdin = io::stdin();
    let mut unread = Vec::new();
    let mut locked = false;
    // A first child brings all of this loop's code into memory before it is locked; a limit that is too low is told by the daemon.
    let mut asked: Vec<Asked> = fork_for(Line { id: 0, body: Value::Null }, &|_| Value::Null).into_iter().collect();
    loop {
        let mut fds = vec![PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        fds.extend(asked.iter().map(|one| PollFd::new(one.pipe.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let woken: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        drop(fds);
        let mut rest = Vec::with_capacity(asked.len());
        for (mut one, woken) in asked.into_iter().zip(&woken[1..]) {
            if !woken || one.goes_on()? {
                rest.push(one);
            }
        }
        asked = rest;
        // One that has just answered is collected with the next.
        while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|status| status.pid().is_some()) {}
        if !locked && asked.is_empty() {
            locked = true;
            let _ = lock(Locked::Touched);
        }
        if woken[0] {
            let mut chunk = [0; CHUNK];
            match unistd::read(stdin.as_fd(), &mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => unread.extend_from_slice(&chunk[..count]),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(errno) => return Err(errno.into()),
            }
            for line in lines(&mut unread) {
                let id = line.id;
                match fork_for(line, answer) {
                    Some(child) => asked.push(child),
                    None => tell(&unanswered(id))?,
                }
            }
        }
    }
}

impl Asked {
    /// Takes what the child says; false once it has said all.
    fn goes_on(&mut self) -> io::Result<bool> {
        let mut chunk = [0; CHUNK];
        match unistd::read(&self.pipe, &mut chunk) {
            Ok(0) => {}
            Ok(count) if self.said.len() + count <= MOST_BYTES => {
                self.said.extend_from_slice(&chunk[..count]);
                // The line end says that it is whole: nobody has to wake up once more for the end of the pipe.
                if self.said.last() != Some(&b'\n') {
                    return Ok(true);
                }
            }
            Err(Errno::EINTR | Errno::EAGAIN) => return Ok(true),
            Ok(_) | Err(_) => self.said.clear(),
        }
        // What is not JSON was written by half a child.
        let body = serde_json::from_slice(&self.said).unwrap_or(Value::Null);
        tell(&Line { id: self.id, body })?;
        Ok(false)
    }
}

fn unanswered(id: u64) -> Line {
    Line { id, body: Value::Null }
}

/// A line to the daemon, which reads all the time.
fn tell(line: &Line) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    write_all(io::stdout(), &bytes).map_err(io::Error::from)
}

fn write_all(to: impl AsFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match unistd::write(&to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// A child that answers; none where the machine has no room for one.
#[allow(unsafe_code)] // fork: see SAFETY.
fn fork_for(line: Line, answer: Answer<'_>) -> Option<Asked> {
    let (pipe, theirs) = unistd::pipe2(OFlag::O_CLOEXEC).ok()?;
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).ok()?;
    // SAFETY: this process never starts a second thread, so no lock can be held by a thread that the child does not have, and the
    // child may do all that this process may.
    match unsafe { unistd::fork() }.ok()? {
        ForkResult::Parent { .. } => Some(Asked { id: line.id, pipe, said: Vec::new() }),
        ForkResult::Child => child(line, answer, theirs),
    }
}

fn child(line: Line, answer: Answer<'_>, pipe: OwnedFd) -> ! {
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    // A stuck child that held the helper's pipes would hide the helper's death from the daemon.
    let _ = unistd::close(0);
    let _ = unistd::close(1);
    let body = catch_unwind(AssertUnwindSafe(|| answer(line.body))).unwrap_or(Value::Null);
    let mut bytes = serde_json::to_vec(&body).unwrap_or_default();
    bytes.push(b'\n');
    let _ = write_all(&pipe, &bytes);
    #[allow(clippy::exit)] // The child's only way out: what is above this frame belongs to the helper.
    std::process::exit(0)
}
