//! The backend that needs nothing: for tests, and for what may be forgotten.

mod cursors;
mod journal;
mod log;
mod sharded;
mod state;
mod subscriptions;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::coop::consume_budget;

use self::journal::Journal;
use self::state::State;
use crate::backend::{
    AppendOutcome, AppendRequest, Backend, BackendTransaction, Backlog, BlockedRequest, BlockedStream,
    Capabilities, Cursor, CursorId, DeleteRequest, Filter, ForgetRequest, HeldCursor, LoadRequest,
    LoadedStream, ProgressRequest, ScanPage, ScanRequest, SnapshotRequest, StateRequest, SubscriptionBackend,
    SubscriptionChange, SubscriptionId, SubscriptionRecord, TransactionalBackend,
};
use crate::error::{Error, Result};
use crate::position::Position;

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
}

/// Nothing of what is in it.
impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryBackend")
    }
}

impl MemoryBackend {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The state, for an asynchronous call: who never has to wait gives way to other tasks when it is their turn.
    async fn in_turn(&self) -> MutexGuard<'_, State> {
        consume_budget().await;
        self.state()
    }

    /// The state. A panic while the lock was held has rolled back what it interrupted: see [`MemoryTransaction`].
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` as a transaction and keeps what it did if it succeeds.
    fn atomically<T, E>(
        &self,
        work: impl FnOnce(&mut MemoryTransaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut state = self.state();
        let mut transaction = MemoryTransaction { state: &mut state, journal: Journal::default() };
        let result = work(&mut transaction);
        if result.is_ok() {
            transaction.journal = Journal::default();
            self.committed.notify_waiters();
        }
        result
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { durable: false, shared: false, ..Capabilities::all() }
    }

    async fn append(&self, request: Arc<AppendRequest>) -> Result<AppendOutcome> {
        consume_budget().await;
        self.atomically(|transaction| transaction.append(&request))
    }

    async fn load(&self, request: LoadRequest) -> Result<LoadedStream> {
        self.in_turn().await.load(&request)
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        consume_budget().await;
        self.atomically(|transaction| transaction.delete(&request))
    }

    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()> {
        consume_budget().await;
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
        self.in_turn().await.scan(&request)
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
}

#[async_trait]
impl SubscriptionBackend for MemoryBackend {
    async fn subscription(&self, id: SubscriptionId) -> Result<Option<SubscriptionRecord>> {
        Ok(self.in_turn().await.subscriptions.find(&id).cloned().map(|record| record.as_of(Timestamp::now())))
    }

    async fn change_subscription(
        &self,
        id: SubscriptionId,
        change: SubscriptionChange,
    ) -> Result<Option<SubscriptionRecord>> {
        let mut journal = Journal::default();
        Ok(self.in_turn().await.change_subscription(&id, &change, &mut journal))
    }

    async fn progress(&self, request: ProgressRequest) -> Result<()> {
        consume_budget().await;
        self.atomically(|transaction| transaction.progress(&request))
    }

    async fn blocked_streams(&self, request: BlockedRequest) -> Result<Vec<BlockedStream>> {
        Ok(self.in_turn().await.subscriptions.blocked(&request))
    }

    async fn backlog(&self, after: Position, filter: Filter) -> Result<Backlog> {
        Ok(self.in_turn().await.backlog(after, &filter))
    }
}

#[async_trait]
impl TransactionalBackend for MemoryBackend {
    type Transaction<'t> = MemoryTransaction<'t>;

    async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'t> FnOnce(&mut MemoryTransaction<'t>) -> Result<T, E> + Send + 'static,
    {
        consume_budget().await;
        self.atomically(work)
    }
}

/// An open transaction. What it did is undone when it is dropped, by a panic too, unless it was committed.
pub struct MemoryTransaction<'t> {
    state: &'t mut State,
    journal: Journal,
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
}

impl Drop for MemoryTransaction<'_> {
    fn drop(&mut self) {
        self.journal.undo_to(0, self.state);
    }
}

impl BackendTransaction for MemoryTransaction<'_> {
    fn append(&mut self, request: &AppendRequest) -> Result<AppendOutcome> {
        let refused = match self.step(|state, journal| state.append(request, journal)) {
            Ok(written) => return Ok(AppendOutcome::Written(written)),
            Err(refused) => refused,
        };
        let present = self.state.present_of(request);
        if present.is_empty() { Err(refused) } else { Ok(AppendOutcome::Present(present)) }
    }

    fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        self.state.load(request)
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
}
