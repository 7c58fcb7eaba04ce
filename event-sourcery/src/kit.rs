//! What the conformance kit reaches that nobody else has a use for. It is no part of the interface, and stays as it is within a
//! minor version.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::backend::{
    Backend, BackendTransaction, Filter, JoinableBackend, JoinedTransaction, Listening, TransactionalBackend,
};
use crate::context::HandedDown;
use crate::enricher::Enrichers;
use crate::error::{Error, Result, Source};
use crate::event::Event;
use crate::listener::{self, Heard, Listen, ListenerTransaction};
use crate::projection::{Projected, Projection, Unfinished};
use crate::store::Scope;
use crate::stream_id::TenantId;
use crate::telemetry::Observing;
use crate::within::Within;

/// What [`EventStore::transaction`](crate::EventStore::transaction) does for the default tenant, in a transaction that was begun
/// already.
///
/// # Errors
///
/// As there.
pub fn within<T: BackendTransaction, R, E: From<Error>>(
    transaction: &mut T,
    work: impl FnOnce(&mut Within<'_, T>) -> Result<R, E>,
) -> Result<R, E> {
    let (tenant, enrichers, handed_down) = (TenantId::DEFAULT, Enrichers::default(), HandedDown::default());
    let (deletions, observing) = (Arc::default(), Observing::default());
    let scope = Scope {
        tenant,
        enrichers,
        outbox: None,
        vault: None,
        handed_down,
        deletions,
        observing,
        without_tags: None,
    };
    Within::run(transaction, &scope, work)
}

/// [`Projection::next_joined`] in a transaction whose backend is not known.
///
/// # Errors
///
/// As there.
pub async fn next_joined<E: Event>(
    projection: &mut Projection<E>,
    transaction: &mut dyn JoinedTransaction,
) -> Result<Option<Projected<E>>> {
    projection.next_in(transaction, &mut Unfinished::default()).await
}

/// What a [`Listen`] has been told, apart from its store: so that the listener can be registered on the backend below it.
pub struct Interest {
    filters: Vec<Filter>,
    scope: Scope,
}

impl Interest {
    /// What this one has been told.
    pub fn of<B: Backend, E: Event>(listen: Listen<B, E>) -> Self {
        let (_, filters, scope) = listen.into_parts();
        Self { filters, scope }
    }

    /// [`Listen::in_transaction`], on this backend.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn in_transaction<B, E, H>(self, backend: &B, listener: H) -> Result<Listening>
    where
        B: TransactionalBackend,
        E: Event,
        H: for<'w, 't> Fn(Heard<E>, &mut Within<'w, B::Transaction<'t>>) -> Result<(), Source>
            + Send
            + Sync
            + 'static,
    {
        listener::in_transaction::<B, E, H>(backend, self.filters, self.scope, listener)
    }

    /// [`Listen::within`], on this backend.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn within<B, E, H>(self, backend: &B, listener: H) -> Result<Listening>
    where
        B: JoinableBackend,
        E: Event,
        H: for<'a, 't> Fn(
                Heard<E>,
                &'a mut ListenerTransaction<'t, B>,
            ) -> Pin<Box<dyn Future<Output = Result<(), Source>> + Send + 'a>>
            + Send
            + Sync
            + 'static,
    {
        listener::within::<B, E, H>(backend, self.filters, self.scope, listener)
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interest").field("filters", &self.filters).finish_non_exhaustive()
    }
}
