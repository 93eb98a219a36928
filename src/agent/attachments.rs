//! How many EBS volumes an EC2 machine can still take: what is attached against the limit of its type. It refuses to judge a type whose limit it does not
//! know, and machines before Nitro, whose volumes are not to be told from others.
//!
//! Limits: EC2's "volume limits for instances", as the EBS CSI driver's table (`pkg/cloud/limits`) had them in 2026.

use crate::model::machine::Attachments;
use crate::model::{Complaint, Reading, Weight};

/// From this share of the limit on there is something to say, in percent.
const NEARLY_PERCENT: usize = 90;

/// What counts against a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// EBS volumes alone.
    Volumes(usize),
    /// Volumes, network interfaces, drives and accelerators together.
    Shared(usize),
    /// The same on bare metal, where drives and accelerators take no place.
    SharedMetal(usize),
}

/// Advice where little room is left.
pub fn judge(kind: &Reading<String>, seen: &Reading<Attachments>) -> Option<Complaint> {
    let (kind, seen) = (kind.value()?, seen.value().filter(|seen| seen.volumes > 0)?);
    let limit = limit(kind)?;
    let others = match limit {
        Limit::Volumes(_) => Vec::new(),
        Limit::SharedMetal(_) => vec![(seen.interfaces, "network interfaces")],
        Limit::Shared(_) => vec![
            (seen.interfaces, "network interfaces"),
            (seen.drives, "drives of its own"),
            (seen.accelerators, "accelerators"),
        ],
    };
    let taken = others.iter().fold(seen.volumes, |sum, (count, _)| sum.saturating_add(*count));
    let (Limit::Volumes(most) | Limit::Shared(most) | Limit::SharedMetal(most)) = limit;
    if taken.saturating_mul(100) < most.saturating_mul(NEARLY_PERCENT) {
        return None;
    }
    let beside: Vec<_> =
        others.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let beside = if beside.is_empty() { String::new() } else { format!(" beside {}", beside.join(", ")) };
    Some(Complaint {
        code: "ebs-attachments",
        severity: Weight::Advice,
        file: "EC2".to_owned(),
        path: kind.clone(),
        found: format!("{} EBS volumes{beside}: {taken} of {most} attachments", seen.volumes),
        expected: format!("less than {NEARLY_PERCENT} % of them: a pod whose volume finds no place waits for ever, and the scheduler knows only what the CSI driver tells it"),
        action: "spread pods with volumes, let the EBS CSI driver reserve places (--reserved-volume-attachments), or take a type with more".to_owned(),
    })
}

/// A type's limit; none for those that are not known.
fn limit(kind: &str) -> Option<Limit> {
    const SHARED: usize = 28;
    const SHARED_METAL: usize = 32;
    let (family, size) = kind.split_once('.')?;
    if family.starts_with("mac") {
        return None;
    }
    if !dedicated(family) {
        return Some(if size.starts_with("metal") { Limit::SharedMetal(SHARED_METAL) } else { Limit::Shared(SHARED) });
    }
    let exceptions = [
        ("p4d p4de", "24xlarge", 28),
        ("p5 p5e p5en p6-b200 p6-b300 trn2 c8gn m8gn r8gn", "48xlarge", 64),
        ("x8aedz", "12xlarge", 64),
        ("x8aedz", "24xlarge", 128),
        ("x8aedz", "metal-12xl", 64),
        ("x8aedz", "metal-24xl", 79),
        ("c8a m8a r8a", "metal-24xl", 64),
        ("c8gb r8gb", "metal-48xl", 78),
        ("c8gn r8gn", "metal-48xl", 39),
        ("c8i m8i r8i x8i", "metal-48xl", 64),
    ];
    let special =
        exceptions.iter().find(|(families, of, _)| *of == size && families.split(' ').any(|one| one == family));
    if let Some((_, _, most)) = special {
        return Some(Limit::Volumes(*most));
    }
    if family == "hpc7a" {
        return Some(Limit::Volumes(27));
    }
    let most = match size {
        "metal-16xl" | "metal-24xl" => 39,
        "metal-32xl" | "metal-48xl" | "metal-96xl" => 79,
        "medium" | "large" | "xlarge" => 32,
        _ => match size.strip_suffix("xlarge")?.parse::<u32>().ok()? {
            ..16 => 32,
            16..24 => 48,
            24..32 => 64,
            32..48 => 88,
            48.. => 128,
        },
    };
    Some(Limit::Volumes(most))
}

