//! Credential plugins: what they are to be run with, and what they print. Running one is an errand. It refuses interactive ones, and those for EKS
//! are not run at all where the same token can be made here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Secret;
use super::aws::Eks;
use super::kubeconfig::{Exec, Server};
use crate::host::{Host, run_with};
use crate::model::time::Wall;

/// `aws` needs a second or two, and ten on a busy disk.
const DEADLINE: Duration = Duration::from_secs(30);
/// Where a plugin gives no end, it is asked again after this.
const UNKNOWN_LIFE_MS: i64 = 10 * 60 * 1000;

/// What makes a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plugin {
    /// The token that `aws eks get-token` would print, made here.
    Eks(Eks),
    /// A program.
    Program {
        /// An absolute path, or a name to be looked for.
        program: PathBuf,
        /// Its arguments.
        args: Vec<String>,
        /// Words for its environment.
        env: Vec<(String, Secret)>,
    },
}

/// A token and its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The token.
    pub token: Option<Secret>,
    /// Or a certificate and its key.
    pub certificate: Option<(String, Secret)>,
    /// When it was made.
    pub made: Wall,
    /// When it ends.
    pub ends: Wall,
}

#[derive(Deserialize)]
struct Printed {
    status: Option<PrintedStatus>,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrintedStatus {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Plugin {
    pub(super) fn new(exec: Exec, kubeconfig: &Path, server: &Server) -> Result<Self, String> {
        if !exec.api_version.starts_with("client.authentication.k8s.io/v1") {
            return Err(format!("its plugin speaks {}, which is not supported", exec.api_version));
        }
        if exec.interactive_mode.as_deref() == Some("Always") {
            return Err("its plugin wants to talk to a person".to_owned());
        }
        let args = exec.args.unwrap_or_default();
        let words = exec.env.unwrap_or_default();
        if let Some(eks) =
            Eks::of(&exec.command, &args, words.iter().map(|word| (word.name.as_str(), word.value.as_str())))
        {
            return Ok(Self::Eks(eks));
        }
        // As in client-go: a path with a slash starts beside the kubeconfig, a bare name is looked for.
        let program = if exec.command.contains('/') {
            kubeconfig.parent().unwrap_or(Path::new("/")).join(&exec.command)
        } else {
            PathBuf::from(&exec.command)
        };
        let mut spec = serde_json::json!({"interactive": false});
        if exec.provide_cluster_info {
            spec["cluster"] = serde_json::json!({"server": server.url, "tls-server-name": server.tls_name});
        }
        let info = serde_json::json!({"apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec});
        let mut env: Vec<_> = words.into_iter().map(|word| (word.name, Secret::new(word.value))).collect();
        env.push(("KUBERNETES_EXEC_INFO".to_owned(), Secret::new(info.to_string())));
        Ok(Self::Program { program, args, env })
    }
}

/// Runs a program and reads what it prints.
pub(super) fn run_program(
    host: &Host,
    now: Wall,
    program: &Path,
    args: &[String],
    env: &[(String, Secret)],
) -> Result<Issued, String> {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut words = vec![("HOME", "/root")];
    words.extend(env.iter().map(|(name, value)| (name.as_str(), value.reveal())));
    let (finished, more) = run_with(host, program, &args, &words, DEADLINE).map_err(|error| error.to_string())?;
    let name = program.display();
    if finished.code != Some(0) {
        return Err(match finished.code {
            Some(code) => format!("{name} ended with {code}"),
            None => format!("{name} was ended by a signal"),
        });
    }
    if more {
        return Err(format!("{name} printed more than any credential has"));
    }
    read_printed(&finished.output, now).map_err(|why| format!("{name}: {why}"))
}

fn read_printed(text: &str, now: Wall) -> Result<Issued, String> {
    // What it printed may hold a secret: none of it is quoted.
    let printed: Printed = serde_json::from_str(text).map_err(|_| "it printed no ExecCredential".to_owned())?;
    let status = printed.status.ok_or("it printed no status")?;
    let token = status.token.filter(|token| !token.is_empty());
    if token.as_ref().is_some_and(|token| token.bytes().any(|byte| !byte.is_ascii_graphic())) {
        return Err("its token is no single word".to_owned());
    }
    let certificate = status.client_certificate_data.zip(status.client_key_data);
    if token.is_none() && certificate.is_none() {
        return Err("it printed neither a token nor a certificate".to_owned());
    }
    let ends = match status.expiration_timestamp {
        Some(text) => {
            let time: jiff::Timestamp = text.parse().map_err(|_| "its expirationTimestamp is no time".to_owned())?;
            Wall(time.as_millisecond())
        }
        None => Wall(now.0.saturating_add(UNKNOWN_LIFE_MS)),
    };
    if ends <= now {
        return Err(format!("what it printed ended at {ends}"));
    }
    Ok(Issued {
        token: token.map(Secret::new),
        certificate: certificate.map(|(certificate, key)| (certificate, Secret::new(key))),
        made: now,
        ends,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall(1_700_000_000_000);

    #[test]
    fn a_credential_is_read() {
        let text = r#"{"kind":"ExecCredential","status":{"token":"abc","expirationTimestamp":"2023-11-14T22:27:20Z"}}"#;
        let issued = read_printed(text, NOW).unwrap();
        assert_eq!((issued.token.unwrap().reveal(), issued.ends.0 - NOW.0), ("abc", 14 * 60 * 1000));
    }

    #[test]
    fn nonsense_is_named_and_not_quoted() {
        for (text, word) in [
            ("", "no ExecCredential"),
            ("token abc", "no ExecCredential"),
            ("{}", "no status"),
            (r#"{"status":{}}"#, "neither"),
            (r#"{"status":{"token":""}}"#, "neither"),
            (r#"{"status":{"token":"a\r\nX-Evil: 1"}}"#, "single word"),
            (r#"{"status":{"token":"abc","expirationTimestamp":"soon"}}"#, "no time"),
            (r#"{"status":{"token":"abc","expirationTimestamp":"2020-01-01T00:00:00Z"}}"#, "ended at"),
        ] {
            let why = read_printed(text, NOW).unwrap_err();
            assert!(why.contains(word) && !why.contains("abc"), "{text}: {why}");
        }
    }

    #[test]
    fn programs_are_bounded() {
        let host = Host::new(Path::new("/")).unwrap();
        let sh = |script: &str| {
            let args = ["-c".to_owned(), script.to_owned()];
            let env = [("WORD".to_owned(), Secret::new("abc"))];
            run_program(&host, NOW, Path::new("sh"), &args, &env)
        };
        let good = sh(r#"printf '{"status":{"token":"%s"}}' "$WORD""#).unwrap();
        assert_eq!((good.token.unwrap().reveal(), good.ends.0 - NOW.0), ("abc", UNKNOWN_LIFE_MS));
        assert!(sh("exit 3").unwrap_err().contains("ended with 3"));
        assert!(sh("head -c 100000 /dev/zero").unwrap_err().contains("more than"));
        assert!(sh("kill -9 $$").unwrap_err().contains("signal"));
        assert!(run_program(&host, NOW, Path::new("/none/such"), &[], &[]).unwrap_err().contains("/none/such"));
    }
}
