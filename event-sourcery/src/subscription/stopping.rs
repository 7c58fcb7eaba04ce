//! How a durable subscription stops: the event in hand is finished, and nothing else is waited for without a bound.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How long the store is waited for, in all, once it is to stop and no handler is at work.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// What handlers, and those who wait for them, know of a stop.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    requested: AtomicBool,
    /// Nobody waits for the store any more: no handler is to begin.
    given_up: AtomicBool,
    /// How many handlers are at work.
    at_work: watch::Sender<usize>,
}

/// A handler at work, for as long as it is.
pub(super) struct AtWork<'s>(&'s Stopping);

impl Stopping {
    pub(super) fn request(&self) {
        self.requested.store(true, Ordering::Release);
    }

    pub(super) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    /// Told before it is asked whether it was given up: so either the handler sees that, or it is waited for.
    pub(super) fn at_work(&self) -> AtWork<'_> {
        self.at_work.send_modify(|handlers| *handlers += 1);
        AtWork(self)
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::SeqCst)
    }

    /// Waits until no handler has been at work for as long as the store is waited for. None begins after that.
    pub(super) async fn give_up(&self, patience: Duration) {
        let mut at_work = self.at_work.subscribe();
        loop {
            // The sender lives as long as this.
            let _ = at_work.wait_for(|handlers| *handlers == 0).await;
            if timeout(patience, at_work.wait_for(|handlers| *handlers > 0)).await.is_ok() {
                continue;
            }
            self.given_up.store(true, Ordering::SeqCst);
            if *self.at_work.borrow() == 0 {
                return;
            }
            self.given_up.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.at_work.send_modify(|handlers| *handlers -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn handlers_are_waited_for_and_the_store_for_no_longer_than_it_says() {
        let (stopping, patience) = (Stopping::default(), Duration::from_millis(300));
        let at_work = stopping.at_work();
        let mut given_up = pin!(stopping.give_up(patience));
        assert!(timeout(patience * 2, &mut given_up).await.is_err());
        let ended = Instant::now();
        drop(at_work);
        assert!(!stopping.is_given_up());
        timeout(10 * PATIENCE, given_up).await.unwrap();
        assert!(stopping.is_given_up() && ended.elapsed() >= patience);
    }
}
