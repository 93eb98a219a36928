//! The EC2 instance metadata service, version 2: the instance type, and nothing else. Asked only where the settings say so.
//! It refuses to wait: two seconds in all, whether packets are dropped, the hop limit is too low or the answer trickles in.
//!
//! Protocol: PUT /latest/api/token with a TTL header, then GET /latest/meta-data/instance-type with the token.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::model::Reading;

/// Where the service answers on every EC2 machine.
pub const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254)), 80);
/// For both requests together.
pub const BUDGET: Duration = Duration::from_secs(2);
const MOST_BODY: usize = 4096;

/// Asks the service at `address` for the instance type.
pub fn instance_type(address: SocketAddr) -> Reading<String> {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => return Reading::failed(format!("IMDS: {error}")),
    };
    match runtime.block_on(async { tokio::time::timeout(BUDGET, ask(address)).await }) {
        Ok(Ok(name)) => Reading::fresh(name, format!("IMDSv2 at {address}")),
        Ok(Err(why)) => Reading::failed(format!("IMDSv2 at {address}: {why}")),
        Err(_) => Reading::failed(format!("IMDSv2 at {address} did not answer within {} s", BUDGET.as_secs())),
    }
}

async fn ask(address: SocketAddr) -> Result<String, String> {
    let token =
        request(address, Method::PUT, "/latest/api/token", ("x-aws-ec2-metadata-token-ttl-seconds", "60")).await?;
    let name =
        request(address, Method::GET, "/latest/meta-data/instance-type", ("x-aws-ec2-metadata-token", &token)).await?;
    let plausible = name.contains('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    if plausible { Ok(name) } else { Err(format!("{name:?} is no instance type")) }
}

async fn request(address: SocketAddr, method: Method, path: &str, header: (&str, &str)) -> Result<String, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(hyper::header::HOST, address.to_string())
        .header(header.0, header.1)
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
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
