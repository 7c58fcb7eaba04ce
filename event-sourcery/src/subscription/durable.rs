//! Durable subscriptions: a name, options, and what can be done with what is kept under the name.

mod batches;
mod care;
mod start;
mod waiting;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use self::start::{Passed, Start};
use super::deliver::{AtLeastOnce, InTransaction, WithinTransaction};
use super::guarded::guarded;
use super::run::{self, Heard, Plan};
use super::{HandlerTransaction, Subscribe, refuse};
use crate::backend::{Backend, JoinableBackend, Scope, SubscriptionId, TransactionalBackend};
use crate::error::{Error, NameKind, Result, Source};
use crate::event::Event;
use crate::limits;
use crate::position::Position;
use crate::retry::Retry;
use crate::store::EventStore;
use crate::within::Within;
use crate::wrapped_event::Recorded;

/// A named subscription whose checkpoint is kept in the store; see [`Subscribe::durable`].
///
/// It hands each event to a handler, in the order of its stream. Stopped, killed, or moved to another machine, it goes on
/// after the last event whose handling was committed. Run it in as many processes and tasks as you like: they share the
/// work by stream, and when one of them dies, the others take over after its lease has ended.
///
/// A handler that fails, or panics, is called again after a pause that grows; after the last attempt the event is parked with
/// its error. From the first failure on, later events of the same stream wait behind it, and other streams go on. Parked
/// events are [listed](Self::parked), [replayed](Self::replay) and [skipped](Self::skip) here, one or [all](Self::replay_all).
///
/// ```
/// # use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let store = EventStore::new(MemoryBackend::new());
/// # store.append(&StreamId::random(), RawEvent::new("Paid", "{}")?).await?;
/// # let (handled, stop) = tokio::sync::oneshot::channel();
/// # let mut handled = Some(handled);
/// store
///     .subscribe::<RawEvent>()
///     .durable("letters")
///     .until(stop)
///     .run(async move |recorded, _store| {
///         println!("a letter about {}", recorded.stream_id);
/// #       handled.take().map(|handled| handled.send(()));
///         Ok(())
///     })
///     .await?;
/// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
/// ```
#[must_use = "a durable subscription does nothing until it is run"]
pub struct Durable<B, E> {
    of: Subscribe<B, E>,
    name: Arc<str>,
    start: Start,
    segments: Option<u16>,
    widen: Option<Passed>,
    narrow: bool,
    lease: Duration,
    batch: usize,
    retry: Retry,
    handler_timeout: Option<Duration>,
    /// Behind a lock that nobody takes, so that it can be shared: the futures of the calls that borrow this are `Send` then.
    until: Option<Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

/// How many events are handled together at most, by default. More make no great difference.
pub(super) const BATCH: usize = 512;

/// Where a durable subscription stands.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// Everything that it wants up to here was handled, or waits for a failed event. It is written only now and then: to see
    /// whether the subscription keeps up, watch `events_behind`.
    pub position: Position,
    /// How many take part at present.
    pub members: usize,
    /// How many events it has not reached yet. Those that wait for a failed one do not count.
    pub events_behind: u64,
    /// Whether there may be more than were counted: `events_behind` is "at least" then.
    pub has_more: bool,
    /// How long ago the first of them happened; zero where there are none.
    pub behind: Duration,
}

impl<B: Backend, E: Event> Durable<B, E> {
    pub(super) fn new(of: Subscribe<B, E>, name: Arc<str>) -> Self {
        let start = Start::After(of.after);
        let lease = Duration::from_secs(15);
        let (segments, widen, narrow, handler_timeout, until) = (None, None, false, None, None);
        let (batch, retry) = (BATCH, Retry::default());
        Self { of, name, start, segments, widen, narrow, lease, batch, retry, handler_timeout, until }
    }

    /// Where it starts when it runs for the first time. The default is after the position of [`Subscribe::after`], or at the
    /// beginning. Later runs go on where it stopped.
    pub fn start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// Into how many segments, 1 to 64, its streams are divided. At most that many processes share the work. The default is 8.
    /// Fixed when it runs for the first time.
    pub fn segments(self, count: u16) -> Self {
        Self { segments: Some(count), ..self }
    }

