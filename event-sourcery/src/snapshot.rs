//! Snapshots: an event stored beside a stream that stands for all before it.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use crate::backend::SnapshotRequest;
use crate::error::Result;
use crate::new_event::IntoEvent;
use crate::privacy;
use crate::store::Scope;
use crate::stream_id::StreamId;
use crate::version::Version;
use crate::within::{InTransaction, Joined, OnStore};

/// A snapshot in the making; see [`EventStore::save_snapshot`](crate::EventStore::save_snapshot).
#[derive(Debug)]
#[must_use = "no snapshot is saved until this is awaited or run"]
pub struct SaveSnapshot<On> {
    on: On,
    request: Result<SnapshotRequest>,
}

impl<On> SaveSnapshot<On> {
    pub(crate) fn new(
        on: On,
        scope: &Scope,
        stream: &StreamId,
        version: Version,
        snapshot: impl IntoEvent,
    ) -> Self {
        Self { on, request: request(scope, stream, version, snapshot) }
    }
}

fn request(
    scope: &Scope,
    stream: &StreamId,
    version: Version,
    snapshot: impl IntoEvent,
) -> Result<SnapshotRequest> {
    let mut snapshot = snapshot.into_event()?;
    privacy::check(scope.vault.is_some(), &snapshot.record, stream)?;
    snapshot.record.context = snapshot.context.encode()?;
    // It is no event, and no query finds it.
    snapshot.record.tags.clear();
    Ok(SnapshotRequest {
        tenant: scope.tenant.clone(),
        stream: stream.clone(),
        version,
        record: snapshot.record,
    })
}

impl<'a> IntoFuture for SaveSnapshot<OnStore<'a>> {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        match self.request {
            Ok(request) => self.on.backend.save_snapshot(request),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl<'a> IntoFuture for SaveSnapshot<Joined<'a>> {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { mut on, request } = self;
        Box::pin(async move { on.transaction.save_snapshot(&request?).await })
    }
}

impl SaveSnapshot<InTransaction<'_>> {
    /// Saves the snapshot within the transaction.
    ///
    /// # Errors
    ///
    /// As [`EventStore::save_snapshot`](crate::EventStore::save_snapshot).
    pub fn run(mut self) -> Result<()> {
        self.on.transaction.save_snapshot(&self.request?)
    }
}
