//! Traces and metrics of [Event Sourcery](event_sourcery) with [OpenTelemetry](https://opentelemetry.io).
//!
//! [`Telemetry`] watches a store: each event that is appended carries the trace at hand, the span in which it is handled or published
//! goes on with that trace, and what is done is measured. The spans are the store's own, those of the crate `tracing`; they become
//! OpenTelemetry's by the layer of the crate `tracing-opentelemetry`.
//!
//! ```
//! use event_sourcery::{EventStore, MemoryBackend};
//! use event_sourcery_opentelemetry::Telemetry;
//!
//! let store = Telemetry::global().watch(EventStore::new(MemoryBackend::new()))?;
//! # Ok::<(), event_sourcery::Error>(())
//! ```
//!
//! The propagator is the global one, which carries nothing until one is set:
//! `opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new())`.
//!
//! # Why meters, and not the facade `metrics`
//!
//! Whoever wants traces has OpenTelemetry's pipeline by then, and its meters send units and descriptions along it, under the same names
//! of services and hosts, with no recorder of its own to install. The facade `metrics` is the lighter one where Prometheus alone asks,
//! and knows neither traces nor where they come from. So there are meters here, in a crate that nobody has to take, over
//! [`Observer`](event_sourcery::telemetry::Observer), on which the other is a page of code.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod metrics;
mod sampling;
mod traces;
mod watching;

pub use metrics::{Kind, METRICS, Metric};
pub use traces::{carrier, parent_in, parent_of};
pub use watching::Telemetry;
