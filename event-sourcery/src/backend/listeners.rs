//! Listeners: whoever is called inside the transactions that append, before they are committed.
//!
//! A backend keeps them in [`Listeners`], which its clones share. It asks [`Listeners::wanting`] before it appends, and
//! [calls](Hearing) those who want one of the events between the write and the end of what it would take back alone.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use async_trait::async_trait;
use uuid::Uuid;

use super::append::{AppendRequest, Written};
use super::reads::Filter;
use super::records::{NewRecord, StoredEvent, StoredRecord};
use super::transactions::{JoinedTransaction, TransactionalBackend};
use crate::error::{Error, Result};
use crate::position::{AppendPosition, Position};
use crate::stream_id::{StreamId, TenantId};
use crate::subscription::Deletions;
use crate::version::Version;

/// How many listeners may be at work within one another, each on what the one before it has appended. In a debug build so many have room on a
/// thread's stack of 2 MB, on every backend: the case of clause 9.1 runs them.
const DEEPEST: usize = 16;

/// A listener on a backend whose transactions are handed to a closure.
pub trait Listener<B: TransactionalBackend>: Send + Sync {
    /// Is called for an event that was written in this transaction, which is not committed yet.
    ///
    /// # Errors
    ///
    /// Whatever it fails with. Nothing of the append is kept then.
    fn hear(&self, event: &HeardRecord<'_>, transaction: &mut B::Transaction<'_>) -> Result<()>;
}

/// A listener on a backend whose transactions the caller holds. `C` is what the caller's own statements run on.
#[async_trait]
pub trait AsyncListener<C>: Send + Sync {
    /// Is called for an event that was written in this transaction, which is not committed yet.
    ///
    /// # Errors
    ///
    /// Whatever it fails with. Nothing of the append is kept then.
    async fn hear(&self, event: &HeardRecord<'_>, transaction: &mut dyn ListenedTransaction<C>)
    -> Result<()>;
}

/// The transaction of an append, as a listener has it.
pub trait ListenedTransaction<C>: JoinedTransaction {
    /// What the listener's own statements run on.
    fn connection(&mut self) -> &mut C;

    /// The operations of the store inside it, for one call.
    fn join(&mut self) -> Box<dyn JoinedTransaction + '_>;
}

/// An event that was written, and is not committed yet.
#[derive(Debug)]
#[non_exhaustive]
pub struct HeardRecord<'r> {
    /// The event in its place. Others may still appear below its position.
    pub record: StoredRecord,
    request: &'r AppendRequest,
}

impl HeardRecord<'_> {
    /// Where it is noted what a listener deletes: whoever has asked for the append passes it on once that is over.
    pub(crate) fn deletions(&self) -> &Arc<Deletions> {
        self.request.deleted.get_or_init(Arc::default)
    }
}

/// Those who listen on a backend, in the order in which they were registered. `L` is how they are called: `dyn
/// Listener<..>` or `dyn AsyncListener<..>`. The clones of a backend share one of these.
pub struct Listeners<L: ?Sized> {
    /// Whether there are any. Where nobody listens, to look here is all that it costs an append.
    any: AtomicBool,
    all: RwLock<All<L>>,
}

struct All<L: ?Sized> {
    /// How many there have been.
    count: u64,
    listeners: Arc<[Registered<L>]>,
}

struct Registered<L: ?Sized> {
    number: u64,
    interest: Arc<[Filter]>,
    listener: Arc<L>,
}

impl<L: ?Sized> Clone for Registered<L> {
    fn clone(&self) -> Self {
        let (interest, listener) = (Arc::clone(&self.interest), Arc::clone(&self.listener));
        Self { number: self.number, interest, listener }
    }
}

impl<L: ?Sized> Registered<L> {
    fn wants(&self, tenant: &TenantId, stream: &StreamId, name: &str) -> bool {
        self.interest.iter().any(|filter| filter.passes(tenant, stream, name))
    }
}

