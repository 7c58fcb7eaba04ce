//! One row stops one stream: what PostgreSQL holds of a row, or has lost of it, though nobody can read it.

use std::sync::Mutex;
use std::time::Duration;

use event_sourcery::backend::{BacklogRequest, Filter, SubscriptionBackend as _};
use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery::{Error, Event, Position, Query, QueryItem, RawEvent, Recorded, StreamId, Tag, TenantId};
use event_sourcery_conformance::spoiled::{assert_stops_its_stream_alone, run};
use serde::{Deserialize, Serialize};

use crate::scene::{Scene, Store, until};

/// What can stand in the columns of an event that nobody can read.
const EVENTS: [&str; 11] = [
    "created_at = '9999-12-31 23:59:59.999999'",
    "created_at = '10000-01-01'",
    "created_at = '294276-12-31 23:59:59'",
    "created_at = '0044-03-15 BC'",
    "created_at = 'infinity'",
    "created_at = '-infinity'",
    "uuid = NULL",
    "uuid = NULL, version = -2, created_at = 'infinity'",
    "version = -2",
    "schema_version = -1",
    "data = '[]'",
];

/// What can stand in an entry of the outbox that nobody can read.
const ENTRIES: [&str; 11] = [
    "jsonb_set(data, '{created_at}', '\"never\"')",
    "jsonb_set(data, '{created_at}', '\"2025-13-01T00:00:00\"')",
    "jsonb_set(data, '{uuid}', '\"none\"')",
    "jsonb_set(data, '{version}', '\"one\"')",
    "jsonb_set(data, '{version}', '-1')",
    "jsonb_set(data, '{schema_version}', '1.5')",
    "jsonb_set(data, '{stream_id}', '7')",
    "data - 'stream_id'",
    "data - 'data'",
    "data - 'name'",
    "'[]'",
];

/// Loses what is stored apart from the rows of a table, as a damaged disk does. A deleted chunk is read all the same, as long as it is
/// there.
async fn lose_payloads(scene: &Scene, table: &str) {
    scene.run(&LOSE_PAYLOAD.replace("event_sourcery_events", table)).await;
    scene.run(&format!("VACUUM {table}")).await;
}

/// It does so for the payloads of events.
const LOSE_PAYLOAD: &str = "
    SET allow_system_table_mods = on;
    DO $$
    DECLARE
        toast regclass;
    BEGIN
        SELECT reltoastrelid::regclass INTO toast FROM pg_class WHERE oid = 'event_sourcery_events'::regclass;
        UPDATE pg_class SET relkind = 'r' WHERE oid = toast;
        EXECUTE format('DELETE FROM %s', toast);
        UPDATE pg_class SET relkind = 't' WHERE oid = toast;
    END $$";

fn event(name: &str) -> RawEvent {
    RawEvent::new(name.to_owned(), "{}").unwrap()
}

