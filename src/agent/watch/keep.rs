//! What a next run must know before anything of it can be seen outside: whoever is about to act waits here until the daemon has put the state in its place. It
//! refuses to write: the daemon alone does.

use std::cell::Cell;

use tokio::sync::Notify;

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Keep {
    asked: Cell<u64>,
    saved: Cell<u64>,
    ask: Notify,
    told: Notify,
}

impl Keep {
    /// Until what is there now has been saved.
    pub(super) async fn kept(&self) {
        let mine = self.asked.get().wrapping_add(1);
        self.asked.set(mine);
        self.ask.notify_one();
        while self.saved.get() < mine {
            self.told.notified().await;
        }
    }

    /// Until somebody waits.
    pub(super) async fn wanted(&self) {
        while self.saved.get() >= self.asked.get() {
            self.ask.notified().await;
        }
    }

    /// All that is there now has been saved, or cannot be.
    pub(super) fn saved(&self) {
        self.saved.set(self.asked.get());
        self.told.notify_waiters();
    }

    /// Where there is nothing to save to.
    pub(super) async fn never(&self) {
        loop {
            self.wanted().await;
            self.saved();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[tokio::test(flavor = "current_thread")]
    async fn who_is_about_to_act_waits_for_a_write_that_came_later() {
        let keep = Rc::new(Keep::default());
        keep.saved();
        let first = keep.kept();
        tokio::pin!(first);
        // An earlier write is none of this.
        assert!(at_once(&mut first).await.is_none());
        keep.wanted().await;
        let second = keep.kept();
        tokio::pin!(second);
        assert!(at_once(&mut second).await.is_none());
        keep.saved();
        first.await;
        second.await;
    }

    /// What a future has at once.
    async fn at_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        tokio::time::timeout(std::time::Duration::ZERO, future).await.ok()
    }
}
