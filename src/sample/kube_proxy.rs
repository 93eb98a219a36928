//! What kube-proxy does on this machine: its mode by its own word, and the services that it holds rules for. Only `check` asks, since to list the rules
//! takes iptables' lock for a moment. It refuses to change them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use hyper::Method;

use crate::host::http::{ask_within, request};
use crate::host::{Host, run};
use crate::model::{KubeProxy, Reading};

/// kube-proxy's metricsBindAddress.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10249);
const BUDGET: Duration = Duration::from_secs(1);
const LIST: Duration = Duration::from_secs(5);
/// A chain for each port of each service that has endpoints.
const COUNT: &str = "rules=$(iptables-save -t nat) && printf '%s\n' \"$rules\" | grep -c '^:KUBE-SVC-'";

/// Asks it.
pub fn read(host: &Host) -> Reading<KubeProxy> {
    if !host.is_real() {
        return Reading::absent("nobody is asked for a recording");
    }
    let mode = match ask_within(BUDGET, request(ADDRESS, Method::GET, "/proxyMode", &[])) {
        Ok(mode) => mode,
        Err(why) => return Reading::absent(format!("kube-proxy does not answer at {ADDRESS}: {why}")),
    };
    let service_ports = if mode == "iptables" {
        // grep ends with 1 where it counted none; without the list nothing is printed, and nothing known.
        let listed = run(host, Path::new("/bin/sh"), &["-c", COUNT], LIST).ok();
        listed.and_then(|finished| finished.output.trim().parse().ok())
    } else {
        None
    };
    Reading::fresh(KubeProxy { mode, service_ports }, format!("kube-proxy at {ADDRESS}"))
}
