//! How long the API server is left alone after a failure. Pure. It refuses to let a fleet come back at once: the jitter is the node's own.

use crate::model::time::Mono;

/// After the first failure; doubled with each further one.
const FIRST_MS: u64 = 1_000;
/// At most.
const LONGEST_MS: u64 = 300_000;
/// A server that asks for more is not obeyed to the letter: the answer may come from anything between.
const LONGEST_ASKED_MS: u64 = 3_600_000;

/// Closed after failures, open after any answer that shows a working server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    node: String,
    failures: u32,
    opens: Mono,
}

impl Gate {
    /// An open gate; `node` makes its jitter.
    pub fn new(node: &str) -> Self {
        Self { node: node.to_owned(), failures: 0, opens: Mono(0) }
    }

    /// How many milliseconds it stays closed.
    pub fn closed_for(&self, now: Mono) -> u64 {
        self.opens.since_ms(now)
    }

    /// One more failure; `asked_ms` is the server's own word (Retry-After), which is obeyed where it is longer.
    pub fn failed(&mut self, now: Mono, asked_ms: Option<u64>) {
        let doubled = FIRST_MS.saturating_mul(1 << self.failures.min(16)).min(LONGEST_MS);
        self.failures = self.failures.saturating_add(1);
        // From half of it to all of it.
        let own = doubled / 2 + jitter(&self.node, u64::from(self.failures), doubled / 2);
        let asked = asked_ms.map(|ms| ms.min(LONGEST_ASKED_MS)).map(|ms| ms + jitter(&self.node, ms, ms / 4));
        self.opens = now.plus_ms(own.max(asked.unwrap_or(0)));
    }

    /// The server works.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.opens = Mono(0);
    }

    /// How often in a row it failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// A number from 0 to `most`, always the same for one node and one `salt`, and spread evenly over nodes.
pub fn jitter(node: &str, salt: u64, most: u64) -> u64 {
    // FNV-1a, then a finalizer: names of one fleet differ in their last letters only.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in node.bytes().chain(salt.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    if most == u64::MAX { hash } else { hash % (most + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_a_limit_and_opens_at_once() {
        let mut gate = Gate::new("ip-10-0-0-1");
        let mut last = 0;
        for failure in 0..40 {
            gate.failed(Mono(0), None);
            let closed = gate.closed_for(Mono(0));
            let whole = (1000_u64 << failure.min(20)).min(LONGEST_MS);
            assert!((whole / 2..=whole).contains(&closed), "{failure}: {closed}");
            last = closed;
        }
        assert!(last >= LONGEST_MS / 2);
        assert_eq!(gate.closed_for(Mono(last)), 0);
        gate.succeeded();
        assert_eq!((gate.closed_for(Mono(0)), gate.failures()), (0, 0));
    }

    #[test]
    fn the_servers_word_counts_where_it_is_longer() {
        let mut gate = Gate::new("a");
        gate.failed(Mono(5), Some(60_000));
        assert!((60_000..=75_000).contains(&gate.closed_for(Mono(5))));
        gate.failed(Mono(5), Some(u64::MAX));
        assert!(gate.closed_for(Mono(5)) <= LONGEST_ASKED_MS * 5 / 4);
    }

    #[test]
    fn a_fleet_is_spread() {
        let mut buckets = [0_u32; 10];
        for node in 0..5000 {
            buckets
                [usize::try_from(jitter(&format!("ip-10-0-{}-{}", node / 250, node % 250), 1, 999) / 100).unwrap()] +=
                1;
        }
        assert!(buckets.iter().all(|count| (400..600).contains(count)), "{buckets:?}");
    }
}
