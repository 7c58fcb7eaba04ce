//! How a delivery ends, whatever the kind of handler: with progress, or with those events that are to blame.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Delivered, Failure};
use crate::backend::{BackendTransaction, JoinableBackend, ProgressRequest};
use crate::error::{Error, Result};
use crate::store::EventStore;
use crate::subscription::HandlerTransaction;
use crate::subscription::deletions::Deletions;
use crate::subscription::guarded::{Guarded, Handled, guarded_call, panicked, took_longer, whole};
use crate::subscription::stopping::Stopping;
use crate::telemetry::Handling;

/// Which of the events that were handed over are to blame: the number of the first of them, and how many they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blame {
    /// Where the handler has failed.
    at_hand: (usize, usize),
    /// Where the store could not keep what the handler has done, if it has handled any.
    done: Option<(usize, usize)>,
}

impl Blame {
    /// They are handed over one by one, and this many are handled: it is the next one, or the last of these.
    pub(super) fn one_by_one(handled: usize) -> Self {
        Self { at_hand: (handled, 1), done: handled.checked_sub(1).map(|last| (last, 1)) }
    }

    /// This many are handed over together: nobody knows which of them it is.
    pub(super) fn together(events: usize) -> Self {
        Self { at_hand: (0, events), done: (events > 0).then_some((0, events)) }
    }

    /// The handler has failed.
    pub(super) fn of_handler(self, error: String, took: Duration) -> Delivered {
        Delivered { kept: 0, failed: Some(Failure::new(self.at_hand, error, took)) }
    }

    /// A transaction could not be kept: they are to blame, if it is the handler's doing.
    pub(super) fn of_store(self, error: Error, took: Duration) -> Result<Delivered> {
        match self.done.filter(|_| is_the_handlers(&error)) {
            Some(done) => Ok(Delivered { kept: 0, failed: Some(Failure::new(done, whole(&error), took)) }),
            None => Err(error),
        }
    }

    /// A transaction on the backend's writer has ended in this way.
    pub(super) fn of_writer(
        self,
        ended: std::thread::Result<Result<usize, RolledBack>>,
        took: Duration,
    ) -> Result<Delivered> {
        match ended {
            Ok(Ok(handled)) => Ok(Delivered::kept(handled)),
            Ok(Err(RolledBack::ByStore(error))) => self.of_store(error, took),
            Ok(Err(RolledBack::ByHandler(error))) => Ok(self.of_handler(error, took)),
            Err(panic) => Ok(self.of_handler(panicked(&*panic), took)),
        }
    }
}

/// Whether a transaction could not be kept because of what the handler has done in it, or left undone: an error that it has
/// hidden, a constraint that is checked at the commit, a pause that the database does not bear. Where it is the store that is
/// away, that cannot be put on record either, and nothing comes of it. Not where others were in the way: it would have gone
/// well without them.
const fn is_the_handlers(error: &Error) -> bool {
    !matches!(
        error,
        Error::LeaseLost { .. }
            | Error::OutcomeUnknown { .. }
            | Error::SerializationFailure { .. }
            | Error::Busy { .. }
            | Error::HistoryReplaced { .. }
    )
}

/// Why a transaction on the backend's writer is rolled back.
pub(super) enum RolledBack {
    ByHandler(String),
    ByStore(Error),
}

impl From<Error> for RolledBack {
    fn from(error: Error) -> Self {
        Self::ByStore(error)
    }
}

/// Calls a handler on the writer, unless the run was given up by then. It cannot be interrupted: where it takes longer than the limit, it
/// has failed once it returns.
pub(super) fn call_on_writer(
    stop: &Stopping,
    limit: Option<Duration>,
    handling: &Handling<'_>,
    call: impl FnOnce() -> Handled,
) -> Result<(), RolledBack> {
    let at_work = stop.at_work();
    if stop.is_given_up() {
        return Err(RolledBack::ByStore(Error::Closed));
    }
    let begun = Instant::now();
    let handled = handling.span().in_scope(|| guarded_call(call));
    drop(at_work);
    let handled = handled.and_then(|()| match limit.filter(|limit| begun.elapsed() > *limit) {
        Some(limit) => Err(took_longer(limit)),
        None => Ok(()),
    });
    handling.ended(handled.is_ok());
    handled.map_err(RolledBack::ByHandler)
}

