//! What is known of the connection, and what is to be fetched when. Pure: values in, values out. It refuses to forget: where a new look fails, the
//! last good one stands, until its own end.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Serialize;

use super::Secret;
use super::aws::ADDRESSES;
use super::errand::{Errand, Fetched};
use super::look::{Look, Material};
use super::plugin::{Issued, Plugin};
use crate::model::time::Mono;

/// While there is none, so that a node that joins is seen; doubled up to the usual time between two looks.
const LOOK_AGAIN_MS: u64 = 10_000;
/// A managed API server's addresses change behind its name.
const RESOLVE_MS: u64 = 60_000;
/// After a failure, doubled up to a minute; and the least between two hurried ones.
const AGAIN_MS: u64 = 5_000;

/// One kind of errand.
#[derive(Debug, Clone, Default)]
struct Task {
    due: Mono,
    out: bool,
    failures: u32,
    last: Option<Mono>,
}

impl Task {
    fn take(&mut self, now: Mono) -> bool {
        let due = !self.out && self.due <= now;
        if due {
            (self.out, self.last) = (true, Some(now));
        }
        due
    }

    fn back(&mut self, now: Mono, again_ms: Option<u64>) {
        self.out = false;
        self.failures = if again_ms.is_some() { 0 } else { self.failures.saturating_add(1) };
        let wait = again_ms.unwrap_or_else(|| (AGAIN_MS << (self.failures - 1).min(4)).min(60_000));
        self.due = now.plus_ms(wait);
    }

    fn hurry(&mut self) {
        let soonest = self.last.map_or(Mono(0), |last| last.plus_ms(AGAIN_MS));
        self.due = self.due.min(soonest);
    }
}

/// How the connection stands, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum Standing {
    /// There is no cluster for us.
    LocalOnly {
        /// Where was looked.
        why: String,
    },
    /// Something is missing still.
    Waiting {
        /// What.
        why: String,
    },
    /// It can be asked.
    #[serde(rename_all = "camelCase")]
    Known {
        /// The kubeconfig.
        kubeconfig: PathBuf,
        /// The API server.
        server: String,
        /// A certificate, a token in the file, a plugin's token.
        credential: &'static str,
        /// What went wrong since; the last good is used.
        trouble: Vec<String>,
    },
}

/// See the head of this file.
#[derive(Debug)]
pub struct Keeper {
    asked: Option<PathBuf>,
    look_ms: u64,
    imds: Vec<SocketAddr>,
    material: Option<Material>,
    issued: Option<(Issued, Mono)>,
    addresses: Vec<SocketAddr>,
    nothing: Option<String>,
    trouble: [Option<String>; 3],
    /// Looks in a row that found none.
    missed: u32,
    look: Task,
    token: Task,
    resolve: Task,
}

/// What a connection is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) material: Material,
    pub(super) certificate: Option<(String, Secret)>,
    pub(super) bearer: Option<Secret>,
    pub(super) addresses: Vec<SocketAddr>,
}

impl Keeper {
    /// Knows nothing yet. `asked` is the kubeconfig that was asked for; files are looked at every `look_ms`.
    pub fn new(asked: Option<PathBuf>, look_ms: u64) -> Self {
        Self {
            asked,
            look_ms,
            imds: ADDRESSES.to_vec(),
            material: None,
            issued: None,
            addresses: Vec::new(),
            nothing: None,
            trouble: [None, None, None],
            missed: 0,
            look: Task::default(),
            token: Task::default(),
            resolve: Task::default(),
        }
    }

    /// The same with a metadata service elsewhere.
    #[must_use]
    pub fn with_imds(mut self, imds: Vec<SocketAddr>) -> Self {
        self.imds = imds;
        self
    }

    /// What is to be fetched now; each is asked for once until it comes back.
    pub fn due(&mut self, now: Mono) -> Vec<Errand> {
        let mut errands = Vec::new();
        if self.look.take(now) {
            errands.push(Errand::Look { asked: self.asked.clone() });
        }
        let Some(material) = &self.material else { return errands };
        if let Some(plugin) = material.plugin.clone().filter(|_| self.token.take(now)) {
            errands.push(Errand::Token { plugin, imds: self.imds.clone() });
        }
        if let Some((host, port)) = self.named()
            && self.resolve.take(now)
        {
            errands.push(Errand::Resolve { host, port });
        }
        errands
    }

    /// The server's name, where it is not an address.
    fn named(&self) -> Option<(String, u16)> {
        let server = &self.material.as_ref()?.server;
        server.host.parse::<IpAddr>().is_err().then(|| (server.host.clone(), server.port))
    }

    /// When there is something to fetch next; never earlier than now.
    pub fn next(&self, now: Mono) -> Mono {
        let tasks = [
            Some(&self.look),
            Some(&self.token).filter(|_| self.material.as_ref().is_some_and(|material| material.plugin.is_some())),
            Some(&self.resolve).filter(|_| self.named().is_some()),
        ];
        let soonest = tasks.into_iter().flatten().filter(|task| !task.out).map(|task| task.due).min();
        soonest.unwrap_or(now.plus_ms(AGAIN_MS)).max(now)
    }

