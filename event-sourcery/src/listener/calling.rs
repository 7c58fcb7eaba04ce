//! How a backend's call becomes a call of the caller's code: the event decoded, the transaction as the store has it,
//! and what becomes of an error or a panic.

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;

use super::Heard;
use crate::backend::{
    AsyncListener, Filter, HeardRecord, JoinableBackend, ListenedTransaction, Listener, Listening,
    StoredRecord, TransactionalBackend,
};
use crate::error::{Error, KEPT, Result, Source, shortened};
use crate::event::Event;
use crate::panics::caught;
use crate::privacy::{self, Vault};
use crate::store::Scope;
use crate::within::{Joined, Within};

/// Registers a listener that is called on the backend's writer.
pub(crate) fn in_transaction<B, E, H>(
    backend: &B,
    interest: Vec<Filter>,
    scope: Scope,
    listener: H,
) -> Result<Listening>
where
    B: TransactionalBackend,
    E: Event,
    H: for<'w, 't> Fn(Heard<E>, &mut Within<'w, B::Transaction<'t>>) -> Result<(), Source>
        + Send
        + Sync
        + 'static,
{
    let listener = OnWriter { scope, listener, event: PhantomData::<fn() -> E> };
    TransactionalBackend::listen(backend, interest, Arc::new(listener))
}

/// Registers a listener that waits for its statements.
pub(crate) fn within<B, E, H>(
    backend: &B,
    interest: Vec<Filter>,
    scope: Scope,
    listener: H,
) -> Result<Listening>
where
    B: JoinableBackend,
    E: Event,
    H: for<'a, 't> Fn(Heard<E>, &'a mut ListenerTransaction<'t, B>) -> Listened<'a> + Send + Sync + 'static,
{
    let listener = OnConnection { scope, listener, of: PhantomData::<fn() -> (B, E)> };
    JoinableBackend::listen(backend, interest, Arc::new(listener))
}

/// A listener at work.
type Listened<'a> = Pin<Box<dyn Future<Output = Result<(), Source>> + Send + 'a>>;

/// The transaction of an append, as its listener sees it: what is written through it is committed together with the
/// event, or not at all.
///
/// It is the append's: the listener does not end it.
pub struct ListenerTransaction<'t, B: JoinableBackend> {
    transaction: &'t mut dyn ListenedTransaction<B::Connection>,
    scope: &'t Scope,
}

impl<B: JoinableBackend> ListenerTransaction<'_, B> {
    /// The connection, for the listener's own statements.
    pub fn connection(&mut self) -> &mut B::Connection {
        self.transaction.connection()
    }

    /// The store within this transaction, for the tenant of the event at hand; for one call.
    ///
    /// What is appended carries the event's correlation id, and its id as causation id.
    pub fn store(&mut self) -> Joined<'_> {
        Joined { transaction: self.scope.joined(self.transaction.join()), scope: self.scope }
    }
}

impl<B: JoinableBackend> fmt::Debug for ListenerTransaction<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListenerTransaction")
    }
}

/// A listener that is called on the backend's writer.
struct OnWriter<E, H> {
    scope: Scope,
    listener: H,
    event: PhantomData<fn() -> E>,
}

impl<B, E, H> Listener<B> for OnWriter<E, H>
where
    B: TransactionalBackend,
    E: Event,
    H: for<'w, 't> Fn(Heard<E>, &mut Within<'w, B::Transaction<'t>>) -> Result<(), Source> + Send + Sync,
{
    fn hear(&self, event: &HeardRecord<'_>, transaction: &mut B::Transaction<'_>) -> Result<()> {
        let opened = sealed(event, &self.scope)
            .map(|(vault, mut record)| privacy::open_heard(vault, &mut record, transaction).map(|()| record));
        let (heard, scope) = heard::<E>(event, opened.transpose()?.as_ref(), &self.scope)?;
        let listened = caught(|| Within::run(transaction, &scope, |tx| (self.listener)(heard, tx)));
        listened.unwrap_or_else(|panic| Err(panicked(&panic))).map_err(|source| failed(event, source))
    }
}

