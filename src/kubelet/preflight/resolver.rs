//! The resolver's file that kubelet hands on to pods. It refuses to ask a name server: what the file says is all that is judged.

use super::Rule;
use super::case::{Case, Report};
use crate::model::Weight;

/// What pods get from the cluster besides: `NAMESPACE.svc.DOMAIN`, `svc.DOMAIN` and `DOMAIN`.
const SEARCHES_OF_PODS: usize = 3;
/// kubelet keeps as many name servers as the C library looks at.
const NAMESERVERS: usize = 3;
/// kubelet keeps so many search domains (validation of PodDNSConfig, `MaxDNSSearchPaths`)...
const SEARCHES: usize = 32;
/// ...of so many characters in all (`MaxDNSSearchListChars`).
const SEARCH_CHARS: usize = 2048;
/// Packets a second to the link-local DNS server of a network interface on EC2.
const LINK_LOCAL_PACKETS: usize = 1024;

/// What resolv.conf(5) says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// Addresses.
    pub nameservers: Vec<String>,
    /// Domains of the last `search` or `domain`.
    pub searches: Vec<String>,
    /// `ndots`: a name with fewer dots is tried with every search domain first.
    pub ndots: usize,
    /// `timeout`: seconds that a name server has to answer in.
    pub timeout_s: usize,
    /// `attempts`: rounds over all name servers.
    pub attempts: usize,
}

impl Default for Resolver {
    /// The C library's own.
    fn default() -> Self {
        Self { nameservers: Vec::new(), searches: Vec::new(), ndots: 1, timeout_s: 5, attempts: 2 }
    }
}

impl Resolver {
    /// Of a file's text; what it does not know is left out, as resolvers do.
    pub fn parse(text: &str) -> Self {
        let mut resolver = Self::default();
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => resolver.nameservers.extend(words.next().map(str::to_owned)),
                Some("search") => {
                    resolver.searches = words.filter(|domain| *domain != ".").map(str::to_owned).collect();
                }
                Some("domain") => resolver.searches = words.take(1).map(str::to_owned).collect(),
                Some("options") => words.for_each(|option| resolver.option(option)),
                _ => {}
            }
        }
        resolver
    }

    /// One of `options`; more than the C library's most is that.
    fn option(&mut self, option: &str) {
        let Some((name, Ok(value))) = option.split_once(':').map(|(name, value)| (name, value.parse::<usize>())) else {
            return;
        };
        match name {
            "ndots" => self.ndots = value.min(15),
            "timeout" => self.timeout_s = value.clamp(1, 30),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "resolver-loopback",
        severity: Weight::Warning,
        meaning: "pods that get the node's name servers get one that only the node itself can reach",
        look: loopback,
    },
    Rule {
        code: "resolver-nameservers",
        severity: Weight::Warning,
        meaning: "kubelet hands on three name servers and leaves out the others",
        look: nameservers,
    },
    Rule {
        code: "resolver-searches",
        severity: Weight::Advice,
        meaning: "each search domain of the node makes every pod ask more often for each name outside the cluster",
        look: searches,
    },
    Rule {
        code: "resolver-options",
        severity: Weight::Advice,
        meaning: "with ndots above 1 whoever gets the node's own resolver settings asks for short names with every search domain first",
        look: options,
    },
];

fn file<'a>(case: &'a Case<'_>) -> Option<(&'a str, &'a Resolver)> {
    let file = case.text("resolvConf", super::RESOLV_CONF);
    Some((file, case.ground.resolver.as_ref()?)).filter(|(file, _)| !file.is_empty())
}

fn loopback(case: &Case<'_>, report: &mut Report<'_>) {
    let Some((file, resolver)) = file(case) else { return };
    let own = resolver.nameservers.iter().find(|address| address.starts_with("127.") || *address == "::1");
    if let Some(address) = own {
        report.add(
            "resolvConf",
            format!("nameserver {address} in {file}"),
            "name servers that pods can reach: inside a pod this address is the pod itself, and a CoreDNS with it asks itself for ever",
            "name the file with the real servers (with systemd-resolved /run/systemd/resolve/resolv.conf)",
        );
    }
}

fn nameservers(case: &Case<'_>, report: &mut Report<'_>) {
    let Some((file, resolver)) = file(case) else { return };
    if let Some(lost) = resolver.nameservers.get(NAMESERVERS..).filter(|lost| !lost.is_empty()) {
        report.add(
            "resolvConf",
            format!("{} name servers in {file}; pods do not get {}", resolver.nameservers.len(), lost.join(", ")),
            format!("at most {NAMESERVERS}"),
            "keep the three that matter",
        );
    }
}

fn searches(case: &Case<'_>, report: &mut Report<'_>) {
    let Some((file, resolver)) = file(case) else { return };
    let count = resolver.searches.len();
    let chars = resolver.searches.iter().map(|domain| domain.len().saturating_add(1)).fold(0, usize::saturating_add);
    let kept = SEARCHES.saturating_sub(SEARCHES_OF_PODS);
    if count > kept || chars > SEARCH_CHARS {
        report.add(
            "resolvConf",
            format!("{count} search domains of {chars} characters in {file}"),
            format!(
                "at most {kept} and {SEARCH_CHARS} characters, with the cluster's own: kubelet leaves out the rest"
            ),
            "remove those that nobody uses",
        );
    } else if count > 1 && !case.list("clusterDNS").is_empty() {
        // Without a cluster DNS kubelet gives the node's settings to all pods: see `options`.
        // A and AAAA, for each domain and for the name as it is.
        let queries = SEARCHES_OF_PODS.saturating_add(count).saturating_add(1).saturating_mul(2);
        report.add(
            "resolvConf",
            format!("search {} in {file}", resolver.searches.join(" ")),
            format!(
                "few: pods with dnsPolicy ClusterFirst get ndots:5 from kubelet, whatever options this file has, and ask up to {queries} times for one name \
                 outside the cluster; the {LINK_LOCAL_PACKETS} packets a second that EC2 lets through to its DNS are {} such names",
                LINK_LOCAL_PACKETS.checked_div(queries).unwrap_or(0)
            ),
            "remove the domains that nobody uses, let pods write names with a dot at the end or set ndots, or run NodeLocal DNSCache",
        );
    }
}

fn options(case: &Case<'_>, report: &mut Report<'_>) {
    let Some((file, resolver)) = file(case) else { return };
    let (ndots, count) = (resolver.ndots, resolver.searches.len());
    if ndots < 2 || count == 0 {
        return;
    }
    // A and AAAA, for each domain and for the name as it is.
    let queries = count.saturating_add(1).saturating_mul(2);
    let whose = match case.list("clusterDNS").is_empty() {
        true => "all pods, since kubelet knows no cluster DNS,",
        false => "pods with dnsPolicy Default (others get ndots:5 from kubelet)",
    };
    let (timeout, attempts) = (resolver.timeout_s, resolver.attempts);
    let servers = resolver.nameservers.len().clamp(1, NAMESERVERS);
    let longest = timeout.saturating_mul(attempts).saturating_mul(servers);
    report.add(
        "resolvConf",
        format!("options ndots:{ndots} and search {} in {file}", resolver.searches.join(" ")),
        format!(
            "ndots:1: {whose} and the node's programs that read this file ask up to {queries} times for a name with fewer than {ndots} dots, and where nobody \
             answers wait some {longest} s for each (timeout {timeout} s, {attempts} attempts)"
        ),
        "remove the option, or the search domains that nobody uses",
    );
}
