//! What is measured, and that each metric is.

use std::collections::BTreeSet;
use std::time::Duration;

use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery::{Error, Event as _, EventStore, RawEvent, StreamId, uuid::Uuid};
use event_sourcery_opentelemetry::METRICS;
use event_sourcery_sqlite::{SqliteBackend, rusqlite};
use tokio::sync::oneshot;

use crate::exported::{Measured, happened};

struct Accepting;

impl Publisher for Accepting {
    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move { entries.iter().map(|_| Ok(())).collect() })
    }
}

#[tokio::test]
async fn each_metric_is_measured_and_no_other() {
    let (measured, folder) = (Measured::new(), tempfile::tempdir().unwrap());
    let telemetry = measured.telemetry();
    let store = EventStore::new(SqliteBackend::open(folder.path().join("events.db")).await.unwrap());
    let store = telemetry.watch(store.with_outbox(|_| true).unwrap()).unwrap();
    let stream = StreamId::random();
    let again = || [happened().with_id(Uuid::from_u128(1)), happened().with_id(Uuid::from_u128(2))];
    store.append(&stream, again()).await.unwrap();
    assert!(store.append(&stream, again()).await.unwrap().repeated);
    assert!(matches!(store.append(&stream, happened()).await, Err(Error::Conflict { .. })));
    assert!(store.append(&stream, Vec::<RawEvent>::new()).await.is_err(), "it is refused before it begins");

    let durable = || {
        let durable = store.subscribe::<RawEvent>().durable("letters");
        durable.attempts(2).pauses(Duration::ZERO, Duration::ZERO)
    };
    let watched = durable();
    let is_parked = async move {
        while watched.parked().await.map_or(0, |parked| parked.len()) < 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    durable().until(is_parked).run(async |_, _| Err("the printer is out of paper".into())).await.unwrap();
    store.outbox().run(Accepting).await.unwrap();
    telemetry.sample(&store).await.unwrap();

    let all = measured.all();
    let value = |name: &str| all.get(&format!("event_sourcery.{name}")).copied();
    let appends = |outcome| value(&format!("append.calls ({{append}}) event_sourcery.outcome={outcome}"));
    let ends = ["done", "repeated", "conflict", "failed"].map(appends);
    assert_eq!(ends, [Some(1), Some(1), Some(1), None], "{all:#?}");
    assert_eq!(value("append.events ({event})"), Some(2));
    let of_letters = |name: &str| value(&format!("{name} messaging.consumer.group.name=letters"));
    assert_eq!(of_letters("handle.retries ({attempt})"), Some(1));
    assert_eq!(of_letters("handle.parked ({event})"), Some(1));
    assert_eq!(of_letters("subscription.parked ({stream})"), Some(1));
    let of_outbox = "event_sourcery.outcome=done messaging.consumer.group.name=the outbox";
    assert_eq!(value(&format!("publish.entries ({{entry}}) {of_outbox}")), Some(2));
    let [commits, calls] = ["commit.count ({commit})", "commit.calls ({call})"].map(value);
    assert!(commits > Some(0) && calls >= commits, "{commits:?} {calls:?}");

    let named = |name: &str| name.split(')').next().unwrap_or_default().to_owned() + ")";
    let found: BTreeSet<_> = all.keys().map(|name| named(name)).collect();
    let listed = METRICS.iter().map(|metric| format!("{} ({})", metric.name, metric.unit));
    assert_eq!(found, listed.collect::<BTreeSet<_>>());
}

/// What was counted once is not counted again, and what came since is.
#[tokio::test]
async fn commits_are_counted_once_however_often_is_looked() {
    let (measured, folder) = (Measured::new(), tempfile::tempdir().unwrap());
    let telemetry = measured.telemetry();
    let store = EventStore::new(SqliteBackend::open(folder.path().join("events.db")).await.unwrap());
    let calls = || measured.all().get("event_sourcery.commit.calls ({call})").copied();
    let mut before = None;
    for _ in 0..2 {
        store.append(&StreamId::random(), happened()).await.unwrap();
        telemetry.sample(&store).await.unwrap();
        let once = calls();
        telemetry.sample(&store).await.unwrap();
        assert_eq!(calls(), once);
        assert!(once > before, "{once:?} after {before:?}");
        before = once;
    }
}

#[tokio::test]
async fn a_subscription_that_cannot_be_read_keeps_nobody_from_the_others() {
    let (measured, folder) = (Measured::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("events.db");
    let store = EventStore::new(SqliteBackend::open(&path).await.unwrap());
    store.append(&StreamId::random(), happened()).await.unwrap();
    for name in ["broken", "letters"] {
        let (handled, stop) = oneshot::channel::<()>();
        let mut handled = Some(handled);
        let run = store.subscribe::<RawEvent>().durable(name).until(stop);
        let running = run.run(async move |_, _| {
            drop(handled.take());
            Ok(())
        });
        running.await.unwrap();
    }
    let spoil = "UPDATE event_sourcery_subscriptions SET kept = 'no json' WHERE name = 'broken'";
    assert_eq!(rusqlite::Connection::open(&path).unwrap().execute(spoil, []).unwrap(), 1);
    let telemetry = measured.telemetry();
    telemetry.sample(&store).await.unwrap();

    let all = measured.all();
    let is_measured = |name: &str| {
        let members = "event_sourcery.subscription.members ({member}) messaging.consumer.group.name";
        all.contains_key(&format!("{members}={name}"))
    };
    assert_eq!((is_measured("broken"), is_measured("letters")), (false, true), "{all:#?}");
    assert!(all.contains_key("event_sourcery.held_up.time (s)"), "{all:#?}");
}
