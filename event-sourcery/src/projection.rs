//! Projectors: read models that are fed event by event, notice what they missed, and catch up from the stream.

mod catch_up;
mod unfinished;

use std::fmt;
use std::sync::Arc;

use self::catch_up::{Ask, Feeding};
pub(crate) use self::unfinished::Unfinished;
use crate::backend::{
    Backend, BackendTransaction, BlockedStream, ForgetRequest, JoinableBackend, JoinedTransaction,
};
use crate::error::{NameKind, Result};
use crate::event::Event;
use crate::limits;
use crate::store::EventStore;
use crate::stream_id::{StreamId, TenantId};
use crate::subscription::HandlerTransaction;
use crate::tag::Tag;
use crate::within::Within;
use crate::wrapped_event::Recorded;

/// Feeds a read model with the events of streams, each version once and in order, whatever it is handed.
///
/// It keeps a cursor for each stream: the version that was projected last, and where it stood. [Handed an
/// event](Self::project), it gives the versions that were missed before it, from the full history and never from a snapshot;
/// then the event itself. A version that was projected already gives nothing. A stream that it knows nothing of is projected
/// from its first version, and so is one that was deleted and created again. Read model and cursor are written in one
/// transaction, the caller's.
///
/// Events between the cursor and the event at hand whose names `E` does not decode are passed over, unless `E` has a
/// catch-all: they are not for this read model. So are those without the [tags](Self::tagged) that it is for.
///
/// The event's tenant counts, not that of the handle: same id, other tenant, other cursor. Deleting a stream deletes its
/// cursors in the same transaction, and leaves those of other tenants.
///
/// A projector that has no cursor of its own for a stream of the default tenant goes on behind the cursor that a projector
/// of this name has in Event Sourcery for Python, on the databases that both share. The cursor in Python stays as it is. It
/// knows no tenant: where another tenant has a stream of the same id, it does not count, and the stream starts over.
///
/// The guide page [*read models*](crate::guide::read_models) tells when it helps, and has the same for PostgreSQL.
///
/// ```
/// use event_sourcery::{Event, EventStore, MemoryBackend, Projected, Projector, StreamId};
/// use serde::{Deserialize, Serialize};
/// # use std::sync::{Arc, Mutex};
///
/// #[derive(Event, Serialize, Deserialize)]
/// struct Paid {
///     cents: i64,
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let store = EventStore::new(MemoryBackend::new());
/// # let revenue = Arc::new(Mutex::new(std::collections::HashMap::new()));
/// # let rows = revenue.clone();
/// # let watched = revenue.clone();
/// # let stop = async move { while watched.lock().unwrap().is_empty() { tokio::task::yield_now().await } };
/// let stream = StreamId::from_name("invoices/1003")?;
/// store.append(&stream, Paid { cents: 500 }).await?;
///
/// let projector = Projector::new("revenue")?;
/// store
///     .subscribe::<Paid>()
///     .durable("revenue")
///     .until(stop)
///     .run_in_transaction(move |recorded, tx| {
///         let mut projection = projector.project(recorded);
///         while let Some(projected) = projection.next(tx)? {
///             match projected {
///                 Projected::Anew { stream_id, .. } => drop(rows.lock().unwrap().remove(&stream_id)),
///                 Projected::Event(paid) => {
///                     *rows.lock().unwrap().entry(paid.stream_id.clone()).or_insert(0) += paid.event().cents;
///                 }
///             }
///         }
///         Ok(())
///     })
///     .await?;
/// assert_eq!(revenue.lock().unwrap()[&stream], 500);
/// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Projector {
    name: Arc<str>,
    tags: Arc<[Tag]>,
}

/// What a projector gives to a read model.
#[derive(Debug, Clone, PartialEq)]
pub enum Projected<E> {
    /// The stream is projected from its first version on: remove what is held of it. It comes before a stream's first event,
    /// also where nothing is held, and where the stream was deleted and created again.
    Anew {
        /// The stream.
        stream_id: StreamId,
        /// Whose stream it is.
        tenant_id: TenantId,
    },
    /// The stream's next event that `E` decodes.
    Event(Recorded<E>),
}

