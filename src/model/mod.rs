//! Plain words and numbers that every other room uses. No file, clock, environment or process is touched here.
#![forbid(unsafe_code)]

pub mod cpuset;
pub mod doc;
pub mod finding;
pub mod machine;
pub mod quantity;
pub mod reading;
pub mod resources;
pub mod version;

pub use cpuset::CpuSet;
pub use doc::Node;
pub use finding::{Finding, Severity};
pub use machine::Machine;
pub use quantity::{Bytes, Millicores, Quantity};
pub use reading::Reading;
pub use resources::{Resource, Resources};
pub use version::KubeletVersion;
