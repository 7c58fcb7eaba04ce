//! Moving to another database: copying the events of a store into another one, of whatever kind, while it goes on being written;
//! comparing the two; and files of events.
//!
//! ```
//! use event_sourcery::copy::Copy;
//! use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let (source, destination) = (EventStore::new(MemoryBackend::new()), EventStore::new(MemoryBackend::new()));
//! # let stream = StreamId::from_name("invoices/1003")?;
//! # source.append(&stream, RawEvent::new("Paid", "{}")?).await?;
//! let copied = Copy::new(&source, &destination).run().await?;
//! assert_eq!((copied.written, copied.is_clean()), (1, true));
//! assert!(Copy::new(&source, &destination).compare().await?.is_equal());
//! # Ok::<(), event_sourcery::Error>(()) }).unwrap();
//! ```
//!
//! # What is carried over
//!
//! Every event, with its id, time, type, schema version, tags, payload and context as they are stored, in its stream (UUID, name, category,
//! tenant), at its version, in the order of the whole store. Events without versions stay so, and holes in versions stay holes where the
//! destination [can have any](crate::backend::Capabilities::version_holes). What is encrypted is copied as it is, and so are masks. What
//! cannot be carried over as it is, a row that cannot be read or a payload that the destination refuses, is left out and
//! [reported](Copied::described): nothing is made up.
//!
//! A destination that [has no tags](crate::backend::Capabilities::tags) takes no event that has some, unless they are left out:
//! [`Copy::without_tags`].
//!
//! Positions are given by the destination: the order is the same, the numbers are not. [`Copy::checkpoints`] tells which number takes
//! the place of which.
//!
//! What is not an event is not carried over: snapshots and kept states, which are made anew; what waits in the outbox, which the source
//! publishes (nothing that is copied is put into an outbox); durable subscriptions with what is parked in them; cursors of projectors.
//! Keys of data subjects are where they are wanted: [`Copy::with_keys`]. Shredding is carried over always.
//!
//! The guide page [*move to another database*](crate::guide::move_to_another_database) has it step by step.

mod carried;
mod destination;
mod exporting;
#[cfg(test)]
mod fuzz;
mod import;
mod keys;
mod line;
mod lockstep;
mod origin;
mod report;
#[cfg(test)]
mod tests;
mod working;

use std::fmt;
use std::sync::Arc;

use tokio::io::AsyncBufRead;

pub use self::exporting::export;
use self::import::FileOrigin;
use self::origin::{Origin, StoreOrigin};
pub use self::report::{Compared, Copied, Difference, DifferenceKind, Exported, LeftOut};
use self::working::Working;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::position::Position;
use crate::store::EventStore;
use crate::stream_id::TenantId;

/// Who is told how far a copy has come.
type Told<'a> = Box<dyn FnMut(&Copied) + Send + 'a>;

/// A copy of a store's events, in the making.
///
/// The handles say whose events: all of them, between default handles; a tenant's, from the tenant's handle. Enrichers and keys of
/// the handles have no part in it. Listeners of the destination are called as for any append.
///
/// Nothing is kept beside the events: the destination itself says how far the copy is. So a copy that was stopped or killed at any
/// point is simply run again, and each event is there once. It reads both stores up to where the copy ended, which compares them as
/// well, and goes on from there. A page of each is in memory, some megabytes and the largest event.
///
/// Let nobody else append to the destination before the two are equal.
pub struct Copy<'a> {
    origin: Box<dyn Origin + 'a>,
    destination: EventStore,
    /// Whose events: everybody's, if of none. An error where the handles do not say.
    tenant: Result<Option<TenantId>>,
    deletes: bool,
    with_keys: bool,
    without_tags: bool,
    checkpoints: Vec<Position>,
    told: Option<Told<'a>>,
}

impl<'a> Copy<'a> {
    /// From one store to another.
    pub fn new<S: Backend, D: Backend>(source: &EventStore<S>, destination: &EventStore<D>) -> Self {
        let tenant = whose(source.tenant_id(), destination.tenant_id());
        let backend = Arc::clone(source.erased().backend());
        let only = tenant.as_ref().ok().cloned().flatten();
        Self::of(Box::new(StoreOrigin::new(backend, only)), destination, tenant)
    }

    /// From a file that [`export`] has written, or another program in its format. It is read once: for another
    /// [`run`](Self::run) or [`compare`](Self::compare), open it again.
    pub fn import<D: Backend>(
        file: impl AsyncBufRead + Unpin + Send + 'a,
        destination: &EventStore<D>,
    ) -> Self {
        let tenant = whose(&TenantId::DEFAULT, destination.tenant_id());
        Self::of(Box::new(FileOrigin::new(file)), destination, tenant)
    }

