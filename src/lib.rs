//! node-steward: an on-host agent for Kubernetes nodes. The map of the house, floor by floor; an arrow only ever points down.
//!
//! `tests/architecture.rs` holds the floors.

/// Floor 0: plain words and numbers.
pub mod model;
