//! The backend that needs nothing: for tests, and for what may be forgotten.

mod cursors;
mod journal;
mod keys;
mod log;
mod looking;
mod outbox;
mod places;
mod removals;
mod sharded;
mod state;
mod stream_key;
mod subscriptions;
mod tags;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;

use self::journal::Journal;
use self::state::State;
use crate::backend::{
    AppendOutcome, AppendRequest, Backend, BackendTransaction, Backlog, BacklogRequest, BlockedRequest,
    BlockedStream, Capabilities, Cursor, CursorId, DeleteRequest, Filter, ForgetRequest, Hearing, HeldCursor,
    HeldEntries, HoldRequest, Inspect, KeysRequest, Listener, Listening, LoadRequest, LoadSink, LoadedStream,
    NewKeysRequest, OldKeysRequest, OutboxRequest, PresenceRecord, ProgressRequest, ReadRecords, ReadRequest,
    RewrapRequest, ScanPage, ScanRequest, SnapshotRequest, StateRequest, SubjectKey, SubscriptionBackend,
    SubscriptionChange, SubscriptionId, SubscriptionRecord, TagRequest, TransactionalBackend, Written,
    load_in_pages,
};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::stream_id::TenantId;

/// Those who listen, and how they are called.
type Listeners = crate::backend::Listeners<dyn Listener<MemoryBackend>>;

/// Keeps everything in memory, for as long as the process lives. Clones share one store.
///
/// It keeps the whole contract except what needs a disk: put it in the place of the real backend in tests.
///
/// One lock covers the store; no call waits while it holds it. A task that calls it without a pause lets others have their turn now
/// and then, as with any other backend. A closure given to
/// [`EventStore::transaction`](crate::EventStore::transaction) runs on the caller's thread with the lock held.
#[derive(Clone, Default)]
pub struct MemoryBackend {
    state: Arc<Mutex<State>>,
    /// Wakes those who wait for a commit.
    committed: Arc<Notify>,
    listeners: Arc<Listeners>,
}

/// Nothing of what is in it.
impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryBackend")
    }
}

/// So many bytes that are appended or read count as much as a call, towards when others have their turn.
const BYTES_A_CALL: usize = 8 << 10;

impl MemoryBackend {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The state, for an asynchronous call: see [`give_way`].
    async fn in_turn(&self) -> MutexGuard<'_, State> {
        give_way(0).await;
        self.state()
    }

    /// The state. A panic while the lock was held has rolled back what it interrupted: see [`MemoryTransaction`].
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the events of deleted streams, a few at a time: others have their turn between. Who gives it up leaves the rest to
    /// those who write.
    async fn remove_deleted(&self) {
        while self.state().remove_some() {
            yield_now().await;
        }
    }

    /// Runs `work` as a transaction and keeps what it did if it succeeds.
    fn atomically<T, E>(
        &self,
        work: impl FnOnce(&mut MemoryTransaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut state = self.state();
        let (journal, listeners) = (Journal::default(), &*self.listeners);
        let mut transaction = MemoryTransaction { state: &mut state, journal, listeners, depth: 0 };
        let result = work(&mut transaction);
        if result.is_ok() {
            let journal = std::mem::take(&mut transaction.journal);
            transaction.state.keep(journal);
            self.committed.notify_waiters();
        }
        result
    }
}