/// A listener that waits for its statements.
struct OnConnection<B, E, H> {
    scope: Scope,
    listener: H,
    of: PhantomData<fn() -> (B, E)>,
}

#[async_trait]
impl<B, E, H> AsyncListener<B::Connection> for OnConnection<B, E, H>
where
    B: JoinableBackend,
    E: Event,
    H: for<'a, 't> Fn(Heard<E>, &'a mut ListenerTransaction<'t, B>) -> Listened<'a> + Send + Sync,
{
    async fn hear(
        &self,
        event: &HeardRecord<'_>,
        transaction: &mut dyn ListenedTransaction<B::Connection>,
    ) -> Result<()> {
        let mut opened = None;
        if let Some((vault, mut record)) = sealed(event, &self.scope) {
            privacy::open_heard_joined(vault, &mut record, &mut *transaction.join()).await?;
            opened = Some(record);
        }
        let (heard, scope) = heard::<E>(event, opened.as_ref(), &self.scope)?;
        let mut transaction = ListenerTransaction::<B> { transaction, scope: &scope };
        let tx = &mut transaction;
        let listened = match caught(move || (self.listener)(heard, tx)) {
            Ok(at_work) => finished(at_work).await,
            Err(panic) => Err(panicked(&panic)),
        };
        listened.map_err(|source| failed(event, source))
    }
}

/// An event that is to be opened before it is heard.
fn sealed<'s>(event: &HeardRecord<'_>, of_listener: &'s Scope) -> Option<(&'s Vault, StoredRecord)> {
    let vault = of_listener.vault.as_ref().filter(|_| event.record.event.is_sealed())?;
    Some((&**vault, event.record.clone()))
}

/// The event as the listener is handed it, and what is added to whatever it does about it.
fn heard<E: Event>(
    event: &HeardRecord<'_>,
    opened: Option<&StoredRecord>,
    of_listener: &Scope,
) -> Result<(Heard<E>, Scope)> {
    let heard = Heard::<E>::decode(opened.unwrap_or(&event.record))
        .map_err(|problem| failed(event, problem.into()))?;
    let scope = Scope {
        tenant: heard.tenant_id.clone(),
        enrichers: of_listener.enrichers.clone(),
        outbox: of_listener.outbox.clone(),
        handed_down: of_listener.handed_down.caused_by(&heard.wrapped_event),
        deletions: Arc::clone(event.deletions()),
        vault: of_listener.vault.clone(),
        observing: of_listener.observing.clone(),
        without_tags: of_listener.without_tags,
    };
    Ok((heard, scope))
}

/// What becomes of a listener that waits. Its panics are failures, that of what it leaves included.
async fn finished(mut at_work: Listened<'_>) -> Result<(), Source> {
    let finished = poll_fn(|context| match caught(|| at_work.as_mut().poll(context)) {
        Ok(poll) => poll,
        Err(panic) => Poll::Ready(Err(panicked(&panic))),
    });
    let finished = finished.await;
    let dropped = caught(|| drop(at_work)).map_err(|panic| panicked(&panic));
    finished.and(dropped)
}

fn panicked(panic: &str) -> Source {
    format!("the listener panicked: {}", shortened(panic, KEPT)).into()
}

/// The append's error. That listeners call each other without an end is told as it is, not once for each of them.
fn failed(event: &HeardRecord<'_>, source: Source) -> Error {
    let source: Source = match source.downcast::<Error>() {
        Ok(error) if matches!(*error, Error::ListenersTooDeep { .. }) => return *error,
        Ok(error) => error,
        Err(source) => source,
    };
    let StoredRecord { stream, event, .. } = &event.record;
    let (name, stream, version) = (event.name.to_string(), stream.clone(), event.version);
    Error::ListenerFailed { name, stream, version, source }
}
