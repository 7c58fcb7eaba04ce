//! A backend that fails on purpose.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::backend::{
    AppendOutcome, AppendRequest, Backend, Capabilities, DeleteRequest, LoadRequest, LoadedStream, ScanPage,
    ScanRequest, SnapshotRequest,
};
use crate::error::{Error, Result};
use crate::position::Position;

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
/// use event_sourcery::conformance::{Fault, FaultyBackend};
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

#[derive(Debug, Default)]
struct Faults {
    calls: AtomicU64,
    planned: Mutex<Vec<(u64, Fault)>>,
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

    /// How many calls there have been.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.faults.calls.load(Ordering::SeqCst)
    }

    /// The backend within, which does not fail.
    #[must_use]
    pub const fn inner(&self) -> &B {
        &self.inner
    }

    async fn call<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        let call = self.faults.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let fault = {
            let mut planned = self.faults.planned.lock().unwrap_or_else(PoisonError::into_inner);
            let at = planned.iter().position(|(planned, _)| *planned == call);
            at.map(|at| planned.swap_remove(at).1)
        };
        let failure =
            |source: &str| Err(Error::Backend { backend: self.inner.name(), source: source.into() });
        match fault {
            None => operation.await,
            Some(Fault::Before) => failure("the connection broke before the call, as planned"),
            Some(Fault::After) => {
                operation.await?;
                failure("the connection broke before the answer, as planned")
            }
        }
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
        self.call(self.inner.append(request)).await
    }

    async fn load(&self, request: LoadRequest) -> Result<LoadedStream> {
        self.call(self.inner.load(request)).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.call(self.inner.delete(request)).await
    }

    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()> {
        self.call(self.inner.save_snapshot(request)).await
    }

    async fn scan(&self, request: ScanRequest) -> Result<ScanPage> {
        self.call(self.inner.scan(request)).await
    }

    async fn position(&self) -> Result<Position> {
        self.call(self.inner.position()).await
    }

    async fn wait_beyond(&self, position: Position) -> Result<Position> {
        self.call(self.inner.wait_beyond(position)).await
    }
}
