//! A publisher of an outbox, in processes that are killed, frozen, or cut off.

use std::time::Duration;

use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use tokio::time::sleep;

use crate::handled::HandledEvents;

/// Notes what it is handed: the file is the receiver. It asks no store, so that it goes on while that is away.
pub struct Noting<F> {
    handled: HandledEvents,
    before: F,
}

impl<F: Fn() + Send + Sync> Noting<F> {
    /// Does this before entries arrive. Once they have, it answers when the file is not [held](HandledEvents::is_held).
    pub const fn new(handled: HandledEvents, before: F) -> Self {
        Self { handled, before }
    }
}

impl<F: Fn() + Send + Sync> Publisher for Noting<F> {
    fn batch(&self) -> usize {
        3
    }

    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            (self.before)();
            entries.iter().for_each(|entry| self.handled.note_alone(entry.recorded()));
            while self.handled.is_held() {
                sleep(Duration::from_millis(2)).await;
            }
            entries.iter().map(|_| Ok(())).collect()
        })
    }
}
