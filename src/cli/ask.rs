//! Asking the daemon: one request over its socket, and the words for why that did not work. It refuses to wait longer than ten seconds (twenty for what has to be done first), and to guess what a
//! daemon that does not answer would have said.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::args::{AskArgs, Common, Output};
use super::grid::Width;
use super::{Ending, Failure};
use crate::api::READERS;

const BUDGET: Duration = Duration::from_secs(10);
/// Where the daemon has to ask the API server.
const LONG_BUDGET: Duration = Duration::from_secs(20);
const MOST_ANSWER: usize = 16 << 20;
/// Between two looks of `--watch`.
const PERIOD: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("the daemon is not running: {socket}: {why} (systemctl status node-steward)", socket = .0.display(), why = .1)]
    NotRunning(PathBuf, &'static str),
    #[error("no permission for {}: be root, or join the group {READERS} (usermod -aG {READERS} USER, then log in anew)", .0.display())]
    NoPermission(PathBuf),
    #[error("{}: the daemon did not answer within {} s", .0.display(), .1.as_secs())]
    Late(PathBuf, Duration),
    #[error("{socket}: {why}", socket = .0.display(), why = .1)]
    Broken(PathBuf, String),
    #[error("the daemon refuses: {0}")]
    Refused(String),
    #[error("{0}")]
    Answered(String),
    #[error("the daemon's answer is not understood, is it of another version? {0}")]
    Foreign(serde_json::Error),
}

impl AskError {
    pub(super) fn ending(&self) -> Ending {
        match self {
            Self::NoPermission(_) | Self::Refused(_) => Ending::Refused,
            _ => Ending::Failed,
        }
    }
}

/// Asks for `path` and shows the answer: as it came, or by `draw`; again and again with `--watch`.
pub(super) fn run(
    common: &Common,
    options: &AskArgs,
    path: &str,
    draw: impl Fn(&[u8], Width) -> Result<String, Failure>,
) -> Result<Ending, Failure> {
    let socket = socket(common, options.socket.as_deref())?;
    let terminal = io::stdout().is_terminal();
    let show = |answer: &[u8]| -> Result<String, Failure> {
        match common.output {
            Output::Json => Ok(String::from_utf8_lossy(answer).into_owned()),
            Output::Text => draw(answer, Width::of(options.width)),
        }
    };
    let first = show(&get(&socket, path)?)?;
    if !options.watch {
        anstream::stdout().write_all(first.as_bytes())?;
        return Ok(Ending::Fine);
    }
    let redraw = terminal && common.output == Output::Text;
    let mut text = first;
    loop {
        if redraw {
            // To the top, the old screen away, and no more than fits: what scrolls cannot be redrawn.
            let rows = terminal_size::terminal_size().map_or(usize::MAX, |(_, rows)| usize::from(rows.0).max(2) - 1);
            let cut: Vec<_> = text.lines().take(rows).collect();
            io::stdout().write_all(b"\x1b[H\x1b[2J")?;
            writeln!(anstream::stdout(), "{}", cut.join("\n"))?;
        } else {
            anstream::stdout().write_all(text.as_bytes())?;
            if common.output == Output::Text {
                writeln!(io::stdout())?;
            }
        }
        io::stdout().flush()?;
        std::thread::sleep(PERIOD);
        // A daemon that is being restarted is waited for.
        text = match get(&socket, path) {
            Ok(answer) => show(&answer)?,
            Err(error) if common.output == Output::Text => format!("node-steward: {error}\n"),
            Err(_) => String::new(),
        };
    }
}

/// Where the daemon listens.
pub(super) fn socket(common: &Common, named: Option<&Path>) -> Result<PathBuf, Failure> {
    let host = common.host()?;
    // A socket that is named needs no settings, which not everybody may read.
    let path = match named {
        Some(path) => return Ok(path.to_owned()),
        // Settings that are wrong by now are not those that the daemon runs with: it is asked where it usually is.
        None => PathBuf::from(common.settings(&host).map(|settings| settings.api).unwrap_or_default().socket),
    };
    Ok(if host.is_real() { path } else { host.outside_path(&path) })
}

/// The answer as a value of ours.
pub(super) fn parse<'b, T: serde::Deserialize<'b>>(body: &'b [u8]) -> Result<T, AskError> {
    serde_json::from_slice(body).map_err(AskError::Foreign)
}

/// The body of a good answer.
pub(super) fn get(socket: &Path, path: &str) -> Result<Vec<u8>, AskError> {
    request(socket, path, None)
}

/// The same for something that is to be done.
pub(super) fn post(socket: &Path, path: &str, body: &serde_json::Value) -> Result<Vec<u8>, AskError> {
    request(socket, path, Some(body.to_string()))
}

fn request(socket: &Path, path: &str, body: Option<String>) -> Result<Vec<u8>, AskError> {
    let budget = if body.is_some() { LONG_BUDGET } else { BUDGET };
    let broken = |why: String| AskError::Broken(socket.to_owned(), why);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| broken(error.to_string()))?;
    runtime.block_on(async {
        let late = |_| AskError::Late(socket.to_owned(), budget);
        tokio::time::timeout(budget, ask(socket, path, body)).await.map_err(late)?
    })
}

async fn ask(socket: &Path, path: &str, body: Option<String>) -> Result<Vec<u8>, AskError> {
    let broken = |why: String| AskError::Broken(socket.to_owned(), why);
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => AskError::NotRunning(socket.to_owned(), "there is no such socket"),
        ErrorKind::ConnectionRefused => AskError::NotRunning(socket.to_owned(), "nobody answers there"),
        ErrorKind::PermissionDenied => AskError::NoPermission(socket.to_owned()),
        _ => broken(error.to_string()),
    })?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.to_string()))?;
    let request = Request::builder()
        .method(if body.is_some() { "POST" } else { "GET" })
        .uri(path)
        .header(hyper::header::HOST, "localhost")
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(|error| broken(error.to_string()))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| broken(error.to_string()))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST_ANSWER).collect().await;
        let body = body.map_err(|error| broken(error.to_string()))?.to_bytes();
        if status.is_success() {
            return Ok(body.to_vec());
        }
        let said = serde_json::from_slice::<serde_json::Value>(&body).ok();
        let message = said.as_ref().and_then(|said| said.get("message")?.as_str()).unwrap_or("without a reason");
        Err(if matches!(status, StatusCode::FORBIDDEN | StatusCode::CONFLICT) {
            AskError::Refused(message.to_owned())
        } else {
            AskError::Answered(format!("the daemon answers {status}: {message}"))
        })
    };
    tokio::pin!(answer);
    tokio::select! {
        biased;
        done = &mut answer => done,
        ended = connection => {
            ended.map_err(|error| broken(error.to_string()))?;
            answer.await
        }
    }
}