impl<L: ?Sized> Default for Listeners<L> {
    fn default() -> Self {
        let all = All { count: 0, listeners: Arc::default() };
        Self { any: AtomicBool::new(false), all: RwLock::new(all) }
    }
}

impl<L: ?Sized> fmt::Debug for Listeners<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").field("count", &self.all().len()).finish()
    }
}

impl<L: ?Sized> Listeners<L> {
    /// Registers a listener for the events that pass one of these filters, behind those that are there.
    pub fn add(self: &Arc<Self>, interest: Vec<Filter>, listener: Arc<L>) -> Listening
    where
        L: Send + Sync + 'static,
    {
        let number = self.change(|all| {
            all.count += 1;
            let registered = Registered { number: all.count, interest: interest.into(), listener };
            all.listeners = all.listeners.iter().cloned().chain([registered]).collect();
            all.count
        });
        let listeners = Arc::downgrade(self);
        Listening { number, listeners }
    }

    /// Those who want an event of this append, which is made at this depth: 0, and one more than that of the append
    /// whose listener makes it. `None` where nobody does.
    ///
    /// # Errors
    ///
    /// [`Error::ListenersTooDeep`] where somebody does, and too many are at work already.
    pub fn wanting<'r>(&self, request: &'r AppendRequest, depth: usize) -> Result<Option<Hearing<'r, L>>> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(None);
        }
        let listeners = self.all();
        let (mut wanted, mut number) = (Vec::new(), 0);
        for (at, part) in request.streams.iter().enumerate() {
            for (event, new) in part.events.iter().enumerate() {
                if listeners.iter().any(|one| one.wants(&request.tenant, &part.stream, &new.name)) {
                    if depth >= DEEPEST {
                        let (name, stream) = (new.name.to_string(), part.stream.clone());
                        return Err(Error::ListenersTooDeep { name, stream, depth });
                    }
                    wanted.push(Wanted { part: at, event, number });
                }
                number += 1;
            }
        }
        Ok((!wanted.is_empty()).then_some(Hearing { request, listeners, wanted }))
    }

    fn all(&self) -> Arc<[Registered<L>]> {
        Arc::clone(&self.all.read().unwrap_or_else(PoisonError::into_inner).listeners)
    }

    fn change<T>(&self, change: impl FnOnce(&mut All<L>) -> T) -> T {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let before = Arc::clone(&all.listeners);
        let changed = change(&mut all);
        self.any.store(!all.listeners.is_empty(), Ordering::Release);
        drop(all);
        // What a listener holds may do anything when it is dropped.
        drop(before);
        changed
    }
}

/// An append, and those who want events of it.
pub struct Hearing<'r, L: ?Sized> {
    request: &'r AppendRequest,
    listeners: Arc<[Registered<L>]>,
    wanted: Vec<Wanted>,
}

/// Where an event stands in a request: its part, its place in that, and its number among all.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    part: usize,
    event: usize,
    number: usize,
}

impl<L: ?Sized> fmt::Debug for Hearing<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hearing").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

impl<'r, L: ?Sized> Hearing<'r, L> {
    /// The ids of all the request's events, in their order.
    pub fn event_ids(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.request.event_ids()
    }

    /// Where the events of the request stand, in their order, on a backend that gives those of a stream positions
    /// without a gap.
    #[must_use]
    pub fn consecutive(&self, written: &[Written]) -> Vec<AppendPosition> {
        let mut positions = Vec::new();
        for (part, written) in self.request.streams.iter().zip(written) {
            let (last, count) = (written.last_position.to_i64(), part.events.len() as i64);
            let first = last.saturating_sub(count).saturating_add(1);
            positions.extend((first..=last).map(AppendPosition::from_i64));
        }
        positions
    }

