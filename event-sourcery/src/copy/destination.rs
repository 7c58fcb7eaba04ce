//! Where events are copied to: written many streams a commit, and one by one where something is not as expected.

use std::sync::Arc;

use super::carried::{self, not_carried};
use super::origin::{Begins, Found, Origin};
use super::report::Copied;
use crate::backend::{
    AppendOutcome, AppendRequest, Backend, Expectation, LoadRequest, PresentEvent, Span, StoredRecord,
};
use crate::error::{Error, Result};
use crate::retry::Retry;
use crate::store::EventStore;
use crate::version::Version;

/// How often an event is tried whose stream is not as expected.
const ATTEMPTS: usize = 4;

const FORMER_LIFE: &str =
    "the stream has a former life at the destination: let the copy delete what the source has deleted";

const NO_HOLES: &str = "events before it are not there, and this destination leaves no versions out";

/// The store that is copied to.
pub(super) struct Destination {
    store: EventStore,
    /// The same without keys: what was sealed is written as it is.
    backend: Arc<dyn Backend>,
    /// Whether streams are deleted that are not at the source any more.
    deletes: bool,
}

/// What there is to an event without a version.
enum Unversioned {
    Writable,
    /// The source does not have it any more.
    Gone,
    /// Its stream has a former life, which is not to be deleted.
    InTheWay,
}

/// What was done about a stream that is not as expected.
enum Amended {
    /// Its events go on behind this version, with a hole.
    Behind(Version),
    /// It is another one now.
    Again,
    /// Nothing can be done, for this reason, or for that of the refusal.
    No(Option<&'static str>),
}

impl Destination {
    pub(super) fn new(store: EventStore, deletes: bool) -> Self {
        let backend = Arc::clone(store.backend());
        Self { store, backend, deletes }
    }

    pub(super) const fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// The event of this id, if it is in that stream.
    pub(super) async fn find(&self, record: &StoredRecord) -> Result<Option<StoredRecord>> {
        self.one(record, Span::Event(record.event.id)).await
    }

    /// The last event of a stream.
    async fn last(&self, record: &StoredRecord) -> Result<Option<StoredRecord>> {
        self.one(record, Span::Last).await
    }

    async fn one(&self, record: &StoredRecord, span: Span) -> Result<Option<StoredRecord>> {
        let StoredRecord { stream, tenant, .. } = record;
        let loaded = self.backend.load(LoadRequest::new(tenant.clone(), stream.clone(), span)).await?;
        let found = loaded.events.into_iter().next();
        // Its name is as it was asked for, and not told by a load.
        Ok(found.map(|event| StoredRecord::new(stream.clone(), tenant.clone(), event)))
    }

    /// Deals with an event that the source does not have: its stream is deleted, or it is left where it is. One that was read before
    /// its stream was deleted is not there any more, and the stream may live anew.
    pub(super) async fn remove(&self, extra: &StoredRecord, copied: &mut Copied) -> Result<()> {
        if !self.deletes {
            copied.extra += 1;
        } else if self.find(extra).await?.is_some() {
            self.delete(extra, copied).await?;
        }
        Ok(())
    }

    async fn delete(&self, record: &StoredRecord, copied: &mut Copied) -> Result<()> {
        self.store.for_tenant(record.tenant.clone()).delete_stream(&record.stream).await?;
        copied.deleted(record);
        Ok(())
    }

    /// Writes events in their order.
    pub(super) async fn write(
        &self,
        origin: &mut dyn Origin,
        records: &[StoredRecord],
        copied: &mut Copied,
    ) -> Result<()> {
        let several_streams = self.backend.capabilities().several_streams;
        let mut rest = records;
        while !rest.is_empty() {
            let Some((batch, behind)) = rest.split_at_checked(carried::batch(rest, several_streams)) else {
                return Err(Error::bug("a batch has more events than there are"));
            };
            self.write_batch(origin, batch, copied).await?;
            rest = behind;
        }
        Ok(())
    }

    async fn write_batch(
        &self,
        origin: &mut dyn Origin,
        batch: &[StoredRecord],
        copied: &mut Copied,
    ) -> Result<()> {
        let with_shreds = self.backend.capabilities().keys;
        let in_the_way = batch.iter().any(|record| copied.is_in_the_way(record));
        if !in_the_way
            && !self.may_live_anew(origin, batch).await?
            && let Some(request) = carried::request(batch, with_shreds)
        {
            match self.append(request).await {
                Ok(AppendOutcome::Written(_)) => {
                    copied.wrote(batch);
                    return Ok(());
                }
                Ok(AppendOutcome::Present(_)) => {}
                Err(refused) if refused.is_refusal() => {}
                Err(error) => return Err(error),
            }
        }
        for record in batch {
            self.write_one(origin, record, copied).await?;
        }
        Ok(())
    }

    /// Whether a stream without versions of the batch begins with it, or is gone by now. Of one with versions, the append finds out.
    async fn may_live_anew(&self, origin: &mut dyn Origin, batch: &[StoredRecord]) -> Result<bool> {
        let mut before = None;
        for record in batch.iter().filter(|record| record.event.version.is_none()) {
            if before != Some(&record.stream) && self.lives_anew(origin, record).await?.is_some() {
                return Ok(true);
            }
            before = Some(&record.stream);
        }
        Ok(false)
    }

    /// What of a stream without versions is in the way of this event: its former life at the destination, or that the source does not
    /// have the event any more.
    async fn lives_anew(&self, origin: &mut dyn Origin, record: &StoredRecord) -> Result<Option<Begins>> {
        let begins = origin.begins(record).await?;
        let is_in_the_way = match begins {
            Begins::Here => self.last(record).await?.is_some(),
            Begins::Behind => true,
            Begins::Before | Begins::Unknown => false,
        };
        Ok(is_in_the_way.then_some(begins))
    }

