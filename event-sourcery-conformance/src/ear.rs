//! What a listener does, as plain data, so that each backend calls it by its own means.

use std::fmt;
use std::sync::Arc;

use event_sourcery::__kit::Interest;
use event_sourcery::backend::{Backend, JoinableBackend, Listening, TransactionalBackend};
use event_sourcery::{Event, Heard, Listen, Result};

use super::reaction::{Deed, act};

/// A listener of the conformance kit: what it is for, and what it does.
pub struct Ear<E> {
    interest: Interest,
    decide: Arc<Decide<E>>,
}

type Decide<E> = dyn Fn(&Heard<E>) -> Deed + Send + Sync;

impl<E> fmt::Debug for Ear<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ear").field("interest", &self.interest).finish_non_exhaustive()
    }
}

impl<E: Event> Ear<E> {
    pub(super) fn new<B: Backend>(
        listen: Listen<B, E>,
        decide: impl Fn(&Heard<E>) -> Deed + Send + Sync + 'static,
    ) -> Self {
        Self { interest: Interest::of(listen), decide: Arc::new(decide) }
    }
}

/// [`Fixture::listen`](super::Fixture::listen) for a backend whose transactions are handed to a closure.
///
/// # Errors
///
/// Those of the backend's own `listen`.
pub fn listen_in_transaction<B: TransactionalBackend, E: Event>(
    backend: &B,
    ear: Ear<E>,
) -> Result<Listening> {
    let Ear { interest, decide } = ear;
    interest.in_transaction::<B, E, _>(backend, move |heard, tx| act(decide(&heard), tx))
}

/// [`Fixture::listen`](super::Fixture::listen) for a backend whose transactions the caller holds.
///
/// # Errors
///
/// Those of the backend's own `listen`.
pub fn listen_within<B: JoinableBackend, E: Event>(backend: &B, ear: Ear<E>) -> Result<Listening> {
    let Ear { interest, decide } = ear;
    interest.within::<B, E, _>(backend, move |heard, tx| {
        let Deed { deletes, shreds, appends, end } = decide(&heard);
        Box::pin(async move {
            for stream in deletes {
                tx.store().delete_stream(&stream).await?;
            }
            for subject in shreds {
                tx.store().shred(subject).await?;
            }
            for (stream, event) in appends {
                tx.store().append(&stream, event).no_versioning().await?;
            }
            end.reach_in_time().await
        })
    })
}