    fn of<D: Backend>(
        origin: Box<dyn Origin + 'a>,
        destination: &EventStore<D>,
        tenant: Result<Option<TenantId>>,
    ) -> Self {
        Self {
            origin,
            destination: destination.erased(),
            tenant,
            deletes: false,
            with_keys: false,
            without_tags: false,
            checkpoints: Vec::new(),
            told: None,
        }
    }

    /// Deletes streams at the destination that are not at the source any more, such as those that are deleted there meanwhile, or live
    /// anew. Without this word they are left as they are, and [counted](Copied::extra), and events of a stream that lives anew are
    /// left out: the destination may be the wrong store, and have streams of its own.
    #[must_use]
    pub fn deleting(self) -> Self {
        Self { deletes: true, ..self }
    }

    /// Carries the keys of data subjects over, each as it is wrapped: whoever has the master key can read at the destination then.
    ///
    /// Without this word they stay where they are, so that a copy for tests, say, opens nothing, and shredding somebody at the source
    /// is enough. With it, shred at both; who is shredded at the source is so at the destination with the next run. A service that
    /// wraps the keys has to be the same for both.
    #[must_use]
    pub fn with_keys(self) -> Self {
        Self { with_keys: true, ..self }
    }

    /// Leaves the tags of all events out, and [counts](Copied::untagged) the events that have some. A comparison does not look for them
    /// then.
    ///
    /// Without this word, an event with tags is not left untagged where the destination has none: the copy ends there, because queries
    /// would find nothing.
    #[must_use]
    pub fn without_tags(self) -> Self {
        Self { without_tags: true, ..self }
    }

    /// Asks a [comparison](Self::compare) where readers go on at the destination that have read up to these positions at the source:
    /// see [`Compared::position`]. Such are the checkpoints of durable subscriptions, and positions that read models keep.
    #[must_use]
    pub fn checkpoints(self, positions: impl IntoIterator<Item = Position>) -> Self {
        Self { checkpoints: positions.into_iter().collect(), ..self }
    }

    /// Calls this after each page: 512 events, or fewer. A comparison tells in `present` how many events are the same so far.
    #[must_use]
    pub fn on_progress(self, told: impl FnMut(&Copied) + Send + 'a) -> Self {
        Self { told: Some(Box::new(told)), ..self }
    }

    /// Copies what there is, up to what is settled at its end. Run it again, as often as you like, while the source is written.
    ///
    /// Events are written in appends to many streams each, of one tenant, for as long as their order allows it: a stream whose events
    /// stand apart begins another one. Where the answer to one is lost, or the destination is busy, it is sent again, for a minute or
    /// two.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for handles of two tenants, and for what a file cannot do; [`Error::Unsupported`] for keys where the
    /// destination keeps none, and at an event with tags where it has none; [`Error::InvalidLine`] and [`Error::File`] of a file; and
    /// those of both backends: run it again.
    pub async fn run(self) -> Result<Copied> {
        self.run_until(std::future::ready(())).await
    }

    /// The same, and goes on with what is written to the source, until `until` is ready, which is looked at once what there is has
    /// been copied; then once more up to what is settled. An event is there some milliseconds after its commit. To stop at once, drop
    /// the future.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn run_until(self, until: impl Future<Output = ()> + Send) -> Result<Copied> {
        Working::begin(self).await?.run(until).await
    }

    /// Compares the two, event by event, and changes nothing. Once nobody writes to the source any more, and [`run`](Self::run) has
    /// ended after that, this is the last step: it says that they are [equal](Compared::is_equal), or what is not.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run). A difference is no error.
    pub async fn compare(self) -> Result<Compared> {
        working::compare(self).await
    }
}

/// Nothing of what is copied.
impl fmt::Debug for Copy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { destination, deletes, with_keys, without_tags, checkpoints, .. } = self;
        f.debug_struct("Copy")
            .field("destination", destination)
            .field("deletes", deletes)
            .field("with_keys", with_keys)
            .field("without_tags", without_tags)
            .field("checkpoints", checkpoints)
            .finish_non_exhaustive()
    }
}

/// Whose events are copied between two handles.
fn whose(source: &TenantId, destination: &TenantId) -> Result<Option<TenantId>> {
    if destination.is_default() || destination == source {
        return Ok((!source.is_default()).then(|| source.clone()));
    }
    let problem = format!(
        "the destination is a handle of the tenant {destination}, and the source one of {source}: copy to its default handle"
    );
    Err(Error::InvalidOption { option: "destination", problem })
}
