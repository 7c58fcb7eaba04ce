//! What is exported: spans by a subscriber that all tests of this process share, and metrics by a meter of one's own.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use event_sourcery::{EventStore, MemoryBackend, RawEvent};
use event_sourcery_opentelemetry::Telemetry;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{TraceContextExt as _, TraceId, TracerProvider as _};
use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

/// Where the spans of this process go.
struct Spans {
    exporter: InMemorySpanExporter,
    _provider: SdkTracerProvider,
}

/// Takes down the spans of this process from now on.
fn spans() -> &'static Spans {
    static SPANS: OnceLock<Spans> = OnceLock::new();
    SPANS.get_or_init(|| {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        global::set_text_map_propagator(TraceContextPropagator::new());
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("tests"));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::set_global_default(subscriber).expect("nobody else takes them down");
        Spans { exporter, _provider: provider }
    })
}

/// A request of a service, and its trace.
pub(crate) fn request() -> (Span, TraceId) {
    spans();
    let request = tracing::info_span!("request");
    let trace = request.context().span().span_context().trace_id();
    (request, trace)
}

/// The spans of a trace that have ended, of this name.
pub(crate) fn ended(trace: TraceId, name: &str) -> Vec<SpanData> {
    let mut all = spans().exporter.get_finished_spans().unwrap();
    all.retain(|span| span.span_context.trace_id() == trace && span.name == name);
    all
}

/// The spans of this name that have ended and are linked to a trace.
pub(crate) fn linked_to(trace: TraceId, name: &str) -> Vec<SpanData> {
    let mut all = spans().exporter.get_finished_spans().unwrap();
    let is_linked = |span: &SpanData| span.links.iter().any(|link| link.span_context.trace_id() == trace);
    all.retain(|span| span.name == name && is_linked(span));
    all
}

/// An attribute of a span, in words.
pub(crate) fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| attribute.value.to_string())
}

/// A store in memory with an outbox, watched.
pub(crate) fn store() -> EventStore<MemoryBackend> {
    let store = EventStore::new(MemoryBackend::new()).with_outbox(|_| true).unwrap();
    Telemetry::global().watch(store).unwrap()
}

pub(crate) fn happened() -> RawEvent {
    RawEvent::new("Happened", "{}").unwrap()
}

/// A meter, and what it has measured.
pub(crate) struct Measured {
    exporter: InMemoryMetricExporter,
    provider: SdkMeterProvider,
}

impl Measured {
    pub(crate) fn new() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        Self { exporter, provider: SdkMeterProvider::builder().with_reader(reader).build() }
    }

    pub(crate) fn telemetry(&self) -> Telemetry {
        Telemetry::of(&self.provider.meter("tests"))
    }

    /// All that was counted, by name and, in brackets, unit and attributes: sums, counts of histograms, and gauges, rounded.
    pub(crate) fn all(&self) -> BTreeMap<String, u64> {
        self.exporter.reset();
        self.provider.force_flush().unwrap();
        let mut all = BTreeMap::new();
        for metrics in self.exporter.get_finished_metrics().unwrap() {
            for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
                let name = format!("{} ({})", metric.name(), metric.unit());
                match metric.data() {
                    AggregatedMetrics::U64(data) => points(&name, data, &mut all, |value| value),
                    AggregatedMetrics::F64(data) => points(&name, data, &mut all, |value| value as u64),
                    AggregatedMetrics::I64(_) => panic!("{name} is below zero"),
                }
            }
        }
        all
    }
}

fn points<T: Copy>(name: &str, data: &MetricData<T>, all: &mut BTreeMap<String, u64>, whole: fn(T) -> u64) {
    let mut add = |attributes: Vec<&KeyValue>, value: u64| {
        let mut told: Vec<_> =
            attributes.iter().map(|each| format!(" {}={}", each.key.as_str(), each.value)).collect();
        told.sort();
        all.insert(format!("{name}{}", told.concat()), value);
    };
    match data {
        MetricData::Sum(sum) => {
            sum.data_points().for_each(|point| add(point.attributes().collect(), whole(point.value())));
        }
        MetricData::Gauge(gauge) => {
            gauge.data_points().for_each(|point| add(point.attributes().collect(), whole(point.value())));
        }
        MetricData::Histogram(histogram) => {
            histogram.data_points().for_each(|point| add(point.attributes().collect(), point.count()));
        }
        MetricData::ExponentialHistogram(_) => panic!("{name} has no boundaries"),
    }
}
