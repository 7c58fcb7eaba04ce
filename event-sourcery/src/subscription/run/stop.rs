//! Whether a subscription is to stop.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{Either, select};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Whether to stop.
#[derive(Default)]
pub(super) struct Stop {
    pub(super) requested: Arc<AtomicBool>,
    pub(super) told: Notify,
}

impl Stop {
    pub(super) fn request(&self) {
        self.requested.store(true, Ordering::Release);
        self.told.notify_one();
    }

    pub(super) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    /// Waits for something until a time, but not beyond the request to stop. `None` where it did not come.
    pub(super) async fn wait<T>(&self, until: Instant, waiting: impl Future<Output = T>) -> Option<T> {
        self.or(timeout_at(until, waiting)).await?.ok()
    }

    /// Waits for something, but not beyond the request to stop.
    pub(super) async fn or<T>(&self, waiting: impl Future<Output = T>) -> Option<T> {
        if self.is_requested() {
            return None;
        }
        match select(pin!(waiting), pin!(self.told.notified())).await {
            Either::Left((waited, _)) => Some(waited),
            Either::Right(_) => None,
        }
    }

    pub(super) async fn pause(&self, until: Instant) {
        self.wait(until, pending::<()>()).await;
    }
}
