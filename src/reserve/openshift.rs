//! OpenShift's automatic sizing (version 2, from 2026-02 on): all in systemReserved, in whole GiB. It refuses kubeReserved, which OpenShift does not use.
//!
//! CPU: 60m + 12m for each further core, to the nearest 10m, at least 500m. Memory, by whole GiB of MemTotal: 1 GiB up to 8; then 1 GiB + 6 % of what
//! is above 8, up to 120 more; beyond, 1 GiB + 6.72 GiB + 2 % of what is above 120; rounded half up to a GiB. Ephemeral storage: 1 GiB.
//! Source: machine-config-operator, templates/common/_base/files/kubelet-auto-sizing.yaml.

use super::{Input, Profile, Reserved, Rules};
use crate::model::{Bytes, Millicores, Resources, quantity::GIB};

/// See the head of this file.
#[derive(Debug)]
pub struct OpenShift;

impl Profile for OpenShift {
    fn name(&self) -> &'static str {
        "openshift"
    }

    fn summary(&self) -> &'static str {
        "OpenShift automatic sizing (2026-02 and later): systemReserved by cores and whole GiB"
    }

    fn reserve(&self, input: &Input, _: &Rules) -> Result<Reserved, String> {
        let exact = 60 + 12 * u64::from(input.cores.saturating_sub(1));
        let cpu = ((exact + 5) / 10 * 10).max(500);
        let gib = input.memory.0 / GIB;
        let hundredths = match gib {
            0..=8 => 100,
            9..=128 => 100 + 6 * (gib - 8),
            _ => 100 + 672 + 2 * (gib - 120),
        };
        let memory_gib = (hundredths + 50) / 100;
        Ok(Reserved {
            kube: Resources::default(),
            system: Resources::of(Millicores(cpu), Bytes(memory_gib * GIB), Some(Bytes(GIB))),
            eviction_hard: Vec::new(),
        })
    }
}
