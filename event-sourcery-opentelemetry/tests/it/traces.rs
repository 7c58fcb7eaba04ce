//! A trace goes on where an event is handled or published, whoever does it.

use std::collections::HashSet;
use std::sync::Mutex;

use event_sourcery::backend::Backend;
use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery::telemetry::TraceCarrier;
use event_sourcery::{Context, Error, EventStore, MemoryBackend, RawEvent, Source, StreamId, Within};
use event_sourcery_opentelemetry::{Telemetry, parent_of};
use event_sourcery_sqlite::{SqliteBackend, SqliteTransaction};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, TraceId};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::exported::{attribute, ended, happened, linked_to, request, store};

/// The trace that the last event of a stream was appended in.
async fn trace_of<B: Backend>(store: &EventStore<B>, stream: &StreamId) -> TraceId {
    let events = store.load_stream::<RawEvent>(stream).await.unwrap();
    let parent = parent_of(&events.last().expect("an event").context);
    parent.span().span_context().trace_id()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_in_another_task_goes_on_with_the_trace_of_the_request() {
    let ((request, trace), store) = (request(), store());
    let (order, letter) = (StreamId::from_name("order/1").unwrap(), StreamId::random());
    async { store.append(&order, happened()).await.unwrap() }.instrument(request).await;

    let (handled, stop) = oneshot::channel();
    let (mut handled, sent) = (Some(handled), letter.clone());
    let subscription = store.subscribe::<RawEvent>().durable("letters").until(stop);
    let running = tokio::spawn(async move {
        let handler = async move |_order, store: EventStore<MemoryBackend>| {
            if let Some(handled) = handled.take() {
                store.append(&sent, RawEvent::new("LetterSent", "{}")?).await?;
                let _ = handled.send(());
            }
            Ok::<(), Source>(())
        };
        subscription.run(handler).await
    });
    running.await.unwrap().unwrap();

    let handles = ended(trace, "handle");
    let appends = ended(trace, "append");
    let of_request = appends.iter().find(|append| append.parent_span_id != handles[0].span_context.span_id());
    let of_handler = appends.iter().find(|append| append.parent_span_id == handles[0].span_context.span_id());
    assert_eq!(handles[0].span_kind, SpanKind::Consumer);
    assert_eq!(handles[0].parent_span_id, of_request.unwrap().parent_span_id, "that of the request");
    assert!(of_handler.is_some(), "what it appends is within it");
    assert_eq!(attribute(&handles[0], "event_sourcery.stream").as_deref(), Some("order/1"));
    assert_eq!(attribute(&handles[0], "messaging.consumer.group.name").as_deref(), Some("letters"));
    assert_eq!(attribute(&handles[0], "event_sourcery.outcome").as_deref(), Some("done"));
    assert_eq!(attribute(&handles[0], "event_sourcery.attempt").as_deref(), Some("1"));
    assert_eq!(trace_of(&store, &letter).await, trace);
    assert!(ended(trace, "subscribe").is_empty(), "a run is in nobody's trace");
}

/// SQLite runs closures in a thread of its own, where nobody has entered a span.
#[tokio::test]
async fn what_a_closure_appends_in_the_writers_thread_is_in_the_trace_of_its_caller() {
    let ((request, trace), folder) = (request(), tempfile::tempdir().unwrap());
    let store = EventStore::new(SqliteBackend::open(folder.path().join("events.db")).await.unwrap());
    let store = Telemetry::global().watch(store).unwrap();
    let [order, invoice] = [(); 2].map(|()| StreamId::random());
    let ordered = order.clone();
    let append = store.transaction::<_, Error, _>(move |tx| tx.append(&ordered, happened()).run());
    append.instrument(request).await.unwrap();
    assert_eq!(trace_of(&store, &order).await, trace);

    let (handled, stop) = oneshot::channel();
    let (handled, issued) = (Mutex::new(Some(handled)), invoice.clone());
    let run = store.subscribe::<RawEvent>().durable("invoicing").until(stop);
    let handler = move |_, tx: &mut Within<'_, SqliteTransaction<'_>>| {
        if let Some(handled) = handled.lock().unwrap().take() {
            tx.append(&issued, happened()).run()?;
            let _ = handled.send(());
        }
        Ok::<(), Source>(())
    };
    run.run_in_transaction(handler).await.unwrap();
    assert_eq!(trace_of(&store, &invoice).await, trace);
    assert!(!ended(trace, "handle").is_empty());
}

#[tokio::test]
async fn a_batch_has_a_trace_of_its_own_that_is_linked_to_those_of_its_events() {
    let store = store();
    let mut traces = HashSet::new();
    for _ in 0..2 {
        let (request, trace) = request();
        let append = async { store.append(&StreamId::random(), [happened(), happened()]).await.unwrap() };
        append.instrument(request).await;
        traces.insert(trace);
    }
    let (handled, stop) = oneshot::channel::<()>();
    let mut handled = Some(handled);
    let run = store.subscribe::<RawEvent>().durable("search").until(stop);
    let running = run.run_batches(async move |_events, _store| {
        drop(handled.take());
        Ok(())
    });
    running.await.unwrap();

    for trace in &traces {
        let handles = linked_to(*trace, "handle");
        let of_links: Vec<_> = handles[0].links.iter().map(|link| link.span_context.trace_id()).collect();
        assert_eq!((of_links.len(), of_links.into_iter().collect::<HashSet<_>>()), (2, traces.clone()));
        assert!(!traces.contains(&handles[0].span_context.trace_id()));
        assert_eq!(attribute(&handles[0], "messaging.batch.message_count").as_deref(), Some("4"));
    }
}

/// It refuses the first entry that it is handed.
struct Refusing(Mutex<bool>);

impl Publisher for Refusing {
    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            tracing::info_span!("send").in_scope(|| ());
            let refuses = std::mem::take(&mut *self.0.lock().unwrap());
            let answer = |_| if refuses { Err(PublishError::refused("4111-secret")) } else { Ok(()) };
            entries.iter().map(answer).collect()
        })
    }
}

