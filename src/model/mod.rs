//! Plain words and numbers that every other room uses. No file, clock, environment or process is touched here.
#![forbid(unsafe_code)]

pub mod cluster;
pub mod complaint;
pub mod cpuset;
pub mod doc;
pub mod drain;
pub mod machine;
mod owner;
pub mod problem;
pub mod quantity;
pub mod reading;
pub mod recommendation;
pub mod resources;
pub mod status;
mod threshold;
pub mod time;
pub mod usage;
pub mod version;
pub mod watch;

pub use complaint::{Complaint, Weight};
pub use cpuset::CpuSet;
pub use doc::Node;
pub use machine::{KubeProxy, Machine};
pub use quantity::{Bytes, Millicores, Quantity};
pub use reading::Reading;
pub use resources::{Resource, Resources};
pub use threshold::Threshold;
pub use version::KubeletVersion;
