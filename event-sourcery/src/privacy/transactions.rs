//! The seam within transactions: what is appended there is sealed, and what is loaded is opened.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;

use super::ring::{OfJoined, OfWriter};
use super::sealed::{Parts, hand_back, hand_over};
use super::sealing::is_marked;
use super::vault::Vault;
use crate::backend::{
    AppendOutcome, AppendRequest, BackendTransaction, Cursor, CursorId, DeleteRequest, HeldCursor,
    JoinedTransaction, KeysRequest, LoadRequest, LoadSink, LoadedStream, NewKeysRequest, ProgressRequest,
    ReadRecords, ReadRequest, SnapshotRequest, StoredRecord, SubjectKey,
};
use crate::error::{Error, Result};
use crate::position::Position;

/// A transaction on the backend's writer, as the store calls it.
pub(crate) struct WriterCalls<'a> {
    inner: &'a mut dyn BackendTransaction,
    vault: Option<&'a Arc<Vault>>,
}

impl<'a> WriterCalls<'a> {
    /// With the keys of the handle, if it has any.
    pub(crate) fn new(inner: &'a mut dyn BackendTransaction, vault: Option<&'a Arc<Vault>>) -> Self {
        Self { inner, vault }
    }

    pub(crate) fn append(&mut self, request: &AppendRequest) -> Result<AppendOutcome> {
        let Some(vault) = self.vault else { return self.inner.append(request) };
        let outcome = if is_marked(request) {
            let stored = ready(vault.seal(&mut OfWriter(&mut *self.inner), request))?;
            let outcome = self.inner.append(&stored);
            hand_back(&stored, request);
            outcome.inspect_err(|refused| vault.heed(&request.tenant, refused))
        } else {
            self.inner.append(request)
        };
        let mut outcome = outcome?;
        ready(vault.open_present(&mut OfWriter(&mut *self.inner), &mut outcome))?;
        Ok(outcome)
    }

    pub(crate) fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        let mut loaded = self.inner.load(request)?;
        self.open(request, std::slice::from_mut(&mut loaded))?;
        Ok(loaded)
    }

    pub(crate) fn load_in_parts(&mut self, request: &LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        if self.vault.is_none() {
            return self.inner.load_in_parts(request, sink);
        }
        let mut parts = Parts { sink, held: Vec::new() };
        self.inner.load_in_parts(request, &mut parts)?;
        let Parts { sink, mut held } = parts;
        self.open(request, &mut held)?;
        hand_over(held, sink)
    }

    pub(crate) fn read(&mut self, request: &ReadRequest) -> Result<ReadRecords> {
        let mut read = self.inner.read(request)?;
        if let Some(vault) = self.vault {
            ready(vault.open_records(&mut OfWriter(&mut *self.inner), &mut read.records))?;
        }
        Ok(read)
    }

    pub(crate) fn delete(&mut self, request: &DeleteRequest) -> Result<()> {
        self.inner.delete(request)
    }

    pub(crate) fn keys(&mut self, request: &KeysRequest) -> Result<Vec<SubjectKey>> {
        self.inner.keys(request)
    }

    pub(crate) fn save_snapshot(&mut self, request: &SnapshotRequest) -> Result<()> {
        match self.vault.filter(|_| !request.record.marks.is_empty()) {
            Some(vault) => {
                let stored = ready(vault.seal_snapshot(&mut OfWriter(&mut *self.inner), request))?;
                self.inner.save_snapshot(&stored)
            }
            None => self.inner.save_snapshot(request),
        }
    }

    fn open(&mut self, request: &LoadRequest, parts: &mut [LoadedStream]) -> Result<()> {
        let Some(vault) = self.vault else { return Ok(()) };
        let of = (&request.tenant, &request.stream);
        ready(vault.open_parts(&mut OfWriter(&mut *self.inner), of, parts))
    }
}

/// Opens what a listener on the backend's writer is to hear.
pub(crate) fn open_heard(
    vault: &Vault,
    record: &mut StoredRecord,
    transaction: &mut dyn BackendTransaction,
) -> Result<()> {
    ready(vault.open_records(&mut OfWriter(transaction), std::slice::from_mut(record)))
}

