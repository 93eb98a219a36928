//! `RebootPending`: what was patched in place is not what runs: a newer kernel waits, a daemon's executable was replaced, a package asks for a reboot.
//! Advice. It refuses to compare kernels of different lines or flavours: an image may hold several to choose from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::slot::{Detector, Look};
use crate::model::Reading;
use crate::model::problem::{Condition, Entry, Evidence, Finding, Kind, Severity};
use crate::model::watch::{Daemon, Image};

/// The name of the problem.
pub const REBOOT_PENDING: Kind = Kind::new("RebootPending");

/// The detector.
pub struct RebootPending;

/// `[detect.reboot_pending]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {}

impl Detector for RebootPending {
    type Rules = Rules;
    type Memory = ();
    const NAME: &'static str = "reboot_pending";
    const ENTRIES: &'static [Entry] = &[Entry {
        kind: REBOOT_PENDING,
        severity: Severity::Advice,
        condition: Condition::NodeServices,
        may_cordon: false,
        meaning: "The node was patched in place, and what was patched does not run: the old kernel, or the old program of a daemon, with the holes that the patch closes.",
        advice: "Replace the node by one of a newer image, which is how nodes are patched; or drain it and reboot it. A daemon alone can be restarted.",
    }];

    fn look(_: &Rules, (): &mut (), scene: &Scene<'_>) -> Look {
        let (image, daemons) = (&scene.samples.image, &scene.samples.daemons);
        let daemons_now = daemons.value().map_or(&[][..], Vec::as_slice);
        let Some(now) = image.value() else {
            return Look::unknown(format!("nobody has looked at what is installed: {}", image.reading.origin()));
        };
        let outdated: Vec<&Daemon> = daemons_now.iter().filter(|daemon| daemon.outdated).collect();
        let newer = now.kernels.as_deref().and_then(|kernels| newest(kernels, &now.running));
        let packages = now.reboot_required.as_deref();
        if newer.is_none() && packages.is_none() && outdated.is_empty() {
            // Nothing found is only good news where somebody could have found something.
            if let Reading::Failed { why } = &daemons.reading {
                return Look::unknown(why.clone());
            }
            // A list without the kernel that runs is not the list of those that could be booted here.
            let listed = now.kernels.as_ref().is_some_and(|kernels| kernels.contains(&now.running));
            if !listed && daemons_now.is_empty() {
                return Look::unknown(
                    "there is no list of installed kernels that holds the running one, and no daemon that is known",
                );
            }
            return Look::at(Vec::new());
        }
        Look::at(vec![finding(now, newer, packages, &outdated)])
    }
}

fn finding(now: &Image, newer: Option<&str>, packages: Option<&[String]>, outdated: &[&Daemon]) -> Finding {
    let mut reasons = Vec::new();
    let mut evidence = Vec::new();
    if let Some(newer) = newer {
        reasons.push(format!("kernel {newer} is installed, {} runs", now.running));
        evidence.push(Evidence::text("kernel that runs", now.running.clone()));
        evidence.push(Evidence::text("kernel that is installed", newer));
    }
    if let Some(packages) = packages {
        let names = if packages.is_empty() { "a package".to_owned() } else { packages.join(", ") };
        reasons.push(format!("{names} asked for a reboot"));
        evidence.push(Evidence::text("asked for by", names));
    }
    let units: Vec<&str> = outdated.iter().map(|daemon| daemon.unit.as_str()).collect();
    if !units.is_empty() {
        let names = units.join(", ");
        reasons.push(format!("the program of {names} was replaced while it runs"));
        evidence.push(Evidence::text("runs a program that was replaced", names));
    }
    let advice = if newer.is_none() && packages.is_none() && !units.iter().any(|unit| stops_others(unit)) {
        let note =
            if units.iter().all(|unit| leaves_containers(unit)) { ": their containers go on running" } else { "" };
        format!("systemctl restart {}{note}.", units.join(" "))
    } else {
        "Replace this node by one of a newer image; or `kubectl drain` it, reboot it, and uncordon it.".to_owned()
    };
    Finding {
        kind: REBOOT_PENDING,
        subject: "node".to_owned(),
        severity: Severity::Advice,
        summary: reasons.join("; "),
        advice,
        evidence,
        device: None,
    }
}

/// Restarted alone they take others along: the bus its clients, docker its containers.
fn stops_others(unit: &str) -> bool {
    unit.starts_with("dbus") || unit == "docker.service"
}

fn leaves_containers(unit: &str) -> bool {
    ["kubelet.service", "containerd.service", "crio.service"].contains(&unit) || unit.starts_with("k3s")
}

/// A part of a version: numbers count as such and are newer than words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Word(&'a str),
    Number(u64),
}

