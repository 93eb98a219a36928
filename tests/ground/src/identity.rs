//! Who we are to the API server: a kubeconfig's address and authority, the client certificate read anew for each handshake,
//! and the connector that both clients share.
//! It refuses TLS resumption unless asked for it: a resumed session carries the identity of the certificate before.
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use serde::Deserialize;

/// How long a command may take. The connector needs it too: a handshake that the pool goes on with in the background has no
/// caller any more. No read timeout there: on a kept connection it counts the idle time before a request as well, and so cuts
/// a request that has only just been sent.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// Short, so that a connection made with the certificate before does not live on. The daemon would also drop it on a change.
pub const IDLE: Duration = Duration::from_secs(1);

pub type Connector = TimeoutConnector<HttpsConnector<HttpConnector>>;

/// What a kubelet's kubeconfig says, as far as it is needed here: one cluster, one user, the certificate as a file.
#[derive(Deserialize)]
struct Kubeconfig {
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}
#[derive(Deserialize)]
struct NamedCluster {
    cluster: Cluster,
}
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority_data: String,
}
#[derive(Deserialize)]
struct NamedUser {
    user: User,
}
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate: PathBuf,
}

pub struct Access {
    pub server: String,
    authority: Vec<u8>,
    certificate: PathBuf,
}

impl Access {
    pub fn read(file: &str) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| file.to_owned())?;
        let read: Kubeconfig = yaml_serde::from_str(&text).with_context(|| file.to_owned())?;
        let cluster = read.clusters.into_iter().next().context("no cluster")?.cluster;
        Ok(Self {
            server: cluster.server,
            authority: base64::engine::general_purpose::STANDARD.decode(cluster.certificate_authority_data)?,
            certificate: read.users.into_iter().next().context("no user")?.user.client_certificate,
        })
    }

    pub fn connector(&self, resume: bool) -> Result<Connector> {
        let mut roots = RootCertStore::empty();
        for one in CertificateDer::pem_slice_iter(&self.authority) {
            roots.add(one?)?;
        }
        let mut tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(FromFile::new(self.certificate.clone())?));
        if !resume {
            tls.resumption = Resumption::disabled();
        }
        let mut connector = TimeoutConnector::new(
            HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build(),
        );
        connector.set_connect_timeout(Some(PATIENCE));
        Ok(connector)
    }
}

/// A PEM file with certificate and key, as kubelet rotates it behind a symlink. The last good pair is kept.
#[derive(Debug)]
struct FromFile {
    path: PathBuf,
    last: Mutex<Arc<CertifiedKey>>,
}

impl FromFile {
    fn new(path: PathBuf) -> Result<Self> {
        let last = Mutex::new(Self::load(&path)?);
        Ok(Self { path, last })
    }

    fn load(path: &PathBuf) -> Result<Arc<CertifiedKey>> {
        let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>()?;
        let key = ring::sign::any_supported_type(&PrivateKeyDer::from_pem_slice(&pem)?)?;
        Ok(Arc::new(CertifiedKey::new(chain, key)))
    }
}

impl ResolvesClientCert for FromFile {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let mut last = self.last.lock().ok()?;
        if let Ok(pair) = Self::load(&self.path) {
            *last = pair;
        }
        Some(last.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
