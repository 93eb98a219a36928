//! What a node's own history says of its reservations, for `recommend`, `status` and the API. It refuses to show what is not counted as 0.

use serde::{Deserialize, Serialize};

use super::{Resource, Resources};

/// Use and reservation of one resource of one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// `kubeReserved`, `systemReserved` or `both`.
    pub of: String,
    /// Which.
    pub resource: Resource,
    /// MiB, millicores or task ids.
    pub unit: String,
    /// What kubelet keeps now.
    pub reserved: u64,
    /// What was used; none where it is not counted.
    pub used: Option<Used>,
    /// What would do.
    pub recommended: u64,
    /// Why, in words.
    pub why: String,
}

/// Of all points of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The median...
    pub p50: u32,
    /// ...the 99th percentile...
    pub p99: u32,
    /// ...and the most.
    pub peak: u32,
}

/// See the head of this file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    /// What it rests on, in words.
    pub history: String,
    /// Hours.
    pub hours: u32,
    /// Where the present reservation is from.
    pub reserved_by: String,
    /// Everything, a line each.
    pub rows: Vec<Row>,
    /// kubeReserved as it would be.
    pub kube_reserved: Resources,
    /// systemReserved as it would be.
    pub system_reserved: Resources,
    /// MiB of memory that pods would get besides; negative where they would get less.
    pub allocatable_gained_mib: i64,
    /// The same of CPU, millicores.
    pub allocatable_gained_m: i64,
    /// Points of the history in which more memory was held than is reserved now, percent...
    pub exceeded_percent: u32,
    /// ...and by how much at most, MiB.
    pub exceeded_by_mib: u64,
    /// Points in which more was held than would be reserved: growth that is a leak and not a need...
    pub would_exceed_percent: u32,
    /// ...and by how much at most, MiB.
    pub would_exceed_by_mib: u64,
    /// What else a person should know: leaks, what is not counted, the kernel's own high-water marks.
    pub notes: Vec<String>,
    /// Settings to paste.
    pub settings: String,
}
