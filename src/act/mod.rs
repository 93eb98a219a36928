//! From what is known of the node to what its cluster is told. Pure: problems, the Node and moments come in, requests as values go out. It refuses to
//! send one itself, and to say anything under a name that is not our own.
#![forbid(unsafe_code)]

pub mod actor;
mod conditions;
pub mod drain;
pub mod hold;
pub mod ledger;
pub mod note;
mod notices;
pub mod plan;
mod repair;
mod report;
mod rules;
pub mod skew;

pub use conditions::{ALL, Answer, PREFIX, Said, View, judge, name};
pub use notices::Notices;
pub use repair::Repair;
pub use report::{Kept, Reporter, Sent};
pub use rules::{After, DEADLINES, DrainRules, Rules, Word};
