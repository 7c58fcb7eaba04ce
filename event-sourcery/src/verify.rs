//! A dry run of reading: decodes what is stored, reports what fails, and changes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use uuid::Uuid;

use crate::backend::{Backend, Filter, ScanRequest, StoredRecord};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::new_event;
use crate::panics::caught;
use crate::position::Position;
use crate::store::{EventStore, Scope};
use crate::stream_id::{Category, StreamId, TenantId};
use crate::version::Version;
use crate::wrapped_event::Recorded;

/// How many events are in memory at once.
const PAGE: usize = 512;

/// How many failures are described, unless said otherwise.
const DESCRIBED: usize = 100;

impl<B: Backend> EventStore<B> {
    /// A dry run: decodes every stored event as `E`, upcasters included, and reports what fails. It changes nothing. Run it
    /// with a new version of your types before you deploy them. Each decoded event is encoded again, and is reported if an append
    /// would refuse it, because the type does not read back what it writes ([`PayloadError`](crate::PayloadError)).
    ///
    /// It reads the whole store, up to what is settled at the end, in pages of 512 events, and keeps a count for each name
    /// and schema version, and the first hundred failures. The default handle sees every tenant, a tenant's handle only that
    /// tenant. Snapshots are not checked: one that does not decode is ignored when a stream is loaded.
    ///
    /// # Errors
    ///
    /// The backend's. An event that is not decoded is no error, it is in the [`Verification`].
    ///
    /// ```
    /// use event_sourcery::{Event, EventStore, MemoryBackend, RawEvent, StreamId};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// struct Paid {
    ///     cents: u64,
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let store = EventStore::new(MemoryBackend::new());
    /// let stream = StreamId::from_name("invoices/1003")?;
    /// store.append(&stream, (Paid { cents: 700 }, RawEvent::new("Paid", r#"{"euros": 7}"#)?)).await?;
    ///
    /// let found = store.verify::<Paid>().await?;
    /// assert_eq!((found.read(), found.failed()), (2, 1));
    /// assert_eq!(found.failures[0].version, Some(2));
    /// assert!(found.to_string().contains("missing field `cents`"));
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub fn verify<E: Event>(&self) -> Verify<'_, E> {
        Verify::new(self.on_store().backend, self.scope())
    }
}

/// A dry run in the making; see [`EventStore::verify`].
#[derive(Debug)]
#[must_use = "nothing is read until this is awaited"]
pub struct Verify<'a, E> {
    backend: &'a dyn Backend,
    request: ScanRequest,
    described: usize,
    event: PhantomData<fn() -> E>,
}

impl<'a, E: Event> Verify<'a, E> {
    pub(crate) fn new(backend: &'a dyn Backend, scope: &Scope) -> Self {
        let tenant = (!scope.tenant.is_default()).then(|| scope.tenant.clone());
        let filter = Filter { tenant, ..Filter::default() };
        let request = ScanRequest { after: Position::START, up_to: None, filter, limit: PAGE };
        Self { backend, request, described: DESCRIBED, event: PhantomData }
    }

    /// Only events of this category's streams.
    pub fn category(mut self, category: Category) -> Self {
        self.request.filter.category = Some(category);
        self
    }

    /// Only events above this position, such as [`Verification::up_to`] of an earlier run.
    pub fn after(mut self, position: Position) -> Self {
        self.request.after = position;
        self
    }

    /// Only events that `E` names. Without this, an event of a name that `E` does not decode is a failure.
    pub fn known_names(mut self) -> Self {
        self.request.filter.names = Some(E::NAMES.iter().map(|name| Arc::from(*name)).collect());
        self
    }

    /// Describes at most this many failures. The default is 100. All are counted.
    pub fn describe(mut self, failures: usize) -> Self {
        self.described = failures;
        self
    }
}

impl<'a, E: Event> IntoFuture for Verify<'a, E> {
    type Output = Result<Verification>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { backend, mut request, described, .. } = self;
        Box::pin(async move {
            let mut found =
                Verification { forms: BTreeMap::new(), failures: Vec::new(), up_to: request.after };
            loop {
                let page = backend.scan(request.clone()).await?;
                for record in &page.records {
                    found.note(record, problem_of::<E>(record), described);
                }
                request.after = page.next;
                found.up_to = page.next;
                if !page.has_more {
                    return Ok(found);
                }
            }
        })
    }
}

/// Why an event is not decoded; or why its type could not write it again so that it reads back equal.
fn problem_of<E: Event>(record: &StoredRecord) -> Option<Error> {
    let event = match Recorded::<E>::decode(record) {
        Ok(recorded) => recorded.wrapped_event.event,
        Err(problem) => return Some(problem),
    };
    let problem = caught(|| new_event::encode(&event)).ok()?.err()?;
    Some(Error::InvalidPayload { name: record.event.name.to_string(), problem })
}

/// What a dry run has found. Its text lists the forms and the failures.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verification {
    /// How many events were read and of these how many failed, by stored name and schema version.
    pub forms: BTreeMap<(String, u32), Verified>,
    /// The failures that are described, those of the lowest positions.
    pub failures: Vec<VerifyFailure>,
    /// The position up to which the store was read.
    pub up_to: Position,
}

/// Counts of a dry run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The events that were read.
    pub read: u64,
    /// Of these, the events that were not decoded.
    pub failed: u64,
}

/// A stored event that is not decoded.
#[derive(Debug)]
#[non_exhaustive]
pub struct VerifyFailure {
    /// The stored name.
    pub name: String,
    /// The version of the form that it is in.
    pub schema_version: u32,
    /// Its id.
    pub uuid: Uuid,
    /// Its stream.
    pub stream_id: StreamId,
    /// Whose stream it is.
    pub tenant_id: TenantId,
    /// Its number in the stream, if the stream has versions.
    pub version: Option<Version>,
    /// Where it stands in the whole store.
    pub position: Position,
    /// The error that reading it ends with.
    pub problem: Error,
}

impl Verification {
    /// How many events were read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.forms.values().map(|form| form.read).sum()
    }

    /// How many events were not decoded.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.forms.values().map(|form| form.failed).sum()
    }

    /// Whether every event was decoded.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failed() == 0
    }

    fn note(&mut self, record: &StoredRecord, problem: Option<Error>, described: usize) {
        let StoredRecord { stream, tenant, event } = record;
        let form = self.forms.entry((event.name.to_string(), event.schema_version)).or_default();
        form.read += 1;
        let Some(problem) = problem else { return };
        form.failed += 1;
        if self.failures.len() < described {
            self.failures.push(VerifyFailure {
                name: event.name.to_string(),
                schema_version: event.schema_version,
                uuid: event.id,
                stream_id: stream.clone(),
                tenant_id: tenant.clone(),
                version: event.version,
                position: event.position,
                problem,
            });
        }
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} events read, {} not decoded", self.read(), self.failed())?;
        for ((name, schema_version), Verified { read, failed }) in &self.forms {
            writeln!(f, "  {name:?}, form {schema_version}: {read} read, {failed} not decoded")?;
        }
        for VerifyFailure { position, tenant_id, problem, .. } in &self.failures {
            let tenant = if tenant_id.is_default() { String::new() } else { format!(", tenant {tenant_id}") };
            writeln!(f, "  at position {position}{tenant}: {problem}")?;
        }
        let missing = self.failed().saturating_sub(self.failures.len() as u64);
        if missing > 0 {
            writeln!(f, "  and {missing} more")?;
        }
        Ok(())
    }
}
