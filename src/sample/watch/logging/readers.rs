//! Who reads what a syslog daemon writes: processes that have a file open now, and configurations of log shippers that name one. It refuses to call
//! nobody's what it could not look at.

use std::path::Path;

use super::text;
use crate::host::Host;
use crate::model::watch::{LogReader, SyslogDaemon};

/// Where log shippers keep their configurations.
const SHIPPERS: [&str; 20] = [
    "/etc/fluent-bit",
    "/etc/td-agent-bit",
    "/etc/fluent",
    "/etc/fluent/config.d",
    "/etc/td-agent",
    "/etc/vector",
    "/etc/filebeat",
    "/etc/filebeat/inputs.d",
    "/etc/filebeat/modules.d",
    "/etc/promtail",
    "/etc/alloy",
    "/etc/otelcol",
    "/etc/otelcol-contrib",
    "/etc/google-cloud-ops-agent",
    "/etc/google-fluentd/config.d",
    "/etc/awslogs",
    "/etc/datadog-agent/conf.d",
    "/opt/aws/amazon-cloudwatch-agent/etc",
    "/opt/aws/amazon-cloudwatch-agent/etc/amazon-cloudwatch-agent.d",
    "/opt/splunkforwarder/etc/system/local",
];
/// Of these files a switched-on module reads what the system logs without naming it.
const MODULES: [&str; 2] = ["/etc/filebeat/modules.d/system.yml", "/etc/filebeat/modules.d/system.yaml"];
const ENDINGS: [&str; 9] = [".conf", ".yaml", ".yml", ".json", ".toml", ".alloy", ".river", ".config", ".d"];
const MOST_FILES: usize = 100;

pub(super) fn read(host: &Host, daemons: &[SyslogDaemon]) -> Result<Vec<LogReader>, String> {
    let files: Vec<String> = daemons.iter().flat_map(|daemon| &daemon.files).map(|file| file.path.clone()).collect();
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for open in host.readers(&files).map_err(|error| error.to_string())?.unwrap_or_default() {
        if !daemons.iter().any(|daemon| daemon.pid == open.pid) {
            found.push(LogReader { who: format!("{}[{}]", open.comm, open.pid), path: open.path, open: true });
        }
    }
    for dir in SHIPPERS {
        for entry in
            host.list(Path::new(dir)).map_err(|error| error.to_string())?.unwrap_or_default().iter().take(MOST_FILES)
        {
            let path = format!("{dir}/{}", entry.name);
            if entry.is_dir || !ENDINGS.iter().any(|ending| entry.name.ends_with(ending)) {
                continue;
            }
            let Some(text) = text::file(host, &path)? else { continue };
            let named = if MODULES.contains(&path.as_str()) { files.first().cloned() } else { named(&text, &files) };
            found.extend(named.map(|named| LogReader { who: path, path: named, open: false }));
        }
    }
    Ok(found)
}

/// The first path or pattern in a configuration that fits one of the files; comments do not count.
fn named(text: &str, files: &[String]) -> Option<String> {
    let lines =
        text.lines().filter(|line| !line.trim_start().starts_with(['#', ';']) && !line.trim_start().starts_with("//"));
    for word in lines.flat_map(|line| line.split(|c: char| c.is_whitespace() || "\"'`,;[]{}()=".contains(c))) {
        let Some(at) = word.find('/').filter(|at| word[..*at].is_empty() || word[..*at].ends_with(':')) else {
            continue;
        };
        let pattern = &word[at..];
        if files.iter().any(|file| text::fits(pattern, file)) {
            return Some(pattern.to_owned());
        }
    }
    None
}
