//! The transaction that a handler is handed.

use std::fmt;

use crate::backend::{JoinableBackend, JoinedTransaction};
use crate::projection::Unfinished;
use crate::store::{EventStore, Scope};
use crate::within::Joined;
use crate::wrapped_event::Recorded;

/// The transaction of a durable subscription, as its handler sees it: what is written through it takes effect together
/// with the checkpoint, or not at all.
///
/// It is the subscription's: the handler does not end it. One that does so all the same, by a `COMMIT` or `ROLLBACK` of its own, has
/// failed: no checkpoint is written, and what it has committed by then stays. The database ends it by itself when the handler leaves it idle
/// for as long as the [lease](super::Durable::lease) lasts, so that a handler that hangs holds up nobody.
pub struct HandlerTransaction<B: JoinableBackend> {
    pub(super) store: EventStore<B>,
    pub(super) transaction: B::Handling,
    pub(super) unfinished: Unfinished,
    /// What the handle adds for the event that something was a reaction to last.
    reacting: Option<Scope>,
}

impl<B: JoinableBackend> HandlerTransaction<B> {
    pub(super) fn new(store: EventStore<B>, transaction: B::Handling) -> Self {
        Self { store, transaction, unfinished: Unfinished::default(), reacting: None }
    }

    /// The connection, for the handler's own statements.
    pub fn connection(&mut self) -> &mut B::Connection {
        B::connection(&mut self.transaction)
    }

    /// The store within this transaction, for the tenant of the event at hand; for one call.
    ///
    /// What is appended carries the event's correlation id, and its id as causation id. A handler of batches has no one event at
    /// hand: this is for the subscription's own tenant then, and without a cause. See [`reacting_to`](Self::reacting_to).
    pub fn store(&mut self) -> Joined<'_> {
        let transaction = self.store.backend().join_handling(&mut self.transaction);
        let scope = self.store.scope();
        Joined { transaction: scope.joined(transaction), scope }
    }

    /// The store within this transaction, for the tenant of this event; for one call. What is appended carries the event's
    /// correlation id, and its id as causation id.
    pub fn reacting_to<E>(&mut self, event: &Recorded<E>) -> Joined<'_> {
        let transaction = self.store.backend().join_handling(&mut self.transaction);
        let transaction = self.store.scope().joined(transaction);
        Joined { transaction, scope: self.reacting.insert(self.store.scope().reacting_to(event)) }
    }

    /// Takes everything back. What it has locked, the next attempt may pass over.
    pub(super) async fn roll_back(self) {
        let Self { store, transaction, .. } = self;
        store.backend().roll_back(transaction).await;
    }

    pub(crate) fn join(&mut self) -> (Box<dyn JoinedTransaction + '_>, &mut Unfinished) {
        let transaction = self.store.backend().join_handling(&mut self.transaction);
        (self.store.scope().joined(transaction), &mut self.unfinished)
    }
}

impl<B: JoinableBackend> fmt::Debug for HandlerTransaction<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandlerTransaction")
    }
}
