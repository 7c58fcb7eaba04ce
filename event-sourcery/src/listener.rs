//! Listeners: code of the caller's that runs inside the transactions that append.

mod calling;
mod heard;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

pub use self::calling::ListenerTransaction;
pub(crate) use self::calling::{in_transaction, within};
pub use self::heard::Heard;
use crate::backend::{Backend, Filter, JoinableBackend, Listening, TransactionalBackend};
use crate::error::{Result, Source};
use crate::event::Event;
use crate::store::{EventStore, Scope};
use crate::stream_id::Category;
use crate::within::Within;

impl<B: Backend> EventStore<B> {
    /// Calls a listener for each event that `E` decodes, inside the transaction that appends it: what the listener
    /// writes through that transaction is committed together with the event, or not at all. So a read model that it
    /// writes is never behind.
    ///
    /// Say which events, with [`category`](Listen::category), [`event_names`](Listen::event_names) and
    /// [`or`](Listen::or); then give the listener: to [`in_transaction`](Listen::in_transaction) on SQLite and in
    /// memory, to [`within`](Listen::within) on PostgreSQL. `listen::<RawEvent>()` is for all events, undecoded.
    ///
    /// From then on it is called for whatever is appended through this backend and its clones: by an append of its own,
    /// to one stream or several, in a closure, in a transaction that the caller holds, by a handler, by a repository,
    /// by another listener; through handles of any tenant, made before or after, and on a tenant's handle for that
    /// tenant only. Once for each event, in the order of the append, when all of it is written, and before it returns;
    /// several listeners in the order of their registration. It is not called for an append that is recognised as a
    /// repeat, for one that is refused, for what is there already, nor for what other processes append.
    ///
    /// Where it fails, or panics, nothing is appended, and the append is
    /// [`Error::ListenerFailed`](crate::Error::ListenerFailed); in a transaction of the caller's, the rest of that goes
    /// on. What it appends through its transaction carries the event's correlation id, and its id as causation id, and
    /// is listened to as well, up to 16 deep: [`Error::ListenersTooDeep`](crate::Error::ListenersTooDeep).
    ///
    /// A transaction that was rolled back may be made again by the store, and then the listener is called again. So it
    /// does nothing elsewhere that must not happen twice, or in vain: that is for a [durable
    /// subscription](crate::Subscribe::durable). It uses its transaction for everything: a call on the store itself
    /// would wait for the transaction that it is made in. A handle of the store that it holds, in a repository say,
    /// keeps the store open until the listener is removed.
    ///
    /// Where nobody wants an event of an append, that costs nothing, and nothing is decoded.
    ///
    /// The guide page [*listen inside the transaction*](crate::guide::listen_inside_the_transaction) has a read model
    /// on each database.
    ///
    /// ```
    /// use event_sourcery::{Error, Event, EventStore, MemoryBackend, RawEvent, StreamId};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// struct Paid {
    ///     cents: i64,
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let store = EventStore::new(MemoryBackend::new());
    /// let review = StreamId::from_name("to be reviewed")?;
    /// let large = review.clone();
    /// store.listen::<Paid>().in_transaction(move |heard, tx| {
    ///     if heard.event().cents > 100_000 {
    ///         tx.append(&large, RawEvent::new("LargeSumPaid", "{}")?).no_versioning().run()?;
    ///     }
    ///     Ok(())
    /// })?;
    ///
    /// let invoice = StreamId::from_name("invoices/1003")?;
    /// store.append(&invoice, [Paid { cents: 250_000 }, Paid { cents: 3 }]).await?;
    /// assert_eq!(store.load_stream::<RawEvent>(&review).await?.len(), 1);
    ///
    /// // Both, or neither.
    /// store.listen::<Paid>().in_transaction(|heard, _tx| {
    ///     if heard.event().cents < 0 { Err("a payment is not negative".into()) } else { Ok(()) }
    /// })?;
    /// let refused = store.append(&invoice, Paid { cents: -1 }).expected_version(2).await;
    /// assert!(matches!(refused, Err(Error::ListenerFailed { .. })));
    /// assert_eq!(store.version(&invoice).await?, Some(2));
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    pub fn listen<E: Event>(&self) -> Listen<B, E> {
        Listen { store: self.clone(), others: Vec::new(), filter: whole::<B, E>(self), event: PhantomData }
    }
}

/// A listener in the making; see [`EventStore::listen`].
#[must_use = "nobody listens until the listener is given"]
pub struct Listen<B, E> {
    store: EventStore<B>,
    /// What was said before the last [`or`](Self::or).
    others: Vec<Filter>,
    filter: Filter,
    event: PhantomData<fn() -> E>,
}

