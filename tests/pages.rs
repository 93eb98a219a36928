//! The generated pages of the manual are what the program says of itself today, and the settings' schema agrees with the program's own reading of
//! settings. It refuses a page that has fallen behind: `BLESS=1 cargo test --test pages` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Reads and writes the project's own tree.

mod outputs;

use std::path::Path;
use std::process::{Command, Output};

use node_steward::agent::{pages, schema};
use node_steward::api::{Code, ENDPOINTS};
use node_steward::metrics::{self, Format};

fn page(name: &str, is: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/doc").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, is).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(there == is, "packaging/doc/{name} has fallen behind: BLESS=1 cargo test --test pages writes it anew");
}

#[test]
fn the_pages_are_of_today() {
    page("settings.md", &pages::settings());
    page("problems.md", &pages::problems());
    page("metrics.md", &metrics_page());
}

/// Every family of a status that has them all, with the API's own counters.
fn metrics_page() -> String {
    let mut status = outputs::status();
    status.counters.extend(["apiRequests", "apiRefused"].map(|key| (key.to_owned(), 0)));
    let text = metrics::text(&status, &outputs::catalogue(), Format::Prometheus);
    let mut page = "# Metrics of node-steward\n\nMade by `BLESS=1 cargo test --test pages`. They are to be had at `/metrics` on the local socket, on the TCP address \
                    `metrics.listen`\nand in the file `metrics.textfile`: Prometheus text 0.0.4, or OpenMetrics for a scraper that asks for it. A metric \
                    without a sample is left out.\n\n| metric | type | unit | labels | what it is |\n|---|---|---|---|---|\n"
        .to_owned();
    for line in text.lines() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) else { continue };
        let of = |word: &str| {
            let head = format!("# {word} {name} ");
            text.lines().find_map(|line| line.strip_prefix(&head)).unwrap_or("").to_owned()
        };
        let samples = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        let mut labels: Vec<String> = Vec::new();
        for (head, _) in samples
            .filter_map(|line| line.split_once('{')?.1.split_once('}'))
            .flat_map(|(list, _)| list.split(','))
            .filter_map(|one| one.split_once('='))
        {
            if !labels.contains(&head.to_owned()) {
                labels.push(head.to_owned());
            }
        }
        page.push_str(&format!("| `{name}` | {} | {} | {} | {help} |\n", of("TYPE"), of("UNIT"), labels.join(", ")));
    }
    page
}

#[test]
fn the_page_of_the_api_names_every_endpoint_and_every_code() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/doc/api.md")).unwrap();
    for endpoint in &ENDPOINTS {
        assert!(page.contains(&format!("| `{} {}` |", endpoint.method, endpoint.path)), "{endpoint:?}");
    }
    for code in Code::ALL {
        assert!(page.contains(&format!("| `{}` | {} |", code.word(), code.status().as_u16())), "{code:?}");
    }
    assert_eq!(page.matches("\n| `").count(), ENDPOINTS.len() + Code::ALL.len(), "something that is no longer there");
}

#[test]
fn every_problem_has_its_place_in_the_page() {
    let page = pages::problems();
    for entry in node_steward::agent::turn::State::new().catalogue() {
        for words in [entry.kind.as_str(), entry.meaning, entry.advice] {
            assert!(words.len() > 5 && page.contains(words), "{}: {words:?}", entry.kind);
        }
    }
}

fn config(toml: &str, verb: &[&str]) -> (tempfile::TempDir, Output) {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("etc/node-steward")).unwrap();
    std::fs::write(root.path().join("etc/node-steward/config.toml"), toml).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_node-steward"));
    let output = command.env("NO_COLOR", "1").args(verb).arg("--root").arg(root.path()).output().unwrap();
    (root, output)
}

/// Every default that the schema names, written into a file, is understood.
#[test]
fn the_program_understands_every_default_of_the_schema() {
    let mut toml = String::new();
    let mut keys = 0;
    for (section, _, rows) in schema::rows() {
        toml.push_str(&format!("[{section}]\n"));
        for row in rows {
            let Some(default) = row.default.filter(|value| !value.is_object()) else { continue };
            let key = row.key.strip_prefix(&format!("{section}.")).unwrap();
            // JSON's scalars and lists read as TOML's do.
            toml.push_str(&format!("{key} = {default}\n"));
            keys += 1;
        }
    }
    assert!(keys > 40, "only {keys} defaults");
    let (_root, output) = config(&toml, &["config", "check"]);
    assert!(output.status.success(), "{toml}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn show_names_each_origin() {
    let toml = "[watch]\nperiod = \"20s\"\n\n[reserve.kube_reserved]\ncpu = \"100m\"\n\n[detect.disk_stalled]\nclear_samples = 3\n";
    let (_root, output) = config(toml, &["config", "show", "--origin"]);
    let shown = String::from_utf8(output.stdout).unwrap();
    for line in [
        "watch.period = \"20s\"  # /etc/node-steward/config.toml:2:1",
        "reserve.kube_reserved.cpu = \"100m\"  # /etc/node-steward/config.toml:5:1",
        "detect.disk_stalled.clear_samples = 3  # /etc/node-steward/config.toml:8:1",
        "watch.probe_deadline = \"5s\"  # default",
        "detect.disk_stalled.enabled = true  # default",
        "#metrics.listen =  # not set",
    ] {
        assert!(shown.lines().any(|one| one == line), "{line}\n{shown}");
    }
    let (_root, output) = config(toml, &["config", "show"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 3, "without --origin, what files have set");
    let (_root, output) = config(toml, &["config", "show", "--origin", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        list.as_array().unwrap().iter().any(|one| one["key"] == "watch.probe_deadline" && one["origin"] == "default"),
        "{list}"
    );
}

#[test]
fn mistakes_in_a_detectors_table_name_place_and_nearest_key() {
    for (toml, words) in [
        (
            "[detect.disk_stalled]\nwarn_afte = \"10s\"\n",
            ["config.toml:2:1: detect.disk_stalled.warn_afte", "did you mean \"warn_after\""],
        ),
        (
            "[detect.disk_stalled]\nwarn_after = 10\n",
            ["config.toml:2:1: detect.disk_stalled.warn_after", "invalid type"],
        ),
        (
            "[detect.disk_stalled]\nenabled = 1\n",
            ["config.toml:2:1: detect.disk_stalled.enabled", "neither true nor false"],
        ),
        ("[detect.disk_staled]\nenabled = true\n", ["config.toml:1:", "did you mean \"disk_stalled\""]),
        ("[detect]\ndisk_stalled = 3\n", ["config.toml:2:1: detect.disk_stalled", "no table"]),
        ("[metrics]\nlisten = \"9735\"\n", ["config.toml:2:1: metrics.listen", "socket address"]),
        ("[metrics]\ntextfile = \"x.prom\"\n", ["config.toml:2:1: metrics.textfile", "does not start with /"]),
        ("[api]\nwritegroup = \"ops\"\n", ["config.toml:2:1: api.writegroup", "did you mean \"write_group\""]),
    ] {
        let (_root, output) = config(toml, &["config", "check"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{toml}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{toml}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn the_schema_is_printed() {
    let output = Command::new(env!("CARGO_BIN_EXE_node-steward")).args(["config", "schema"]).output().unwrap();
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, schema::schema());
}