/// Whether volumes have places of their own, which they do from the seventh generation on, but on Graviton 3.
fn dedicated(family: &str) -> bool {
    let of = family.split('-').next().unwrap_or(family);
    let line = of.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let (name, generation) = line.split_at(line.find(|c: char| c.is_ascii_digit()).unwrap_or(line.len()));
    let generation: u32 = generation.parse().unwrap_or(0);
    let variant = of.get(line.len()..).unwrap_or("");
    match name {
        "c" | "m" | "r" => generation > 7 || generation == 7 && !variant.starts_with('g'),
        "i" | "x" | "u" => generation >= 7,
        "hpc" => of == "hpc7a",
        "g" | "gr" => generation >= 6,
        "p" => generation >= 4,
        "f" | "trn" => generation >= 2,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_types() {
        use Limit::{Shared, SharedMetal, Volumes};
        let types = [
            ("m5.xlarge", Shared(28)),
            ("c5d.24xlarge", Shared(28)),
            ("m6g.metal", SharedMetal(32)),
            ("m7g.large", Shared(28)),
            ("c7gn.16xlarge", Shared(28)),
            ("r7gd.metal", SharedMetal(32)),
            ("hpc7g.4xlarge", Shared(28)),
            ("t3.medium", Shared(28)),
            ("i4i.32xlarge", Shared(28)),
            ("p3dn.24xlarge", Shared(28)),
            ("g5.xlarge", Shared(28)),
            ("trn1.2xlarge", Shared(28)),
            ("m7i.large", Volumes(32)),
            ("m7i-flex.16xlarge", Volumes(48)),
            ("c7a.32xlarge", Volumes(88)),
            ("r7iz.metal-16xl", Volumes(39)),
            ("r7iz.metal-32xl", Volumes(79)),
            ("m8g.48xlarge", Volumes(128)),
            ("c8gn.48xlarge", Volumes(64)),
            ("c8gn.metal-48xl", Volumes(39)),
            ("m8i.metal-48xl", Volumes(64)),
            ("m8i.96xlarge", Volumes(128)),
            ("i7ie.18xlarge", Volumes(48)),
            ("i8ge.3xlarge", Volumes(32)),
            ("x8aedz.12xlarge", Volumes(64)),
            ("x8g.medium", Volumes(32)),
            ("u7i-12tb.224xlarge", Volumes(128)),
            ("u7in-32tb.224xlarge", Volumes(128)),
            ("hpc7a.96xlarge", Volumes(27)),
            ("g6e.12xlarge", Volumes(32)),
            ("gr6f.4xlarge", Volumes(32)),
            ("p4de.24xlarge", Volumes(28)),
            ("p5.4xlarge", Volumes(32)),
            ("p6-b300.48xlarge", Volumes(64)),
            ("f2.48xlarge", Volumes(128)),
            ("trn2.3xlarge", Volumes(32)),
        ];
        for (kind, wanted) in types {
            assert_eq!(limit(kind), Some(wanted), "{kind}");
        }
        for unknown in ["mac2.metal", "plain", "m9x.huge", ""] {
            assert_eq!(limit(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn it_speaks_from_nine_in_ten_on() {
        let of = |kind: &str, volumes, drives, interfaces| {
            let seen = Attachments { volumes, drives, interfaces, accelerators: 0 };
            judge(&Reading::fresh(kind.to_owned(), "made"), &Reading::fresh(seen, "made")).map(|advice| advice.found)
        };
        assert_eq!(of("m5.xlarge", 21, 0, 4), None);
        let found = "22 EBS volumes beside 4 network interfaces: 26 of 28 attachments";
        assert_eq!(of("m5.xlarge", 22, 0, 4).as_deref(), Some(found));
        let found = "20 EBS volumes beside 2 network interfaces, 4 drives of its own: 26 of 28 attachments";
        assert_eq!(of("c5d.24xlarge", 20, 4, 2).as_deref(), Some(found));
        assert_eq!(of("m7i.large", 28, 0, 15), None, "interfaces take no place of volumes");
        assert_eq!(of("m7i.large", 29, 0, 15).as_deref(), Some("29 EBS volumes: 29 of 32 attachments"));
        assert_eq!(of("i3en.24xlarge", 0, 8, 15), None, "no volume, nothing to say");
        let unknown = Reading::absent("no EC2");
        assert!(
            judge(&unknown, &Reading::fresh(Attachments { volumes: 99, ..Attachments::default() }, "made")).is_none()
        );
    }
}
