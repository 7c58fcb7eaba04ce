//! Whether a subscription is to stop.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::subscription::stopping::Stopping;

/// Whether to stop.
#[derive(Default)]
pub(super) struct Stop {
    pub(super) stopping: Arc<Stopping>,
    pub(super) told: Notify,
}

impl Stop {
    pub(super) fn request(&self) {
        self.stopping.request();
        self.told.notify_one();
    }

    pub(super) fn is_requested(&self) -> bool {
        self.stopping.is_requested()
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
