//! A backend that fails on purpose.

mod faults;
mod holding;
mod inspecting;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use self::faults::Faults;
pub use self::faults::Halt;
use crate::backend::{
    AppendOutcome, AppendRequest, AsyncListener, Backend, Backlog, BacklogRequest, BlockedRequest,
    BlockedStream, Capabilities, DeleteRequest, Filter, ForgetRequest, HeardRecord, HeldEntries, HoldRequest,
    Inspect, JoinableBackend, JoinedTransaction, KeysRequest, Listener, Listening, LoadRequest, LoadedStream,
    NewKeysRequest, OldKeysRequest, OutboxRequest, PresenceRecord, Present, ProgressRequest, ReadRecords,
    ReadRequest, RewrapRequest, ScanPage, ScanRequest, SnapshotRequest, StateRequest, SubjectKey,
    SubscriptionBackend, SubscriptionChange, SubscriptionId, SubscriptionRecord, TagRequest,
    TransactionalBackend,
};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::stream_id::TenantId;

/// When a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Before it reached the backend: nothing happened.
    Before,
    /// After it took effect: the acknowledgement is lost, as when a connection breaks.
    After,
}

/// A backend some of whose calls fail with [`Error::Backend`], for tests of code that has to bear it.
///
/// Calls of every operation are counted together, from 1.
///
/// ```
/// use event_sourcery::testing::{Fault, FaultyBackend};
/// use event_sourcery::{Error, Event, EventStore, MemoryBackend, RawEvent, StreamId};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let store = EventStore::new(FaultyBackend::new(MemoryBackend::new()));
/// let stream = StreamId::random();
/// let paid = RawEvent::new("Paid", "{}")?.with_id(uuid::Uuid::now_v7());
///
/// store.backend().fail(1, Fault::After);
/// assert!(matches!(store.append(&stream, paid.clone()).await, Err(Error::Backend { .. })));
/// let retried = store.append(&stream, paid).await?;
/// assert!(retried.repeated);
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct FaultyBackend<B> {
    inner: B,
    faults: Arc<Faults>,
}

impl<B: Backend> FaultyBackend<B> {
    /// A backend that does not fail yet. Its clones count and fail together.
    pub fn new(inner: B) -> Self {
        Self { inner, faults: Arc::default() }
    }

    /// Lets the `nth` call fail, counted from 1, the next call. Faults that were planned before stay.
    pub fn fail(&self, nth: u64, fault: Fault) {
        let call = self.calls() + nth;
        self.faults.planned.lock().unwrap_or_else(PoisonError::into_inner).push((call, fault));
    }

    /// Lets one call out of so many be interrupted from now on, at random: half of them with [`Error::Unavailable`] before
    /// they reached the backend, half with [`Error::OutcomeUnknown`] after they took effect. 0 ends it.
    pub fn interrupt(&self, one_in: u64) {
        self.faults.one_in.store(one_in, Ordering::SeqCst);
    }

    /// Lets each read across streams take so much longer from now on, in whole milliseconds.
    pub fn slow_down(&self, by: Duration) {
        self.faults.slow_by.store(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Lets the row of the event at this position be unreadable from now on.
    pub fn lose(&self, position: Position) {
        self.faults.lost().insert(position);
    }

    /// Lets it be readable again.
    pub fn find(&self, position: Position) {
        self.faults.lost().remove(&position);
    }

    /// Lets so many writes of progress be lost on their way, from the next one on: with [`Error::Unavailable`], before they reached
    /// the backend.
    pub fn lose_progress(&self, writes: u64) {
        *self.faults.unwritten() = writes;
    }

    /// Lets so many writes of progress take effect, and their answers be lost, from the next one on: with [`Error::OutcomeUnknown`].
    pub fn lose_answers(&self, writes: u64) {
        *self.faults.unanswered() = writes;
    }

    /// Lets so many loads find no stream, whichever they ask for, from the next one on.
    pub fn hide_streams(&self, loads: u64) {
        *self.faults.hidden() = loads;
    }

    /// Lets calls that come there never go on, from now on.
    pub fn halt(&self, at: Halt) {
        *self.faults.halt.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Whether one has come there.
    #[must_use]
    pub fn has_halted(&self) -> bool {
        self.faults.has_halted.load(Ordering::SeqCst)
    }

    /// How many calls there have been.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.faults.calls.load(Ordering::SeqCst)
    }

    /// How many of them read across streams.
    #[must_use]
    pub fn scans(&self) -> u64 {
        self.faults.scans.load(Ordering::SeqCst)
    }

    /// How many of them would have been committed, had they not failed.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.faults.commits.load(Ordering::SeqCst)
    }

    /// Keeps lists of blocked streams from those who have asked for them, once they were read, until this is dropped.
    #[doc(hidden)]
    pub async fn hold_lists(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.faults.listing).lock_owned().await
    }

