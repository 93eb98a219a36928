//! Rules over log text: kernel lines become findings. Pure: it refuses files and clocks, and it refuses to count lines: the kernel suppresses
//! repeated ones, so their number measures nothing.
#![forbid(unsafe_code)]

mod kernel;
mod lines;
mod matcher;
mod reader;
mod rule;

pub use lines::{Line, lines};
pub use matcher::{Found, find};
pub use reader::{Memory, Reader, Rules};
pub use rule::{Case, Hit, Notes, Rule};

/// Every built-in rule. A new one is its file and its line here.
pub const ALL: &[&Rule] =
    &[&kernel::block_io::RULE, &kernel::ext4::RULE, &kernel::xfs::RULE, &kernel::hung_task::RULE, &kernel::oom::RULE];
