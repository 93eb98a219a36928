//! A presigned request, signature version 4, in its query. The signing is the AWS SDK's own crate. It refuses a time before 1970.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;

use crate::cluster::Secret;
use crate::model::time::Wall;

/// What is signed.
#[derive(Debug)]
pub struct Presign<'a> {
    /// The address with its query.
    pub url: String,
    /// Headers that the caller will send along, and that are signed beside `host`.
    pub headers: &'a [(&'a str, &'a str)],
    /// The access key's id.
    pub key: &'a str,
    /// The access key's secret.
    pub secret: &'a Secret,
    /// The session's token, for a role.
    pub session: Option<&'a Secret>,
    /// Such as `eu-west-1`.
    pub region: &'a str,
    /// Such as `sts`.
    pub service: &'a str,
    /// When.
    pub at: Wall,
    /// For how long, in seconds.
    pub expires_s: u64,
}

/// The address with its signature.
pub fn presign(what: &Presign<'_>) -> Result<String, String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot sign: {error}");
    let session = what.session.map(|session| session.reveal().to_owned());
    let identity = Credentials::new(what.key, what.secret.reveal(), session, None, "node-steward").into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(what.expires_s));
    let at = u64::try_from(what.at.0).map_err(|error| failed(&error))?;
    let params = SigningParams::builder()
        .identity(&identity)
        .region(what.region)
        .name(what.service)
        .time(SystemTime::UNIX_EPOCH + Duration::from_millis(at))
        .settings(settings)
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let request = SignableRequest::new("GET", &what.url, what.headers.iter().copied(), SignableBody::Bytes(&[]))
        .map_err(|error| failed(&error))?;
    let (instructions, _) = sign(request, &params).map_err(|error| failed(&error))?.into_parts();
    let mut signed = http::Request::get(&what.url).body(()).map_err(|error| failed(&error))?;
    instructions.apply_to_request_http1x(&mut signed);
    Ok(signed.uri().to_string())
}