    /// Takes what an errand brought.
    pub fn learn(&mut self, now: Mono, fetched: Fetched) {
        match fetched {
            Fetched::Look(Look::Found(found)) => {
                self.look.back(now, Some(self.look_ms));
                self.missed = 0;
                (self.nothing, self.trouble[0]) = (None, None);
                let before = self.material.as_ref();
                if before.is_none_or(|before| before.plugin != found.plugin) {
                    (self.issued, self.token.due) = (None, now);
                }
                if before.is_none_or(|before| before.server != found.server) {
                    self.addresses = found
                        .server
                        .host
                        .parse::<IpAddr>()
                        .map_or_else(|_| Vec::new(), |ip| vec![SocketAddr::new(ip, found.server.port)]);
                    self.resolve.due = now;
                }
                self.material = Some(*found);
            }
            Fetched::Look(Look::None(why)) => {
                let again = (LOOK_AGAIN_MS << self.missed.min(8)).min(self.look_ms.max(LOOK_AGAIN_MS));
                self.missed = self.missed.saturating_add(1);
                self.look.back(now, Some(again));
                self.trouble[0] = self.material.as_ref().map(|_| why.clone());
                self.nothing = Some(why);
            }
            Fetched::Look(Look::Unusable(why)) => {
                self.look.back(now, Some(LOOK_AGAIN_MS));
                (self.nothing, self.trouble[0]) = (None, Some(why));
            }
            Fetched::Token(Ok(issued)) => {
                let life = u64::try_from(issued.ends.0.saturating_sub(issued.made.0)).unwrap_or(0);
                self.token.back(now, Some((life / 2).max(AGAIN_MS)));
                self.trouble[1] = None;
                self.issued = Some((issued, now.plus_ms(life)));
            }
            Fetched::Token(Err(why)) => {
                self.token.back(now, None);
                self.trouble[1] = Some(why);
            }
            Fetched::Resolve(Ok(mut addresses)) => {
                self.resolve.back(now, Some(RESOLVE_MS));
                self.trouble[2] = None;
                // Name servers turn the order round; that is no change.
                addresses.sort_unstable();
                addresses.dedup();
                self.addresses = addresses;
            }
            Fetched::Resolve(Err(why)) => {
                self.resolve.back(now, None);
                self.trouble[2] = Some(why);
            }
        }
    }

    /// The server does not accept what we have: everything is looked at again, soon.
    pub fn distrust(&mut self) {
        self.look.hurry();
        self.token.hurry();
    }

    /// Nobody answers: perhaps it has moved.
    pub fn unreachable(&mut self) {
        self.resolve.hurry();
    }

    /// How it stands.
    pub fn standing(&self, now: Mono) -> Standing {
        let trouble: Vec<String> = self.trouble.iter().flatten().cloned().collect();
        match (&self.material, self.credentials(now)) {
            (Some(material), Ok(_)) => Standing::Known {
                kubeconfig: material.from.clone(),
                server: material.server.url.clone(),
                credential: match (&material.certificate, &material.token, &material.plugin) {
                    (Some(_), ..) => "client certificate",
                    (_, _, Some(Plugin::Eks(_))) => "token for EKS, made here",
                    (_, _, Some(Plugin::Program { .. })) => "token of a plugin",
                    (_, Some(_), _) => "token",
                    (None, None, None) => "none",
                },
                trouble,
            },
            (_, Err(why)) if !trouble.is_empty() => Standing::Waiting { why: format!("{why}: {}", trouble.join("; ")) },
            (Some(_), Err(why)) => Standing::Waiting { why },
            (None, _) => match &self.nothing {
                Some(why) => Standing::LocalOnly { why: why.clone() },
                None => Standing::Waiting { why: "the kubeconfig has not been looked for yet".to_owned() },
            },
        }
    }

