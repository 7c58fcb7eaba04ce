//! What is measured: names, units and meanings, and the instruments that are made of them.

use std::sync::Mutex;

use event_sourcery::backend::Grouped;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

/// A metric: what it is called, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it is counted.
    pub kind: Kind,
    /// Its unit, as UCUM writes it; what is in braces are words.
    pub unit: &'static str,
    /// What it says.
    pub description: &'static str,
}

/// How something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It only grows: look at its rate.
    Counter,
    /// How it is spread.
    Histogram,
    /// As it is at the moment.
    Gauge,
}

impl Kind {
    /// In a word: `counter`, `histogram` or `gauge`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Gauge => "gauge",
        }
    }
}

/// Up to how many seconds.
const SECONDS: [f64; 12] = [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Up to how many events.
const EVENTS: [f64; 9] = [1.0, 2.0, 8.0, 32.0, 64.0, 256.0, 512.0, 2_048.0, 8_192.0];

macro_rules! metrics {
    ($($constant:ident: $kind:ident, $name:literal, $unit:literal, $description:literal;)*) => {
        $(const $constant: Metric =
            Metric { name: $name, kind: Kind::$kind, unit: $unit, description: $description };)*

        /// All metrics, in the order of the guide page *traces and metrics*.
        pub const METRICS: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    APPENDS: Counter, "event_sourcery.append.calls", "{append}",
        "appends, by how they ended: done, repeated, conflict, failed";
    APPENDED: Counter, "event_sourcery.append.events", "{event}", "events that were appended";
    APPEND_TIME: Histogram, "event_sourcery.append.duration", "s", "how long an append took";
    COMMITS: Counter, "event_sourcery.commit.count", "{commit}", "commits of the backend's own";
    COMMITTED: Counter, "event_sourcery.commit.calls", "{call}", "calls that shared those commits";
    HANDLED: Counter, "event_sourcery.handle.events", "{event}",
        "events that a handler was handed, by how that ended: done, failed";
    HANDLE_SIZE: Histogram, "event_sourcery.handle.size", "{event}", "how many events a handler was handed together";
    HANDLE_TIME: Histogram, "event_sourcery.handle.duration", "s", "how long a handler took";
    PUBLISHED: Counter, "event_sourcery.publish.entries", "{entry}",
        "entries that a publisher was handed, by how that ended: done, failed";
    PUBLISH_TIME: Histogram, "event_sourcery.publish.duration", "s", "how long a publisher took";
    RETRIES: Counter, "event_sourcery.handle.retries", "{attempt}", "attempts that have failed and are made again";
    PARKED: Counter, "event_sourcery.handle.parked", "{event}", "events that were parked after the last attempt";
    LEASES: Counter, "event_sourcery.lease.changes", "{lease}",
        "segments that a member has taken, or has no more: taken, given_up";
    LAG: Gauge, "event_sourcery.lag.events", "{event}", "events that a subscription has not come to; at most 10,000 are counted";
    LAG_TIME: Gauge, "event_sourcery.lag.time", "s", "how long ago the first of them happened";
    MEMBERS: Gauge, "event_sourcery.subscription.members", "{member}", "members of a subscription";
    PARKED_STREAMS: Gauge, "event_sourcery.subscription.parked", "{stream}",
        "streams that wait for a parked event, among the first 1,000 that wait";
    HELD_UP: Gauge, "event_sourcery.held_up.time", "s", "for how long the oldest transaction is open that holds up readers";
}

impl Metric {
    fn counter(&self, meter: &Meter) -> Counter<u64> {
        meter.u64_counter(self.name).with_unit(self.unit).with_description(self.description).build()
    }

    fn times(&self, meter: &Meter) -> Histogram<f64> {
        let histogram = meter.f64_histogram(self.name).with_unit(self.unit);
        histogram.with_description(self.description).with_boundaries(SECONDS.to_vec()).build()
    }

    fn sizes(&self, meter: &Meter) -> Histogram<u64> {
        let histogram = meter.u64_histogram(self.name).with_unit(self.unit);
        histogram.with_description(self.description).with_boundaries(EVENTS.to_vec()).build()
    }

    fn gauge(&self, meter: &Meter) -> Gauge<u64> {
        meter.u64_gauge(self.name).with_unit(self.unit).with_description(self.description).build()
    }

    fn seconds(&self, meter: &Meter) -> Gauge<f64> {
        meter.f64_gauge(self.name).with_unit(self.unit).with_description(self.description).build()
    }
}

/// What takes the measurements.
pub(crate) struct Instruments {
    pub(crate) appends: Counter<u64>,
    pub(crate) appended: Counter<u64>,
    pub(crate) append_time: Histogram<f64>,
    pub(crate) commits: Counter<u64>,
    pub(crate) committed: Counter<u64>,
    /// What of them was counted by then.
    pub(crate) grouped: Mutex<Grouped>,
    pub(crate) handled: Counter<u64>,
    pub(crate) handle_size: Histogram<u64>,
    pub(crate) handle_time: Histogram<f64>,
    pub(crate) published: Counter<u64>,
    pub(crate) publish_time: Histogram<f64>,
    pub(crate) retries: Counter<u64>,
    pub(crate) parked: Counter<u64>,
    pub(crate) leases: Counter<u64>,
    pub(crate) lag: Gauge<u64>,
    pub(crate) lag_time: Gauge<f64>,
    pub(crate) members: Gauge<u64>,
    pub(crate) parked_streams: Gauge<u64>,
    pub(crate) held_up: Gauge<f64>,
}

impl Instruments {
    pub(crate) fn of(meter: &Meter) -> Self {
        Self {
            appends: APPENDS.counter(meter),
            appended: APPENDED.counter(meter),
            append_time: APPEND_TIME.times(meter),
            commits: COMMITS.counter(meter),
            committed: COMMITTED.counter(meter),
            grouped: Mutex::default(),
            handled: HANDLED.counter(meter),
            handle_size: HANDLE_SIZE.sizes(meter),
            handle_time: HANDLE_TIME.times(meter),
            published: PUBLISHED.counter(meter),
            publish_time: PUBLISH_TIME.times(meter),
            retries: RETRIES.counter(meter),
            parked: PARKED.counter(meter),
            leases: LEASES.counter(meter),
            lag: LAG.gauge(meter),
            lag_time: LAG_TIME.seconds(meter),
            members: MEMBERS.gauge(meter),
            parked_streams: PARKED_STREAMS.gauge(meter),
            held_up: HELD_UP.seconds(meter),
        }
    }
}
