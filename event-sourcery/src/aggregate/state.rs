//! Snapshots by rule: the state of an aggregate, kept every so many events, so that a load reads few.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::{Aggregate, WrappedAggregate};
use crate::backend::{Backend, EventAt, Span, StateRequest, StoredEvent};
use crate::error::{DecodeError, PayloadError};
use crate::panics::caught;
use crate::payload;
use crate::version::Version;

/// How many snapshots a repository writes at once. Those that come meanwhile are left out: the next save takes them.
const AT_ONCE: usize = 4;

/// An aggregate whose state can be kept as a snapshot: see [`Repository::snapshot_every`](super::Repository::snapshot_every).
///
/// ```
/// use event_sourcery::{Aggregate, Event, EventStore, MemoryBackend, Repository, SnapshotState};
/// use serde::{Deserialize, Serialize};
///
/// # #[derive(Event)]
/// # enum CounterEvent { Counted }
/// #[derive(Default, Serialize, Deserialize)]
/// struct Counter { count: u64 }
///
/// # impl Aggregate for Counter {
/// #     type Event = CounterEvent;
/// #     const CATEGORY: &'static str = "counter";
/// #     fn apply(&mut self, _: &CounterEvent) {
/// #         self.count += 1;
/// #     }
/// # }
/// impl SnapshotState for Counter {
///     const FORMAT: u16 = 1; // 2 once the fields mean something else
/// }
///
/// # let store = EventStore::new(MemoryBackend::new());
/// let counters = Repository::<Counter>::new(&store).snapshot_every(100);
/// ```
pub trait SnapshotState: Aggregate + Serialize + DeserializeOwned {
    /// The version of the state's format. Raise it when `apply` makes another state of the same events, or when fields
    /// change: snapshots of other formats are ignored, and the state is rebuilt from history.
    const FORMAT: u16;

    /// What tells it from other aggregates over the same streams; its category, unless it says otherwise.
    const NAME: &'static str = Self::CATEGORY;
}

/// When the state is kept, and how.
pub(super) struct Rule<A: Aggregate> {
    every: Version,
    name: &'static str,
    format: u16,
    encode: fn(&Kept<&A>) -> Result<String, PayloadError>,
    decode: fn(&str) -> Result<Kept<A>, DecodeError>,
    permits: Arc<Semaphore>,
}

/// A state as it is kept, with what its events would tell beside it.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept<A> {
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    state: A,
}

impl<A: SnapshotState> Rule<A> {
    pub(super) fn every(events: Version) -> Self {
        Self {
            every: events.max(1),
            name: A::NAME,
            format: A::FORMAT,
            encode: |kept| {
                payload::encode_with(kept, &|text| {
                    Ok(payload::rewritten(&payload::decode::<Kept<A>>(text)?)?)
                })
            },
            decode: payload::decode,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl<A: Aggregate> Rule<A> {
    pub(super) const fn span(&self) -> Span {
        Span::FromState { name: self.name, format: self.format }
    }

    /// Puts the kept state into an aggregate; `false` where it cannot be read: then history decides.
    pub(super) fn restore(&self, snapshot: &StoredEvent, into: &mut WrappedAggregate<A>) -> bool {
        let (stream, version) = (&into.stream_id, snapshot.version.unwrap_or(0));
        let decoded = caught(|| (self.decode)(&snapshot.data).map_err(DecodeError::words));
        match decoded.flatten() {
            Ok(kept) => {
                *into.aggregate.replay() = kept.state;
                (into.stored_version, into.kept_version) = (version, version);
                into.last_event = Some(EventAt { version, id: snapshot.id });
                (into.created_at, into.updated_at) = (kept.created_at, kept.updated_at);
                true
            }
            Err(problem) => {
                tracing::warn!(%stream, version, %problem, "the kept state of an aggregate does not decode and is passed over");
                false
            }
        }
    }

    /// Keeps the state if it is time, in a task of its own: whoever loads or saves does not wait for it, and meets no error
    /// of it. `made_of` is an event that was there when it was loaded.
    pub(super) fn keep(
        &self,
        aggregate: &mut WrappedAggregate<A>,
        made_of: Option<EventAt>,
        backend: &Arc<dyn Backend>,
    ) {
        let Some(behind) = aggregate.last_event else { return };
        if aggregate.is_private || behind.version < aggregate.kept_version.saturating_add(self.every) {
            return;
        }
        let (Ok(runtime), Ok(permit)) =
            (Handle::try_current(), Arc::clone(&self.permits).try_acquire_owned())
        else {
            return;
        };
        let (created_at, updated_at) = (aggregate.created_at, aggregate.updated_at);
        let kept = Kept { created_at, updated_at, state: aggregate.state() };
        let stream = aggregate.stream_id.clone();
        let data = match (self.encode)(&kept) {
            Ok(data) => data,
            Err(problem) => {
                tracing::warn!(%stream, %problem, "the state of an aggregate cannot be kept");
                return;
            }
        };
        let request = StateRequest {
            tenant: aggregate.tenant_id.clone(),
            stream: stream.clone(),
            name: self.name,
            format: self.format,
            behind,
            made_of,
            data,
            created_at: Timestamp::now(),
        };
        aggregate.kept_version = behind.version;
        let backend = Arc::clone(backend);
        runtime.spawn(async move {
            if let Err(problem) = backend.save_state(request).await {
                tracing::warn!(%stream, problem = problem.in_full(), "the state of an aggregate was not kept");
            }
            drop(permit);
        });
    }
}

impl<A: Aggregate> fmt::Debug for Rule<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("every", &self.every)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}
