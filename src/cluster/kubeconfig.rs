//! A kubeconfig, as far as a node's has words. Pure. It refuses what would make an acting agent less sure of its server than kubelet is
//! (no authority, `insecure-skip-tls-verify`, plain http), and logins that no node has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Where the API server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The address as it was written, without a slash at its end.
    pub url: String,
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The name that its certificate must carry, where it is not the host.
    pub tls_name: Option<String>,
}

/// Something that stands in the file itself or in another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The text itself.
    Inline(String),
    /// A file that holds it, and that may change.
    File(PathBuf),
}

/// What the chosen context says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubeconfig {
    /// Where.
    pub server: Server,
    /// Who may vouch for the server.
    pub authority: Source,
    /// Certificate and key.
    pub certificate: Option<(Source, Source)>,
    /// A bearer token.
    pub token: Option<Source>,
    /// A program that prints a token.
    pub exec: Option<Exec>,
}

/// `exec`, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exec {
    /// `client.authentication.k8s.io/v1` or `v1beta1`.
    pub api_version: String,
    /// The program.
    pub command: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Option<Vec<String>>,
    /// Words for its environment.
    #[serde(default)]
    pub env: Option<Vec<ExecEnv>>,
    /// Whether it wants to be told about the cluster.
    #[serde(default)]
    pub provide_cluster_info: bool,
    /// `Never`, `IfAvailable`, `Always`.
    #[serde(default)]
    pub interactive_mode: Option<String>,
}

/// One word of a program's environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ExecEnv {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default, rename = "current-context")]
    current: Option<String>,
    #[serde(default)]
    clusters: Option<Vec<NamedCluster>>,
    #[serde(default)]
    users: Option<Vec<NamedUser>>,
    #[serde(default)]
    contexts: Option<Vec<NamedContext>>,
}
#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: RawCluster,
}
#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: Option<RawUser>,
}
#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: RawContext,
}
#[derive(Deserialize)]
struct RawContext {
    cluster: String,
    user: String,
}
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawCluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct RawUser {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    exec: Option<Exec>,
    #[serde(rename = "as")]
    impersonate: Option<String>,
    username: Option<String>,
    #[serde(rename = "auth-provider")]
    auth_provider: Option<BTreeMap<String, yaml_serde::Value>>,
}

impl Kubeconfig {
    /// Reads `text`, which stood in `file`: relative paths start beside it.
    pub fn parse(text: &str, file: &Path) -> Result<Self, String> {
        let raw: Raw = yaml_serde::from_str(text).map_err(|error| format!("it is no kubeconfig: {error}"))?;
        let beside = file.parent().unwrap_or(Path::new("/"));
        let (clusters, users) = (raw.clusters.unwrap_or_default(), raw.users.unwrap_or_default());
        let context = match raw.current.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => Some(
                raw.contexts
                    .unwrap_or_default()
                    .into_iter()
                    .find(|context| context.name == name)
                    .ok_or_else(|| format!("current-context {name:?} is not among its contexts"))?
                    .context,
            ),
            None if clusters.len() == 1 && users.len() == 1 => None,
            None => return Err("it names no current-context, and not exactly one cluster and user".to_owned()),
        };
        let cluster = clusters
            .into_iter()
            .find(|one| context.as_ref().is_none_or(|context| context.cluster == one.name))
            .ok_or("its context names a cluster that it does not have")?
            .cluster;
        let user = users
            .into_iter()
            .find(|one| context.as_ref().is_none_or(|context| context.user == one.name))
            .ok_or("its context names a user that it does not have")?
            .user
            .unwrap_or_default();
        if cluster.insecure_skip_tls_verify {
            return Err(
                "insecure-skip-tls-verify is set: a server that is not verified is not obeyed (give its CA instead)"
                    .to_owned(),
            );
        }
        if cluster.proxy_url.is_some() {
            return Err("proxy-url is not supported".to_owned());
        }
        for (there, what) in [
            (user.username.is_some(), "username and password"),
            (user.auth_provider.is_some(), "auth-provider"),
            (user.impersonate.is_some(), "impersonation"),
        ] {
            if there {
                return Err(format!("{what}: no node logs in like this"));
            }
        }
        let authority = source(cluster.certificate_authority_data, cluster.certificate_authority, beside, true)?
            .ok_or("it names no certificate authority for its server")?;
        let certificate = source(user.client_certificate_data, user.client_certificate, beside, true)?;
        let key = source(user.client_key_data, user.client_key, beside, true)?;
        let certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            // kubelet's own rotated file holds both.
            (Some(Source::File(file)), None) => Some((Source::File(file.clone()), Source::File(file))),
            (None, None) => None,
            _ => return Err("it has a client certificate without a key, or a key without a certificate".to_owned()),
        };
        // As in client-go, the file has the last word, since it is the one that changes.
        let token = match user.token_file {
            Some(file) => Some(Source::File(beside.join(file))),
            None => source(user.token, None, beside, false)?,
        };
        if certificate.is_none() && token.is_none() && user.exec.is_none() {
            return Err("its user has neither a certificate, a token nor a plugin".to_owned());
        }
        Ok(Self {
            server: server(&cluster.server, cluster.tls_server_name)?,
            authority,
            certificate,
            token,
            exec: user.exec,
        })
    }

    /// The files that it names.
    pub fn files(&self) -> Vec<&Path> {
        let pair = self.certificate.iter().flat_map(|(certificate, key)| [certificate, key]);
        let all = std::iter::once(&self.authority).chain(pair).chain(&self.token);
        all.filter_map(|source| match source {
            Source::File(path) => Some(path.as_path()),
            Source::Inline(_) => None,
        })
        .collect()
    }
}