    /// Says what happens to events that it has passed because it was not run for them until now: their names are new to it, or they are of
    /// another category or tenant, or without the tags that it asked for. By default, a run that asks for more ends with
    /// [`Error::PassedUnasked`] if there are any such events, before it takes part; if there are none, it takes part, and members that know
    /// fewer names leave the new ones to it.
    ///
    /// The store keeps what a subscription is run for. So this takes effect once, and can stay in your code.
    ///
    /// ```
    /// # use event_sourcery::{Error, EventStore, MemoryBackend, Passed, RawEvent, StreamId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// let parcel = StreamId::random();
    /// store.append(&parcel, [RawEvent::new("Booked", "{}")?, RawEvent::new("Redirected", "{}")?]).await?;
    /// let board = |names: &[&str]| store.subscribe::<RawEvent>().event_names(names.iter().copied()).durable("board");
    /// # let (watched, up_to) = (board(&["Booked"]), store.position().await?);
    /// # let handled = async move { watched.wait_for_everything(up_to, std::time::Duration::from_secs(60)).await };
    /// # board(&["Booked"]).until(handled).run(async |_, _| Ok(())).await?;
    ///
    /// // "Booked" was handled, and "Redirected" passed. Then comes the program that knows both.
    /// let both = || board(&["Booked", "Redirected"]);
    /// let told = both().run(async |_, _| Ok(())).await;
    /// assert!(matches!(told, Err(Error::PassedUnasked { names, .. }) if names == ["Redirected"]));
    ///
    /// let (handed_over, stop) = tokio::sync::oneshot::channel();
    /// let mut handed_over = Some(handed_over);
    /// both()
    ///     .widen(Passed::HandOver)
    ///     .until(stop)
    ///     .run(async move |recorded, _| {
    ///         assert_eq!(recorded.wrapped_event.event.name(), "Redirected");
    ///         handed_over.take().map(|handed_over| handed_over.send(()));
    ///         Ok(())
    ///     })
    ///     .await?;
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    pub fn widen(self, passed: Passed) -> Self {
        Self { widen: Some(passed), ..self }
    }

    /// Says that from now on it wants only these events, although it was run for more. The others are passed. A later run that asks for
    /// them again is handed at most what was passed, and not what was handled before.
    ///
    /// By default, a member that knows fewer names than the subscription was run for leaves events of other names to members that know
    /// them: the streams of those events wait, and are listed as [blocked](Self::blocked). A member of another category or tenant, or
    /// of other tags, or one that wants some names where every event was wanted, ends with [`Error::RunForOthers`].
    pub fn narrow(self) -> Self {
        Self { narrow: true, ..self }
    }

    /// How long a process keeps its segments after it was last heard from. The default is 15 seconds, the least is 100 ms. On Linux,
    /// a process of the same user in the same container sees that another has ended, and takes over without waiting. This is also how long a
    /// handler may leave its transaction idle, on a server.
    pub fn lease(self, lasting: Duration) -> Self {
        Self { lease: lasting, ..self }
    }

    /// How many events are handled together at most before their progress is kept. The default is 512, the most is 8,192. In a
    /// handler with a transaction, they share it. A [handler of batches](Self::run_batches) is handed them in one call.
    ///
    /// A subscription takes the events that are there, up to 64. While it lags, it takes twice as many each time, up to this number
    /// and to half a megabyte. Events that are handed over one by one share a transaction for no longer than 200 ms.
    pub fn batch(self, events: usize) -> Self {
        Self { batch: events, ..self }
    }

