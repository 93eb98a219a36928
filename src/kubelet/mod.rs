//! kubelet's configuration: what it is given, what it makes of it, what we write. It refuses to decide what to reserve;
//! `reserve` does that.

pub mod config;
mod error;
pub mod flags;
pub mod preflight;
pub mod record;
pub mod render;
mod rules;
pub mod service;
pub mod setup;
pub mod stamp;
pub mod tables;
pub mod target;

pub use error::PlaceError;
pub use rules::{Layout, OnExisting, Rules};
