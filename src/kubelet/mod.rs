//! kubelet's configuration: what it is given, what it makes of it, what we write. It refuses to decide what to reserve;
//! `reserve` does that.

pub mod config;
pub mod flags;
pub mod tables;
