//! From a span to an event, and from an event to a span.

use std::collections::{BTreeMap, HashSet};

use event_sourcery::telemetry::TraceCarrier;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, global};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The most traces that a span is linked to: as many as OpenTelemetry keeps of a span.
const LINKS: usize = 128;

/// The trace at hand, as the global propagator writes it; `None` where there is none, or no propagator was set.
///
/// [`Telemetry::watch`](crate::Telemetry::watch) puts it into the events that are appended. By itself, it is for what is sent in
/// another way.
#[must_use]
pub fn carrier() -> Option<TraceCarrier> {
    let (context, of_span) = (Context::current(), Span::current().context());
    let is_of_span = !context.has_active_span() && of_span.has_active_span();
    let context = if is_of_span { of_span } else { context };
    let mut headers = Headers(BTreeMap::new());
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut headers));
    (!headers.0.is_empty()).then(|| TraceCarrier::new(headers.0))
}

/// The trace of an event, by its context, as the global propagator reads it: the parent of a span that goes on with it. A root where the
/// event has none.
///
/// The store does so for handlers and publishers. By itself, it is for who reads events in another way.
///
/// ```
/// use event_sourcery::Context;
/// use opentelemetry::trace::TraceContextExt as _;
/// use tracing_opentelemetry::OpenTelemetrySpanExt as _;
///
/// let parent = event_sourcery_opentelemetry::parent_of(&Context::new());
/// assert!(!parent.has_active_span());
/// let _ = tracing::info_span!("import").set_parent(parent);
/// ```
#[must_use]
pub fn parent_of(context: &event_sourcery::Context) -> Context {
    TraceCarrier::of(context).map_or_else(Context::new, |carrier| parent_in(&carrier))
}

/// The same, of headers that have come in another way: with a message, in the attributes of a CloudEvent.
#[must_use]
pub fn parent_in(carrier: &TraceCarrier) -> Context {
    let headers = Headers(carrier.values.clone());
    global::get_text_map_propagator(|propagator| propagator.extract_with_context(&Context::new(), &headers))
}

/// Lets a span that has not begun go on with the trace of its event, or links it to those of its events.
pub(crate) fn take_up(span: &Span, contexts: &[&event_sourcery::Context]) {
    if let [context] = contexts {
        let parent = parent_of(context);
        if parent.has_active_span() {
            // It has begun, or nobody wants it: then there is nothing to go on with.
            let _ = span.set_parent(parent);
        }
        return;
    }
    let mut linked = HashSet::new();
    for context in contexts {
        let of_event = parent_of(context).span().span_context().clone();
        let is_new = of_event.is_valid() && linked.insert((of_event.trace_id(), of_event.span_id()));
        if linked.len() > LINKS {
            return;
        }
        if is_new {
            span.add_link(of_event);
        }
    }
}

/// Headers, by name in lower case.
struct Headers(BTreeMap<String, String>);

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.to_ascii_lowercase(), value);
    }
}

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(&key.to_ascii_lowercase()).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}
