//! The EC2 instance metadata service, version 2: the instance type, and nothing else. Asked only where the settings say so.
//! It refuses to wait: two seconds in all, whether packets are dropped, the hop limit is too low or the answer trickles in.
//!
//! Protocol: PUT /latest/api/token with a TTL header, then GET /latest/meta-data/instance-type with the token.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::Method;

use crate::host::http::{ask_within, request};
use crate::model::Reading;

/// Where the service answers on every EC2 machine.
pub const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254)), 80);
/// For both requests together.
pub const BUDGET: Duration = Duration::from_secs(2);

/// Asks the service at `address` for the instance type.
pub fn instance_type(address: SocketAddr) -> Reading<String> {
    match ask_within(BUDGET, ask(address)) {
        Ok(name) => Reading::fresh(name, format!("IMDSv2 at {address}")),
        Err(why) => Reading::failed(format!("IMDSv2 at {address}: {why}")),
    }
}

async fn ask(address: SocketAddr) -> Result<String, String> {
    let token =
        request(address, Method::PUT, "/latest/api/token", &[("x-aws-ec2-metadata-token-ttl-seconds", "60")]).await?;
    let name =
        request(address, Method::GET, "/latest/meta-data/instance-type", &[("x-aws-ec2-metadata-token", &token)])
            .await?;
    let plausible = name.contains('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    if plausible { Ok(name) } else { Err(format!("{name:?} is no instance type")) }
}
