//! What was asked of the API server, counted by request and by outcome. It refuses labels that grow: both lists are fixed.

use std::collections::BTreeMap;

/// One kind of request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// How many went out.
    pub sent: u64,
    /// How many were answered as asked.
    pub good: u64,
    /// How many failed, by the error's name.
    pub failed: BTreeMap<&'static str, u64>,
    /// Bytes of answers.
    pub bytes: u64,
    /// Milliseconds from the first byte out to the last byte in, all together.
    pub ms: u64,
}

/// All kinds, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// By the request's name.
    pub requests: BTreeMap<&'static str, Count>,
    /// Requests that the gate kept back.
    pub held_back: u64,
    /// How often a new pool of connections was begun: a credential or an address changed.
    pub pools: u64,
    /// Credential plugins that were run as programs.
    pub plugins: u64,
    /// Tokens made here, without a program.
    pub tokens: u64,
}

impl Figures {
    /// One kind's line.
    pub fn of(&mut self, kind: &'static str) -> &mut Count {
        self.requests.entry(kind).or_default()
    }

    /// All requests that went out.
    pub fn sent(&self) -> u64 {
        self.requests.values().map(|count| count.sent).sum()
    }
}