#[tokio::test]
async fn a_publisher_goes_on_with_the_trace_and_nothing_of_an_error_is_told() {
    let ((request, trace), store) = (request(), store());
    async { store.append(&StreamId::random(), happened()).await.unwrap() }.instrument(request).await;
    store.outbox().run(Refusing(Mutex::new(true))).await.unwrap();

    let publishes = ended(trace, "publish");
    assert_eq!((publishes.len(), &publishes[0].span_kind), (1, &SpanKind::Producer));
    assert!(matches!(publishes[0].status, Status::Error { .. }));
    assert_eq!(attribute(&publishes[0], "event_sourcery.published").as_deref(), Some("0"));
    let sent = ended(trace, "send");
    assert_eq!(sent[0].parent_span_id, publishes[0].span_context.span_id());
    assert!(!format!("{publishes:?}").contains("4111-secret"));
}

#[tokio::test]
async fn a_carrier_that_an_event_brings_is_kept_and_without_a_span_there_is_none() {
    let ((request, trace), store) = (request(), store());
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let context = Context::new().with_component(&TraceCarrier::new([("traceparent", parent)])).unwrap();
    let [brings, alone] = [(); 2].map(|()| StreamId::random());
    let store_with = store.with_context(context);
    async { store_with.append(&brings, happened()).await.unwrap() }.instrument(request).await;
    store.append(&alone, happened()).await.unwrap();

    let kept = store.load_stream::<RawEvent>(&brings).await.unwrap();
    assert_eq!(TraceCarrier::of(&kept[0].context).unwrap().trace_parent(), Some(parent));
    assert_ne!(trace_of(&store, &brings).await, trace);
    let none = store.load_stream::<RawEvent>(&alone).await.unwrap();
    assert_eq!(TraceCarrier::of(&none[0].context), None);
}
