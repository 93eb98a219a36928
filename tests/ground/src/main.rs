//! The skeleton: the daemon's client stack and nothing else, driven line by line from a pipe, so that the script outside can
//! flip a certificate or stop a server between two commands. One JSON object answers each line.
//! It refuses a second thread (current_thread runtime, no blocking pool), and takes no figure from anyone but the kernel.
//!
//!     ground [KUBECONFIG [resume]]      `resume` turns TLS resumption on, to show what it breaks
//!
//! Lines: `units`, `who`, `get NODE`, `patch NODE VALUE`, `pods NODE`, `evict NAMESPACE/POD`, `lock`, `figures`.
mod bus;
mod figures;
mod identity;
#[cfg_attr(feature = "kube", path = "through_kube.rs")]
#[cfg_attr(not(feature = "kube"), path = "through_hyper.rs")]
mod through;
mod words;

use std::os::fd::AsFd;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;

use through::Api;

fn main() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(listen())
}

async fn listen() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let api = match arguments.next() {
        None => None,
        Some(file) => {
            let access = identity::Access::read(&file)?;
            let resume = arguments.next().as_deref() == Some("resume");
            Some(Api::new(access, resume)?)
        }
    };
    let bus = bus::connect().await.context("the system bus")?;
    // tokio's own stdin would start a thread for it.
    let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
    let mut lines = BufReader::new(pipe::Receiver::from_owned_fd(stdin).context("stdin must be a pipe")?).lines();
    while let Some(line) = lines.next_line().await? {
        let started = Instant::now();
        let outcome = match tokio::time::timeout(identity::PATIENCE, obey(&line, api.as_ref(), &bus)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(anyhow::anyhow!("no answer in time")),
        };
        let mut answer = outcome.unwrap_or_else(|error| json!({"error": format!("{error:#}")}));
        answer["ms"] = json!(started.elapsed().as_millis() as u64);
        println!("{answer}");
    }
    Ok(())
}

async fn obey(line: &str, api: Option<&Api>, bus: &bus::Bus) -> Result<Value> {
    let api = || api.context("started without a kubeconfig");
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["units"] => Ok(json!({"units": bus::count_units(bus).await?})),
        ["who"] => words::who(api()?).await,
        ["get", node] => words::get(api()?, node).await,
        ["patch", node, value] => words::patch(api()?, node, value).await,
        ["pods", node] => words::pods(api()?, node).await,
        ["evict", pod] => words::evict(api()?, pod).await,
        ["lock"] => figures::lock(),
        ["figures"] => figures::now(),
        _ => anyhow::bail!("not a command: {line}"),
    }
}
