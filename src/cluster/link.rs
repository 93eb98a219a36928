//! A pool of connections: kube-rs on a connector of our own. It refuses kube's default stack, which reads a certificate once, retries 429 in secret and
//! waits without end; TLS resumption, which carries the identity of the certificate before; and a thread for names.

use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Client;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::error::Error;
use super::keeper::Credentials;
use super::sender::Patience;

/// Answers every name with the addresses that are known.
#[derive(Clone)]
struct Known(Arc<Vec<SocketAddr>>);

impl tower_service::Service<Name> for Known {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(Vec::clone(&self.0).into_iter()))
    }
}

/// A new pool; nothing is connected yet. It needs a runtime.
pub(super) fn link(credentials: &Credentials, patience: &Patience) -> Result<Client, Error> {
    let mut tcp = HttpConnector::new_with_resolver(Known(Arc::new(credentials.addresses.clone())));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(patience.connect));
    // A server that has vanished without a word is noticed on an idle watch, too.
    tcp.set_keepalive(Some(patience.connect * 6));
    tcp.set_keepalive_interval(Some(patience.connect));
    tcp.set_keepalive_retries(Some(3));
    let mut https = HttpsConnectorBuilder::new().with_tls_config(tls(credentials)?).https_only();
    if let Some(name) = &credentials.material.server.tls_name {
        let name =
            ServerName::try_from(name.clone()).map_err(|error| Error::Tls(format!("tls-server-name: {error}")))?;
        https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let mut connector = TimeoutConnector::new(https.enable_http1().wrap_connector(tcp));
    // For the handshake as well: the pool goes on with it when its caller has gone. No read timeout: it would count a kept connection's idle time.
    connector.set_connect_timeout(Some(patience.connect));
    let service = HyperClient::builder(TokioExecutor::new())
        .pool_idle_timeout(patience.keep)
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(2)
        .build(connector);
    Ok(Client::new(service, "default"))
}

fn tls(credentials: &Credentials) -> Result<ClientConfig, Error> {
    let failed = |what: &str, error: &dyn std::fmt::Display| Error::Tls(format!("{what}: {error}"));
    let mut roots = RootCertStore::empty();
    for one in CertificateDer::pem_slice_iter(credentials.material.authority.as_bytes()) {
        let one = one.map_err(|error| failed("the certificate authority", &error))?;
        roots.add(one).map_err(|error| failed("the certificate authority", &error))?;
    }
    if roots.is_empty() {
        return Err(Error::Tls("the certificate authority's file holds no certificate".to_owned()));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("rustls", &error))?
        .with_root_certificates(roots);
    let mut config = match &credentials.certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| failed("our certificate", &error))?;
            // What is wrong with a key is not quoted.
            let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes())
                .map_err(|_| Error::Tls("our key is no private key in PEM".to_owned()))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| failed("our certificate", &error))?
        }
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}