    /// How many were read.
    #[doc(hidden)]
    #[must_use]
    pub fn listed(&self) -> u64 {
        self.faults.listed.load(Ordering::SeqCst)
    }

    /// How many of them changed subscriptions, one or several.
    #[must_use]
    pub fn subscription_changes(&self) -> u64 {
        self.faults.changes.load(Ordering::SeqCst)
    }

    /// How many of them renewed a presence.
    #[must_use]
    pub fn presence_renewals(&self) -> u64 {
        self.faults.renewals.load(Ordering::SeqCst)
    }

    /// Keeps presences that are renewed from those who have asked for that, once it was done, until this is dropped.
    #[doc(hidden)]
    pub async fn hold_renewals(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.faults.renewing).lock_owned().await
    }

    /// The backend within, which does not fail.
    #[must_use]
    pub const fn inner(&self) -> &B {
        &self.inner
    }

    /// A call that commits something.
    async fn write<T, E: From<Error>>(&self, operation: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.faults.commits.fetch_add(1, Ordering::SeqCst);
        self.call(operation).await
    }

    async fn call<T, E: From<Error>>(&self, operation: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.faults.call(self.inner.name(), operation).await
    }
}

#[async_trait]
impl<B: Backend> Backend for FaultyBackend<B> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, request: Arc<AppendRequest>) -> Result<AppendOutcome> {
        self.write(self.inner.append(request)).await
    }

    async fn load(&self, request: LoadRequest) -> Result<LoadedStream> {
        let mut loaded = self.call(self.inner.load(request)).await?;
        if self.faults.hides() {
            return Ok(LoadedStream::default());
        }
        loaded.events.iter_mut().for_each(|event| self.faults.lose(event));
        Ok(loaded)
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.write(self.inner.delete(request)).await
    }

    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()> {
        self.write(self.inner.save_snapshot(request)).await
    }

    async fn save_state(&self, request: StateRequest) -> Result<()> {
        self.write(self.inner.save_state(request)).await
    }

    async fn forget_projector(&self, request: ForgetRequest) -> Result<()> {
        self.write(self.inner.forget_projector(request)).await
    }

    async fn scan(&self, request: ScanRequest) -> Result<ScanPage> {
        self.faults.begin_scan().await;
        let mut page = self.call(self.inner.scan(request)).await?;
        page.records.iter_mut().for_each(|record| self.faults.lose(&mut record.event));
        Ok(page)
    }

    async fn read(&self, request: ReadRequest) -> Result<ReadRecords> {
        let mut read = self.call(self.inner.read(request)).await?;
        read.records.iter_mut().for_each(|record| self.faults.lose(&mut record.event));
        Ok(read)
    }

    async fn tag(&self, request: TagRequest) -> Result<u64> {
        self.call(self.inner.tag(request)).await
    }

    async fn position(&self) -> Result<Position> {
        self.call(self.inner.position()).await
    }

    async fn present(&self) -> Result<Present> {
        self.call(self.inner.present()).await
    }

    async fn wait_beyond(&self, position: Position) -> Result<Position> {
        self.call(self.inner.wait_beyond(position)).await
    }

    async fn outbox(&self, request: OutboxRequest) -> Result<ScanPage> {
        self.call(self.inner.outbox(request)).await
    }

    async fn hold_entries(&self, request: HoldRequest) -> Result<HeldEntries> {
        let held = self.call(self.inner.hold_entries(request)).await?;
        self.faults.pass(Halt::Held).await;
        Ok(holding::faulty(held, self.inner.name(), &self.faults))
    }

    async fn keys(&self, request: KeysRequest) -> Result<Vec<SubjectKey>> {
        self.call(self.inner.keys(request)).await
    }

    async fn create_keys(&self, request: NewKeysRequest) -> Result<Vec<SubjectKey>> {
        self.call(self.inner.create_keys(request)).await
    }

    async fn old_keys(&self, request: OldKeysRequest) -> Result<Vec<(TenantId, SubjectKey)>> {
        self.call(self.inner.old_keys(request)).await
    }

    async fn rewrap_key(&self, request: RewrapRequest) -> Result<bool> {
        self.call(self.inner.rewrap_key(request)).await
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        self.inner.inspect().map(|_| -> &dyn Inspect { self })
    }
}

