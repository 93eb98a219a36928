//! EKS: the token that `aws eks get-token` and `aws-iam-authenticator token` print, made here from the machine's role. It refuses what those programs
//! would do otherwise than with the role from the metadata service (profiles, assumed roles, other credentials): then they are run themselves.
//!
//! The token is the text of a presigned request to STS, GetCallerIdentity, that names the cluster in a signed header. It is never sent to STS from here.

mod imds;
mod presign;

pub use imds::{ADDRESSES, Role};
pub use presign::{Presign, presign};

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::Secret;
use super::plugin::Issued;
use crate::model::time::Wall;

/// The server takes a token for 15 minutes from its signature; a minute is left for clocks that differ.
const LIFE_MS: i64 = 14 * 60 * 1000;
/// As both programs have it; the server looks at the time of the signature instead.
const EXPIRES_S: u64 = 60;

/// What such a program is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eks {
    /// The cluster's name.
    pub cluster: String,
    /// The region, where it is given; otherwise the machine's own.
    pub region: Option<String>,
}

impl Eks {
    /// From a program's command line; none where it is another program, or is told something that we do not do.
    pub fn of<'a>(command: &str, args: &[String], env: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let name = command.rsplit('/').next()?;
        let mut region = None;
        for (word, value) in env {
            match word {
                "AWS_REGION" | "AWS_DEFAULT_REGION" => region = region.or(Some(value.to_owned())),
                "AWS_STS_REGIONAL_ENDPOINTS" if value == "regional" => {}
                _ if word.starts_with("AWS_") => return None,
                _ => {}
            }
        }
        let mut cluster = None;
        let mut words = Vec::new();
        let mut rest = args.iter().map(String::as_str);
        while let Some(arg) = rest.next() {
            if !arg.starts_with('-') {
                words.push(arg);
                continue;
            }
            let (option, value) = match arg.split_once('=') {
                Some((option, value)) => (option, value),
                None => (arg, rest.next()?),
            };
            match (name, option) {
                ("aws", "--cluster-name") | ("aws-iam-authenticator", "-i" | "--cluster-id") => {
                    cluster = Some(value.to_owned())
                }
                (_, "--region") => region = Some(value.to_owned()),
                ("aws", "--output") if value == "json" => {}
                _ => return None,
            }
        }
        match (name, &words[..]) {
            ("aws", ["eks", "get-token"]) | ("aws-iam-authenticator", ["token"]) => {}
            _ => return None,
        }
        Some(Self { cluster: cluster?, region })
    }

    /// The token, from the metadata service at the first of `addresses` that answers.
    pub async fn token(&self, addresses: &[SocketAddr], now: Wall) -> Result<Issued, String> {
        let role = imds::role(addresses, self.region.as_deref()).await?;
        self.token_of(&role, now)
    }

    /// The token of a role that is known.
    pub fn token_of(&self, role: &Role, now: Wall) -> Result<Issued, String> {
        if role.ends <= now {
            return Err(format!("the role's credentials ended at {}", role.ends));
        }
        let url = presign(&Presign {
            url: format!("https://sts.{}.{}/?Action=GetCallerIdentity&Version=2011-06-15", role.region, role.domain),
            headers: &[("x-k8s-aws-id", &self.cluster)],
            key: &role.key,
            secret: &role.secret,
            session: role.session.as_ref(),
            region: &role.region,
            service: "sts",
            at: now,
            expires_s: EXPIRES_S,
        })?;
        Ok(Issued {
            token: Some(Secret::new(format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url)))),
            certificate: None,
            made: now,
            ends: Wall(now.0.saturating_add(LIFE_MS).min(role.ends.0)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str, env: &[(&str, &str)]) -> Option<Eks> {
        let mut words = line.split(' ').map(str::to_owned);
        let command = words.next().unwrap();
        Eks::of(&command, &words.collect::<Vec<_>>(), env.iter().copied())
    }

    #[test]
    fn the_programs_of_eks_images_are_known() {
        let region = |region: &str| Some(region.to_owned());
        for (line, env, expected) in [
            ("aws eks get-token --cluster-name c --region eu-west-1", &[][..], region("eu-west-1")),
            ("aws --region eu-west-1 eks get-token --cluster-name=c --output json", &[], region("eu-west-1")),
            ("/usr/bin/aws-iam-authenticator token -i c --region us-east-2", &[], region("us-east-2")),
            ("aws-iam-authenticator token --cluster-id c", &[("AWS_REGION", "cn-north-1")], region("cn-north-1")),
            ("aws eks get-token --cluster-name c", &[("AWS_STS_REGIONAL_ENDPOINTS", "regional"), ("PATH", "x")], None),
        ] {
            assert_eq!(of(line, env), Some(Eks { cluster: "c".to_owned(), region: expected }), "{line}");
        }
    }

    #[test]
    fn anything_else_is_left_to_the_program() {
        for (line, env) in [
            ("aws eks get-token --cluster-name c --role-arn arn:x", &[][..]),
            ("aws eks get-token --cluster-name c --profile p", &[]),
            ("aws eks get-token", &[]),
            ("aws eks get-token --cluster-name", &[]),
            ("aws sts get-caller-identity --cluster-name c", &[]),
            ("aws-iam-authenticator token -i c -r arn:x", &[]),
            ("aws eks get-token --cluster-name c", &[("AWS_PROFILE", "p")]),
            ("aws eks get-token --cluster-name c", &[("AWS_STS_REGIONAL_ENDPOINTS", "legacy")]),
            ("gke-gcloud-auth-plugin", &[]),
        ] {
            assert_eq!(of(line, env), None, "{line}");
        }
    }
}
