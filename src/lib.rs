//! node-steward: an on-host agent for Kubernetes nodes. The map of the house, floor by floor; an arrow only ever points down.
//!
//! `tests/architecture.rs` holds the floors.

/// Floor 3: from what is known to what the cluster is told.
pub mod act;
/// Floor 4: wiring, from settings and facts to a plan and its placing.
pub mod agent;
/// Floor 3: the local API on a Unix socket.
pub mod api;
/// Floor 5: the command line.
pub mod cli;
/// Floor 2: the API server, as this node's own credential reaches it.
pub mod cluster;
/// Floor 1: from samples to findings, one detector a file.
pub mod detect;
/// Floor 1: the one door to the machine.
pub mod host;
/// Floor 2: kubelet's configuration, read, judged and written.
pub mod kubelet;
/// Floor 1: from the status to Prometheus text.
pub mod metrics;
/// Floor 0: plain words and numbers.
pub mod model;
/// Floor 1: from problems to decisions, each "no" with a name.
pub mod policy;
/// Floor 1: from a machine's numbers to reservations.
pub mod reserve;
/// Floor 1: from log lines to findings.
pub mod rules;
/// Floor 2: from the host to readings.
pub mod sample;
/// Floor 2: drop-ins to one merged value.
pub mod settings;