fn source(data: Option<String>, file: Option<PathBuf>, beside: &Path, encoded: bool) -> Result<Option<Source>, String> {
    match (data.filter(|data| !data.is_empty()), file.filter(|file| !file.as_os_str().is_empty())) {
        (Some(data), _) if encoded => {
            let bytes = STANDARD.decode(data.trim()).map_err(|error| format!("data that is no base64: {error}"))?;
            Ok(Some(Source::Inline(String::from_utf8(bytes).map_err(|_| "data that is no PEM".to_owned())?)))
        }
        (Some(data), _) => Ok(Some(Source::Inline(data.trim().to_owned()))),
        (None, Some(file)) => Ok(Some(Source::File(beside.join(file)))),
        (None, None) => Ok(None),
    }
}

fn server(url: &str, tls_name: Option<String>) -> Result<Server, String> {
    let url = url.trim_end_matches('/');
    let uri: http::Uri = url.parse().map_err(|error| format!("server {url:?}: {error}"))?;
    if uri.scheme_str() != Some("https") {
        return Err(format!("server {url:?} is not https"));
    }
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    if host.is_empty() {
        return Err(format!("server {url:?} names no host"));
    }
    Ok(Server { url: url.to_owned(), host, port: uri.port_u16().unwrap_or(443), tls_name })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "/var/lib/kubelet/kubeconfig";

    fn parse(cluster: &str, user: &str) -> Result<Kubeconfig, String> {
        let text = format!(
            "current-context: c\nclusters: [{{name: k, cluster: {{{cluster}}}}}]\nusers: [{{name: other, user: {{token: no}}}}, {{name: u, user: {{{user}}}}}]\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]"
        );
        Kubeconfig::parse(&text, Path::new(AT))
    }

    const CLUSTER: &str = "server: 'https://[fd00::1]:6443/', certificate-authority: pki/ca.crt";

    #[test]
    fn a_kubelets_own_is_read() {
        let read = parse(CLUSTER, "client-certificate: /pki/current.pem, client-key: /pki/current.pem").unwrap();
        assert_eq!((read.server.host.as_str(), read.server.port), ("fd00::1", 6443));
        assert_eq!(read.server.url, "https://[fd00::1]:6443");
        let files: Vec<_> = read.files().iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(files, ["/var/lib/kubelet/pki/ca.crt", "/pki/current.pem", "/pki/current.pem"]);
    }

    #[test]
    fn a_token_file_wins_over_a_token() {
        let read = parse(CLUSTER, "token: old, tokenFile: token").unwrap();
        assert_eq!(read.token, Some(Source::File("/var/lib/kubelet/token".into())));
    }

    #[test]
    fn eks_is_read() {
        let read = parse(
            "server: https://X.gr7.eu-west-1.eks.amazonaws.com, certificate-authority-data: aGVsbG8=",
            "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: aws, args: [eks, get-token, --cluster-name, c], env: null}",
        )
        .unwrap();
        assert_eq!(read.authority, Source::Inline("hello".to_owned()));
        assert_eq!((read.server.port, read.exec.unwrap().command.as_str()), (443, "aws"));
    }

    #[test]
    fn what_is_refused_is_said() {
        let token = "token: t";
        for (cluster, user, word) in [
            ("server: 'http://a:1', certificate-authority: c", token, "https"),
            ("server: 'https://a:1'", token, "authority"),
            ("server: 'https://a:1', insecure-skip-tls-verify: true", token, "insecure"),
            ("server: 'https://a:1', certificate-authority: c, proxy-url: 'http://p'", token, "proxy-url"),
            (CLUSTER, "", "neither"),
            (CLUSTER, "client-certificate-data: aGVsbG8=", "without a key"),
            (CLUSTER, "username: a, password: b", "password"),
            (CLUSTER, "auth-provider: {name: oidc}", "auth-provider"),
            ("server: 'https://a:1', certificate-authority-data: '*'", token, "base64"),
        ] {
            let why = parse(cluster, user).unwrap_err();
            assert!(why.contains(word), "{cluster} / {user}: {why}");
        }
        for text in ["", "[]", "\u{0}", "current-context: x", "a: [", "clusters: []\nusers: []"] {
            Kubeconfig::parse(text, Path::new(AT)).unwrap_err();
        }
    }

    #[test]
    fn one_cluster_and_one_user_need_no_context() {
        let text = "clusters: [{name: a, cluster: {server: 'https://a', certificate-authority: c}}]\nusers: [{name: b, user: {token: t}}]";
        assert!(Kubeconfig::parse(text, Path::new(AT)).is_ok());
    }
}
