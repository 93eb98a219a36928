//! Running a program: in its own process group, with a deadline and a limit on what it may print.
//! It refuses to run anything for a root that is not `/`, and to leave a child behind.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::error::{HostError, HostResult, Reason};
use super::root::Host;

/// The most that is read of what a program prints.
const MOST_OUTPUT: u64 = 64 << 10;

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// What it printed, as text.
    pub output: String,
}

/// Runs `program`, which must be an absolute path, and waits at most `deadline`. Of what it prints, the first 64 KiB are kept.
pub fn run(host: &Host, program: &Path, args: &[&str], deadline: Duration) -> HostResult<Finished> {
    run_with(host, program, args, &[], deadline).map(|(finished, _)| finished)
}

/// The same with words for its environment beside PATH; `program` may be a bare name. The second value says whether it printed more than is kept.
#[allow(clippy::disallowed_methods)] // This is the door; the clock bounds the wait and judges nothing.
pub fn run_with(
    host: &Host,
    program: &Path,
    args: &[&str],
    env: &[(&str, &str)],
    deadline: Duration,
) -> HostResult<(Finished, bool)> {
    let failed = |reason| HostError { act: "run", path: program.to_owned(), reason };
    let io_failed = |error: std::io::Error| failed(Reason::Other(error.to_string()));
    if !host.is_real() {
        return Err(failed(Reason::OtherRoot));
    }
    let start = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(io_failed)?;
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let mut output = Vec::new();
    let mut more = false;
    if let Some(mut pipe) = child.stdout.take() {
        while let Some(rest) = deadline.checked_sub(start.elapsed()) {
            let mut ready = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
            let patience = PollTimeout::try_from(rest).unwrap_or(PollTimeout::ZERO);
            if poll(&mut ready, patience).unwrap_or(0) == 0 {
                continue;
            }
            let mut chunk = [0; 4096];
            let count = pipe.read(&mut chunk).map_err(io_failed)?;
            if count == 0 {
                break;
            }
            if u64::try_from(output.len() + count).unwrap_or(u64::MAX) <= MOST_OUTPUT {
                output.extend_from_slice(&chunk[..count]);
            } else {
                more = true;
            }
        }
    }
    let finished = loop {
        // Looked at once in any case: a child that it has left may hold the output until the deadline.
        let finished = child.try_wait().map_err(io_failed)?;
        if finished.is_some() || start.elapsed() >= deadline {
            break finished;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let Some(status) = finished else {
        // The whole group, since a wrapper script would leave its child.
        let _ = killpg(group, Signal::SIGKILL);
        child.wait().map_err(io_failed)?;
        return Err(failed(Reason::Other(format!("it did not end within {} ms", deadline.as_millis()))));
    };
    Ok((Finished { code: status.code(), output: String::from_utf8_lossy(&output).into_owned() }, more))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(words: &str, deadline_ms: u64) -> HostResult<Finished> {
        run(
            &Host::new(Path::new("/")).unwrap(),
            Path::new("/bin/sh"),
            &["-c", words],
            Duration::from_millis(deadline_ms),
        )
    }

    #[test]
    fn what_a_program_leaves_behind_is_not_the_program() {
        let done = shell("sleep 2 & echo begun; exit 3", 300).unwrap();
        assert_eq!((done.code, done.output.trim()), (Some(3), "begun"));
        let error = shell("sleep 20", 300).unwrap_err().to_string();
        assert!(error.contains("did not end within 300 ms"), "{error}");
    }
}