/// An event whose payload is too large for its row, and does not compress.
fn large(name: &str) -> RawEvent {
    let text: String = (0..300).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    RawEvent::new(name.to_owned(), format!(r#"{{"text":"{text}"}}"#)).unwrap()
}

fn stream(name: &str) -> StreamId {
    StreamId::from_name(name).unwrap()
}

fn at(position: i64) -> Position {
    Position::from_i64(position)
}

/// Six events in three streams; the fourth is to be spoiled.
async fn scene() -> Scene {
    let scene = Scene::new().await;
    scene.store.append(&stream("a"), [event("A1"), event("A2")]).await.unwrap();
    scene.store.append(&stream("bad"), [event("B1"), large("B2"), event("B3")]).await.unwrap();
    scene.store.append(&stream("c"), event("C1")).await.unwrap();
    until(async || scene.store.position().await.unwrap() == at(6)).await;
    scene
}

#[tokio::test]
async fn an_event_whose_streams_row_is_lost_is_parked_alone_and_handled_once_the_row_is_back() {
    let scene = scene().await;
    scene
        .run(
            "CREATE TABLE kept AS SELECT * FROM event_sourcery_streams WHERE id = 2;
              SET session_replication_role = replica; DELETE FROM event_sourcery_streams WHERE id = 2;
              RESET session_replication_role",
        )
        .await;
    let store = &scene.store.erased();
    let found = store.verify::<RawEvent>().await.unwrap();
    assert_eq!((found.read(), found.failed()), (6, 3));
    let nobodys = store.for_tenant(TenantId::new("acme").unwrap());
    assert_eq!(nobodys.verify::<RawEvent>().await.unwrap().read(), 0);
    let (handled, parked) = run(store, "run", 3, 3).await;
    assert_eq!(handled, ["A1", "A2", "C1"]);
    assert_eq!(parked.iter().map(|parked| parked.position).collect::<Vec<_>>(), [at(3), at(4), at(5)]);

    // One of them is left out, the others are tried again.
    let durable = store.subscribe::<RawEvent>().durable("run");
    durable.skip(&parked[1]).await.unwrap();
    durable.replay(&parked[0]).await.unwrap();
    assert_eq!(run(store, "run", 0, 2).await.0, [""; 0]);
    scene.run("INSERT INTO event_sourcery_streams SELECT * FROM kept").await;
    for parked in durable.parked().await.unwrap() {
        durable.replay(&parked).await.unwrap();
    }
    assert_eq!(run(store, "run", 2, 0).await.0, ["B1", "B3"]);
}

#[tokio::test]
async fn a_tagged_event_whose_streams_row_is_lost_decides_nothing_and_stops_no_other_query() {
    let (scene, tag) = (scene().await, |value: &str| Tag::new("course", value).unwrap());
    let of = |value: &str| Query::from(QueryItem::new().tagged(tag(value)));
    let tagged = scene.store.tag_stored::<RawEvent>().by(|recorded| {
        let is_spoiled = recorded.stream_id == stream("bad");
        Ok(vec![tag(if is_spoiled { "spoiled" } else { "sound" })])
    });
    tagged.await.unwrap();
    let before = scene.store.read::<RawEvent>(&of("spoiled")).await.unwrap();
    assert_eq!(before.events.len(), 3);
    scene
        .run(
            "SET session_replication_role = replica; DELETE FROM event_sourcery_streams WHERE id = 2;
             RESET session_replication_role",
        )
        .await;
    let read = scene.store.read::<RawEvent>(&of("spoiled")).await;
    assert!(matches!(&read, Err(Error::InvalidEvent { position, .. }) if *position == at(3)), "{read:?}");
    assert_eq!(scene.store.read::<RawEvent>(&of("sound")).await.unwrap().events.len(), 3);
    let acme = scene.store.for_tenant(TenantId::new("acme").unwrap());
    assert_eq!(acme.read::<RawEvent>(&of("spoiled")).await.unwrap().events.len(), 0);
}

async fn is_alone(store: &Store, how: &str) {
    assert_stops_its_stream_alone(&store.erased(), how).await;
    assert!(store.backend().backlog(BacklogRequest::new(at(3), Filter::default())).await.is_ok(), "{how}");
}

/// The server fails a whole page for a payload that it has lost. What stands on both sides of it is handed over all the same.
#[tokio::test]
async fn a_page_with_lost_payloads_is_handed_over_but_for_the_events_that_lost_them() {
    let scene = Scene::new().await;
    for number in 0..40 {
        let (stream, name) = (stream(&format!("s{number}")), format!("E{number}"));
        let event = if [12, 13, 31].contains(&number) { large(&name) } else { event(&name) };
        scene.store.append(&stream, event).await.unwrap();
    }
    scene.run(LOSE_PAYLOAD).await;
    scene.run("VACUUM event_sourcery_events").await;
    let found = scene.store.verify::<RawEvent>().await.unwrap();
    assert_eq!((found.read(), found.failed()), (40, 3));
    let (handled, parked) = run(&scene.store.erased(), "run", 37, 3).await;
    let whole = (0..40).filter(|number| ![12, 13, 31].contains(number)).map(|number| format!("E{number}"));
    assert_eq!(handled, whole.collect::<Vec<_>>());
    assert_eq!(parked.iter().map(|parked| parked.position).collect::<Vec<_>>(), [at(13), at(14), at(32)]);
}

/// Two kinds of damage in one page: the row of a stream is lost beside another one's payload.
#[tokio::test]
async fn an_event_of_a_lost_stream_beside_a_lost_payload_is_parked_and_not_handed_over_without_its_stream() {
    let scene = scene().await;
    scene.run(LOSE_PAYLOAD).await;
    scene.run("VACUUM event_sourcery_events").await;
    scene
        .run(
            "SET session_replication_role = replica;
             DELETE FROM event_sourcery_streams WHERE id = 3; RESET session_replication_role",
        )
        .await;
    let found = scene.store.verify::<RawEvent>().await.unwrap();
    assert_eq!((found.read(), found.failed()), (6, 2));
    let (handled, parked) = run(&scene.store.erased(), "run", 3, 2).await;
    assert_eq!(handled, ["A1", "A2", "B1"]);
    assert_eq!(parked.iter().map(|parked| parked.position).collect::<Vec<_>>(), [at(4), at(6)]);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_stops_its_stream_alone() {
    let scene = scene().await;
    let keep = "CREATE TABLE kept AS SELECT * FROM event_sourcery_events WHERE id = 4";
    scene.run(keep).await;
    for set in EVENTS {
        scene.run(&format!("UPDATE event_sourcery_events SET {set} WHERE id = 4")).await;
        is_alone(&scene.store, set).await;
        let mend = "UPDATE event_sourcery_events e SET version = k.version, uuid = k.uuid, created_at = k.created_at,
                        data = k.data, schema_version = k.schema_version FROM kept k WHERE e.id = k.id";
        scene.run(mend).await;
    }
}

#[tokio::test]
async fn an_event_whose_payload_the_server_has_lost_stops_its_stream_alone() {
    let scene = scene().await;
    scene.run(LOSE_PAYLOAD).await;
    // A deleted chunk is read all the same, as long as it is there.
    scene.run("VACUUM event_sourcery_events").await;
    let raw =
        scene.number("SELECT count(*) FROM event_sourcery_events WHERE id <> 4 AND data IS NOT NULL").await;
    assert_eq!(raw, 5);
    is_alone(&scene.store, "its payload is lost").await;
    let refused = scene.store.load_stream::<RawEvent>(&stream("bad")).await.unwrap_err().to_string();
    assert!(refused.contains("missing chunk"), "{refused}");
    scene.store.append(&stream("bad"), event("B4")).expected_version(3).await.unwrap();
}

/// Takes whatever it is handed, and notes the names.
#[derive(Default)]
struct Post(Mutex<Vec<String>>);

impl Publisher for Post {
    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            let names = entries.iter().map(|entry| entry.recorded().wrapped_event.event.name().to_owned());
            self.0.lock().unwrap().extend(names);
            entries.iter().map(|_| Ok(())).collect()
        })
    }
}

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
enum Payment {
    Paid { cents: u32 },
    Sum { text: String },
}