fn parts(version: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for piece in version.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|piece| !piece.is_empty()) {
        let mut rest = piece;
        while let Some(first) = rest.chars().next() {
            let digit = first.is_ascii_digit();
            let end = rest.find(|letter: char| letter.is_ascii_digit() != digit).unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            parts.push(if digit { Part::Number(part.parse().unwrap_or(u64::MAX)) } else { Part::Word(part) });
            rest = after;
        }
    }
    parts
}

/// The newest of the same line (6.1) and flavour (cloud, amd, amzn) that is newer than the one that runs.
fn newest<'a>(installed: &'a [String], running: &str) -> Option<&'a str> {
    let words = |version: &str| -> Vec<String> {
        parts(version)
            .into_iter()
            .filter_map(|part| if let Part::Word(word) = part { Some(word.to_owned()) } else { None })
            .collect()
    };
    let line = |version: &str| parts(version).into_iter().take(2).map(|part| format!("{part:?}")).collect::<Vec<_>>();
    let alike = |version: &&str| line(version) == line(running) && words(version) == words(running);
    let newer = installed.iter().map(String::as_str).filter(alike).filter(|version| parts(version) > parts(running));
    newer.max_by(|one, other| parts(one).cmp(&parts(other)))
}

#[cfg(test)]
mod tests {
    use super::super::made;
    use super::*;
    use crate::model::status::Standing;
    use crate::model::watch::{Sampled, Samples};

    #[test]
    fn kernels_are_compared_within_their_line() {
        for (running, installed, expected) in [
            (
                "6.1.0-9-amd64",
                &["6.1.0-10-amd64", "6.1.0-9-amd64", "6.12.1-amd64", "6.1.0-99-cloud-amd64"][..],
                Some("6.1.0-10-amd64"),
            ),
            (
                "6.1.112-122.189.amzn2023.x86_64",
                &["6.1.115-126.197.amzn2023.x86_64", "6.12.20-1.amzn2023.x86_64"],
                Some("6.1.115-126.197.amzn2023.x86_64"),
            ),
            (
                "5.14.0-503.el9_5.x86_64",
                &["5.14.0-503.11.1.el9_5.x86_64", "5.14.0-427.el9_4.x86_64"],
                Some("5.14.0-503.11.1.el9_5.x86_64"),
            ),
            ("6.8.0-45-generic", &["6.8.0-45-generic", "6.8.0-9-generic"], None),
            ("6.18.0", &[], None),
        ] {
            let installed: Vec<String> = installed.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(newest(&installed, running), expected, "{running}");
        }
    }

    #[test]
    fn each_reason_is_told_and_no_source_is_unknown() {
        let image = |kernels: Option<&[&str]>, packages: Option<&[&str]>| Image {
            running: "6.1.0-9-amd64".to_owned(),
            kernels: kernels.map(|all| all.iter().map(|one| (*one).to_owned()).collect()),
            reboot_required: packages.map(|all| all.iter().map(|one| (*one).to_owned()).collect()),
            ..Image::default()
        };
        let daemon = |outdated| Daemon { unit: "containerd.service".to_owned(), outdated, ..Daemon::default() };
        let look = |image: Image, daemons: Sampled<Vec<Daemon>>| {
            let samples = Samples { image: made::fresh(1, image), daemons, ..Samples::default() };
            made::look::<RebootPending>(&mut (), 1, &samples, &Default::default())
        };
        let said = |look: &Look| {
            look.findings.first().map(|one| format!("{} | {}", one.summary, one.advice)).unwrap_or_default()
        };
        let all = look(image(Some(&["6.1.0-10-amd64"]), Some(&["libc6"])), made::fresh(1, vec![daemon(true)]));
        assert!(
            said(&all).starts_with("kernel 6.1.0-10-amd64 is installed, 6.1.0-9-amd64 runs; libc6 asked for a reboot; the program of containerd.service was replaced while it runs | Replace"),
            "{}",
            said(&all)
        );
        let one = look(image(None, None), made::fresh(1, vec![daemon(true)]));
        assert!(
            said(&one).ends_with("| systemctl restart containerd.service: their containers go on running."),
            "{}",
            said(&one)
        );
        assert_eq!(look(image(None, None), made::fresh(1, vec![daemon(false)])), Look::at(Vec::new()));
        assert_eq!(look(image(Some(&["6.1.0-9-amd64"]), None), Sampled::default()), Look::at(Vec::new()));
        let elsewhere = look(image(Some(&[]), None), Sampled::default());
        assert!(matches!(elsewhere.standing, Standing::Unknown { .. }), "kernels that are kept elsewhere");
        let blind = look(image(None, None), Sampled::at(crate::model::time::Mono(1), Reading::absent("no cgroups")));
        assert!(matches!(blind.standing, Standing::Unknown { .. }));
        let none = made::look::<RebootPending>(&mut (), 1, &Samples::default(), &Default::default());
        assert!(matches!(none.standing, Standing::Unknown { .. }));
    }
}
