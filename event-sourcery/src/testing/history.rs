//! Projections and handlers.

use std::fmt::Debug;
use std::panic::resume_unwind;
use std::thread;

use super::difference;
use crate::backend::Backend as _;
use crate::error::{Result, Source, whole};
use crate::event::{Event, RawEvent};
use crate::memory::{MemoryBackend, MemoryTransaction};
use crate::new_event::IntoEvents;
use crate::position::Position;
use crate::store::EventStore;
use crate::stream_id::{StreamId, TenantId};
use crate::within::Within;
use crate::wrapped_event::Recorded;

/// Streams with what has happened in them: in a store in memory, so that each event has its version, position, id and time.
///
/// ```
/// use event_sourcery::testing::history;
/// use event_sourcery::{Event, Recorded, StreamId};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize, Debug)]
/// enum InvoiceEvent { Issued { cents: i64 }, Paid { cents: i64 } }
///
/// fn open_cents(open: &mut i64, recorded: &Recorded<InvoiceEvent>) {
///     match *recorded.event() {
///         InvoiceEvent::Issued { cents } => *open += cents,
///         InvoiceEvent::Paid { cents } => *open -= cents,
///     }
/// }
///
/// let (one, other) = (StreamId::random(), StreamId::random());
/// history(&one, [InvoiceEvent::Issued { cents: 500 }, InvoiceEvent::Paid { cents: 300 }])
///     .and(&other, [InvoiceEvent::Issued { cents: 70 }])
///     .projected(0, open_cents)
///     .then(&270);
/// ```
///
/// # Panics
///
/// Where the events cannot be appended.
#[track_caller]
pub fn history(stream: &StreamId, events: impl IntoEvents + Send) -> History {
    let history = History { store: EventStore::new(MemoryBackend::new()) };
    history.and(stream, events)
}

/// What has happened; see [`history`].
#[derive(Debug)]
#[must_use = "nothing is tested until `projected` or `handled_by`, and `then`"]
pub struct History {
    store: EventStore<MemoryBackend>,
}

impl History {
    /// And in this stream, after what was given before.
    ///
    /// # Panics
    ///
    /// Where the events cannot be appended.
    #[track_caller]
    pub fn and(self, stream: &StreamId, events: impl IntoEvents + Send) -> Self {
        self.and_of(TenantId::DEFAULT, stream, events)
    }

    /// And in this stream of a tenant's.
    ///
    /// # Panics
    ///
    /// Where the events cannot be appended.
    #[track_caller]
    pub fn and_of(self, tenant: TenantId, stream: &StreamId, events: impl IntoEvents + Send) -> Self {
        let store = self.store.for_tenant(tenant);
        let appended = in_runtime(async move || {
            let version = store.version(stream).await?;
            store.append(stream, events).expected_version(version).await
        });
        if let Err(error) = appended {
            panic!("the history cannot be: {error}");
        }
        self
    }

    /// Hands each event to a projection, which changes a read model.
    ///
    /// # Panics
    ///
    /// Where an event cannot be decoded.
    pub fn projected<M, E: Event>(
        self,
        mut model: M,
        mut project: impl FnMut(&mut M, &Recorded<E>),
    ) -> Projected<M> {
        for recorded in self.recorded() {
            project(&mut model, &recorded);
        }
        Projected { model }
    }

    /// Hands each event to a handler, as [`Durable::run`](crate::Durable::run) does, until one fails.
    ///
    /// # Panics
    ///
    /// Where an event cannot be decoded, or the handler panics.
    #[must_use = "nothing is tested until `then`"]
    pub fn handled_by<E, H>(self, mut handler: H) -> Handled
    where
        E: Event,
        H: AsyncFnMut(Recorded<E>, EventStore) -> Result<(), Source> + Send,
    {
        let (before, events) = (self.position(), self.recorded());
        let store = self.store.erased();
        let result = in_runtime(async move || {
            for recorded in events {
                let store = store.reacting_to(&recorded);
                handler(recorded, store).await?;
            }
            Ok(())
        });
        Handled { store: self.store, before, result }
    }

    /// Hands each event to a handler, each in a transaction, as
    /// [`Durable::run_in_transaction`](crate::Durable::run_in_transaction) does, until one fails.
    ///
    /// # Panics
    ///
    /// Where an event cannot be decoded, or the handler panics.
    #[must_use = "nothing is tested until `then`"]
    pub fn handled_in_transaction<E, H>(self, handler: H) -> Handled
    where
        E: Event,
        H: for<'w, 't> Fn(Recorded<E>, &mut Within<'w, MemoryTransaction<'t>>) -> Result<(), Source>
            + Send
            + Sync
            + Clone
            + 'static,
    {
        let (before, events) = (self.position(), self.recorded());
        let store = self.store.clone();
        let result = in_runtime(async move || {
            for recorded in events {
                let handler = handler.clone();
                let store = store.reacting_to(&recorded);
                store.transaction(move |tx| handler(recorded, tx)).await?;
            }
            Ok(())
        });
        Handled { store: self.store, before, result }
    }

