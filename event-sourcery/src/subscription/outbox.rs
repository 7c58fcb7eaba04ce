//! Publishing the outbox.
//!
//! It is a durable subscription, which is handed entries of the outbox in the place of events, in its own name. Segments, leases,
//! blocked streams, attempts and what is parked are what they are elsewhere; so is the code. What differs is here: where it reads
//! ([`Entries`]), how it hands over ([`Publishing`]), and that what is published goes.

mod entries;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::entries::Entries;
use super::blocked;
use super::deliver::{Publishing, Tally};
use super::durable::{BATCH, Start};
use super::mending::Mending;
use super::run::{self, Heard, Plan};
use super::tail::Tail;
use crate::backend::{Backend, BlockedRequest, BlockedStream, Filter, Scope, SubscriptionId};
use crate::error::{Error, Result};
use crate::event::RawEvent;
use crate::outbox::Publisher;
use crate::retry::Retry;
use crate::store::EventStore;

/// How many entries one [run](Outbox::run) hands over by default.
const LIMIT: u64 = 100;

/// How often an entry is tried by default.
const ATTEMPTS: u32 = 3;

/// The outbox of a store; see [`EventStore::outbox`].
///
/// It hands each entry to a [`Publisher`], at least once, in the order of its stream, and takes it out. Run it in as many processes
/// and tasks as you like: they share the work by stream, and when one of them dies, the others take over after its lease has ended.
///
/// An entry that is [refused](crate::outbox::PublishError::refused) is tried again after a pause that grows, and parked after the last
/// attempt, with its error. From the first failure on, later entries of the same stream wait for it, and other streams go on. Parked
/// entries are [listed](Self::parked), [replayed](Self::replay) and [skipped](Self::skip) here. While the receiver is
/// [away](crate::outbox::PublishError::away), everything waits, and no attempt counts.
///
/// Publish a tenant's entries either through the default handle's outbox or through that of the tenant's handle: the two do not know
/// of each other. On PostgreSQL they avoid each other all the same; elsewhere both may publish an entry.
#[must_use = "nothing is published until it is run"]
pub struct Outbox<B> {
    store: EventStore<B>,
    limit: u64,
    segments: Option<u16>,
    lease: Duration,
    retry: Retry,
    keep: Option<Duration>,
    /// Behind a lock that nobody takes, as in a durable subscription.
    until: Option<Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

/// What a [run](Outbox::run) has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Published {
    /// How many entries were published, and are taken out.
    pub entries: u64,
    /// How many were refused: each counts an attempt.
    pub refused: u64,
    /// Whether it ended because the receiver is away.
    pub is_away: bool,
}

impl<B: Backend> Outbox<B> {
    pub(crate) fn new(store: EventStore<B>) -> Self {
        let retry = Retry { attempts: ATTEMPTS, ..Retry::default() };
        let lease = Duration::from_secs(15);
        Self { store, limit: LIMIT, segments: None, lease, retry, keep: None, until: None }
    }

    /// How many entries one [`run`](Self::run) hands over at most, refused ones included. The default is 100.
    pub fn limit(self, entries: u64) -> Self {
        Self { limit: entries, ..self }
    }

