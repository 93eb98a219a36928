//! Errands: what a connection needs and what may block for ever, on a disk, a program or a name server. They are run where that does no harm, in a
//! child of the probe helper, and come back as values. It refuses to mix the two: what may block is never async, what is async never blocks.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::look::{Look, look};
use super::plugin::{Issued, Plugin, run_program};
use crate::host::{Host, clock};

/// A mistake in the wiring, which must not pass in silence.
const MISPLACED: &str = "it was sent to the wrong place";

/// What is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Errand {
    /// The kubeconfig and the files that it names.
    Look {
        /// The one that was asked for; otherwise the usual places.
        asked: Option<PathBuf>,
    },
    /// A token.
    Token {
        /// From whom.
        plugin: Plugin,
        /// Where the metadata service answers.
        imds: Vec<SocketAddr>,
    },
    /// A name's addresses.
    Resolve {
        /// The name, or an address.
        host: String,
        /// The port.
        port: u16,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fetched {
    /// Of a look.
    Look(Look),
    /// Of a token's making.
    Token(Result<Issued, String>),
    /// Of a name's resolution.
    Resolve(Result<Vec<SocketAddr>, String>),
}

impl Errand {
    /// Whether it needs a disk, a program or a name server: then it is for [`run`], elsewhere. Otherwise it is for [`run_here`].
    pub fn may_block(&self) -> bool {
        !matches!(self, Self::Token { plugin: Plugin::Eks(_), .. })
    }

    /// What to hand back where nobody came back in time.
    pub fn stuck(&self) -> Fetched {
        let why = "it did not come back in time".to_owned();
        match self {
            Self::Look { .. } => Fetched::Look(Look::Unusable(why)),
            Self::Token { .. } => Fetched::Token(Err(why)),
            Self::Resolve { .. } => Fetched::Resolve(Err(why)),
        }
    }
}

/// Runs one that may block, for as long as the disk, the program's deadline or the name server does.
pub fn run(host: &Host, errand: &Errand) -> Fetched {
    match errand {
        Errand::Look { asked } => Fetched::Look(look(host, asked.as_deref())),
        Errand::Token { plugin: Plugin::Program { program, args, env }, .. } => {
            Fetched::Token(run_program(host, clock::wall(), program, args, env))
        }
        Errand::Token { plugin: Plugin::Eks(_), .. } => Fetched::Token(Err(MISPLACED.to_owned())),
        Errand::Resolve { host, port } => Fetched::Resolve(resolve(host, *port)),
    }
}

/// Runs one that does not block, on the runtime.
pub async fn run_here(errand: &Errand) -> Fetched {
    match errand {
        Errand::Token { plugin: Plugin::Eks(eks), imds } => Fetched::Token(eks.token(imds, clock::wall()).await),
        Errand::Token { .. } => Fetched::Token(Err(MISPLACED.to_owned())),
        Errand::Look { .. } => Fetched::Look(Look::Unusable(MISPLACED.to_owned())),
        Errand::Resolve { .. } => Fetched::Resolve(Err(MISPLACED.to_owned())),
    }
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found: Vec<_> = (host, port).to_socket_addrs().map_err(|error| format!("{host}: {error}"))?.collect();
    if found.is_empty() { Err(format!("{host} has no address")) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_no_name_server() {
        assert_eq!(resolve("127.0.0.1", 6443), Ok(vec![([127, 0, 0, 1], 6443).into()]));
        assert_eq!(resolve("fd00::1", 1).unwrap().len(), 1);
        assert!(resolve("none.invalid", 1).unwrap_err().contains("none.invalid"));
    }

    #[test]
    fn they_travel_as_json() {
        let errand = Errand::Token {
            plugin: Plugin::Program { program: "p".into(), args: vec!["a".to_owned()], env: Vec::new() },
            imds: super::super::aws::ADDRESSES.to_vec(),
        };
        let line = serde_json::to_string(&errand).unwrap();
        assert_eq!(serde_json::from_str::<Errand>(&line).unwrap(), errand);
        assert!(errand.may_block() && matches!(errand.stuck(), Fetched::Token(Err(_))));
    }
}
