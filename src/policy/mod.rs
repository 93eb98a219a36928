//! From problems to decisions: done, or withheld for a named reason. Pure. It refuses to do anything in mode `observe`, which is the default.
#![forbid(unsafe_code)]

mod reasons;
mod rules;

pub use reasons::Withheld;
pub use rules::{Bears, Budget, COMPANION, Ground, Mode, Rules, Want, bears, decide, ends_by_itself, grave, want};
