//! Signals as a stream of words. It refuses to do anything within a handler: a byte on a pipe is all that happens there.

use std::fmt;
use std::pin::Pin;

use futures_core::Stream;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals as Raw;

/// What somebody wants of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// The stream; must be made and read within a runtime.
pub struct Signals(Raw);

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signals")
    }
}

impl Signals {
    /// From now on those signals come here and end nothing.
    pub fn take() -> std::io::Result<Self> {
        Raw::new([SIGTERM, SIGINT, SIGHUP]).map(Self)
    }

    /// The next one. Nothing is lost where this is dropped half-way.
    pub async fn next(&mut self) -> Signal {
        loop {
            match std::future::poll_fn(|context| Pin::new(&mut self.0).poll_next(context)).await {
                Some(SIGHUP) => return Signal::Reload,
                Some(_) => return Signal::Stop,
                // The stream never ends while we hold it; and if it did, nobody could stop us any more.
                None => std::future::pending::<()>().await,
            }
        }
    }
}
