//! Deleting a stream.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use crate::backend::DeleteRequest;
use crate::error::Result;
use crate::store::Scope;
use crate::stream_id::StreamId;
use crate::within::{InTransaction, Joined, OnStore};

/// A deletion in the making; see [`EventStore::delete_stream`](crate::EventStore::delete_stream).
#[derive(Debug)]
#[must_use = "nothing is deleted until this is awaited or run"]
pub struct DeleteStream<On> {
    on: On,
    request: DeleteRequest,
}

impl<On> DeleteStream<On> {
    pub(crate) fn new(on: On, scope: &Scope, stream: &StreamId) -> Self {
        let request =
            DeleteRequest { tenant: scope.tenant.clone(), stream: stream.clone(), drop_outbox: false };
        Self { on, request }
    }

    /// Drops what is still in the outbox too. Without this word it was promised to the world and is still published.
    pub fn drop_outbox(mut self) -> Self {
        self.request.drop_outbox = true;
        self
    }
}

impl<'a> IntoFuture for DeleteStream<OnStore<'a>> {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        self.on.backend.delete(self.request)
    }
}

impl<'a> IntoFuture for DeleteStream<Joined<'a>> {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { mut on, request } = self;
        Box::pin(async move { on.transaction.delete(&request).await })
    }
}

impl DeleteStream<InTransaction<'_>> {
    /// Deletes within the transaction.
    ///
    /// # Errors
    ///
    /// As [`EventStore::delete_stream`](crate::EventStore::delete_stream).
    pub fn run(self) -> Result<()> {
        self.on.transaction.delete(&self.request)
    }
}