/// All events that `E` decodes and the handle sees.
fn whole<B: Backend, E: Event>(store: &EventStore<B>) -> Filter {
    let tenant = store.tenant_id();
    Filter {
        tenant: (!tenant.is_default()).then(|| tenant.clone()),
        names: (!E::CATCH_ALL).then(|| E::NAMES.iter().map(|name| Arc::from(*name)).collect()),
        ..Filter::default()
    }
}

impl<B: Backend, E: Event> Listen<B, E> {
    /// Only events of this category's streams.
    pub fn category(mut self, category: Category) -> Self {
        self.filter.category = Some(category);
        self
    }

    /// Only events of these stored names, out of those that `E` decodes. For [`RawEvent`](crate::RawEvent) and other
    /// types with a catch-all: a typed listener has the names of its type already.
    pub fn event_names<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        let wanted = names.into_iter().filter(|name| E::CATCH_ALL || E::NAMES.contains(name));
        self.filter.names = Some(wanted.map(Arc::from).collect());
        self
    }

    /// Begins anew, for other events besides. One that both mean is heard once.
    ///
    /// ```
    /// # use event_sourcery::{Category, EventStore, MemoryBackend, RawEvent};
    /// # let store = EventStore::new(MemoryBackend::new());
    /// // Whatever happens to invoices, and payments wherever they are.
    /// let listen = store.listen::<RawEvent>().category(Category::new("invoices")?).or().event_names(["Paid"]);
    /// # drop(listen);
    /// # Ok::<(), event_sourcery::Error>(())
    /// ```
    pub fn or(mut self) -> Self {
        let so_far = std::mem::replace(&mut self.filter, whole::<B, E>(&self.store));
        self.others.push(so_far);
        self
    }

    /// The events it is for, and whose listener it is.
    pub(crate) fn into_parts(self) -> (EventStore<B>, Vec<Filter>, Scope) {
        let Self { store, others: mut interest, filter, .. } = self;
        interest.push(filter);
        let scope = store.scope().clone();
        (store, interest, scope)
    }
}

impl<B: TransactionalBackend, E: Event> Listen<B, E> {
    /// Registers the listener, which is called on the backend's writer. Keep it short: every other write waits.
    ///
    /// The append that it listens to shares its transaction and its sync with others, as any append does. Where a
    /// listener fails that has written already, or whose append has, those others are made again, and their listeners
    /// called again.
    ///
    /// What it is handed last is the `tx` of [`EventStore::transaction`], where the caller's own tables are reached. A
    /// listener that ends the transaction has failed.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) where the backend has no listeners.
    pub fn in_transaction<H>(self, listener: H) -> Result<Listening>
    where
        H: for<'w, 't> Fn(Heard<E>, &mut Within<'w, B::Transaction<'t>>) -> Result<(), Source>
            + Send
            + Sync
            + 'static,
    {
        let (store, interest, scope) = self.into_parts();
        in_transaction::<B, E, H>(store.backend(), interest, scope, listener)
    }
}

impl<B: JoinableBackend, E: Event> Listen<B, E> {
    /// Registers the listener, which waits for its statements: `|heard, tx| Box::pin(async move { .. })`. Boxed,
    /// because it is kept, and driven by whatever task appends.
    ///
    /// An append that a listener wants is made in a transaction, and shares no statement with others. On PostgreSQL it
    /// takes five round trips, one more for several events, and those of the listener, in the place of one; all the
    /// while it has one of the connections that handlers get, and holds its stream. A transaction of the caller's has a
    /// connection already. Appends that nobody listens to are made as before.
    ///
    /// A listener that fails has its statements, those that failed included, rolled back to where the append began, and
    /// a transaction of the caller's goes on from there. One that keeps the failure of a statement to itself, or ends
    /// the transaction, has failed. It is ended by the server when it leaves a transaction of the store's idle for ten
    /// seconds. A lock that it waits for is waited for as by the store's own statements, and where the database ends
    /// one of two transactions, the append is [`Error::SerializationFailure`](crate::Error::SerializationFailure).
    ///
    /// If an append in a transaction of the caller's is dropped while a listener is at work, roll that transaction
    /// back: the append would be kept with what the listener has done by then.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) where the backend has no listeners.
    pub fn within<H>(self, listener: H) -> Result<Listening>
    where
        H: for<'a, 't> Fn(
                Heard<E>,
                &'a mut ListenerTransaction<'t, B>,
            ) -> Pin<Box<dyn Future<Output = Result<(), Source>> + Send + 'a>>
            + Send
            + Sync
            + 'static,
    {
        let (store, interest, scope) = self.into_parts();
        within::<B, E, H>(store.backend(), interest, scope, listener)
    }
}

impl<B, E> fmt::Debug for Listen<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listen")
            .field("others", &self.others)
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}
