//! The kernel's log as it is written: records are taken as they come, and bad ones wake a turn. It refuses to be woken for each record of a
//! flood: after a bad one it does not listen for a second, after harmless ones for a moment that grows to a second, and what waits for a turn is bounded.

use tokio::io::Interest;

use std::os::fd::AsFd;

use crate::host::{Host, Kmsg, Watched};
use crate::model::time::Mono;
use crate::model::watch::KernelLog;

/// How long it does not listen after it was woken by a bad record, and at the most in any case.
const DEAF_MS: u64 = 1000;
/// The same after one that harms nobody, so that what is bad is heard soon after it; doubled while they go on.
const LULL_MS: u64 = 50;
/// Records that wait for a turn.
const MOST_RECORDS: usize = 16_384;
/// Errors of the kernel, and what is worse.
const WAKES: u8 = 3;

/// See the head of this file.
#[derive(Debug)]
pub struct Ear {
    source: Result<Kmsg, String>,
    watched: Option<Watched>,
    deaf_until: Mono,
    lull_ms: u64,
    heard: KernelLog,
    /// Records read so far.
    pub records: u64,
    /// Records that were overwritten before they could be read.
    pub lost: u64,
}

impl Ear {
    /// Opens the log; where that fails, the turns are told why.
    pub fn open(host: &Host) -> Self {
        let source = Kmsg::open(host).map_err(|error| error.to_string());
        let mut ear = Self {
            source,
            watched: None,
            deaf_until: Mono(0),
            lull_ms: LULL_MS,
            heard: KernelLog::default(),
            records: 0,
            lost: 0,
        };
        ear.take();
        ear
    }

    /// Listens again where it is time to. It needs a runtime, and a kernel that runs.
    pub fn listen(&mut self, now: Mono) {
        if self.watched.is_some() || now < self.deaf_until {
            return;
        }
        let Ok(source) = &self.source else { return };
        // A second handle on the same open file: the runtime owns what it watches.
        let handle = source.as_fd().try_clone_to_owned();
        self.watched = handle.and_then(|handle| Watched::new(handle, Interest::READABLE)).ok();
        if self.watched.is_none() {
            // The turns still take what is there.
            self.deaf_until = now.plus_ms(DEAF_MS * 60);
        }
    }

    /// When it listens again; none where it does, or never will.
    pub fn again(&self) -> Option<Mono> {
        (self.source.is_ok() && self.watched.is_none()).then_some(self.deaf_until)
    }

    /// Waits for a record.
    pub async fn woken(&self) {
        match &self.watched {
            Some(watched) => drop(watched.woken(Interest::READABLE).await),
            None => std::future::pending().await,
        }
    }

    /// Takes what is there; whether a turn should be made for it.
    pub fn hear(&mut self, now: Mono) -> bool {
        self.watched = None;
        let bad = self.take();
        let (deaf_ms, lull_ms) = after(bad, now.since_ms(self.deaf_until), self.lull_ms);
        (self.deaf_until, self.lull_ms) = (now.plus_ms(deaf_ms), lull_ms);
        bad
    }

    fn take(&mut self) -> bool {
        let Ok(source) = &mut self.source else { return false };
        let log = source.drain();
        let bad = log.records.iter().any(|record| record.facility == 0 && record.level <= WAKES);
        self.records = self.records.saturating_add(u64::try_from(log.records.len()).unwrap_or(0));
        self.heard.lost = self.heard.lost.saturating_add(log.lost);
        self.heard.unreadable = log.unreadable;
        let room = MOST_RECORDS.saturating_sub(self.heard.records.len());
        let over = log.records.len().saturating_sub(room);
        self.heard.lost = self.heard.lost.saturating_add(u64::try_from(over).unwrap_or(0));
        self.heard.records.extend(log.records.into_iter().take(room));
        bad
    }

    /// What came since the last turn.
    pub fn told(&mut self) -> KernelLog {
        self.take();
        let mut heard = std::mem::take(&mut self.heard);
        self.lost = self.lost.saturating_add(heard.lost);
        if let Err(why) = &self.source {
            heard.unreadable = Some(why.clone());
        }
        heard
    }
}

/// How long not to listen now, and after the next one that harms nobody, where nothing came for `quiet_ms` although it listened.
fn after(bad: bool, quiet_ms: u64, lull_ms: u64) -> (u64, u64) {
    let lull_ms = if quiet_ms >= DEAF_MS { LULL_MS } else { lull_ms };
    (if bad { DEAF_MS } else { lull_ms }, lull_ms.saturating_mul(2).min(DEAF_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_harmless_record_does_not_cover_a_bad_one() {
        assert_eq!(after(false, 60_000, DEAF_MS), (LULL_MS, 2 * LULL_MS));
        assert_eq!(after(true, 60_000, LULL_MS).0, DEAF_MS);
    }

    #[test]
    fn a_flood_of_them_wakes_once_a_second() {
        let (mut lull, mut wakes, mut now) = (LULL_MS, 0, 0);
        while now < 60_000 {
            let (deaf, next) = after(false, 0, lull);
            (lull, wakes, now) = (next, wakes + 1, now + deaf);
        }
        assert!((60..=66).contains(&wakes), "{wakes}");
    }
}