    /// What to connect with, or what is missing.
    pub(super) fn credentials(&self, now: Mono) -> Result<Credentials, String> {
        let material = self.material.as_ref().ok_or("there is no kubeconfig")?;
        let issued = self.issued.as_ref().filter(|(_, ends)| *ends > now).map(|(issued, _)| issued);
        // As in client-go: what a plugin gives does not replace a token that stands in the file.
        let bearer = material.token.clone().or_else(|| issued.and_then(|issued| issued.token.clone()));
        let certificate = material.certificate.clone().or_else(|| issued.and_then(|issued| issued.certificate.clone()));
        if bearer.is_none() && certificate.is_none() {
            return Err("there is no token yet".to_owned());
        }
        if self.addresses.is_empty() {
            return Err(format!("{} has no address yet", material.server.host));
        }
        Ok(Credentials { material: material.clone(), certificate, bearer, addresses: self.addresses.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::kubeconfig::Server;
    use super::*;
    use crate::model::time::Wall;

    const LOOK_MS: u64 = 60_000;

    fn material(host: &str, token: Option<&str>, plugin: bool) -> Material {
        Material {
            from: "/k".into(),
            server: Server { url: format!("https://{host}"), host: host.to_owned(), port: 443, tls_name: None },
            authority: String::new(),
            certificate: None,
            token: token.map(Secret::new),
            plugin: plugin.then(|| Plugin::Program { program: "p".into(), args: Vec::new(), env: Vec::new() }),
        }
    }

    fn found(material: Material) -> Fetched {
        Fetched::Look(Look::Found(Box::new(material)))
    }

    fn token(text: &str, life_ms: i64) -> Fetched {
        let token = Some(Secret::new(text));
        Fetched::Token(Ok(Issued { token, certificate: None, made: Wall(5), ends: Wall(5 + life_ms) }))
    }

    #[test]
    fn an_address_needs_one_look_and_no_more() {
        let mut keeper = Keeper::new(None, LOOK_MS);
        assert_eq!(keeper.due(Mono(0)), [Errand::Look { asked: None }]);
        assert_eq!(keeper.due(Mono(0)), []);
        keeper.learn(Mono(1), found(material("10.0.0.1", Some("t"), false)));
        assert_eq!(keeper.due(Mono(2)), []);
        assert!(keeper.credentials(Mono(2)).is_ok());
        assert_eq!(keeper.next(Mono(2)), Mono(1 + LOOK_MS));
        assert_eq!(keeper.due(Mono(1 + LOOK_MS)).len(), 1);
    }

    #[test]
    fn a_plugins_token_is_renewed_at_half_its_life_and_dropped_at_its_end() {
        let mut keeper = Keeper::new(None, LOOK_MS);
        keeper.due(Mono(0));
        keeper.learn(Mono(0), found(material("a.example", None, true)));
        let errands = keeper.due(Mono(0));
        assert!(matches!(&errands[..], [Errand::Token { .. }, Errand::Resolve { port: 443, .. }]), "{errands:?}");
        keeper.learn(Mono(10), token("one", 600_000));
        assert!(keeper.credentials(Mono(10)).unwrap_err().contains("a.example"));
        keeper.learn(Mono(10), Fetched::Resolve(Ok(vec![([10, 0, 0, 1], 443).into()])));
        assert!(keeper.credentials(Mono(10)).is_ok());
        let tokens =
            |errands: Vec<Errand>| errands.iter().filter(|errand| matches!(errand, Errand::Token { .. })).count();
        assert_eq!(tokens(keeper.due(Mono(300_009))), 0);
        assert_eq!(tokens(keeper.due(Mono(300_010))), 1);
        keeper.learn(Mono(300_020), Fetched::Token(Err("it is not there".to_owned())));
        // The last good one stands until its own end.
        assert!(keeper.credentials(Mono(600_009)).is_ok());
        assert!(
            matches!(keeper.standing(Mono(600_009)), Standing::Known { trouble, .. } if trouble == ["it is not there"])
        );
        assert!(keeper.credentials(Mono(600_010)).is_err());
        assert!(matches!(keeper.standing(Mono(600_010)), Standing::Waiting { why } if why.contains("it is not there")));
    }

    #[test]
    fn failures_are_retried_further_and_further_apart() {
        let mut keeper = Keeper::new(None, LOOK_MS);
        keeper.due(Mono(0));
        keeper.learn(Mono(0), found(material("10.0.0.1", None, true)));
        let (mut now, mut gaps) = (Mono(0), Vec::new());
        for _ in 0..6 {
            assert!(keeper.due(now).iter().any(|errand| matches!(errand, Errand::Token { .. })), "{now:?}");
            keeper.learn(now, Fetched::Token(Err("no".to_owned())));
            let next = keeper.token.due;
            gaps.push(next.since_ms(now));
            now = next;
        }
        assert_eq!(gaps, [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
    }

    #[test]
    fn distrust_hurries_but_not_without_end() {
        let mut keeper = Keeper::new(None, LOOK_MS);
        keeper.due(Mono(100_000));
        keeper.learn(Mono(100_000), found(material("10.0.0.1", Some("t"), false)));
        keeper.distrust();
        assert_eq!(keeper.due(Mono(104_999)), []);
        assert_eq!(keeper.due(Mono(105_000)).len(), 1);
    }

    #[test]
    fn nothing_there_is_local_only_and_the_last_good_is_kept() {
        let mut keeper = Keeper::new(None, LOOK_MS);
        keeper.due(Mono(0));
        keeper.learn(Mono(0), Fetched::Look(Look::None("looked".to_owned())));
        assert_eq!(keeper.standing(Mono(0)), Standing::LocalOnly { why: "looked".to_owned() });
        assert_eq!(keeper.due(Mono(LOOK_AGAIN_MS)).len(), 1);
        keeper.learn(Mono(LOOK_AGAIN_MS), found(material("10.0.0.1", Some("t"), false)));
        let later = Mono(LOOK_AGAIN_MS + LOOK_MS);
        keeper.due(later);
        keeper.learn(later, Fetched::Look(Look::Unusable("half written".to_owned())));
        assert!(keeper.credentials(later).is_ok());
        assert!(matches!(keeper.standing(later), Standing::Known { trouble, .. } if trouble == ["half written"]));
    }
}