/// Who never has to wait gives way to other tasks when it is their turn: sooner, the more bytes a call is about.
async fn give_way(bytes: usize) {
    for _ in 0..=bytes / BYTES_A_CALL {
        consume_budget().await;
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
            .several_streams()
            .transactions()
            .listeners()
            .outbox()
            .keys()
            .presences()
            .tags()
            .inspect()
            .ids_across_streams()
    }

    async fn append(&self, request: Arc<AppendRequest>) -> Result<AppendOutcome> {
        give_way(request.weight()).await;
        self.atomically(|transaction| transaction.append(&request))
    }

    async fn load(&self, request: LoadRequest) -> Result<LoadedStream> {
        let loaded = self.state().load(&request)?;
        give_way(loaded.size()).await;
        Ok(loaded)
    }

    async fn load_in_parts(&self, request: LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        load_in_pages(self, request, sink).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        give_way(0).await;
        self.atomically(|transaction| transaction.delete(&request))?;
        self.remove_deleted().await;
        Ok(())
    }

    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()> {
        give_way(0).await;
        self.atomically(|transaction| transaction.save_snapshot(&request))
    }

    async fn save_state(&self, request: StateRequest) -> Result<()> {
        self.in_turn().await.save_state(request);
        Ok(())
    }

    async fn forget_projector(&self, request: ForgetRequest) -> Result<()> {
        self.in_turn().await.forget_projector(&request);
        Ok(())
    }

    async fn scan(&self, request: ScanRequest) -> Result<ScanPage> {
        let page = self.state().scan(&request)?;
        give_way(page.size()).await;
        Ok(page)
    }

    async fn read(&self, request: ReadRequest) -> Result<ReadRecords> {
        let read = self.state().read(&request);
        give_way(read.records.iter().map(|record| record.event.size()).sum()).await;
        Ok(read)
    }

    async fn tag(&self, request: TagRequest) -> Result<u64> {
        Ok(self.in_turn().await.tag_stored(&request))
    }

    async fn position(&self) -> Result<Position> {
        Ok(self.in_turn().await.position())
    }

    async fn wait_beyond(&self, position: Position) -> Result<Position> {
        loop {
            // It counts from here on: what is committed after the look wakes it.
            let committed = self.committed.notified();
            let settled = self.in_turn().await.position();
            if settled > position {
                return Ok(settled);
            }
            committed.await;
        }
    }

    async fn outbox(&self, request: OutboxRequest) -> Result<ScanPage> {
        let page = self.state().outbox(&request);
        give_way(page.size()).await;
        Ok(page)
    }

    async fn hold_entries(&self, request: HoldRequest) -> Result<HeldEntries> {
        Ok(self.in_turn().await.held_entries(&request.positions))
    }

    async fn keys(&self, request: KeysRequest) -> Result<Vec<SubjectKey>> {
        Ok(self.in_turn().await.keys(&request))
    }

    async fn create_keys(&self, request: NewKeysRequest) -> Result<Vec<SubjectKey>> {
        let mut journal = Journal::default();
        Ok(self.in_turn().await.create_keys(&request, &mut journal))
    }

    async fn old_keys(&self, request: OldKeysRequest) -> Result<Vec<(TenantId, SubjectKey)>> {
        Ok(self.in_turn().await.old_keys(&request))
    }

    async fn rewrap_key(&self, request: RewrapRequest) -> Result<bool> {
        Ok(self.in_turn().await.rewrap_key(request))
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        Some(self)
    }
}

#[async_trait]
impl SubscriptionBackend for MemoryBackend {
    async fn subscription(&self, id: SubscriptionId) -> Result<Option<SubscriptionRecord>> {
        Ok(self.in_turn().await.subscriptions.find(&id).map(|record| record.as_of(Timestamp::now())))
    }

    async fn change_subscription(
        &self,
        id: SubscriptionId,
        change: SubscriptionChange,
    ) -> Result<Option<SubscriptionRecord>> {
        let mut journal = Journal::default();
        Ok(self.in_turn().await.change_subscription(&id, &change, &mut journal))
    }

    async fn renew_presence(&self, presence: i64) -> Result<Option<PresenceRecord>> {
        Ok(self.in_turn().await.subscriptions.renew_presence(presence))
    }

    async fn progress(&self, request: ProgressRequest) -> Result<()> {
        give_way(0).await;
        self.atomically(|transaction| transaction.progress(&request))
    }

    async fn blocked_streams(&self, request: BlockedRequest) -> Result<Vec<BlockedStream>> {
        Ok(self.in_turn().await.blocked(&request))
    }

    async fn backlog(&self, request: BacklogRequest) -> Result<Backlog> {
        Ok(self.in_turn().await.backlog(&request))
    }
}