/// Writes progress in the transaction of a handler that notes its deletions there. A stream that it has deleted itself is blocked
/// no more, and need not be as the progress says. That is heeded only where the progress is refused: a handler may have undone a
/// deletion.
pub(super) fn keep_within(
    transaction: &mut impl BackendTransaction,
    progress: &ProgressRequest,
    deletions: &Deletions,
) -> Result<()> {
    match transaction.progress(progress) {
        Err(lost @ Error::LeaseLost { .. }) => match deletions.leave_out_of(progress) {
            Some(rest) => transaction.progress(&rest),
            None => Err(lost),
        },
        kept => kept,
    }
}

/// A transaction that is handed to a handler.
pub(super) struct OpenTransaction<B: JoinableBackend> {
    pub(super) transaction: HandlerTransaction<B>,
    /// What the handler has deleted in it.
    pub(super) deleted: Arc<Deletions>,
    begun: Instant,
    /// After so long without a statement the database ends it.
    idle: Duration,
}

impl<B: JoinableBackend> OpenTransaction<B> {
    pub(super) async fn begin(
        store: &EventStore<B>,
        idle: Duration,
        statement: Option<Duration>,
    ) -> Result<Self> {
        let begun = Instant::now();
        let transaction = store.backend().begin_handling(idle, statement).await?;
        let deleted = Arc::new(Deletions::of_handler());
        let transaction = HandlerTransaction::new(store.noting_in(&deleted), transaction);
        Ok(Self { transaction, deleted, begun, idle })
    }

    /// What became of the handler: one that has left a projection half-read has failed.
    pub(super) fn finished(&self, handled: Guarded) -> Guarded {
        handled.and_then(|()| self.transaction.unfinished.check().map_err(|error| error.to_string()))
    }

    /// Takes back what the handler has done.
    pub(super) async fn fail(self, blame: Blame, error: String) -> Delivered {
        let took = self.begun.elapsed();
        self.transaction.roll_back().await;
        blame.of_handler(error, took)
    }

    /// Commits what was done about so many events, with the progress that it makes. What the handler has deleted is noted for all who
    /// have read ahead.
    pub(super) async fn keep(
        self,
        (handled, blame): (usize, Blame),
        progress: &ProgressRequest,
        deletions: &Deletions,
    ) -> Result<Delivered> {
        let Self { transaction, deleted, begun, idle } = self;
        let took = begun.elapsed();
        let kept = keep(transaction, progress, &deleted).await;
        deletions.note_all(&deleted);
        match kept {
            Ok(()) => Ok(Delivered::kept(handled)),
            // It was not the handler's pause that the database has ended the connection for.
            Err(error @ Error::Unavailable { .. }) if took < idle => Err(error),
            Err(error) => blame.of_store(error, begun.elapsed()),
        }
    }
}

/// Commits what was done in a transaction, with the progress that was made; see [`keep_within`].
async fn keep<B: JoinableBackend>(
    transaction: HandlerTransaction<B>,
    progress: &ProgressRequest,
    deletions: &Deletions,
) -> Result<()> {
    let HandlerTransaction { store, mut transaction, .. } = transaction;
    let mut kept = store.backend().join_handling(&mut transaction).progress(progress).await;
    if matches!(kept, Err(Error::LeaseLost { .. }))
        && let Some(rest) = deletions.leave_out_of(progress)
    {
        kept = store.backend().join_handling(&mut transaction).progress(&rest).await;
    }
    if let Err(error) = kept {
        store.backend().roll_back(transaction).await;
        return Err(error);
    }
    store.backend().commit(transaction).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Position;

    #[test]
    fn what_others_are_to_blame_for_is_no_failure_of_the_handler() {
        let others = [
            Error::LeaseLost { subscription: "letters".to_owned() },
            Error::OutcomeUnknown { source: "lost".into() },
            Error::SerializationFailure { source: "a deadlock".into() },
            Error::Busy { waited: Duration::from_secs(1) },
            Error::HistoryReplaced { position: Position::START },
        ];
        for error in others {
            assert!(Blame::one_by_one(3).of_store(error, Duration::ZERO).is_err());
        }
        let own = || Error::Backend { backend: "postgres", source: "a deferred constraint".into() };
        let told = |blame: Blame| {
            let failed = blame.of_store(own(), Duration::ZERO).ok()?.failed?;
            Some((failed.at, failed.of))
        };
        assert_eq!((told(Blame::one_by_one(3)), told(Blame::together(3))), (Some((2, 1)), Some((0, 3))));
        let of_none = (told(Blame::one_by_one(0)), told(Blame::together(0)));
        assert_eq!(of_none, (None, None), "no event was handled");
    }
}
