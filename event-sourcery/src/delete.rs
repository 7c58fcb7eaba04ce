//! Deleting a stream.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use crate::backend::DeleteRequest;
use crate::error::Result;
use crate::store::Scope;
use crate::stream_id::StreamId;
use crate::subscription::Deletions;
use crate::within::{InTransaction, Joined, OnStore};

/// A deletion in the making; see [`EventStore::delete_stream`](crate::EventStore::delete_stream).
#[derive(Debug)]
#[must_use = "nothing is deleted until this is awaited or run"]
pub struct DeleteStream<On> {
    on: On,
    request: DeleteRequest,
    /// Where those who have read ahead are told.
    deletions: Arc<Deletions>,
}

impl<On> DeleteStream<On> {
    pub(crate) fn new(on: On, scope: &Scope, stream: &StreamId) -> Self {
        let request =
            DeleteRequest { tenant: scope.tenant.clone(), stream: stream.clone(), drop_outbox: false };
        Self { on, request, deletions: Arc::clone(&scope.deletions) }
    }

    /// Also drops the stream's events that are still in the outbox. By default they are still published.
    pub fn drop_outbox(mut self) -> Self {
        self.request.drop_outbox = true;
        self
    }
}

impl<'a> IntoFuture for DeleteStream<OnStore<'a>> {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { on, request, deletions } = self;
        Box::pin(async move {
            let (tenant, stream) = (request.tenant.clone(), request.stream.clone());
            let deleted = on.backend.delete(request).await;
            // Where it failed, it may be gone all the same.
            deletions.note(&tenant, &stream);
            deleted
        })
    }
}

impl<'a> IntoFuture for DeleteStream<Joined<'a>> {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { mut on, request, deletions } = self;
        Box::pin(async move {
            let deleted = on.transaction.delete(&request).await;
            deletions.note_within(&request.tenant, &request.stream, deleted.is_ok());
            deleted
        })
    }
}

impl DeleteStream<InTransaction<'_>> {
    /// Deletes within the transaction.
    ///
    /// # Errors
    ///
    /// As [`EventStore::delete_stream`](crate::EventStore::delete_stream).
    pub fn run(mut self) -> Result<()> {
        let deleted = self.on.transaction.delete(&self.request);
        self.deletions.note_within(&self.request.tenant, &self.request.stream, deleted.is_ok());
        deleted
    }
}