/// Opens what a listener that waits for its statements is to hear.
pub(crate) async fn open_heard_joined(
    vault: &Vault,
    record: &mut StoredRecord,
    transaction: &mut dyn JoinedTransaction,
) -> Result<()> {
    vault.open_records(&mut OfJoined(transaction), std::slice::from_mut(record)).await
}

/// What comes of a call on the writer, where nothing waits.
fn ready<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    call.now_or_never().unwrap_or_else(|| Err(Error::bug("a call in a closure has waited for a key")))
}

/// A transaction of the caller's in which everything is sealed that is marked.
struct SealedTransaction<'a> {
    inner: Box<dyn JoinedTransaction + 'a>,
    vault: Arc<Vault>,
}

/// A transaction of the caller's, as the store calls it.
pub(crate) fn joined<'a>(
    inner: Box<dyn JoinedTransaction + 'a>,
    vault: Option<&Arc<Vault>>,
) -> Box<dyn JoinedTransaction + 'a> {
    match vault {
        Some(vault) => Box::new(SealedTransaction { inner, vault: Arc::clone(vault) }),
        None => inner,
    }
}

impl SealedTransaction<'_> {
    async fn open(&mut self, request: &LoadRequest, parts: &mut [LoadedStream]) -> Result<()> {
        let of = (&request.tenant, &request.stream);
        self.vault.open_parts(&mut OfJoined(&mut *self.inner), of, parts).await
    }
}

#[async_trait]
impl JoinedTransaction for SealedTransaction<'_> {
    async fn append(&mut self, request: &AppendRequest) -> Result<AppendOutcome> {
        let outcome = if is_marked(request) {
            let stored = self.vault.seal(&mut OfJoined(&mut *self.inner), request).await?;
            let outcome = self.inner.append(&stored).await;
            hand_back(&stored, request);
            outcome.inspect_err(|refused| self.vault.heed(&request.tenant, refused))
        } else {
            self.inner.append(request).await
        };
        let mut outcome = outcome?;
        self.vault.open_present(&mut OfJoined(&mut *self.inner), &mut outcome).await?;
        Ok(outcome)
    }

    async fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        let mut loaded = self.inner.load(request).await?;
        self.open(request, std::slice::from_mut(&mut loaded)).await?;
        Ok(loaded)
    }

    async fn load_in_parts(&mut self, request: &LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        let mut parts = Parts { sink, held: Vec::new() };
        self.inner.load_in_parts(request, &mut parts).await?;
        let Parts { sink, mut held } = parts;
        self.open(request, &mut held).await?;
        hand_over(held, sink)
    }

    async fn read(&mut self, request: &ReadRequest) -> Result<ReadRecords> {
        let mut read = self.inner.read(request).await?;
        self.vault.open_records(&mut OfJoined(&mut *self.inner), &mut read.records).await?;
        Ok(read)
    }

    async fn delete(&mut self, request: &DeleteRequest) -> Result<()> {
        self.inner.delete(request).await
    }

    async fn save_snapshot(&mut self, request: &SnapshotRequest) -> Result<()> {
        if request.record.marks.is_empty() {
            return self.inner.save_snapshot(request).await;
        }
        let stored = self.vault.seal_snapshot(&mut OfJoined(&mut *self.inner), request).await?;
        self.inner.save_snapshot(&stored).await
    }

    async fn progress(&mut self, request: &ProgressRequest) -> Result<()> {
        self.inner.progress(request).await
    }

    async fn hold_cursor(&mut self, id: &CursorId, position: Position) -> Result<HeldCursor> {
        self.inner.hold_cursor(id, position).await
    }

    async fn move_cursor(&mut self, id: &CursorId, to: Cursor) -> Result<()> {
        self.inner.move_cursor(id, to).await
    }

    async fn keys(&mut self, request: &KeysRequest) -> Result<Vec<SubjectKey>> {
        self.inner.keys(request).await
    }

    async fn create_keys(&mut self, request: &NewKeysRequest) -> Result<Vec<SubjectKey>> {
        self.inner.create_keys(request).await
    }
}
