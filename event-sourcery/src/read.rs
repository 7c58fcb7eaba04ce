//! Reading by a query: what a decision rests on, and its boundary.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;

use crate::backend::{Boundary, ReadRecords, ReadRequest};
use crate::error::Result;
use crate::event::Event;
use crate::query::Query;
use crate::store::Scope;
use crate::within::{InTransaction, Joined, OnStore, Reach, at_once};
use crate::wrapped_event::Recorded;

/// A read in the making; see [`EventStore::read`](crate::EventStore::read).
#[derive(Debug)]
#[must_use = "nothing is read until this is awaited or run"]
pub struct ReadQuery<On, E> {
    on: On,
    request: Result<ReadRequest>,
    event: PhantomData<fn() -> E>,
}

/// What was read by a query.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Selection<E> {
    /// The events that match, in position order.
    pub events: Vec<Recorded<E>>,
    /// What has to stay as it is for a decision on them to hold.
    pub boundary: Boundary,
}

impl<On, E: Event> ReadQuery<On, E> {
    pub(crate) fn new(on: On, scope: &Scope, query: &Query) -> Self {
        let request = scope.check_tags().map(|()| ReadRequest::new(scope.tenant.clone(), query.clone()));
        Self { on, request, event: PhantomData }
    }
}

impl<'a, E: Event> IntoFuture for ReadQuery<OnStore<'a>, E> {
    type Output = Result<Selection<E>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(read(self.on, self.request))
    }
}

impl<'a, E: Event> IntoFuture for ReadQuery<Joined<'a>, E> {
    type Output = Result<Selection<E>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(read(self.on, self.request))
    }
}

impl<E: Event> ReadQuery<InTransaction<'_>, E> {
    /// Reads within the transaction, with what the transaction itself has written.
    ///
    /// # Errors
    ///
    /// As [`EventStore::read`](crate::EventStore::read).
    pub fn run(self) -> Result<Selection<E>> {
        at_once(read(self.on, self.request))
    }
}

async fn read<E: Event>(mut on: impl Reach, request: Result<ReadRequest>) -> Result<Selection<E>> {
    let ReadRecords { records, boundary } = on.read(&request?).await?;
    let events = records.iter().map(Recorded::decode).collect::<Result<_>>()?;
    Ok(Selection { events, boundary })
}