impl Projector {
    /// A projector of this name; its cursors are kept under it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`](crate::Error::InvalidName) for a name outside 1 to 255 characters and 850 bytes, or with a NUL.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self> {
        let name = name.into();
        limits::check_name(NameKind::Projector, &name)?;
        Ok(Self { name, tags: Arc::default() })
    }

    /// The same for a read model of events that have this tag, and those that were given before: others are passed over, those too
    /// that were missed. For a [subscription](crate::Subscribe::tagged) of the same tags. Cursors do not tell for which they were
    /// moved: give other tags another name, or [forget](Self::forget) what was projected.
    #[must_use]
    pub fn tagged(self, tag: Tag) -> Self {
        let tags = self.tags.iter().cloned().chain([tag]).collect();
        Self { tags, ..self }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What an event means to the read model: read it to its end, in one transaction.
    pub fn project<E: Event>(&self, recorded: Recorded<E>) -> Projection<E> {
        Projection { feeding: Feeding::new((Arc::clone(&self.name), Arc::clone(&self.tags)), recorded) }
    }

    /// Leaves an event out, for good: one that the read model cannot take, or that cannot be decoded. The projection gives what
    /// was missed before it, and not the event; then the cursor moves past it. Without that, the event is loaded as a missed one
    /// with the next of its stream, and fails again.
    ///
    /// Read it to its end, then [`skip`](crate::Durable::skip) the event in the subscription. It does no harm to do so again:
    /// what was passed over already gives nothing, and so does a stream that was deleted meanwhile.
    pub fn pass_over<E: Event>(&self, failed: &BlockedStream) -> Projection<E> {
        Projection { feeding: Feeding::past((Arc::clone(&self.name), Arc::clone(&self.tags)), failed) }
    }

    /// Forgets what was projected: every stream starts over with its next event. Cursors that Event Sourcery for Python has by
    /// now stay, and are not gone on behind any more. With a tenant's handle, only that tenant's streams.
    ///
    /// To build a read model anew in its place, empty its tables, forget the projector, then
    /// [`reset`](crate::Durable::reset) its subscription to the beginning, in this order; the subscription may run all the
    /// while.
    ///
    /// It is one transaction that looks at every cursor of the store. On PostgreSQL those of the projector are locked until it
    /// ends; on SQLite writers wait for it.
    ///
    /// # Errors
    ///
    /// [`Error::SerializationFailure`](crate::Error::SerializationFailure) where the database ends it in favour of a transaction
    /// that projects several streams: try again. And the backend's.
    pub async fn forget<B: Backend>(&self, store: &EventStore<B>) -> Result<()> {
        let whose = store.tenant_id();
        let tenant = (!whose.is_default()).then(|| whose.clone());
        store.backend().forget_projector(ForgetRequest { projector: Arc::clone(&self.name), tenant }).await
    }
}

/// What an event means to a read model, one thing after the other; see [`Projector::project`].
///
/// Read it to its end, with one transaction, and write what it gives through that transaction. At the end, and not before, the
/// cursor is moved. When something fails on the way, pass the error on, so that the transaction is rolled back: the read
/// model would keep what was written, and be given it again. A closure or a handler that has begun one, and succeeds without
/// having read it to its end, or begins another of the same stream before, fails with
/// [`Error::UnfinishedProjection`](crate::Error::UnfinishedProjection); in a transaction that the caller holds, nobody looks.
#[must_use = "nothing is projected until it is read, and the cursor moves at its end"]
pub struct Projection<E> {
    feeding: Feeding<E>,
}

impl<E> fmt::Debug for Projection<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Projection")
    }
}

