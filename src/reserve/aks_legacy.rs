//! AKS before 1.29: memory in falling shares, and a hard eviction of 750 MiB. It refuses pods, which played no part.
//!
//! CPU as AKS today. Memory: GKE's shares, but the sum is cut off once, and there is no exception for small machines.
//! Source: karpenter-provider-azure, pkg/providers/instancetype/instancetype.go. Its floating point loses a millicore at 102 core counts; this does not.

use super::brackets::{AKS_CPU, MEMORY_MIB, floor_each, floor_sum};
use super::{Input, Profile, Reserved, Rules};
use crate::model::{Bytes, Millicores, Resources};

/// See the head of this file.
#[derive(Debug)]
pub struct AksLegacy;

impl Profile for AksLegacy {
    fn name(&self) -> &'static str {
        "aks-legacy"
    }

    fn summary(&self) -> &'static str {
        "AKS before 1.29: memory in falling shares of the installed size, 750 MiB hard eviction"
    }

    fn wants_installed_memory(&self) -> bool {
        true
    }

    fn reserve(&self, input: &Input, _: &Rules) -> Result<Reserved, String> {
        let cpu = floor_each(u64::from(input.cores) * 1_000, &AKS_CPU);
        let memory_mib = floor_sum(input.label_memory().mib(), &MEMORY_MIB);
        Ok(Reserved {
            kube: Resources::of(Millicores(cpu), Bytes::from_mib(memory_mib), None),
            system: Resources::default(),
            eviction_hard: vec![("memory.available", "750Mi")],
        })
    }
}
