//! EKS, as nodeadm (AL2023) and bootstrap.sh (AL2) compute it. It refuses to look at memory: EKS counts pods only.
//!
//! CPU: 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % of the rest, each part cut off to a millicore.
//! Memory: 11 MiB a pod plus 255 MiB. Ephemeral storage: 1 GiB. No systemReserved.
//! Source: awslabs/amazon-eks-ami, nodeadm/internal/kubelet/config.go; Karpenter predicts by the same numbers.

use super::brackets::{CPU, floor_each};
use super::{Input, Profile, Reserved, Rules};
use crate::model::{Bytes, Millicores, Resources, quantity::GIB};

/// See the head of this file.
#[derive(Debug)]
pub struct Eks;

/// What EKS's images and Karpenter reserve; Bottlerocket shares it.
pub(super) fn kube_reserved(input: &Input) -> Resources {
    let cpu = floor_each(u64::from(input.cores) * 1_000, &CPU);
    let memory_mib = u64::from(input.max_pods) * 11 + 255;
    Resources::of(Millicores(cpu), Bytes::from_mib(memory_mib), Some(Bytes(GIB)))
}

impl Profile for Eks {
    fn name(&self) -> &'static str {
        "eks"
    }

    fn summary(&self) -> &'static str {
        "EKS images (nodeadm, bootstrap.sh): CPU by cores, 11 MiB a pod + 255 MiB, pods as nodeadm counts them"
    }

    fn counts_pods_as_nodeadm(&self) -> bool {
        true
    }

    fn reserve(&self, input: &Input, _: &Rules) -> Result<Reserved, String> {
        Ok(Reserved {
            kube: kube_reserved(input),
            system: Resources::default(),
            eviction_hard: vec![
                ("memory.available", "100Mi"),
                ("nodefs.available", "10%"),
                ("nodefs.inodesFree", "5%"),
            ],
        })
    }
}
