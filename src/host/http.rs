//! Small questions over plain HTTP, to services on this machine and to the instance's metadata. It refuses to wait for longer than it was given, and to read long answers.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};

use super::wire::Wire;
pub use super::wire::ask_within;

const MOST_BODY: usize = 16 << 10;

/// One request on a connection of its own; the body of a success, trimmed.
pub async fn request(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<String, String> {
    let wire = Wire::tcp(address).map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(wire).await.map_err(|error| error.to_string())?;
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
