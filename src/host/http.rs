//! Small questions over plain HTTP, to services on this machine and to the instance's metadata. It refuses to wait for longer than it was given, and to read long answers.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const MOST_BODY: usize = 16 << 10;

/// What `asking` comes to, on a runtime of its own, within `budget` in all. Probe children are forked inside the daemon's runtime, and take it to be theirs:
/// a thread does not.
pub fn ask_within<T: Send, F: Future<Output = Result<T, String>>>(
    budget: Duration,
    asking: impl FnOnce() -> F + Send,
) -> Result<T, String> {
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let answer = runtime.block_on(async { tokio::time::timeout(budget, asking()).await });
        answer.unwrap_or_else(|_| Err(format!("it did not answer within {} s", budget.as_secs())))
    };
    if tokio::runtime::Handle::try_current().is_err() {
        return ask();
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, ask).map_err(|error| error.to_string())?;
        thread.join().unwrap_or_else(|_| Err("it broke off; this is a bug of node-steward".to_owned()))
    })
}

/// One request on a connection of its own; the body of a success, trimmed.
pub async fn request(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<String, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let mut request = Request::builder().method(method).uri(path).header(hyper::header::HOST, address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("{path} answered {status}"));
        }
        let body = Limited::new(response.into_body(), MOST_BODY).collect().await.map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&body.to_bytes()).trim().to_owned())
    };
    tokio::pin!(answer);
    tokio::select! {
        biased;
        done = &mut answer => done,
        ended = connection => {
            ended.map_err(|error| error.to_string())?;
            answer.await
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    use super::*;

    #[test]
    #[allow(unsafe_code)] // As the probe helper does.
    fn a_child_that_was_forked_inside_a_runtime_asks_as_well() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // SAFETY: the child asks, and ends without unwinding.
            match unsafe { fork() }.unwrap() {
                ForkResult::Child => {
                    let connect = || async {
                        tokio::net::UnixStream::connect(&path).await.map(drop).map_err(|error| error.to_string())
                    };
                    let answer = std::panic::catch_unwind(|| ask_within(Duration::from_secs(5), connect));
                    // SAFETY: nothing is to be flushed.
                    unsafe { nix::libc::_exit(if matches!(answer, Ok(Ok(()))) { 0 } else { 1 }) }
                }
                ForkResult::Parent { child } => {
                    assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
                    listener.accept().unwrap();
                }
            }
        });
    }
}
