//! Finding a kubeconfig as kubelet's, and reading what it names. It blocks on the disk: it is an errand. It refuses to fall back from a file that
//! was asked for to one that was not.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Secret;
use super::kubeconfig::{Kubeconfig, Server, Source};
use super::plugin::Plugin;
use crate::host::Host;

/// Where kubelets keep theirs; the first that is there is taken.
pub const PLACES: [&str; 5] = [
    "/var/lib/kubelet/kubeconfig",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/kubelet/kubeconfig",
    "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
    "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
];
/// More than any certificate, key or token has.
const MOST_BYTES: u64 = 1 << 20;

/// Everything that a connection needs, as it stood in the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Material {
    /// The kubeconfig.
    pub from: PathBuf,
    /// The API server.
    pub server: Server,
    /// The certificates that may vouch for it, as PEM.
    pub authority: String,
    /// Our own certificate, as PEM, and its key.
    pub certificate: Option<(String, Secret)>,
    /// A bearer token.
    pub token: Option<Secret>,
    /// What makes a token, where none is there.
    pub plugin: Option<Plugin>,
}

/// What came of looking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Look {
    /// A kubeconfig with all that it names.
    Found(Box<Material>),
    /// None: the agent works alone. A sentence says where was looked.
    None(String),
    /// There is one, and it cannot be used. A sentence says why.
    Unusable(String),
}

/// Looks where `asked` says, or else in the usual places.
pub fn look(host: &Host, asked: Option<&Path>) -> Look {
    let places: Vec<&Path> = asked.map_or_else(|| PLACES.iter().map(Path::new).collect(), |path| vec![path]);
    for place in &places {
        match host.read(place, MOST_BYTES) {
            Ok(None) => {}
            Err(error) => return Look::Unusable(error.to_string()),
            // kubelet's bootstrap leaves an empty one for a moment.
            Ok(Some(bytes)) if bytes.is_empty() => return Look::Unusable(format!("{} is empty", place.display())),
            Ok(Some(bytes)) => {
                return match gather(host, place, &bytes) {
                    Ok(material) => Look::Found(Box::new(material)),
                    Err(why) => Look::Unusable(format!("{}: {why}", place.display())),
                };
            }
        }
    }
    let names: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
    match asked {
        Some(place) => Look::Unusable(format!("{} was asked for and is not there", place.display())),
        None => Look::None(format!("no kubeconfig of a kubelet was found ({})", names.join(", "))),
    }
}

fn gather(host: &Host, place: &Path, bytes: &[u8]) -> Result<Material, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    let config = Kubeconfig::parse(text, place)?;
    let certificate = match &config.certificate {
        Some((certificate, key)) => Some((content(host, certificate)?, Secret::new(content(host, key)?))),
        None => None,
    };
    let token = match &config.token {
        Some(token) => {
            let token = content(host, token)?.trim().to_owned();
            if token.is_empty() || token.bytes().any(|byte| !byte.is_ascii_graphic()) {
                return Err("its token is empty or holds more than one word".to_owned());
            }
            Some(Secret::new(token))
        }
        None => None,
    };
    Ok(Material {
        from: place.to_owned(),
        authority: content(host, &config.authority)?,
        plugin: config.exec.map(|exec| Plugin::new(exec, place, &config.server)).transpose()?,
        server: config.server,
        certificate,
        token,
    })
}

fn content(host: &Host, source: &Source) -> Result<String, String> {
    match source {
        Source::Inline(text) => Ok(text.clone()),
        Source::File(path) => {
            let bytes = host.read(path, MOST_BYTES).map_err(|error| error.to_string())?;
            let bytes = bytes.ok_or_else(|| format!("it names {}, which is not there", path.display()))?;
            String::from_utf8(bytes).map_err(|_| format!("{} is not text", path.display()))
        }
    }
}