    fn recorded<E: Event>(&self) -> Vec<Recorded<E>> {
        read(&self.store, Position::START)
    }

    fn position(&self) -> Position {
        let store = &self.store;
        in_runtime(async move || store.backend().position().await).unwrap_or(Position::START)
    }
}

/// A read model, after the history.
#[derive(Debug)]
#[must_use = "nothing is tested until `then`"]
pub struct Projected<M> {
    /// The read model.
    pub model: M,
}

impl<M: Debug + PartialEq> Projected<M> {
    /// It is this.
    ///
    /// # Panics
    ///
    /// Where it is not, with the difference.
    #[track_caller]
    pub fn then(&self, model: &M) {
        difference::assert_equal("the read model", "", model, &self.model);
    }
}

/// What a handler did. Each `then` fails the test where it is not so, and can be followed by another.
#[derive(Debug)]
pub struct Handled {
    store: EventStore<MemoryBackend>,
    before: Position,
    result: Result<(), Source>,
}

impl Handled {
    /// It succeeded, and has appended these events to this stream, in this order, and no others to it.
    ///
    /// # Panics
    ///
    /// Where it is not so, with the difference.
    #[track_caller]
    pub fn then<E: Event + Debug + PartialEq>(
        self,
        stream: &StreamId,
        events: impl IntoIterator<Item = E>,
    ) -> Self {
        self.then_of(&TenantId::DEFAULT, stream, events)
    }

    /// The same for a stream of a tenant's.
    ///
    /// # Panics
    ///
    /// Where it is not so, with the difference.
    #[track_caller]
    pub fn then_of<E: Event + Debug + PartialEq>(
        self,
        tenant: &TenantId,
        stream: &StreamId,
        events: impl IntoIterator<Item = E>,
    ) -> Self {
        self.succeeded();
        let expected: Vec<E> = events.into_iter().collect();
        let names = |record: &Recorded<RawEvent>| record.stream_id == *stream && record.tenant_id == *tenant;
        let appended: Vec<_> = self.appended().into_iter().filter(names).collect();
        let decoded = appended.iter().map(|record| {
            let raw = record.event();
            E::decode_stored(raw.name(), raw.schema_version(), raw.data().get())
                .unwrap_or_else(|problem| panic!("it has appended {raw:?} to {stream}: {problem}"))
        });
        let what = format!("what the handler appended to {stream}");
        difference::assert_equal(&what, "", &expected, &decoded.collect());
        self
    }

    /// It succeeded and has appended nothing at all.
    ///
    /// # Panics
    ///
    /// Where it is not so, with what it has appended.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        self.succeeded();
        let appended = self.appended();
        let appended: Vec<_> = appended.iter().map(|record| (&record.stream_id, record.event())).collect();
        difference::assert_equal("what the handler appended", "", &Vec::new(), &appended);
        self
    }

    /// It failed with an error that has this text in it, or in one of its causes.
    ///
    /// # Panics
    ///
    /// Where it is not so.
    #[track_caller]
    pub fn then_error(self, text: &str) -> Self {
        match self.result.as_ref().map_err(|error| whole(&**error)) {
            Ok(()) => panic!("the handler succeeded, and was to fail with {text:?}"),
            Err(error) if error.contains(text) => {}
            Err(error) => panic!("the handler failed with {error:?}, and not with {text:?}"),
        }
        self
    }

    #[track_caller]
    fn succeeded(&self) {
        if let Err(error) = &self.result {
            panic!("the handler failed: {}", whole(&**error));
        }
    }

    fn appended(&self) -> Vec<Recorded<RawEvent>> {
        read(&self.store, self.before)
    }
}

/// The events of all tenants' streams above a position that a type decodes.
fn read<E: Event>(store: &EventStore<MemoryBackend>, after: Position) -> Vec<Recorded<E>> {
    let read = in_runtime(async move || {
        let (mut events, mut all) = (store.read_all::<E>().after(after).stream(), Vec::new());
        while let Some(recorded) = events.try_next().await? {
            all.push(recorded);
        }
        Ok::<_, crate::Error>(all)
    });
    read.unwrap_or_else(|error| panic!("the history cannot be read: {error}"))
}

/// Runs something asynchronous, on a thread of its own: the test may have a runtime already.
fn in_runtime<T: Send>(work: impl AsyncFnOnce() -> T + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(work()),
            Err(error) => panic!("no runtime: {error}"),
        }
    };
    thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| resume_unwind(panic))
}
