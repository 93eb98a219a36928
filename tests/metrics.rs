//! The metrics of one status in both formats, to the byte, and the text's own grammar (promtool and the reference parser judge
//! the same files in `tests/outputs/run.sh`). It refuses a metric without help, type
//! and, where it has one, unit, and a label that names a process or a free text.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // Compares files.

mod outputs;

use std::collections::BTreeSet;

use node_steward::metrics::{self, COUNTERS, Format, GAUGES};
use outputs::{catalogue, golden, status};

#[test]
fn both_formats_are_as_written_down() {
    golden("metrics.prom", &metrics::text(&status(), &catalogue(), Format::Prometheus));
    golden("metrics.openmetrics", &metrics::text(&status(), &catalogue(), Format::OpenMetrics));
}

#[test]
fn every_family_has_help_and_type_and_its_unit() {
    let text = metrics::text(&status(), &catalogue(), Format::Prometheus);
    let heads = |word: &str| -> BTreeSet<String> {
        let heads = text.lines().filter_map(|line| line.strip_prefix(&format!("# {word} ")));
        heads.map(|rest| rest.split(' ').next().unwrap().to_owned()).collect()
    };
    let (help, types, units) = (heads("HELP"), heads("TYPE"), heads("UNIT"));
    assert_eq!(help, types);
    let mut samples = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        samples += 1;
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        assert!(types.contains(family), "{name} has no type");
        assert!(name.starts_with("node_steward_"), "{name}");
        for unit in ["seconds", "ratio"] {
            assert!(!family.ends_with(&format!("_{unit}")) || units.contains(family), "{family} does not say its unit");
        }
        for never in ["4711", "dd", "odd", "1b2c3d4e5f60", "AcmeAgentBroken", "says that"] {
            assert!(!line.contains(&format!("\"{never}")), "{line}");
        }
    }
    assert!(samples > 80, "only {samples} samples");
    let known: BTreeSet<&str> = COUNTERS.iter().chain(&GAUGES).map(|(key, ..)| *key).collect();
    let there: BTreeSet<String> = status().counters.keys().cloned().collect();
    assert!(there.iter().all(|key| known.contains(key.as_str())), "a counter without a metric: {there:?}");
    let own = ["apiRequests", "apiRefused"]; // Counted by the API itself.
    let unseen: Vec<_> = known.iter().filter(|key| !there.contains(**key) && !own.contains(key)).collect();
    assert!(unseen.is_empty(), "not in status.json, and so in no test and no page: {unseen:?}");
}

#[test]
fn an_empty_status_is_text_as_well() {
    let text = metrics::text(&Default::default(), &[], Format::OpenMetrics);
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(!text.contains("node_steward_disk_"), "{text}");
}
