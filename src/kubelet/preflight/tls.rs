//! TLS of kubelet's own server. It refuses to open certificates.

use std::collections::BTreeSet;

use super::Rule;
use super::case::{Case, Report};
use super::document::nearest;
use crate::model::{Node, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "tls-cipher",
        severity: Weight::Fatal,
        meaning: "tlsCipherSuites names a suite that kubelet does not have",
        look: tls_cipher,
    },
    Rule {
        code: "tls-curve",
        severity: Weight::Fatal,
        meaning: "tlsCurvePreferences holds a number that is no curve of kubelet's, or one twice",
        look: tls_curve,
    },
    Rule {
        code: "server-tls-bootstrap",
        severity: Weight::Fatal,
        meaning: "serverTLSBootstrap without the gate RotateKubeletServerCertificate",
        look: server_tls_bootstrap,
    },
];

const SUITES: [&str; 27] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_RC4_128_SHA",
];

fn tls_cipher(case: &Case<'_>, report: &mut Report<'_>) {
    for suite in case.list("tlsCipherSuites").iter().filter_map(Node::as_str).filter(|suite| !SUITES.contains(suite)) {
        let meant = nearest(suite, SUITES);
        let action = meant.map_or("remove it".to_owned(), |meant| format!("write {meant}, or remove it"));
        report.add("tlsCipherSuites", format!("{suite:?}"), "a cipher suite that Go knows", action);
    }
}

fn tls_curve(case: &Case<'_>, report: &mut Report<'_>) {
    // P-256, P-384, P-521, X25519 and the three hybrids with ML-KEM.
    const CURVES: [i64; 7] = [23, 24, 25, 29, 4587, 4588, 4589];
    let mut seen = BTreeSet::new();
    for curve in case.list("tlsCurvePreferences").iter().filter_map(Node::as_i64).filter(|_| case.since(36)) {
        if !CURVES.contains(&curve) || !seen.insert(curve) {
            report.add("tlsCurvePreferences", curve, "each once of 23, 24, 25, 29, 4587, 4588, 4589", "correct it");
        }
    }
}

fn server_tls_bootstrap(case: &Case<'_>, report: &mut Report<'_>) {
    if case.truth("serverTLSBootstrap", false) && !case.gate_or_gone("RotateKubeletServerCertificate") {
        report.add(
            "serverTLSBootstrap",
            "true, while the gate RotateKubeletServerCertificate is off",
            "false, or the gate on",
            "change one of them",
        );
    }
}
