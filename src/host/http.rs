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

/// What `asking` comes to, on a runtime of its own, within `budget` in all.
pub fn ask_within<T>(budget: Duration, asking: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let answer =
        runtime.map_err(|error| error.to_string())?.block_on(async { tokio::time::timeout(budget, asking).await });
    answer.unwrap_or_else(|_| Err(format!("it did not answer within {} s", budget.as_secs())))
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
