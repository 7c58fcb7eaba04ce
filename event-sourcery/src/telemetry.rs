//! What a store tells of itself while it works: spans, measurements, and the trace that an event is part of.
//!
//! # Spans
//!
//! They are those of the crate `tracing`, of the level `INFO` and the target `event_sourcery::span`; their fields are named as
//! OpenTelemetry names such things, where it does, and begin with `event_sourcery` where it does not. Without a subscriber that
//! wants them, none is made. No span holds a payload, a component of a context, a key, an address, or the text of an error.
//!
//! `append` and `load` stand in the span of their caller. `subscribe` is a run of a durable subscription, `handle` and `publish` are
//! events in the hands of a handler or a publisher: these three stand in no span, since a run does not end. What the handler, or the
//! publisher, does is within them.
//!
//! # Traces
//!
//! An event carries the trace that it was appended in as the component [`TraceCarrier`], in the form of Event Sourcery for Python. An
//! enricher puts it there, and an [`Observer`] takes it up where the event is handled or published. The crate
//! `event-sourcery-opentelemetry` has both.
//!
//! # Measurements
//!
//! An [`Observer`] is told what was [done](Observed), too.
//!
//! The guide page [*traces and metrics*](crate::guide::traces_and_metrics) has the fields of each span, and what to watch.

mod calls;
mod carrier;
mod loads;
mod observer;
pub(crate) mod spans;
#[cfg(test)]
mod tests;

pub(crate) use self::calls::{Appending, Handling, Sending};
pub use self::carrier::TraceCarrier;
pub(crate) use self::loads::{load, load_in_parts};
pub(crate) use self::observer::Observing;
pub use self::observer::{Ended, Observed, Observer};
use crate::backend::Backend;
use crate::store::EventStore;

impl<B: Backend> EventStore<B> {
    /// This store with an observer: it is told what this handle, its clones and the handles made of it do, in place of one that was
    /// given before.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// use event_sourcery::telemetry::{Ended, Observed, Observer};
    /// use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
    ///
    /// #[derive(Default)]
    /// struct Written(AtomicUsize);
    ///
    /// impl Observer for Written {
    ///     fn observed(&self, what: &Observed<'_>) {
    ///         if let Observed::Append { events, ended: Ended::Done, .. } = what {
    ///             self.0.fetch_add(*events, Ordering::Relaxed);
    ///         }
    ///     }
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let written = Arc::new(Written::default());
    /// let store = EventStore::new(MemoryBackend::new()).with_observer(written.clone());
    /// store.append(&StreamId::random(), [RawEvent::new("Issued", "{}")?, RawEvent::new("Paid", "{}")?]).await?;
    /// assert_eq!(written.0.load(Ordering::Relaxed), 2);
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn with_observer(self, observer: impl Observer) -> Self {
        self.observed_by(Observing::by(observer))
    }
}
