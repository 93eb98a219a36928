//! Bottlerocket: EKS's numbers, but by kubelet's real maxPods. It refuses to set hard eviction: Bottlerocket leaves kubelet's own.
//!
//! Source: bottlerocket-core-kit, sources/api/schnauzer (kube_reserve_cpu, kube_reserve_memory); equal to EKS for every core count.

use super::{Input, Profile, Reserved, Rules, eks};

/// See the head of this file.
#[derive(Debug)]
pub struct Bottlerocket;

impl Profile for Bottlerocket {
    fn name(&self) -> &'static str {
        "bottlerocket"
    }

    fn summary(&self) -> &'static str {
        "Bottlerocket: EKS's formula by kubelet's real maxPods"
    }

    fn reserve(&self, input: &Input, _: &Rules) -> Result<Reserved, String> {
        Ok(Reserved { kube: eks::kube_reserved(input), ..Reserved::default() })
    }
}
