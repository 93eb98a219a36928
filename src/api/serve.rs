//! Sockets and connections. It refuses to be held up: one request a connection, a time for headers and for the whole, a bound on connections; where
//! all are taken the oldest makes room, so that idle ones lock nobody out.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::AbortHandle;

use super::Api;
use super::request::answer;
use crate::host::{self, Peer};

/// Connections of the socket at a time: each holds its answer until it is read, some ten KiB.
const MOST_CONNECTIONS: usize = 64;
/// The same of the TCP address, where nobody is asked who it is.
const MOST_OVER_TCP: usize = 16;
/// For the request's head.
const HEADER_BUDGET: Duration = Duration::from_secs(5);
/// For everything, the reading of the answer included.
const CONNECTION_BUDGET: Duration = Duration::from_secs(20);
/// Smallest buffer that hyper takes; our heads are short.
const MOST_HEAD: usize = 8192;
/// After a failed accept, as where descriptors have run out.
const PAUSE: Duration = Duration::from_millis(200);

/// Connections of one listener, oldest first, and how many there may be.
struct Open(RefCell<VecDeque<AbortHandle>>, usize);

impl Open {
    /// Makes room for one more; whether somebody had to go.
    fn make_room(&self) -> bool {
        let mut open = self.0.borrow_mut();
        open.retain(|one| !one.is_finished());
        if open.len() < self.1 {
            return false;
        }
        if let Some(oldest) = open.pop_front() {
            oldest.abort();
        }
        true
    }
}

impl Api {
    /// Answers on the Unix socket until dropped. Runs on a `LocalSet`.
    pub async fn serve(self: Rc<Self>, listener: UnixListener) {
        let open = Open(RefCell::default(), MOST_CONNECTIONS);
        loop {
            match listener.accept().await {
                Ok((stream, _)) => match host::peer_of(&stream) {
                    Ok(peer) => self.take(&open, stream, Some(peer)),
                    Err(_) => Self::count(&self.refused),
                },
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
            // Between two of a thousand newcomers, the turn has its chance.
            tokio::task::yield_now().await;
        }
    }

    /// Answers `/metrics` on a TCP address until dropped.
    pub async fn serve_metrics(self: Rc<Self>, listener: TcpListener) {
        let open = Open(RefCell::default(), MOST_OVER_TCP);
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.take(&open, stream, None),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
            tokio::task::yield_now().await;
        }
    }

    fn take(self: &Rc<Self>, open: &Open, stream: impl AsyncRead + AsyncWrite + Unpin + 'static, peer: Option<Peer>) {
        if open.make_room() {
            Self::count(&self.refused);
        }
        let api = Rc::clone(self);
        let task = tokio::task::spawn_local(async move {
            let service = service_fn(move |request| {
                let (api, peer) = (Rc::clone(&api), peer.clone());
                async move { Ok::<_, Infallible>(answer(&api, peer.as_ref(), request).await) }
            });
            let connection = http1::Builder::new()
                .keep_alive(false)
                // A client may say that it has asked all, and still wants its answer.
                .half_close(true)
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_BUDGET)
                .max_buf_size(MOST_HEAD)
                .max_header_size(MOST_HEAD)
                .serve_connection(TokioIo::new(stream), service);
            // However it ends, it was the client's choice.
            let _ = tokio::time::timeout(CONNECTION_BUDGET, connection).await;
        });
        open.0.borrow_mut().push_back(task.abort_handle());
    }
}
