//! Each span has the fields that the guide lists, and an observer does no harm.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Span, Subscriber};

use super::{Ended, Observed, Observer};
use crate::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use crate::{
    Context, Error, EventStore, MemoryBackend, MemoryTransaction, RawEvent, Source, StreamId, Within,
};

const PAGE: &str = include_str!("../../guide/traces-and-metrics.md");

type Fields = BTreeMap<String, BTreeSet<String>>;

/// Takes down the spans of the store, each with its fields, and what is recorded in them.
#[derive(Clone, Default)]
struct Taking {
    fields: Arc<Mutex<Fields>>,
    values: Arc<Mutex<Vec<String>>>,
}

impl Subscriber for Taking {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "event_sourcery::span"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let metadata = span.metadata();
        let fields = metadata.fields().iter().map(|field| field.name().to_owned()).collect();
        self.fields.lock().unwrap().insert(metadata.name().to_owned(), fields);
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &tracing::Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Taking {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.values.lock().unwrap().push(format!("{field}={value:?}"));
    }
}

/// What the page lists: of each span, its fields.
fn listed() -> Fields {
    let (_, section) = PAGE.split_once("## The spans").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let mut listed = Fields::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.split('|').map(|cell| cell.replace('`', "")).collect();
        for span in cells[2].split(',') {
            listed.entry(span.trim().to_owned()).or_default().insert(cells[1].trim().to_owned());
        }
    }
    listed
}

struct Accepting;

impl Publisher for Accepting {
    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move { entries.iter().map(|_| Ok(())).collect() })
    }
}

fn happened() -> RawEvent {
    RawEvent::new("Happened", r#"{"number":"4111-secret"}"#).unwrap()
}

/// Appends, is refused, loads, handles and publishes.
async fn work(store: &EventStore<MemoryBackend>) {
    let stream = StreamId::random();
    store.append(&stream, happened()).await.unwrap();
    assert!(matches!(store.append(&stream, happened()).await, Err(Error::Conflict { .. })));
    assert_eq!(store.load_stream::<RawEvent>(&stream).await.unwrap().len(), 1);
    let (handled, stop) = tokio::sync::oneshot::channel::<()>();
    let mut handled = Some(handled);
    let run = store.subscribe::<RawEvent>().durable("letters").until(stop);
    let running = run.run(async move |_, _| {
        drop(handled.take());
        Ok(())
    });
    running.await.unwrap();
    assert_eq!(store.outbox().run(Accepting).await.unwrap().entries, 1);
}

#[tokio::test]
async fn each_span_has_the_fields_that_the_guide_lists_and_shows_no_payload() {
    let taking = Taking::default();
    let _taken_down = tracing::subscriber::set_default(taking.clone());
    work(&EventStore::new(MemoryBackend::new()).with_outbox(|_| true).unwrap()).await;

    assert_eq!(*taking.fields.lock().unwrap(), listed());
    let values = taking.values.lock().unwrap();
    assert!(values.contains(&r#"error.type="Conflict""#.to_owned()), "{values:#?}");
    assert!(values.contains(&r#"event_sourcery.outcome="conflict""#.to_owned()), "{values:#?}");
    assert!(!format!("{values:?}").contains("4111-secret"), "{values:#?}");
}

/// It panics whenever it is told something.
#[derive(Default)]
struct Panicking {
    told: AtomicUsize,
    taken_up: AtomicUsize,
}

impl Observer for Panicking {
    fn observed(&self, what: &Observed<'_>) {
        self.told.fetch_add(1, Ordering::Relaxed);
        panic!("{what:?}");
    }

    fn take_up(&self, _: &Span, _: &[&Context]) {
        self.taken_up.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn an_observer_that_panics_does_no_harm_and_is_asked_for_no_span_that_nobody_wants() {
    let panicking = Arc::new(Panicking::default());
    let store = EventStore::new(MemoryBackend::new()).with_outbox(|_| true).unwrap();
    work(&store.with_observer(panicking.clone())).await;
    // Two appends, a handler and a publisher, and leases of both subscriptions.
    assert_eq!(panicking.told.load(Ordering::Relaxed), 6);
    assert_eq!(panicking.taken_up.load(Ordering::Relaxed), 0);
}

/// How handlers have ended, and that an event has failed.
#[derive(Default)]
struct Noting {
    handled: Mutex<Vec<Ended>>,
    has_failed: Notify,
}

impl Observer for Noting {
    fn observed(&self, what: &Observed<'_>) {
        match *what {
            Observed::Handle { ended, .. } => self.handled.lock().unwrap().push(ended),
            Observed::Failed { .. } => self.has_failed.notify_one(),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_handler_on_the_writer_that_took_too_long_is_told_as_failed() {
    let noting = Arc::new(Noting::default());
    let store = EventStore::new(MemoryBackend::new()).with_observer(Arc::clone(&noting));
    store.append(&StreamId::random(), happened()).await.unwrap();
    let watched = Arc::clone(&noting);
    let has_failed = async move { watched.has_failed.notified().await };
    let durable = store.subscribe::<RawEvent>().durable("letters").attempts(1).until(has_failed);
    let handler = |_, _: &mut Within<'_, MemoryTransaction<'_>>| {
        thread::sleep(Duration::from_millis(1));
        Ok::<(), Source>(())
    };
    durable.handler_timeout(Duration::from_nanos(1)).run_in_transaction(handler).await.unwrap();
    assert_eq!(*noting.handled.lock().unwrap(), [Ended::Failed]);
}
