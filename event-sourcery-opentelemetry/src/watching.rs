//! Watching a store: its traces, and what it does.

use std::fmt;
use std::sync::Arc;

use event_sourcery::backend::{Backend, SubscriptionId};
use event_sourcery::telemetry::{Ended, Observed, Observer};
use event_sourcery::{Context, EventStore, Result};
use opentelemetry::metrics::Meter;
use opentelemetry::{KeyValue, global};
use tracing::Span;

use crate::metrics::Instruments;
use crate::traces::{carrier, take_up};

/// The name of the meter.
const METER: &str = "event_sourcery";

/// How something has ended.
const OUTCOME: &str = "event_sourcery.outcome";

/// Which subscription, in OpenTelemetry's words for messages.
const SUBSCRIPTION: &str = "messaging.consumer.group.name";

/// Whose subscription, but for the default tenant.
const TENANT: &str = "event_sourcery.tenant";

/// What lease changes are.
const CHANGE: &str = "event_sourcery.lease.change";

/// Watches a store: lets traces go on, and measures. Clones share the instruments. Take one for each store.
#[derive(Clone)]
pub struct Telemetry {
    pub(crate) instruments: Arc<Instruments>,
}

impl Telemetry {
    /// With the global meter provider, as it is by now.
    #[must_use]
    pub fn global() -> Self {
        Self::of(&global::meter(METER))
    }

    /// With this meter.
    #[must_use]
    pub fn of(meter: &Meter) -> Self {
        Self { instruments: Arc::new(Instruments::of(meter)) }
    }

    /// The store, watched: an event that this handle, its clones and the handles made of it append carries the trace at hand, unless the
    /// event brings one; handlers and publishers go on with it; and what they do is measured.
    ///
    /// A single event is handled in its own trace, as a child of the span that it was appended in. A batch has a trace of its own,
    /// linked to those of its events, up to 128.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateEnricher`](event_sourcery::Error::DuplicateEnricher) where something puts in traces already.
    pub fn watch<B: Backend>(&self, store: EventStore<B>) -> Result<EventStore<B>> {
        Ok(store.with_enricher(|_| carrier())?.with_observer(self.clone()))
    }

    fn observe(&self, what: &Observed<'_>) {
        let instruments = &*self.instruments;
        match *what {
            Observed::Append { events, ended, took, .. } => {
                instruments.appends.add(1, &[outcome(ended)]);
                instruments.append_time.record(took.as_secs_f64(), &[outcome(ended)]);
                if ended == Ended::Done {
                    instruments.appended.add(events as u64, &[]);
                }
            }
            Observed::Handle { subscription, events, ended, took, .. } => {
                let attributes = of_and(subscription, outcome(ended));
                instruments.handled.add(events as u64, &attributes);
                instruments.handle_time.record(took.as_secs_f64(), &attributes);
                instruments.handle_size.record(events as u64, &of(subscription));
            }
            Observed::Publish { subscription, entries, published, took, .. } => {
                let failed = entries.saturating_sub(published) as u64;
                for (count, ended) in [(published as u64, Ended::Done), (failed, Ended::Failed)] {
                    instruments.published.add(count, &of_and(subscription, outcome(ended)));
                }
                instruments.publish_time.record(took.as_secs_f64(), &of(subscription));
            }
            Observed::Failed { subscription, is_parked, .. } => {
                let counter = if is_parked { &instruments.parked } else { &instruments.retries };
                counter.add(1, &of(subscription));
            }
            Observed::Leases { subscription, taken, given_up, .. } => {
                for (count, change) in [(taken, "taken"), (given_up, "given_up")] {
                    let attributes = of_and(subscription, KeyValue::new(CHANGE, change));
                    instruments.leases.add(count as u64, &attributes);
                }
            }
            _ => {}
        }
    }
}

impl Observer for Telemetry {
    fn observed(&self, what: &Observed<'_>) {
        self.observe(what);
    }

    fn take_up(&self, span: &Span, contexts: &[&Context]) {
        take_up(span, contexts);
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telemetry")
    }
}

fn outcome(ended: Ended) -> KeyValue {
    KeyValue::new(OUTCOME, ended.as_str())
}

/// What a measurement is about.
pub(crate) fn of(subscription: &SubscriptionId) -> Vec<KeyValue> {
    let name = if subscription.is_outbox() { "the outbox" } else { &*subscription.name };
    let mut attributes = vec![KeyValue::new(SUBSCRIPTION, name.to_owned())];
    if !subscription.tenant.is_default() {
        attributes.push(KeyValue::new(TENANT, subscription.tenant.as_str().to_owned()));
    }
    attributes
}

fn of_and(subscription: &SubscriptionId, more: KeyValue) -> Vec<KeyValue> {
    let mut attributes = of(subscription);
    attributes.push(more);
    attributes
}