    /// Writes one event, and finds out what is in its way.
    async fn write_one(
        &self,
        origin: &mut dyn Origin,
        record: &StoredRecord,
        copied: &mut Copied,
    ) -> Result<()> {
        if copied.is_in_the_way(record) {
            copied.left_out(record, not_carried(record, FORMER_LIFE));
            return Ok(());
        }
        let with_shreds = self.backend.capabilities().keys;
        let mut expectation = carried::expected(record);
        let mut refused = not_carried(record, "others change its stream at the destination");
        for _ in 0..ATTEMPTS {
            match self.unversioned(origin, record, copied).await? {
                Unversioned::Writable => {}
                Unversioned::Gone => return Ok(()),
                Unversioned::InTheWay => {
                    refused = not_carried(record, FORMER_LIFE);
                    break;
                }
            }
            match self.append(carried::request_of_one(record, expectation, with_shreds)).await {
                Ok(AppendOutcome::Written(_)) => {
                    copied.wrote(std::slice::from_ref(record));
                    return Ok(());
                }
                Ok(AppendOutcome::Present(present)) => {
                    match present.first() {
                        Some(PresentEvent { record: there, .. }) => copied.found(record, there),
                        None => return Err(Error::bug("a backend told of no event that is there already")),
                    }
                    return Ok(());
                }
                Err(error) if !error.is_refusal() => return Err(error),
                Err(error) => refused = error,
            }
            match self.amend(origin, record, &refused, copied).await? {
                Amended::Behind(version) => expectation = Expectation::Version(version),
                Amended::Again => {}
                Amended::No(reason) => {
                    refused = reason.map_or(refused, |reason| not_carried(record, reason));
                    break;
                }
            }
        }
        self.leave_out(origin, record, refused, copied).await
    }

    /// Leaves an event out. A former life of its stream goes, or stays with nothing written behind it: the next events might have the
    /// very versions that it lacks.
    pub(super) async fn leave_out(
        &self,
        origin: &mut dyn Origin,
        record: &StoredRecord,
        problem: Error,
        copied: &mut Copied,
    ) -> Result<()> {
        copied.left_out(record, problem);
        if let Some(last) = self.last(record).await?
            && origin.find(&last).await? == Found::Gone
        {
            if self.deletes {
                self.delete(record, copied).await?;
            } else {
                copied.put_in_the_way(record);
            }
        }
        Ok(())
    }

    /// Makes sure that an event without a version is not written behind its stream's former life.
    async fn unversioned(
        &self,
        origin: &mut dyn Origin,
        record: &StoredRecord,
        copied: &mut Copied,
    ) -> Result<Unversioned> {
        if record.event.version.is_some() {
            return Ok(Unversioned::Writable);
        }
        match self.lives_anew(origin, record).await? {
            None => Ok(Unversioned::Writable),
            Some(Begins::Behind) => Ok(Unversioned::Gone),
            Some(_) => {
                let is_there_itself = self.find(record).await?.is_some();
                if !is_there_itself && !self.deletes {
                    return Ok(Unversioned::InTheWay);
                }
                if !is_there_itself {
                    self.delete(record, copied).await?;
                }
                Ok(Unversioned::Writable)
            }
        }
    }

    /// Looks why a stream is not as expected: it has a former life at the destination, or a hole in its versions.
    async fn amend(
        &self,
        origin: &mut dyn Origin,
        record: &StoredRecord,
        refused: &Error,
        copied: &mut Copied,
    ) -> Result<Amended> {
        let is_about_the_stream = matches!(
            refused,
            Error::Conflict { .. }
                | Error::ExpectedVersionUsedOnVersionlessStream { .. }
                | Error::NoExpectedVersionGivenOnVersionedStream { .. }
        );
        if !is_about_the_stream {
            return Ok(Amended::No(None));
        }
        let Some(last) = self.last(record).await? else { return Ok(self.behind(record, 0)) };
        match (origin.find(&last).await?, last.event.version) {
            (Found::Gone, _) if self.deletes => {
                self.delete(record, copied).await?;
                Ok(Amended::Again)
            }
            (Found::Gone, _) => Ok(Amended::No(Some(FORMER_LIFE))),
            (_, None) => Ok(Amended::No(None)),
            (_, Some(version)) => Ok(self.behind(record, version)),
        }
    }

    /// How an event goes on behind a version.
    fn behind(&self, record: &StoredRecord, version: Version) -> Amended {
        let Some(own) = record.event.version.filter(|own| *own > version) else {
            return Amended::No(None);
        };
        let has_hole = own > version.saturating_add(1);
        if has_hole && !self.backend.capabilities().version_holes {
            return Amended::No(Some(NO_HOLES));
        }
        Amended::Behind(version)
    }

    /// Appends, again where it may help: what was written with an answer that was lost is recognised by its ids.
    async fn append(&self, request: AppendRequest) -> Result<AppendOutcome> {
        let (request, mut attempts) = (Arc::new(request), 0);
        loop {
            let outcome = self.backend.append(Arc::clone(&request)).await;
            // What its listeners have deleted.
            if let Some(deleted) = request.deleted.get() {
                self.store.scope().deletions.note_all(deleted);
            }
            let error = match outcome {
                Err(error) if error.is_retryable() || matches!(error, Error::OutcomeUnknown { .. }) => error,
                done => return done,
            };
            attempts += 1;
            let Some(pause) = Retry::default().pause(attempts) else { return Err(error) };
            tokio::time::sleep(pause).await;
        }
    }
}