impl<E: Event> Projection<E> {
    /// The next thing for the read model, in a transaction on the backend's writer: in a handler of
    /// [`run_in_transaction`](crate::Durable::run_in_transaction), or in the closure of [`EventStore::transaction`]. `None`
    /// at the end.
    ///
    /// A projection costs a few reads by a key and the write of the cursor; where events were missed, a load for each 512 of
    /// them.
    ///
    /// # Errors
    ///
    /// [`Error::CannotProjectUnversionedEvent`](crate::Error::CannotProjectUnversionedEvent) for an event without a version;
    /// [`Error::InvalidEvent`](crate::Error::InvalidEvent) for a missed event that is corrupt; and the backend's.
    pub fn next<T: BackendTransaction>(&mut self, tx: &mut Within<'_, T>) -> Result<Option<Projected<E>>> {
        loop {
            match self.feeding.ask()? {
                Ask::Hold(id, position) => {
                    tx.unfinished.begin(id)?;
                    let held = tx.hold_cursor(id, position)?;
                    tx.unfinished.begun(id);
                    self.feeding.held(held);
                }
                Ask::Load(request) => {
                    let loaded = tx.calls().transaction.load(request)?;
                    self.feeding.loaded(loaded)?;
                }
                Ask::Move(id, to) => {
                    tx.move_cursor(id, to)?;
                    self.feeding.moved();
                }
                Ask::Hand(projected) => return Ok(Some(projected)),
                Ask::Finish(id) => {
                    tx.unfinished.finished(id);
                    self.feeding.finished();
                }
                Ask::Nothing => return Ok(None),
            }
        }
    }

    /// The next thing for the read model, in the transaction of a durable subscription: in a handler of
    /// [`run_within`](crate::Durable::run_within). `None` at the end.
    ///
    /// A projection costs a statement that locks and reads, and one that writes the cursor; two more for a stream's first
    /// event; where events were missed, two for each 512 of them. Until the transaction ends, the cursor is locked, and the
    /// stream cannot be deleted; appends to it go on.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    pub async fn next_within<B: JoinableBackend>(
        &mut self,
        tx: &mut HandlerTransaction<B>,
    ) -> Result<Option<Projected<E>>> {
        let (mut transaction, unfinished) = tx.join();
        self.next_in(&mut *transaction, unfinished).await
    }

    /// The next thing for the read model, in a transaction that the caller holds. `None` at the end.
    ///
    /// It costs what [`next_within`](Self::next_within) costs. Two transactions that project one stream under one name wait
    /// for each other; two that project two streams in different orders can deadlock, and the database ends one of them with
    /// [`Error::SerializationFailure`](crate::Error::SerializationFailure).
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next), and [`Error::Unsupported`](crate::Error::Unsupported) in a PostgreSQL transaction that is
    /// not READ COMMITTED: it may not see the event at hand, nor what was missed.
    pub async fn next_joined<B: JoinableBackend>(
        &mut self,
        store: &EventStore<B>,
        transaction: &mut B::Transaction<'_>,
    ) -> Result<Option<Projected<E>>> {
        let mut transaction = store.scope().joined(store.backend().join(transaction));
        self.next_in(&mut *transaction, &mut Unfinished::default()).await
    }

    pub(crate) async fn next_in(
        &mut self,
        transaction: &mut dyn JoinedTransaction,
        unfinished: &mut Unfinished,
    ) -> Result<Option<Projected<E>>> {
        loop {
            match self.feeding.ask()? {
                Ask::Hold(id, position) => {
                    unfinished.begin(id)?;
                    let held = transaction.hold_cursor(id, position).await?;
                    unfinished.begun(id);
                    self.feeding.held(held);
                }
                Ask::Load(request) => {
                    let loaded = transaction.load(request).await?;
                    self.feeding.loaded(loaded)?;
                }
                Ask::Move(id, to) => {
                    transaction.move_cursor(id, to).await?;
                    self.feeding.moved();
                }
                Ask::Hand(projected) => return Ok(Some(projected)),
                Ask::Finish(id) => {
                    unfinished.finished(id);
                    self.feeding.finished();
                }
                Ask::Nothing => return Ok(None),
            }
        }
    }
}