#[async_trait]
impl TransactionalBackend for MemoryBackend {
    type Transaction<'t> = MemoryTransaction<'t>;

    async fn transaction<T, E, F>(&self, _tenant: &TenantId, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'t> FnOnce(&mut MemoryTransaction<'t>) -> Result<T, E> + Send + 'static,
    {
        give_way(0).await;
        let done = self.atomically(work)?;
        self.remove_deleted().await;
        Ok(done)
    }

    fn listen(&self, interest: Vec<Filter>, listener: Arc<dyn Listener<Self>>) -> Result<Listening> {
        Ok(self.listeners.add(interest, listener))
    }
}

/// An open transaction. What it did is undone when it is dropped, by a panic too, unless it was committed.
pub struct MemoryTransaction<'t> {
    state: &'t mut State,
    journal: Journal,
    listeners: &'t Listeners,
    /// How many listeners are at work within one another.
    depth: usize,
}

/// Nothing of what is in the store.
impl fmt::Debug for MemoryTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryTransaction")
    }
}

impl MemoryTransaction<'_> {
    /// Runs one operation, undoing it alone if it is refused.
    fn step<T>(&mut self, operation: impl FnOnce(&mut State, &mut Journal) -> Result<T>) -> Result<T> {
        let before = self.journal.mark();
        let result = operation(self.state, &mut self.journal);
        if result.is_err() {
            self.journal.undo_to(before, self.state);
        }
        result
    }

    /// Calls those who listen to what was written.
    fn tell(
        &mut self,
        hearing: &Hearing<'_, dyn Listener<MemoryBackend>>,
        written: &[Written],
    ) -> Result<()> {
        self.depth += 1;
        let told = hearing.call(written, &hearing.consecutive(written), self);
        self.depth -= 1;
        told
    }
}

impl Drop for MemoryTransaction<'_> {
    fn drop(&mut self) {
        self.journal.undo_to(0, self.state);
    }
}

impl BackendTransaction for MemoryTransaction<'_> {
    fn append(&mut self, request: &AppendRequest) -> Result<AppendOutcome> {
        let (hearing, before) = (self.listeners.wanting(request, self.depth)?, self.journal.mark());
        let refused = match self.step(|state, journal| state.append(request, journal)) {
            Ok(written) => {
                if let Some(hearing) = hearing {
                    let told = self.tell(&hearing, &written);
                    told.inspect_err(|_| self.journal.undo_to(before, self.state))?;
                }
                return Ok(AppendOutcome::Written(written));
            }
            Err(refused) => refused,
        };
        let present = self.state.present_of(request);
        if present.is_empty() { Err(refused) } else { Ok(AppendOutcome::Present(present)) }
    }

    fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        self.state.load(request)
    }

    fn read(&mut self, request: &ReadRequest) -> Result<ReadRecords> {
        Ok(self.state.read(request))
    }

    fn delete(&mut self, request: &DeleteRequest) -> Result<()> {
        self.step(|state, journal| {
            state.delete(request, journal);
            Ok(())
        })
    }

    fn save_snapshot(&mut self, request: &SnapshotRequest) -> Result<()> {
        self.step(|state, journal| state.save_snapshot(request, journal))
    }

    fn progress(&mut self, request: &ProgressRequest) -> Result<()> {
        self.step(|state, journal| state.progress(request, journal))
    }

    fn hold_cursor(&mut self, id: &CursorId, position: Position) -> Result<HeldCursor> {
        Ok(self.state.cursor(id, position))
    }

    fn move_cursor(&mut self, id: &CursorId, to: Cursor) -> Result<()> {
        self.step(|state, journal| {
            state.put_cursor(id, Some(to), journal);
            Ok(())
        })
    }

    fn keys(&mut self, request: &KeysRequest) -> Result<Vec<SubjectKey>> {
        Ok(self.state.keys(request))
    }

    fn create_keys(&mut self, request: &NewKeysRequest) -> Result<Vec<SubjectKey>> {
        self.step(|state, journal| Ok(state.create_keys(request, journal)))
    }
}