    /// How many times an event is tried, counting the first, before it is parked. The default is 10, which takes a minute or two.
    /// Extra calls while a [batch](Self::batch) with a transaction is split do not count. Neither does an attempt whose process was
    /// killed before its failure was written, which may be half a second later.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.retry.attempts = attempts;
        self
    }

    /// The pause after the first failure, and the longest pause. Pauses double; each is shortened by a random amount of up to half. The
    /// defaults are 200 ms and one minute.
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        (self.retry.first_pause, self.retry.longest_pause) = (first, longest);
        self
    }

    /// How long the handler may take for one event, or for a batch. By default there is no limit. A handler that takes longer has
    /// failed: it is dropped at the point where it waits, its transaction is rolled back, and its connection is free again. The event is
    /// tried again, and parked after the last attempt. So a handler that never returns holds up only its own stream.
    ///
    /// Code that does not wait cannot be interrupted: a handler of [`run_in_transaction`](Self::run_in_transaction), which runs on the
    /// backend's writer and holds up every other write, and code that computes or blocks its thread. It has failed when it returns too
    /// late.
    pub fn handler_timeout(self, time: Duration) -> Self {
        Self { handler_timeout: Some(time), ..self }
    }

    /// Runs until this future is done, such as `tokio::signal::ctrl_c()`. Then the event in hand is finished, the checkpoint is saved,
    /// and the segments are free for other processes, which notice within a third of their lease.
    ///
    /// A handler that is running is waited for. Otherwise the run waits for the store for 3 seconds at most, whatever holds that up: a
    /// locked file, a locked row, a server that does not answer. Then it ends with [`Error::NotLeftInTime`], and its leases end by
    /// themselves.
    pub fn until(self, done: impl IntoFuture<IntoFuture: Send + 'static>) -> Self {
        let done = done.into_future();
        Self { until: Some(Mutex::new(Box::pin(async move { drop(done.await) }))), ..self }
    }

    /// Runs, and hands each event to the handler at least once: an event comes again if the process was killed before the checkpoint
    /// after it was saved. The second argument is the store, for the tenant of the event, with its context: what the handler appends
    /// there carries the event's correlation id, and its id as causation id.
    ///
    /// It runs until it is told to stop, and goes on after the store was unavailable for a while. Dropping the future stops it in the
    /// middle of an event, as a crash would; others take over when its lease has ended.
    ///
    /// If you spawn it as a task, let the handler own what it uses (`async move`): the compiler cannot prove that the future of a
    /// borrowing handler is `Send`.
    ///
    /// ```
    /// # use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// let letters = StreamId::from_name("letters")?;
    /// let subscription = store.subscribe::<RawEvent>().event_names(["Paid"]).durable("letters");
    /// let running = tokio::spawn(async move {
    ///     let handler = async move |_paid, store: EventStore<_>| {
    ///         store.append(&letters, RawEvent::new("LetterSent", "{}")?).no_versioning().await?;
    ///         Ok(())
    ///     };
    ///     subscription.run(handler).await
    /// });
    /// # running.abort();
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`], [`Error::InvalidName`]; [`Error::PassedUnasked`] and [`Error::RunForOthers`] where it was run for
    /// other events until now; [`Error::BeyondEnd`] where it stands, or is to start, beyond the end of the store;
    /// [`Error::NotLeftInTime`] where it was stopped and the store did not answer; [`Error::HistoryReplaced`] where the store has
    /// to be opened again; and the backend's, where trying again cannot help, such as a row that cannot be read at all.
    pub async fn run<H>(self, mut handler: H) -> Result<()>
    where
        H: AsyncFnMut(Recorded<E>, EventStore<B>) -> Result<(), Source>,
    {
        let (store, limit) = (self.of.store.clone(), self.handler_timeout);
        let (plan, until) = self.plan()?;
        let handler = async move |event: Recorded<E>, store: EventStore<B>| {
            guarded(limit, async { handler(event, store).await }).await
        };
        run::run(plan, until, AtLeastOnce { store, handler }).await
    }

    fn id(&self) -> Result<SubscriptionId> {
        limits::check_name(NameKind::Subscription, &self.name)?;
        Ok(SubscriptionId { tenant: self.of.store.tenant_id().clone(), name: Arc::clone(&self.name) })
    }

    /// Checks what was asked for.
    pub(super) fn plan(self) -> Result<(Plan, run::Until)> {
        refuse(&self.of.refused)?;
        let id = self.id()?;
        if self.handler_timeout.is_some_and(|time| time.is_zero()) {
            let problem = "a handler needs some time".to_owned();
            return Err(Error::InvalidOption { option: "handler_timeout", problem });
        }
        let plan = Plan {
            backend: self.of.store.shared_backend(),
            tail: self.of.store.tail(),
            id,
            scope: Scope::of(&self.of.filter),
            filter: self.of.filter,
            start: self.start,
            begins: None,
            segments: self.segments,
            widen: self.widen,
            narrow: self.narrow,
            stands_in: Mutex::default(),
            seen: Mutex::new(Heard::nothing()),
            lease: self.lease,
            batch: self.batch,
            retry: self.retry,
            observing: self.of.store.scope().observing.clone(),
            ends: false,
            publishes: false,
        };
        plan.check()?;
        let until = self.until.map(|until| until.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok((plan, until))
    }
}

impl<B: JoinableBackend, E: Event> Durable<B, E> {
    /// Runs, and hands each event to the handler together with a transaction in which the checkpoint is committed. What the
    /// handler writes through that transaction takes effect exactly once.
    ///
    /// What the handler does elsewhere, it does at least once: it can be called again for an event whose transaction was
    /// rolled back. Otherwise like [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn run_within<H>(self, mut handler: H) -> Result<()>
    where
        H: AsyncFnMut(Recorded<E>, &mut HandlerTransaction<B>) -> Result<(), Source>,
    {
        let (store, idle, limit) = (self.of.store.clone(), self.lease, self.handler_timeout);
        let (plan, until) = self.plan()?;
        let handler = async move |event: Recorded<E>, transaction: &mut HandlerTransaction<B>| {
            guarded(limit, async { handler(event, transaction).await }).await
        };
        // Later than the handler is given up: that is what is told.
        let statement = limit.map(|limit| limit.saturating_add(Duration::from_secs(1)));
        run::run(plan, until, WithinTransaction { store, handler, idle, statement }).await
    }
}

impl<B: TransactionalBackend, E: Event> Durable<B, E> {
    /// Runs, and calls the handler in a transaction on the backend's writer, in which the checkpoint is committed. What the
    /// handler writes through that transaction takes effect exactly once. As with [`EventStore::transaction`], keep it short: every
    /// other write waits.
    ///
    /// What the handler does elsewhere, it does at least once: it can be called again for an event whose transaction was
    /// rolled back. Otherwise like [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    ///
    /// ```
    /// # use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// # let (order, invoice) = (StreamId::random().in_category("orders")?, StreamId::random());
    /// # store.append(&order, RawEvent::new("Ordered", "{}")?).await?;
    /// # let watched = store.clone();
    /// # let invoiced = invoice.clone();
    /// # let stop = async move { while watched.version(&invoiced).await.unwrap().is_none() {} };
    /// store
    ///     .subscribe::<RawEvent>()
    ///     .event_names(["Ordered"])
    ///     .durable("invoicing")
    ///     .until(stop)
    ///     .run_in_transaction(move |_ordered, tx| {
    ///         tx.append(&invoice, RawEvent::new("Issued", "{}")?).run()?;
    ///         Ok(())
    ///     })
    ///     .await?;
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub async fn run_in_transaction<H>(self, handler: H) -> Result<()>
    where
        H: for<'w, 't> Fn(Recorded<E>, &mut Within<'w, B::Transaction<'t>>) -> Result<(), Source>
            + Send
            + Sync
            + 'static,
    {
        let (store, handler, limit) = (self.of.store.clone(), Arc::new(handler), self.handler_timeout);
        let (plan, until) = self.plan()?;
        // Boxed, so that the future of this call is `Send` in the eyes of the compiler, whatever the closure.
        let run: Pin<Box<dyn Future<Output = Result<()>> + Send>> =
            Box::pin(run::run(plan, until, InTransaction { store, handler, limit }));
        run.await
    }
}

impl<B, E> fmt::Debug for Durable<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Durable").field("name", &self.name).field("of", &self.of).finish_non_exhaustive()
    }
}