    fn record(
        &self,
        wanted: Wanted,
        written: &[Written],
        positions: &[AppendPosition],
    ) -> Result<HeardRecord<'r>> {
        let part = self.request.streams.get(wanted.part);
        let new = part.and_then(|part| part.events.get(wanted.event));
        let told = written.get(wanted.part).zip(positions.get(wanted.number));
        let (Some(part), Some(new), Some((written, position))) = (part, new, told) else {
            return Err(Error::bug("the backend did not tell where the events of an append stand"));
        };
        let NewRecord { id, name, data, context, created_at, schema_version, tags, .. } = new;
        let version = written.first_version.map(|first| first.saturating_add(wanted.event as Version));
        let position = Position::from_i64(position.to_i64());
        let event =
            StoredEvent::new(position, version, *id, Arc::from(&**name), data.as_str().into(), *created_at)
                .with_context(context.clone())
                .with_schema_version(*schema_version)
                .with_tags(tags.clone());
        let record = StoredRecord::new(part.stream.clone(), self.request.tenant.clone(), event);
        Ok(HeardRecord { record, request: self.request })
    }

    /// Those who want this event, in their order.
    fn of(&self, event: &HeardRecord<'_>) -> Vec<Arc<L>> {
        let StoredRecord { stream, tenant, event } = &event.record;
        let wanting = self.listeners.iter().filter(|one| one.wants(tenant, stream, &event.name));
        wanting.map(|one| Arc::clone(&one.listener)).collect()
    }
}

impl<B: TransactionalBackend> Hearing<'_, dyn Listener<B>> {
    /// Calls them, for one event after the other. `positions` has those of all the request's events, in their order.
    /// What the transaction appends meanwhile is one deeper.
    ///
    /// # Errors
    ///
    /// That of the first who fails: then nothing of the append is to be kept.
    pub fn call(
        &self,
        written: &[Written],
        positions: &[AppendPosition],
        transaction: &mut B::Transaction<'_>,
    ) -> Result<()> {
        for wanted in &self.wanted {
            let event = self.record(*wanted, written, positions)?;
            for listener in self.of(&event) {
                listener.hear(&event, transaction)?;
            }
        }
        Ok(())
    }
}

impl<C: 'static> Hearing<'_, dyn AsyncListener<C>> {
    /// Calls them, for one event after the other. `positions` has those of all the request's events, in their order.
    /// What the transaction appends meanwhile is one deeper.
    ///
    /// # Errors
    ///
    /// That of the first who fails: then nothing of the append is to be kept.
    pub async fn call(
        &self,
        written: &[Written],
        positions: &[AppendPosition],
        transaction: &mut dyn ListenedTransaction<C>,
    ) -> Result<()> {
        for wanted in &self.wanted {
            let event = self.record(*wanted, written, positions)?;
            for listener in self.of(&event) {
                listener.hear(&event, &mut *transaction).await?;
            }
        }
        Ok(())
    }
}

/// A listener that is registered. It stays so when this is dropped; [`remove`](Self::remove) ends it.
///
/// ```
/// # use event_sourcery::{EventStore, MemoryBackend, RawEvent};
/// # let store = EventStore::new(MemoryBackend::new());
/// let listening = store.listen::<RawEvent>().in_transaction(|_heard, _tx| Ok(()))?;
/// listening.remove();
/// # Ok::<(), event_sourcery::Error>(())
/// ```
pub struct Listening {
    number: u64,
    listeners: Weak<dyn Remove>,
}

/// Where a listener is registered, whatever it listens on.
trait Remove: Send + Sync {
    fn remove(&self, number: u64);
}

impl<L: ?Sized + Send + Sync> Remove for Listeners<L> {
    fn remove(&self, number: u64) {
        self.change(|all| {
            all.listeners = all.listeners.iter().filter(|one| one.number != number).cloned().collect();
        });
    }
}

impl Listening {
    /// Removes it: appends that begin from here on do not call it. Others stay. To remove it again does nothing.
    pub fn remove(&self) {
        if let Some(listeners) = self.listeners.upgrade() {
            listeners.remove(self.number);
        }
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").field("number", &self.number).finish_non_exhaustive()
    }
}
