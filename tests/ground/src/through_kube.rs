//! A request's way through kube-rs, on our own connector.
//! It refuses kube's default stack: that reads the client certificate once, retries 429 on its own and waits without end.
use anyhow::{Result, anyhow};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt;
use kube::{Client, Config};
use serde::de::DeserializeOwned;
use tower::{BoxError, ServiceBuilder};

use crate::identity::{Access, IDLE};

pub struct Api(Client);

impl Api {
    pub fn new(access: Access, resume: bool) -> Result<Self> {
        let mut config = Config::new(access.server.parse()?);
        config.default_retry = false;
        let service = ServiceBuilder::new().layer(config.base_uri_layer()).map_err(BoxError::from).service(
            HyperClient::builder(TokioExecutor::new())
                .pool_idle_timeout(IDLE)
                .pool_timer(TokioTimer::new())
                .build(access.connector(resume)?),
        );
        Ok(Self(Client::new(service, config.default_namespace)))
    }

    pub async fn ask<T: DeserializeOwned>(&self, method: &str, path: &str, kind: &str, body: String) -> Result<T> {
        let request =
            http::Request::builder().method(method).uri(path).header("content-type", kind).body(body.into_bytes())?;
        self.0.request(request).await.map_err(|error| match error {
            kube::Error::Api(status) => anyhow!("{} {}", status.code, status.message),
            other => anyhow!(other),
        })
    }
}