#[async_trait]
impl<B: Backend> SubscriptionBackend for FaultyBackend<B> {
    async fn subscription(&self, id: SubscriptionId) -> Result<Option<SubscriptionRecord>> {
        self.call(self.inner.subscription(id)).await
    }

    async fn change_subscription(
        &self,
        id: SubscriptionId,
        change: SubscriptionChange,
    ) -> Result<Option<SubscriptionRecord>> {
        self.faults.changes.fetch_add(1, Ordering::SeqCst);
        self.write(self.inner.change_subscription(id, change)).await
    }

    async fn change_subscriptions(
        &self,
        changes: Vec<(SubscriptionId, SubscriptionChange)>,
    ) -> Result<Vec<Option<SubscriptionRecord>>> {
        self.faults.changes.fetch_add(1, Ordering::SeqCst);
        self.write(self.inner.change_subscriptions(changes)).await
    }

    async fn renew_presence(&self, presence: i64) -> Result<Option<PresenceRecord>> {
        self.faults.renewals.fetch_add(1, Ordering::SeqCst);
        let renewed = self.write(self.inner.renew_presence(presence)).await;
        drop(self.faults.renewing.lock().await);
        renewed
    }

    async fn progress(&self, request: ProgressRequest) -> Result<()> {
        self.faults.progress(self.write(self.inner.progress(request))).await
    }

    async fn blocked_streams(&self, request: BlockedRequest) -> Result<Vec<BlockedStream>> {
        let listed = self.call(self.inner.blocked_streams(request)).await;
        self.faults.listed.fetch_add(1, Ordering::SeqCst);
        drop(self.faults.listing.lock().await);
        listed
    }

    async fn backlog(&self, request: BacklogRequest) -> Result<Backlog> {
        self.call(self.inner.backlog(request)).await
    }
}

#[async_trait]
impl<B: TransactionalBackend> TransactionalBackend for FaultyBackend<B> {
    type Transaction<'t> = B::Transaction<'t>;

    async fn transaction<T, E, F>(&self, tenant: &TenantId, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'t> FnOnce(&mut Self::Transaction<'t>) -> Result<T, E> + Send + 'static,
    {
        self.write(self.inner.transaction(tenant, work)).await
    }

    fn listen(&self, interest: Vec<Filter>, listener: Arc<dyn Listener<Self>>) -> Result<Listening> {
        self.inner.listen(interest, Arc::new(OnInner(listener)))
    }
}

/// A listener, as the backend within calls it.
struct OnInner<B: TransactionalBackend>(Arc<dyn Listener<FaultyBackend<B>>>);

impl<B: TransactionalBackend> Listener<B> for OnInner<B> {
    fn hear(&self, event: &HeardRecord<'_>, transaction: &mut B::Transaction<'_>) -> Result<()> {
        self.0.hear(event, transaction)
    }
}

/// Beginning and committing can fail; what is done in between does not.
#[async_trait]
impl<B: JoinableBackend> JoinableBackend for FaultyBackend<B> {
    type Transaction<'t> = B::Transaction<'t>;
    type Handling = B::Handling;
    type Connection = B::Connection;

    async fn begin_handling(&self, idle: Duration, statement: Option<Duration>) -> Result<Self::Handling> {
        self.call(self.inner.begin_handling(idle, statement)).await
    }

    async fn commit(&self, handling: Self::Handling) -> Result<()> {
        self.write(self.inner.commit(handling)).await
    }

    async fn roll_back(&self, handling: Self::Handling) {
        self.inner.roll_back(handling).await;
    }

    fn join_handling<'a>(&'a self, handling: &'a mut Self::Handling) -> Box<dyn JoinedTransaction + 'a> {
        self.inner.join_handling(handling)
    }

    fn connection<'a>(transaction: &'a mut Self::Transaction<'_>) -> &'a mut Self::Connection {
        B::connection(transaction)
    }

    fn join<'a>(&'a self, transaction: &'a mut Self::Transaction<'_>) -> Box<dyn JoinedTransaction + 'a> {
        self.inner.join(transaction)
    }

    fn listen(
        &self,
        interest: Vec<Filter>,
        listener: Arc<dyn AsyncListener<Self::Connection>>,
    ) -> Result<Listening> {
        self.inner.listen(interest, listener)
    }
}