    /// How many times an entry is tried, counting the first, before it is parked. The default is 3.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.retry.attempts = attempts;
        self
    }

    /// The pause after the first failure, and the longest one, as in a [durable subscription](crate::Durable::pauses).
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        (self.retry.first_pause, self.retry.longest_pause) = (first, longest);
        self
    }

    /// How long a process keeps its segments after it was last heard from, as in a [durable subscription](crate::Durable::lease).
    /// Elsewhere than on PostgreSQL, a publisher that is at work for longer is still alone with its entries: leases are renewed
    /// meanwhile.
    pub fn lease(self, lasting: Duration) -> Self {
        Self { lease: lasting, ..self }
    }

    /// Into how many segments, 1 to 64, the streams are divided. At most that many workers share the work. The default is 8. Fixed
    /// when it runs for the first time.
    pub fn segments(self, count: u16) -> Self {
        Self { segments: Some(count), ..self }
    }

    /// Keeps published entries in the table for this long, for an audit. Nobody publishes them again, not even Event Sourcery for
    /// Python. By default they are removed at once. Entries that were kept long enough are removed while others are published.
    pub fn keep_published(self, lasting: Duration) -> Self {
        Self { keep: Some(lasting), ..self }
    }

    /// Runs until this is done, as a [durable subscription](crate::Durable::until) does: what is being published is waited for.
    pub fn until(self, done: impl IntoFuture<IntoFuture: Send + 'static>) -> Self {
        let done = done.into_future();
        Self { until: Some(Mutex::new(Box::pin(async move { drop(done.await) }))), ..self }
    }

    /// Publishes what is there now, up to the [limit](Self::limit), and returns. What is refused, or waits for a pause, is left for
    /// another run; if the receiver is away, everything is. So is what another worker has a lease on.
    ///
    /// It does not return the publisher's errors: they are counted, logged, and kept with the entries.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`], [`Error::Unsupported`] where the backend has no outbox, [`Error::NotLeftInTime`]; and the backend's,
    /// where trying again cannot help.
    pub async fn run(self, publisher: impl Publisher) -> Result<Published> {
        let limit = self.limit;
        self.publish(publisher, Some(limit)).await
    }

    /// Publishes what is there, and what comes, until it is told to [stop](Self::until). It goes on after the store, or the receiver,
    /// was unavailable for a while. Dropping the future stops it in the middle, as a crash would; others take over when its lease has
    /// ended.
    ///
    /// What comes is found as in a subscription that has caught up: at once in the same process, soon after in others.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn run_forever(self, publisher: impl Publisher) -> Result<()> {
        self.publish(publisher, None).await.map(drop)
    }

    async fn publish(self, publisher: impl Publisher, limit: Option<u64>) -> Result<Published> {
        let (tally, keep) = (Arc::new(Tally::default()), self.keep);
        let (plan, until) = self.plan(limit.is_some(), publisher.batch())?;
        let publishing = Publishing::new(publisher, &plan, (keep, limit), Arc::clone(&tally));
        run::run::<RawEvent, _>(plan, until, publishing).await?;
        Ok(tally.told())
    }

    /// Checks what was asked for.
    fn plan(self, ends: bool, batch: usize) -> Result<(Plan, run::Until)> {
        let backend = self.store.shared_backend();
        if !backend.capabilities().outbox {
            return Err(Error::unsupported(backend.name(), "an outbox"));
        }
        let tenant = self.store.tenant_id();
        let filter = Filter { tenant: (!tenant.is_default()).then(|| tenant.clone()), ..Filter::default() };
        let plan = Plan {
            backend: Arc::new(Entries(backend)),
            // Not that of the store: what it holds are entries.
            tail: Arc::new(Tail::default()),
            id: self.id(),
            scope: Scope::of(&filter),
            filter,
            start: Start::Beginning,
            begins: None,
            segments: self.segments,
            widen: None,
            narrow: false,
            stands_in: Mutex::default(),
            seen: Mutex::new(Heard::nothing()),
            lease: self.lease,
            batch: batch.max(BATCH),
            retry: self.retry,
            observing: self.store.scope().observing.clone(),
            ends,
            publishes: true,
        };
        plan.check()?;
        let until = self.until.map(|until| until.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok((plan, until))
    }

    fn id(&self) -> SubscriptionId {
        SubscriptionId::outbox(self.store.tenant_id().clone())
    }

    /// The entries that were given up after the last attempt: of each stream the first, which the others wait behind. In position
    /// order, each with its error. The event's id and name are told while the event is in its stream.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub async fn parked(&self) -> Result<Vec<BlockedStream>> {
        self.mending().parked().await
    }

    /// Every stream that waits for an entry that was refused, parked or to be tried again, in the order of those entries.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub async fn blocked(&self) -> Result<Vec<BlockedStream>> {
        blocked::all(self.store.backend(), BlockedRequest::new(self.id())).await
    }

    /// Has an entry tried again soon, with its full number of attempts, by a process that runs the outbox.
    ///
    /// # Errors
    ///
    /// [`Error::NotBlocked`] where the stream does not wait for this entry any more; and the backend's.
    pub async fn replay(&self, failed: &BlockedStream) -> Result<()> {
        self.mending().replay(failed).await
    }

    /// Leaves an entry out, for good: it is taken out of the outbox, and those behind it in its stream are published.
    ///
    /// # Errors
    ///
    /// As for [`replay`](Self::replay).
    pub async fn skip(&self, failed: &BlockedStream) -> Result<()> {
        self.mending().skip(failed).await
    }

    fn mending(&self) -> Mending<'_> {
        Mending::new(self.store.backend(), self.id()).keeping(self.keep)
    }
}

/// Nothing of what is in it.
impl<B: Backend> fmt::Debug for Outbox<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("tenant", self.store.tenant_id()).finish_non_exhaustive()
    }
}
