//! How many pods an EC2 instance type can address: the ENI table and its formulas. It refuses to guess an unknown type.
//!
//! Formula: ENIs on the default network card x (IPv4 addresses each - 1) + 2; with prefix delegation each address is a block of 16.
//! Source: amazon-vpc-cni-k8s (misc/eni-max-pods.txt) and nodeadm (internal/kubelet/eni_max_pods.go); table: 1,384 types of nodeadm's instance-info.jsonl.

/// kubelet's own default, and what nodeadm takes for a type that it does not know.
pub const DEFAULT: u32 = 110;

/// `type ENIs addresses`, sorted by type. A constant of the binary: nothing is built from it at run time.
static TABLE: &str = include_str!("eni.tsv");

/// What an instance type can attach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enis {
    /// ENIs on the default network card.
    pub count: u32,
    /// IPv4 addresses each.
    pub addresses: u32,
}

/// How the CNI hands out addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cni {
    /// Prefix delegation: 16 addresses in each slot.
    pub prefix_delegation: bool,
    /// ENIs that pods cannot use: 1 with custom networking.
    pub reserved_enis: u32,
    /// Cap at 110, or 250 with more than 30 CPUs, as EKS recommends.
    pub cap: bool,
}

/// The type's row in the table.
pub fn enis(instance_type: &str) -> Option<Enis> {
    TABLE.lines().find_map(|line| {
        let mut words = line.split(' ');
        (words.next() == Some(instance_type)).then_some(())?;
        Some(Enis { count: words.next()?.parse().ok()?, addresses: words.next()?.parse().ok()? })
    })
}

/// Pods that the addresses allow. No usable ENI gives 0, as Karpenter counts.
pub fn by_enis(enis: Enis, cni: Cni, cores: u32) -> u32 {
    let usable = enis.count.saturating_sub(cni.reserved_enis);
    if usable == 0 {
        return 0;
    }
    let slots = enis.addresses.saturating_sub(1).saturating_mul(if cni.prefix_delegation { 16 } else { 1 });
    let pods = usable.saturating_mul(slots).saturating_add(2);
    match (cni.cap, cores > 30) {
        (true, true) => pods.min(250),
        (true, false) => pods.min(110),
        (false, _) => pods,
    }
}

/// nodeadm's `maxPodsExpression`: CEL over `default_enis`, `ips_per_eni` and `max_pods`; the result must be a positive 32-bit number.
/// nodeadm falls back to the standard number on any error; the caller says so.
pub fn by_expression(expression: &str, enis: Enis) -> Result<u32, String> {
    let program =
        cel::Program::compile(expression).map_err(|error| format!("maxPodsExpression {expression:?}: {error}"))?;
    let mut context = cel::Context::default();
    for (name, value) in
        [("default_enis", enis.count), ("ips_per_eni", enis.addresses), ("max_pods", by_enis(enis, Cni::default(), 0))]
    {
        context.add_variable_from_value(name, i64::from(value));
    }
    match program.execute(&context) {
        Ok(cel::Value::Int(pods)) => match u32::try_from(pods) {
            Ok(pods) if pods >= 1 && i32::try_from(pods).is_ok() => Ok(pods),
            _ => Err(format!("maxPodsExpression {expression:?} gives {pods}; expected 1 to {}", i32::MAX)),
        },
        Ok(other) => Err(format!("maxPodsExpression {expression:?} gives {other:?}; expected a whole number")),
        Err(error) => Err(format!("maxPodsExpression {expression:?}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_is_whole_and_sorted() {
        let names: Vec<_> = TABLE.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(names.len(), 1384);
        assert!(names.is_sorted());
        for name in names {
            assert!(by_enis(enis(name).expect(name), Cni::default(), 2) >= 4, "{name}");
        }
    }

    #[test]
    fn formulas() {
        let m5_large = enis("m5.large").unwrap();
        let cni = Cni::default();
        assert_eq!(by_enis(m5_large, cni, 2), 29);
        assert_eq!(by_enis(m5_large, Cni { prefix_delegation: true, ..cni }, 2), 434);
        assert_eq!(by_enis(m5_large, Cni { prefix_delegation: true, cap: true, ..cni }, 2), 110);
        assert_eq!(by_enis(m5_large, Cni { prefix_delegation: true, cap: true, ..cni }, 96), 250);
        assert_eq!(by_enis(m5_large, Cni { reserved_enis: 1, ..cni }, 2), 20);
        assert_eq!(by_enis(m5_large, Cni { reserved_enis: 3, ..cni }, 2), 0);
        assert_eq!(by_enis(enis("p5.48xlarge").unwrap(), cni, 192), 100);
        assert_eq!(enis("m5.larg"), None);
    }

    #[test]
    fn expressions_of_nodeadms_documents() {
        let m4_xlarge = enis("m4.xlarge").unwrap();
        assert_eq!(by_expression("max_pods < 30 ? max_pods : 30", m4_xlarge), Ok(30));
        assert_eq!(by_expression("((default_enis - 1) * (ips_per_eni - 1)) + 2", m4_xlarge), Ok(44));
        for wrong in ["", "max_pods +", "1/0", "0", "-1", "'a'", "nothing", "4294967296"] {
            assert!(by_expression(wrong, m4_xlarge).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_expression_panics(text in "[a-z_0-9 ()?:<>=!&|+*/%.'\"-]{0,40}") {
            let _ = by_expression(&text, Enis { count: 4, addresses: 15 });
        }
    }
}
