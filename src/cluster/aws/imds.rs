//! The instance metadata service, version 2: the role's credentials, the region and the partition's domain. It needs
//! the network and no disk. It refuses to wait longer than its budget, to keep credentials, and to use what does not look like them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hyper::Method;
use serde::Deserialize;

use crate::cluster::Secret;
use crate::host::http::request;
use crate::model::time::Wall;

/// Where the service answers on every EC2 machine, by either protocol.
pub const ADDRESSES: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), 80),
];
/// For all requests to one address together.
const BUDGET: Duration = Duration::from_secs(3);

/// What the machine's role may sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The access key's id.
    pub key: String,
    /// Its secret.
    pub secret: Secret,
    /// The session's token.
    pub session: Option<Secret>,
    /// When they end.
    pub ends: Wall,
    /// The region to sign for.
    pub region: String,
    /// The partition's domain, `amazonaws.com` in most.
    pub domain: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    code: String,
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: String,
}

/// Asks the first address that answers.
pub(super) async fn role(addresses: &[SocketAddr], region: Option<&str>) -> Result<Role, String> {
    let mut whys = Vec::new();
    for address in addresses {
        match tokio::time::timeout(BUDGET, ask(*address, region)).await {
            Ok(Ok(role)) => return Ok(role),
            Ok(Err(why)) => whys.push(format!("IMDSv2 at {address}: {why}")),
            Err(_) => whys.push(format!("IMDSv2 at {address} did not answer within {} s", BUDGET.as_secs())),
        }
    }
    Err(whys.join("; "))
}

async fn ask(address: SocketAddr, region: Option<&str>) -> Result<Role, String> {
    let ttl = ("x-aws-ec2-metadata-token-ttl-seconds", "60");
    let token = request(address, Method::PUT, "/latest/api/token", &[ttl]).await?;
    let get = |path: String| {
        let token = token.clone();
        async move { request(address, Method::GET, &path, &[("x-aws-ec2-metadata-token", &token)]).await }
    };
    let roles = "/latest/meta-data/iam/security-credentials/";
    let name = word(get(roles.to_owned()).await?, "role")?;
    let text = get(format!("{roles}{name}")).await?;
    // What it answers holds a secret: none of it is quoted.
    let told: Told = serde_json::from_str(&text).map_err(|_| format!("the credentials of {name} make no sense"))?;
    if told.code != "Success" {
        return Err(format!("the credentials of {name} are not to be had: {:.40}", told.code.escape_debug()));
    }
    let ends: jiff::Timestamp =
        told.expiration.parse().map_err(|_| format!("the credentials of {name} have no end"))?;
    let region = match region {
        Some(region) => region.to_owned(),
        None => word(get("/latest/meta-data/placement/region".to_owned()).await?, "region")?,
    };
    let domain = word(get("/latest/meta-data/services/domain".to_owned()).await?, "domain")?;
    Ok(Role {
        key: told.access_key_id,
        secret: Secret::new(told.secret_access_key),
        session: Some(Secret::new(told.token)),
        ends: Wall(ends.as_millisecond()),
        region,
        domain,
    })
}

/// A name as it may stand in an address; a proxy's page is none.
fn word(text: String, what: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@-_".contains(&byte);
    if !text.is_empty() && text.len() <= 128 && text.bytes().all(plain) {
        Ok(text)
    } else {
        Err(format!("{:.60?} is no {what}", text.lines().next().unwrap_or_default()))
    }
}
