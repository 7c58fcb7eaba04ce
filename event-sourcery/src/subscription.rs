//! Subscriptions: events as they come, from a position on, without a gap.

mod batches;
mod beat;
mod blocked;
mod deletions;
mod deliver;
mod durable;
mod feed;
mod guarded;
mod handler_transaction;
mod live;
mod mending;
mod outbox;
mod presence;
mod run;
mod standing;
mod stopping;
mod tail;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub use self::batches::{Batch, Batches};
pub(crate) use self::deletions::Deletions;
pub use self::durable::{Durable, Passed, Start, Status};
use self::feed::Feed;
pub use self::handler_transaction::HandlerTransaction;
pub use self::live::{Next, Subscription};
pub use self::mending::Mended;
pub(crate) use self::mending::Mending;
pub use self::outbox::{Outbox, Published};
pub(crate) use self::standing::status;
pub(crate) use self::tail::Tail;
use crate::backend::{Backend, Filter};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::position::Position;
use crate::store::EventStore;
use crate::stream_id::{Category, TenantId};
use crate::tag::Tag;

/// A subscription in the making; see [`EventStore::subscribe`].
///
/// First say which events you want. Then choose how they come: one by one ([`stream`](Self::stream)), in batches
/// ([`batches`](Self::batches)), or to a handler, with a checkpoint in the store ([`durable`](Self::durable)).
#[must_use = "nothing is read until it is read as a stream, in batches, or by a durable subscription"]
pub struct Subscribe<B, E> {
    store: EventStore<B>,
    filter: Filter,
    after: Position,
    /// What was asked for and cannot be.
    refused: Refused,
    event: PhantomData<fn() -> E>,
}

impl<B, E> fmt::Debug for Subscribe<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribe").field("filter", &self.filter).field("after", &self.after).finish()
    }
}

impl<B: Backend, E: Event> Subscribe<B, E> {
    pub(crate) fn new(store: EventStore<B>) -> Self {
        let tenant = store.tenant_id();
        let filter = Filter {
            tenant: (!tenant.is_default()).then(|| tenant.clone()),
            names: (!E::CATCH_ALL).then(|| E::NAMES.iter().map(|name| Arc::from(*name)).collect()),
            ..Filter::default()
        };
        Self { store, filter, after: Position::START, refused: None, event: PhantomData }
    }

    /// Only events after this position, which a subscription or [`EventStore::position`] has returned. The default is to start
    /// with the first event.
    pub fn after(self, position: Position) -> Self {
        Self { after: position, ..self }
    }

    /// Only events of this category's streams.
    pub fn category(mut self, category: Category) -> Self {
        self.filter.category = Some(category);
        self
    }

    /// Only events that have this tag, and those that were given before. It reads the others too, and leaves them out.
    ///
    /// # Errors
    ///
    /// When it is read, or run: [`Error::InvalidOption`] where the backend has no tags.
    pub fn tagged(mut self, tag: Tag) -> Self {
        if let Some(backend) = self.store.scope().without_tags {
            self.refused = Some(("tagged", format!("the {backend} backend has no tags")));
        }
        if !self.filter.tags.contains(&tag) {
            self.filter.tags.push(tag);
        }
        self
    }

    /// Only events of these stored names, out of those that `E` decodes. An event that was renamed is stored under both names:
    /// give all of them, as `InvoicePaid::NAMES.iter().copied()` does. A typed subscription has the names of its type already; this is for [`RawEvent`](crate::RawEvent) and other types with a catch-all.
    pub fn event_names<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Self {
        let wanted = names.into_iter().filter(|name| E::CATCH_ALL || E::NAMES.contains(name));
        self.filter.names = Some(wanted.map(Arc::from).collect());
        self
    }

    /// Only this tenant's events. For the default handle, which otherwise sees those of all tenants; [`TenantId::DEFAULT`] means
    /// those without a tenant.
    ///
    /// # Errors
    ///
    /// When it is read: [`Error::InvalidOption`] on the handle of another tenant.
    pub fn tenant(mut self, tenant: TenantId) -> Self {
        let own = self.store.tenant_id();
        if !own.is_default() && *own != tenant {
            let problem = format!(
                "this handle sees the tenant {own} only: use the default handle, or that of {tenant}"
            );
            self.refused = Some(("tenant", problem));
        } else {
            self.filter.tenant = Some(tenant);
        }
        self
    }

    /// The events one by one, each with its position, and [`Next::CaughtUp`] when there are no more for now. The subscription goes
    /// on until it is dropped, in bounded memory: it reads no further than you ask.
    ///
    /// Subscriptions of one store that have caught up share one read.
    ///
    /// # Errors
    ///
    /// An item is an error for a stored event that is corrupt or does not fit `E`, and where the backend fails. Nothing
    /// follows an error: subscribe again after [`Subscription::position`].
    ///
    /// ```
    /// # use event_sourcery::{EventStore, MemoryBackend, Next, RawEvent, StreamId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// store.append(&StreamId::random(), [RawEvent::new("Issued", "{}")?, RawEvent::new("Paid", "{}")?]).await?;
    ///
    /// let mut events = store.subscribe::<RawEvent>().stream();
    /// let mut names = Vec::new();
    /// while let Some(next) = events.try_next().await? {
    ///     match next {
    ///         Next::Event(recorded) => names.push(recorded.event().name().to_owned()),
    ///         Next::CaughtUp(_) => break,
    ///     }
    /// }
    /// assert_eq!(names, ["Issued", "Paid"]);
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub fn stream(self) -> Subscription<E> {
        let (feed, refused) = self.into_feed();
        Subscription::new(feed, refused)
    }

    /// The events in batches of at most `most`, at least 1, and about 8 MB.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// store.append(&StreamId::random(), [RawEvent::new("Issued", "{}")?, RawEvent::new("Paid", "{}")?]).await?;
    ///
    /// let mut batches = store.subscribe::<RawEvent>().batches(100);
    /// let batch = batches.next(Duration::from_secs(1)).await?;
    /// assert_eq!(batch.events.len(), 2);
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub fn batches(self, most: usize) -> Batches<E> {
        let (feed, refused) = self.into_feed();
        Batches::new(feed, most, refused)
    }

    /// A durable subscription of this name, which keeps its checkpoint in the store and hands the events to a handler.
    ///
    /// The position given to [`after`](Self::after) is where it starts when it runs for the first time.
    pub fn durable(self, name: impl Into<Arc<str>>) -> Durable<B, E> {
        Durable::new(self, name.into())
    }

    fn into_feed(self) -> (Feed, Refused) {
        let feed = Feed::new(self.store.shared_backend(), self.store.tail(), self.filter, self.after);
        (feed, self.refused)
    }
}

/// An instant that much later. What is too far away to be told is as good as never: so far ahead that nobody waits for it.
fn later(instant: Instant, by: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);
    instant + by.min(NEVER)
}

/// What was asked for and cannot be: the option, and why.
type Refused = Option<(&'static str, String)>;

/// Refuses what was found wrong when it was asked for.
fn refuse(refused: &Refused) -> Result<()> {
    match refused.clone() {
        Some((option, problem)) => Err(Error::InvalidOption { option, problem }),
        None => Ok(()),
    }
}
