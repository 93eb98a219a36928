//! The daemon: turns on time, streams that wake it, probes that it never waits for, and what is published. It refuses to judge: `turn` does.

mod aftermath;
pub mod ask;
mod daemon;
mod deeds;
mod desk;
mod doors;
mod drained;
mod drains;
mod drill;
mod ear;
pub mod engine;
mod envoy;
mod figures;
mod keep;
mod keeping;
mod life;
mod lines;
mod look;
pub mod member;
mod orders;
mod pace;
mod probes;
mod reload;
mod rules;
mod saved;
mod shared;
mod talk;

pub use life::{Flags, Glance, LifeError, Options, run};
pub use rules::{LockMemory, Rules};