/// It stands in for events, and they are there.
#[tokio::test]
async fn a_snapshot_that_the_server_has_lost_is_passed_over_for_the_events() {
    let (scene, payments) = (Scene::new().await, stream("payments"));
    let paid = || [Payment::Paid { cents: 1 }, Payment::Paid { cents: 2 }];
    scene.store.append(&payments, paid()).await.unwrap();
    let text = (0..300).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    scene.store.save_snapshot(&payments, 1, Payment::Sum { text }).await.unwrap();
    let load = async || -> Vec<Payment> {
        let events = scene.store.load_stream::<Payment>(&payments).await.unwrap();
        events.into_iter().map(|event| event.event).collect()
    };
    assert!(matches!(load().await[..], [Payment::Sum { .. }, Payment::Paid { cents: 2 }]));
    lose_payloads(&scene, "event_sourcery_snapshots").await;
    assert_eq!(load().await, paid());
}

/// The text of an error may be so long that it stands apart from its row.
#[tokio::test]
async fn a_parked_stream_whose_error_the_server_has_lost_is_told_beside_the_others_and_tried_again() {
    let scene = scene().await;
    let store = &scene.store.erased();
    let durable = || store.subscribe::<RawEvent>().durable("run").segments(4);
    let long: String = (0..120).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    let listing = durable();
    let is_done = async move {
        while listing.parked().await.unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let run_once = durable().attempts(1).until(is_done);
    let ended =
        run_once.run(async |recorded: Recorded<RawEvent>, _| match recorded.wrapped_event.event.name() {
            "A1" => Err(long.clone().into()),
            "C1" => Err("short".into()),
            _ => Ok(()),
        });
    ended.await.unwrap();
    lose_payloads(&scene, "event_sourcery_blocked_streams").await;
    let parked = durable().parked().await.unwrap();
    assert_eq!(parked.iter().map(|parked| parked.position).collect::<Vec<_>>(), [at(1), at(6)]);
    assert!(parked[0].error.contains("missing chunk"), "{}", parked[0].error);
    assert!(parked[1].error.contains("short"), "{}", parked[1].error);
    durable().replay(&parked[0]).await.unwrap();
    assert_eq!(run(store, "run", 2, 1).await.0, ["A1", "A2"]);
}

/// All that an entry says is lost with its JSON, also whose it is.
#[tokio::test]
async fn an_entry_that_the_server_has_lost_is_parked_and_those_of_other_streams_are_published() {
    let scene = Scene::new().await;
    let store = scene.store.clone().with_outbox(|_| true).unwrap();
    store.append(&stream("before"), event("before")).await.unwrap();
    store.append(&stream("spoiled"), large("spoiled")).await.unwrap();
    store.append(&stream("behind"), event("behind")).await.unwrap();
    store.append(&stream("spoiled"), event("waiting")).expected_version(1).await.unwrap();
    until(async || store.position().await.unwrap() == at(4)).await;
    lose_payloads(&scene, "event_sourcery_outbox_entries").await;
    let listed = store.look().outbox(None, 10).await.unwrap();
    let readable: Vec<_> = listed.items.iter().map(|seen| seen.unreadable().is_none()).collect();
    assert_eq!(readable, [true, false, true, true]);

    let post = Post::default();
    store.outbox().run(&post).await.unwrap();
    assert_eq!(*post.0.lock().unwrap(), ["before", "behind"]);
    let parked = store.outbox().parked().await.unwrap();
    let [lost] = &parked[..] else { panic!("{parked:?}") };
    assert_eq!((&lost.stream, lost.position), (&stream("spoiled"), at(2)));
    assert!(lost.error.contains("missing chunk"), "{}", lost.error);
    // Tried again, it is parked again.
    store.outbox().replay(lost).await.unwrap();
    store.outbox().run(&post).await.unwrap();
    let parked = store.outbox().parked().await.unwrap();
    assert_eq!(parked.iter().map(|parked| parked.position).collect::<Vec<_>>(), [at(2)]);
    store.outbox().skip(&parked[0]).await.unwrap();
    store.outbox().run(&post).await.unwrap();
    assert_eq!(*post.0.lock().unwrap(), ["before", "behind", "waiting"]);
    assert_eq!(scene.number("SELECT count(*) FROM event_sourcery_outbox_entries").await, 0);
    assert!(store.outbox().blocked().await.unwrap().is_empty());
}

/// Nobody knows whose it is, where its event is gone as well.
#[tokio::test]
async fn a_lost_entry_whose_event_is_gone_is_listed_beside_the_others() {
    let scene = Scene::new().await;
    let store = scene.store.clone().with_outbox(|_| true).unwrap();
    store.append(&stream("spoiled"), large("spoiled")).await.unwrap();
    store.append(&stream("behind"), event("behind")).await.unwrap();
    until(async || store.position().await.unwrap() == at(2)).await;
    lose_payloads(&scene, "event_sourcery_outbox_entries").await;
    let lose = "SET session_replication_role = replica; DELETE FROM event_sourcery_events WHERE id = 1;
                RESET session_replication_role";
    scene.run(lose).await;
    let listed = store.look().outbox(None, 10).await.unwrap();
    let readable: Vec<_> = listed.items.iter().map(|seen| seen.unreadable().is_none()).collect();
    assert_eq!(readable, [false, true]);
}

/// What a publisher is handed stands in JSON that others write too.
#[tokio::test]
async fn an_entry_that_cannot_be_read_is_parked_and_those_of_other_streams_are_published() {
    let scene = Scene::new().await;
    let store = scene.store.clone().with_outbox(|_| true).unwrap();
    for (number, data) in (0..).zip(ENTRIES) {
        for name in ["before", "spoiled", "behind"] {
            store.append(&stream(&format!("{name}{number}")), event(name)).await.unwrap();
        }
        let spoilt = at(3 * number + 2);
        let entry = format!("WHERE position = {spoilt}");
        scene.run(&format!("UPDATE event_sourcery_outbox_entries SET data = {data} {entry}")).await;
        let post = Post::default();
        store.outbox().run(&post).await.unwrap();
        assert_eq!(*post.0.lock().unwrap(), ["before", "behind"], "{data}");
        let parked = store.outbox().parked().await.unwrap();
        assert_eq!(parked.iter().map(|parked| parked.position).collect::<Vec<_>>(), [spoilt], "{data}");
        store.outbox().skip(&parked[0]).await.unwrap();
        store.outbox().run(&post).await.unwrap();
        assert_eq!(scene.number("SELECT count(*) FROM event_sourcery_outbox_entries").await, 0, "{data}");
        assert!(store.outbox().blocked().await.unwrap().is_empty(), "{data}");
    }
}
