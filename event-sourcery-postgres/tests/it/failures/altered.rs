//! Tables that somebody alters while a store is open.

use event_sourcery::backend::{BlockedRequest, SubscriptionBackend as _, SubscriptionId};
use event_sourcery::look::{CursorsRequest, EventsRequest, ListRequest, StreamsRequest};
use event_sourcery::{Error, Event, EventStore, RawEvent, StreamId, TenantId};
use event_sourcery_postgres::PostgresBackend;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::scene::{Scene, Store, event, events, until};

/// What the scene's events are, with a type that snapshots are loaded for.
#[derive(Event, Serialize, Deserialize, Debug)]
struct Happened {}

/// Reads names wherever they are read.
async fn reads_names(store: &Store, stream: &StreamId, (other, id): (&StreamId, Uuid)) {
    assert_eq!(store.load_stream::<Happened>(stream).await.unwrap().len(), 2);
    let mut tx = store.backend().begin().await.unwrap();
    assert_eq!(store.within(&mut tx).load_stream::<Happened>(stream).await.unwrap().len(), 2);
    tx.rollback().await.unwrap();
    assert_eq!(store.load_stream::<RawEvent>(stream).await.unwrap().len(), 3);
    assert_eq!(store.load_stream::<RawEvent>(stream).versions(1..3).await.unwrap().len(), 2);
    let mut pages = store.load_stream::<Happened>(stream).stream();
    while pages.try_next().await.unwrap().is_some() {}
    drop(pages);
    let mut all = store.read_all::<RawEvent>().stream();
    while all.try_next().await.unwrap().is_some() {}
    drop(all);
    assert!(store.append(other, event().with_id(id)).await.unwrap().repeated);
    looks_inside(store, stream, id).await;
    let subscription = SubscriptionId::new(TenantId::DEFAULT, "invoices");
    store.backend().blocked_streams(BlockedRequest::new(subscription)).await.unwrap();
}

async fn looks_inside(store: &Store, stream: &StreamId, id: Uuid) {
    let look = store.look();
    assert_eq!(look.streams(StreamsRequest::newest(9)).await.unwrap().items.len(), 2);
    look.streams(StreamsRequest::named("", 9)).await.unwrap();
    look.tenants(ListRequest::new(9)).await.unwrap();
    look.categories(ListRequest::new(9)).await.unwrap();
    look.subscriptions(ListRequest::new(9)).await.unwrap();
    look.cursors(CursorsRequest::new(9)).await.unwrap();
    assert_eq!(look.backwards(stream, None, 9).await.unwrap().items.len(), 3);
    assert_eq!(look.events(EventsRequest::newest(9)).await.unwrap().items.len(), 4);
    assert_eq!(look.event_names(EventsRequest::newest(9)).await.unwrap().items.len(), 1);
    assert!(look.event(id).await.unwrap().is_some());
}

/// What was prepared before would give a column of another type, which the server refuses from then on.
#[tokio::test]
async fn names_that_are_made_longer_fail_no_call() {
    let scene = Scene::new().await;
    // Each statement meets the connection on which it was prepared.
    let options = PostgresBackend::options(scene.database.url()).max_connections(1);
    let store = EventStore::new(options.open().await.unwrap());
    let (stream, other, id) = (StreamId::random(), StreamId::random(), Uuid::now_v7());
    store.append(&stream, events(3)).await.unwrap();
    store.save_snapshot(&stream, 2, event()).await.unwrap();
    store.append(&other, event().with_id(id)).await.unwrap();
    reads_names(&store, &stream, (&other, id)).await;
    for (column, types) in [
        ("events ALTER name", ["varchar(250)", "text"]),
        ("snapshots ALTER name", ["varchar(250)", "text"]),
        ("streams ALTER name", ["varchar(300)", "text"]),
        ("streams ALTER category", ["varchar(300)", "text"]),
        ("streams ALTER tenant_id", ["varchar(300)", "text"]),
    ] {
        for longer in types {
            scene.run(&format!("ALTER TABLE event_sourcery_{column} TYPE {longer}")).await;
            reads_names(&store, &stream, (&other, id)).await;
        }
    }
}

/// A change, what undoes it, and what is told between.
async fn is_told(change: &str, undo: &str, says: &str) {
    let scene = Scene::new().await;
    let position = async || scene.store.position().await;
    position().await.unwrap();
    scene.run(change).await;
    let is_told = async || match position().await {
        Err(Error::ForeignLayout { problem, .. }) => problem.contains(says),
        _ => false,
    };
    until(is_told).await;
    scene.run(undo).await;
    position().await.unwrap();
}

/// What the promises rest on is checked when a store is opened, and nobody is told when it changes.
#[tokio::test]
async fn tables_that_become_unfit_under_an_open_store_are_refused_by_name() {
    let before = "
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id = NEW.id - 1; RETURN NEW; END';
        CREATE TRIGGER back BEFORE INSERT ON event_sourcery_events FOR EACH ROW EXECUTE FUNCTION f()";
    let default = "ALTER TABLE event_sourcery_events ALTER id SET DEFAULT nextval";
    join_all([
        is_told(before, "DROP TRIGGER back ON event_sourcery_events", "a trigger back"),
        is_told(
            "CREATE TABLE child () INHERITS (event_sourcery_events)",
            "DROP TABLE child",
            "has a child child",
        ),
        is_told(
            &format!("CREATE SEQUENCE other; {default}('other')"),
            &format!("{default}('event_sourcery_events_id_seq')"),
            "not drawn from the sequence",
        ),
        is_told(
            "DROP INDEX ix_event_sourcery_events_uuid",
            "CREATE UNIQUE INDEX ix_event_sourcery_events_uuid ON event_sourcery_events (uuid)",
            "no valid unique index on (uuid)",
        ),
        is_told(
            "ALTER TABLE event_sourcery_events ALTER created_at TYPE timestamptz",
            "ALTER TABLE event_sourcery_events ALTER created_at TYPE timestamp",
            "created_at is timestamp with time zone",
        ),
    ])
    .await;
}
