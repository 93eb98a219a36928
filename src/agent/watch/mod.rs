//! The daemon: turns on time, streams that wake it, probes that it never waits for, and what is published. It refuses to judge: `turn` does.

pub mod ask;
mod daemon;
mod desk;
mod doors;
mod drill;
mod ear;
pub mod engine;
mod figures;
mod life;
mod lines;
mod look;
mod pace;
mod probes;
mod reload;
mod rules;
mod saved;

pub use life::{Glance, LifeError, Options, run};
pub use rules::{LockMemory, Rules};
