//! GKE: CPU and memory by size, pods play no part. It refuses to promise GKE's own byte: its input is a few MiB off the label's size.
//!
//! CPU: 6 %, 1 %, 0.5 %, 0.25 %, each part cut off to a millicore. Memory: 255 MiB up to 1 GiB; above, 25 % of 4 GiB, 20 % of the next 4,
//! 10 % of 8, 6 % of 112 and 2 % of the rest, each part cut off to a MiB. Boot disk: the least of 50 %, 35 % + 6 GiB, and 100 GiB,
//! cut off to a MiB.
//! Source: the rule text "Plan node sizes"; rounding as karpenter-provider-gcp, pkg/utils/utils.go.

use super::brackets::{CPU, MEMORY_MIB, floor_each};
use super::{Input, Profile, Reserved, Rules};
use crate::model::{Bytes, Millicores, Resources, quantity::GIB};

/// See the head of this file.
#[derive(Debug)]
pub struct Gke;

impl Profile for Gke {
    fn name(&self) -> &'static str {
        "gke"
    }

    fn summary(&self) -> &'static str {
        "GKE: CPU by cores, memory in falling shares of the installed size"
    }

    fn wants_installed_memory(&self) -> bool {
        true
    }

    fn reserve(&self, input: &Input, _: &Rules) -> Result<Reserved, String> {
        let cpu = floor_each(u64::from(input.cores) * 1_000, &CPU);
        let mib = input.label_memory().mib();
        let memory_mib = if mib <= 1_024 { 255 } else { floor_each(mib, &MEMORY_MIB) };
        let disk = input.node_filesystem.map(|Bytes(all)| {
            let third = u64::try_from(u128::from(all) * 35 / 100).unwrap_or(u64::MAX).saturating_add(6 * GIB);
            Bytes::from_mib(Bytes((all / 2).min(third).min(100 * GIB)).mib())
        });
        Ok(Reserved {
            kube: Resources::of(Millicores(cpu), Bytes::from_mib(memory_mib), disk),
            system: Resources::default(),
            eviction_hard: vec![
                ("memory.available", "100Mi"),
                ("nodefs.available", "10%"),
                ("nodefs.inodesFree", "5%"),
            ],
        })
    }
}
