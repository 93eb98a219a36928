//! AKS from 1.29 on: memory by pods, at most a quarter of the machine. It refuses ephemeral storage, which AKS does not reserve.
//!
//! CPU: 6 %, 4 %, 2 %, 2 %, then 1 % of each core. Memory: the lesser of 20 MiB a pod + 50 MiB and 25 % of the installed size, cut off to a MiB.
//! (The document writes MB; as in the test vectors its numerals are taken as MiB.)
//! Source: azure-aks-docs, articles/aks/node-resource-reservations.md.

use super::brackets::{AKS_CPU, floor_each};
use super::{Input, Profile, Reserved, Rules};
use crate::model::{Bytes, Millicores, Resources};

/// See the head of this file.
#[derive(Debug)]
pub struct Aks;

impl Profile for Aks {
    fn name(&self) -> &'static str {
        "aks"
    }

    fn summary(&self) -> &'static str {
        "AKS 1.29 and later: 20 MiB a pod + 50 MiB, at most a quarter of the installed size"
    }

    fn wants_installed_memory(&self) -> bool {
        true
    }

    fn reserve(&self, input: &Input, _: &Rules) -> Result<Reserved, String> {
        let cpu = floor_each(u64::from(input.cores) * 1_000, &AKS_CPU);
        let memory_mib = (u64::from(input.max_pods) * 20 + 50).min(input.label_memory().mib() / 4);
        Ok(Reserved {
            kube: Resources::of(Millicores(cpu), Bytes::from_mib(memory_mib), None),
            system: Resources::default(),
            eviction_hard: vec![("memory.available", "100Mi")],
        })
    }
}
