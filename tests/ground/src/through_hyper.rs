//! A request's way through hyper alone, the yardstick for kube-rs: same connector, same structs.
//! It refuses answers beyond a size, and retries nothing.
use anyhow::{Context, Result, anyhow, bail};
use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::identity::{Access, Connector, IDLE};

const LARGEST: usize = 32 << 20;

#[derive(Deserialize)]
struct Status {
    message: String,
}

pub struct Api {
    client: Client<Connector, Full<Bytes>>,
    server: String,
}

impl Api {
    pub fn new(access: Access, resume: bool) -> Result<Self> {
        let connector = access.connector(resume)?;
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { client, server: access.server })
    }

    pub async fn ask<T: DeserializeOwned>(&self, method: &str, path: &str, kind: &str, body: String) -> Result<T> {
        let uri = format!("{}{path}", self.server);
        let request =
            http::Request::builder().method(method).uri(uri).header("content-type", kind).body(Full::from(body))?;
        let answer = self.client.request(request).await.context("no answer")?;
        let code = answer.status();
        let body =
            Limited::new(answer.into_body(), LARGEST).collect().await.map_err(|error| anyhow!(error))?.aggregate();
        if !code.is_success() {
            let status: Status =
                serde_json::from_reader(body.reader()).with_context(|| format!("{code} without a Status"))?;
            bail!("{} {}", code.as_u16(), status.message);
        }
        Ok(serde_json::from_reader(body.reader())?)
    }
}
