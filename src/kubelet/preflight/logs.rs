//! Logs: containers' and kubelet's own, and tracing. It refuses to look into any directory.

use super::Rule;
use super::case::{Case, Report, shown};
use crate::kubelet::config::Origin;
use crate::model::{Node, Quantity, Weight};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "container-log-size",
        severity: Weight::Fatal,
        meaning: "containerLogMaxSize is no quantity of whole bytes",
        look: container_log_size,
    },
    Rule {
        code: "pod-logs-dir",
        severity: Weight::Fatal,
        meaning: "podLogsDir is not an absolute, plain path",
        look: pod_logs_dir,
    },
    Rule {
        code: "system-log-query",
        severity: Weight::Fatal,
        meaning: "enableSystemLogQuery without what it needs",
        look: system_log_query,
    },
    Rule {
        code: "logging",
        severity: Weight::Fatal,
        meaning: "options of kubelet's own log that do not go together, or without their gate",
        look: logging,
    },
    Rule {
        code: "tracing-endpoint",
        severity: Weight::Fatal,
        meaning: "tracing.endpoint has a scheme that kubelet does not speak",
        look: tracing_endpoint,
    },
];

fn container_log_size(case: &Case<'_>, report: &mut Report<'_>) {
    let path = "containerLogMaxSize";
    let text = case.text(path, "10Mi");
    if text.parse::<Quantity>().is_err() || !is_plain_whole(text) {
        report.add(
            path,
            format!("{text:?}"),
            "a plain whole quantity such as 10Mi",
            "correct it; a fraction such as 1.5Gi is not taken here",
        );
    }
}

/// Whether kubelet holds the quantity as a 64-bit whole number: no fraction left over, and, with binary suffixes, no
/// fraction at all and few enough digits.
fn is_plain_whole(text: &str) -> bool {
    const DECIMAL: [(&str, usize); 7] = [("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
    const BINARY: [(&str, usize); 6] = [("Ki", 3), ("Mi", 6), ("Gi", 9), ("Ti", 12), ("Pi", 15), ("Ei", 18)];
    let text = text.trim_start_matches(['-', '+']);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = whole.trim_start_matches('0').len().max(1);
    if let Some((_, size)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return fraction.is_empty() && digits + size < 15;
    }
    let exponent = suffix.strip_prefix(['e', 'E']).and_then(|e| e.trim_start_matches('+').parse::<usize>().ok());
    let places = exponent.or_else(|| DECIMAL.iter().find(|(name, _)| *name == suffix).map(|(_, places)| *places));
    places.is_some_and(|places| digits + fraction.len() <= 18 && fraction.len() <= places && digits + places <= 18)
}

fn pod_logs_dir(case: &Case<'_>, report: &mut Report<'_>) {
    let path = "podLogsDir";
    let dir = case.text(path, "/var/log/pods");
    let main = case.config.main.as_ref().map(|main| Origin::File(main.path.clone()));
    // A path of the main file is taken from that file's directory on.
    if !dir.starts_with('/') && Some(case.effective.origin(path)) == main {
        return;
    }
    let clean =
        dir == "/" || (dir.starts_with('/') && dir[1..].split('/').all(|part| !matches!(part, "" | "." | "..")));
    if case.since(30) && !(clean && dir.is_ascii()) {
        report.add(
            path,
            format!("{dir:?}"),
            "an absolute ASCII path without //, . and .. and no / at its end",
            "correct it",
        );
    }
}

fn system_log_query(case: &Case<'_>, report: &mut Report<'_>) {
    let path = "enableSystemLogQuery";
    if !case.truth(path, false) {
        return;
    }
    if !case.gate_or_gone("NodeLogQuery") {
        report.add(path, "true, while the gate NodeLogQuery is off", "false", "set the gate, or remove it");
    }
    if !case.truth("enableSystemLogHandler", true) {
        report.add(path, "true, while enableSystemLogHandler is false", "both true", "change one of them");
    }
}

fn logging(case: &Case<'_>, report: &mut Report<'_>) {
    let modules = case.list("logging.vmodule");
    if !modules.is_empty() && case.text("logging.format", "text") != "text" {
        report.add("logging.vmodule", "a list, while logging.format is not text", "no list", "remove it");
    }
    for (at, module) in modules.iter().enumerate() {
        let pattern = module.get("filePattern").and_then(Node::as_str).unwrap_or_default();
        if pattern.is_empty() || pattern.contains(['=', ',']) {
            report.add(
                &format!("logging.vmodule[{at}].filePattern"),
                format!("{pattern:?}"),
                "a file pattern without = and ,",
                "correct it",
            );
        }
    }
    for path in ["text", "json"].map(|format| format!("logging.options.{format}")) {
        // kubelet forgets what a file says of splitStream when it reads its flags.
        let split = format!("{path}.splitStream");
        let split = matches!(case.effective.origin(&split), Origin::Flag { .. }) && case.truth(&split, false);
        let buffer = case.node(&format!("{path}.infoBufferSize"));
        let buffered = buffer.is_some_and(|size| !matches!(shown(size).trim_matches('"'), "0" | "null"));
        if (split || buffered) && !case.gate_or_gone("LoggingAlphaOptions") {
            report.add(
                &path,
                "options, while the gate LoggingAlphaOptions is off",
                "no options",
                "set the gate, or remove them",
            );
        }
    }
}

fn tracing_endpoint(case: &Case<'_>, report: &mut Report<'_>) {
    if !case.gate_or_gone("KubeletTracing") {
        if case.node("tracing").is_some() {
            report.add(
                "tracing",
                "a setting, while the gate KubeletTracing is off",
                "no setting",
                "set the gate, or remove it",
            );
        }
        return;
    }
    let path = "tracing.endpoint";
    let endpoint = case.text(path, "");
    let scheme = endpoint.contains("//").then(|| endpoint.split_once("://").map_or("", |(scheme, _)| scheme));
    if scheme.is_some_and(|scheme| !matches!(scheme, "dns" | "unix" | "unix-abstract")) {
        report.add(path, format!("{endpoint:?}"), "host:port, dns://, unix:// or unix-abstract://", "correct it");
    }
}
