//! One row stops one stream: what SQLite holds of a row, though nobody can read it.

use std::sync::Mutex;
use std::time::Duration;

use event_sourcery::backend::{BacklogRequest, Filter, SubscriptionBackend as _};
use event_sourcery::copy::Copy;
use event_sourcery::{
    Error, EventStore, MemoryBackend, Next, Position, Query, QueryItem, RawEvent, Recorded, StreamId, Tag,
    TenantId,
};
use event_sourcery_conformance::spoiled::{assert_stops_its_stream_alone, names_until_error, run};
use event_sourcery_sqlite::rusqlite::Connection;

use crate::failures::Folder;

/// What can stand in the columns of an event that nobody can read.
const EVENTS: [&str; 25] = [
    "created_at = '9999-12-31 23:59:59.999999'",
    "created_at = '10000-01-01 00:00:00.000000'",
    "created_at = 'yesterday'",
    "created_at = x'ff'",
    "created_at = 20250316",
    "created_at = CAST(x'ff' AS TEXT)",
    "uuid = NULL",
    "uuid = 'no uuid'",
    "uuid = x'00'",
    "uuid = 7",
    "version = 'two'",
    "version = 2.5",
    "version = x'02'",
    "version = -2",
    "version = CAST(x'ff' AS TEXT)",
    "name = x'ff00'",
    "name = CAST(x'ff' AS TEXT)",
    "name = CAST(x'ff' AS TEXT), created_at = 'yesterday', uuid = NULL, version = 'two', data = x''",
    "data = 'no JSON'",
    "data = CAST(x'7bff7d' AS TEXT)",
    "data = x'7b7d'",
    "event_context = '[]'",
    "event_context = CAST(x'ff' AS TEXT)",
    "schema_version = 'one'",
    "schema_version = -1",
];

/// What can stand in the row of a stream that nobody can read.
const STREAMS: [&str; 8] = [
    "UPDATE event_sourcery_streams SET uuid = upper(uuid) WHERE id = 2",
    "UPDATE event_sourcery_streams SET uuid = substr(uuid, 1, 8) || '-' || substr(uuid, 9) WHERE id = 2",
    "UPDATE event_sourcery_streams SET uuid = 'no uuid' WHERE id = 2",
    "UPDATE event_sourcery_streams SET name = x'ff' WHERE id = 2",
    "UPDATE event_sourcery_streams SET category = x'ff' WHERE id = 2",
    "UPDATE event_sourcery_streams SET tenant_id = x'ff' WHERE id = 2",
    "UPDATE event_sourcery_streams SET tenant_id = CAST(x'ff' AS TEXT) WHERE id = 2",
    "DELETE FROM event_sourcery_streams WHERE id = 2",
];

/// What can stand in the row of a blocked stream that nobody can read, and whether the stream can be told all the same.
const BLOCKED: [(&str, bool); 11] = [
    ("stream_name = CAST(x'ff' AS TEXT)", true),
    ("stream_name = x'ff'", true),
    ("segment = 'x'", true),
    ("after_position = x'ff'", true),
    ("error = x'ff', since = 'yesterday', attempts = 'x'", true),
    ("stream_uuid = 'no uuid'", false),
    ("stream_uuid = CAST(x'ff' AS TEXT)", false),
    ("tenant_id = CAST(x'ff' AS TEXT)", false),
    ("category = x'ff'", false),
    ("position = 'x'", false),
    ("position = 2.5", false),
];

fn event(name: &str) -> RawEvent {
    RawEvent::new(name.to_owned(), "{}").unwrap()
}

fn stream(name: &str) -> StreamId {
    StreamId::from_name(name).unwrap()
}

fn at(position: i64) -> Position {
    Position::from_i64(position)
}

/// Six events in three streams; the row of the fourth, or of the second stream, can be spoiled.
async fn scene() -> (Folder, EventStore, Connection) {
    let folder = Folder::new();
    let store = folder.store().await.erased();
    store.append(&stream("a"), [event("A1"), event("A2")]).await.unwrap();
    store.append(&stream("bad"), [event("B1"), event("B2"), event("B3")]).await.unwrap();
    store.append(&stream("c"), event("C1")).await.unwrap();
    let sql = folder.foreign_connection();
    sql.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA busy_timeout = 60000").unwrap();
    (folder, store, sql)
}

#[tokio::test]
async fn an_event_that_cannot_be_read_stops_its_stream_alone() {
    for set in EVENTS {
        let (_folder, store, sql) = scene().await;
        sql.execute(&format!("UPDATE event_sourcery_events SET {set} WHERE id = 4"), []).unwrap();
        assert_stops_its_stream_alone(&store, set).await;
        assert!(
            store.backend().backlog(BacklogRequest::new(at(3), Filter::default())).await.is_ok(),
            "{set}"
        );
    }
}

#[tokio::test]
async fn an_event_whose_streams_row_cannot_be_read_is_parked_alone_and_handled_once_the_row_is_mended() {
    for spoil in STREAMS {
        let (_folder, store, sql) = scene().await;
        sql.execute_batch("CREATE TABLE kept AS SELECT * FROM event_sourcery_streams WHERE id = 2").unwrap();
        sql.execute_batch(spoil).unwrap();

        let found = store.verify::<RawEvent>().await.unwrap();
        assert_eq!((found.read(), found.failed()), (6, 3), "{spoil}");
        let (names, error) = names_until_error(&store, Position::START).await;
        assert_eq!(names, ["A1", "A2"], "{spoil}");
        assert!(
            matches!(error, Some(Error::InvalidEvent { position, .. }) if position == at(3)),
            "{spoil}: {error:?}"
        );
        let nobodys = store.for_tenant(TenantId::new("acme").unwrap());
        assert_eq!(names_until_error(&nobodys, Position::START).await.0, [""; 0], "{spoil}");
        let (handled, parked) = run(&store, "run", 3, 3).await;
        assert_eq!(handled, ["A1", "A2", "C1"], "{spoil}");
        assert_eq!(parked.iter().map(|parked| parked.position).collect::<Vec<_>>(), [at(3), at(4), at(5)]);

        // One of them is left out, the others are tried again.
        let durable = store.subscribe::<RawEvent>().durable("run");
        durable.skip(&parked[1]).await.unwrap();
        durable.replay(&parked[0]).await.unwrap();
        assert_eq!(run(&store, "run", 0, 2).await.0, [""; 0], "{spoil}: still lost");
        sql.execute_batch("REPLACE INTO event_sourcery_streams SELECT * FROM kept").unwrap();
        for parked in durable.parked().await.unwrap() {
            durable.replay(&parked).await.unwrap();
        }
        assert_eq!(run(&store, "run", 2, 0).await.0, ["B1", "B3"], "{spoil}");
    }
}

#[tokio::test]
async fn a_tagged_event_whose_streams_row_cannot_be_read_decides_nothing_and_stops_no_other_query() {
    let tag = |value: &str| Tag::new("course", value).unwrap();
    let of = |value: &str| Query::from(QueryItem::new().tagged(tag(value)));
    for spoil in STREAMS {
        let (_folder, store, sql) = scene().await;
        let tagged = store.tag_stored::<RawEvent>().by(|recorded| {
            let is_spoiled = recorded.stream_id == stream("bad");
            Ok(vec![tag(if is_spoiled { "spoiled" } else { "sound" })])
        });
        tagged.await.unwrap();
        let before = store.read::<RawEvent>(&of("spoiled")).await.unwrap();
        assert_eq!(before.events.len(), 3);
        sql.execute_batch(spoil).unwrap();

        let read = store.read::<RawEvent>(&of("spoiled")).await;
        assert!(
            matches!(&read, Err(Error::InvalidEvent { position, .. }) if *position == at(3)),
            "{spoil}: {read:?}"
        );
        assert_eq!(store.read::<RawEvent>(&of("sound")).await.unwrap().events.len(), 3, "{spoil}");
        let acme = store.for_tenant(TenantId::new("acme").unwrap());
        assert_eq!(acme.read::<RawEvent>(&of("spoiled")).await.unwrap().events.len(), 0, "{spoil}");
    }
}

/// Nobody can tell that it is none of those that are asked for.
#[tokio::test]
async fn an_event_whose_name_is_no_text_comes_to_whoever_asks_for_names() {
    let many: Vec<_> = (0..30).map(|number| format!("No{number}")).collect();
    let many: Vec<_> = ["B1", "B3", "C1"].into_iter().chain(many.iter().map(String::as_str)).collect();
    let few: &[&str] = &["B1", "B3", "C1"];
    for (names, is_of_tenant) in [(few, false), (few, true), (&many[..], false), (&many[..], true)] {
        let (_folder, store, sql) = scene().await;
        sql.execute("UPDATE event_sourcery_events SET name = x'ff00' WHERE id = 4", []).unwrap();
        let durable = || {
            let subscription = store.subscribe::<RawEvent>().event_names(names.iter().copied());
            let subscription =
                if is_of_tenant { subscription.tenant(TenantId::DEFAULT) } else { subscription };
            subscription.durable("typed")
        };
        let handled = Mutex::new(Vec::new());
        let is_done = async {
            let listing = durable();
            while handled.lock().unwrap().len() < 2 || listing.parked().await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let run = durable().run(async |recorded: Recorded<RawEvent>, _| {
            handled.lock().unwrap().push(recorded.wrapped_event.event.name().to_owned());
            Ok(())
        });
        let done = async {
            tokio::select! { () = is_done => {}, ended = run => panic!("{ended:?}") }
        };
        tokio::time::timeout(Duration::from_secs(60), done).await.expect("it is parked");
        assert_eq!(*handled.lock().unwrap(), ["B1", "C1"], "the stream waits, and the others go on");
        let parked = durable().parked().await.unwrap();
        assert_eq!((parked.len(), &parked[0].stream, parked[0].position), (1, &stream("bad"), at(4)));
    }

    let (_folder, store, sql) = scene().await;
    let named = Query::from(QueryItem::new().named("C1"));
    let before = store.read::<RawEvent>(&named).await.unwrap();
    assert_eq!(before.events.len(), 1);
    sql.execute("UPDATE event_sourcery_events SET name = x'ff00' WHERE id = 4", []).unwrap();
    let read = store.read::<RawEvent>(&named).await;
    assert!(matches!(&read, Err(Error::InvalidEvent { position, .. }) if *position == at(4)), "{read:?}");
}

#[tokio::test]
async fn an_event_of_a_lost_stream_does_not_come_to_who_asks_for_a_tenant_and_has_caught_up() {
    let (_folder, store, sql) = scene().await;
    let mut subscription = store.subscribe::<RawEvent>().tenant(TenantId::DEFAULT).stream();
    while let Some(Next::Event(_)) = subscription.try_next().await.unwrap() {}
    let lost = "INSERT INTO event_sourcery_events
        (version, uuid, name, data, event_context, created_at, db_stream_id, schema_version)
        SELECT 1, lower(hex(randomblob(16))), 'Lost', data, event_context, created_at, 424242, 1
        FROM event_sourcery_events WHERE id = 1";
    sql.execute(lost, []).unwrap();
    store.append(&stream("d"), event("D1")).await.unwrap();
    let next = subscription.try_next().await;
    assert!(
        matches!(&next, Ok(Some(Next::Event(next))) if next.wrapped_event.event.name() == "D1"),
        "{next:?}"
    );
}

#[tokio::test]
async fn a_stream_that_waits_goes_on_waiting_while_its_row_cannot_be_read() {
    for skips in [false, true] {
        let (_folder, store, sql) = scene().await;
        sql.execute("UPDATE event_sourcery_events SET data = 'no JSON' WHERE id = 4", []).unwrap();
        let (_, parked) = run(&store, "run", 4, 1).await;
        sql.execute_batch("CREATE TABLE kept AS SELECT * FROM event_sourcery_streams WHERE id = 2").unwrap();
        sql.execute_batch("DELETE FROM event_sourcery_streams WHERE id = 2").unwrap();
        let durable = store.subscribe::<RawEvent>().durable("run");
        if skips {
            durable.skip(&parked[0]).await.unwrap();
        } else {
            durable.replay(&parked[0]).await.unwrap();
        }
        let (handled, parked) = run(&store, "run", 0, 1).await;
        assert_eq!((handled.len(), &parked[0].stream), (0, &stream("bad")));

        sql.execute_batch("INSERT INTO event_sourcery_streams SELECT * FROM kept").unwrap();
        sql.execute("UPDATE event_sourcery_events SET data = '{}' WHERE id = 4", []).unwrap();
        durable.replay(&parked[0]).await.unwrap();
        let rest: &[&str] = if skips { &["B3"] } else { &["B2", "B3"] };
        assert_eq!(run(&store, "run", rest.len(), 0).await.0, rest);
    }
}

#[tokio::test]
async fn a_parked_row_whose_times_cannot_be_read_holds_up_nobody() {
    let (_folder, store, sql) = scene().await;
    sql.execute("UPDATE event_sourcery_events SET data = 'no JSON' WHERE id = 4", []).unwrap();
    run(&store, "run", 4, 1).await;
    let spoil =
        "UPDATE event_sourcery_blocked_streams SET since = 'then', retry_at = 'soon', attempts = 'many'";
    sql.execute(spoil, []).unwrap();
    store.append(&stream("d"), event("D1")).await.unwrap();
    let (handled, parked) = run(&store, "run", 1, 1).await;
    assert_eq!((handled, parked[0].position), (vec!["D1".to_owned()], at(4)));
}

#[tokio::test]
async fn a_time_with_an_offset_is_read_as_the_moment_it_names() {
    let (_folder, store, sql) = scene().await;
    sql.execute("UPDATE event_sourcery_events SET created_at = '2020-01-01 12:00:00+02:00'", []).unwrap();
    let read = store.load_stream::<RawEvent>(&stream("c")).await.unwrap();
    assert_eq!(read[0].created_at.to_string(), "2020-01-01T10:00:00Z");
}

#[tokio::test]
async fn a_row_of_a_blocked_stream_that_cannot_be_read_stops_no_other_stream() {
    for (set, is_told) in BLOCKED {
        let (_folder, store, sql) = scene().await;
        sql.execute("UPDATE event_sourcery_events SET data = 'no JSON' WHERE id = 4", []).unwrap();
        assert_eq!(run(&store, "run", 4, 1).await.0, ["A1", "A2", "B1", "C1"]);
        sql.execute(&format!("UPDATE event_sourcery_blocked_streams SET {set}"), []).unwrap();
        store.append(&stream("c"), event("C2")).expected_version(1).await.unwrap();
        let (handled, parked) = run(&store, "run", 1, usize::from(is_told)).await;
        assert_eq!(handled, ["C2"], "{set}");

        sql.execute("UPDATE event_sourcery_events SET data = '{}' WHERE id = 4", []).unwrap();
        for parked in &parked {
            assert_eq!((&parked.stream, parked.position), (&stream("bad"), at(4)), "{set}");
            store.subscribe::<RawEvent>().durable("run").replay(parked).await.unwrap();
            assert_eq!(run(&store, "run", 2, 0).await.0, ["B2", "B3"], "{set}");
        }
    }
}

#[tokio::test]
async fn behind_rows_of_blocked_streams_that_cannot_be_read_others_are_found() {
    let (_folder, store, sql) = scene().await;
    sql.execute("UPDATE event_sourcery_events SET data = 'no JSON' WHERE id = 4", []).unwrap();
    run(&store, "run", 4, 1).await;
    // More than are listed at once, whether all of them are listed or those that are due.
    sql.execute_batch(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 300)
         INSERT INTO event_sourcery_blocked_streams
         SELECT 'no uuid ' || n, category, tenant_id, subscription_tenant_id, subscription_name, stream_name, 'x',
                after_position, 1, 0, error, since, since
         FROM event_sourcery_blocked_streams, n",
    )
    .unwrap();
    let durable = store.subscribe::<RawEvent>().durable("run");
    let parked = durable.parked().await.unwrap();
    assert_eq!(parked.len(), 1);
    sql.execute("UPDATE event_sourcery_events SET data = '{}' WHERE id = 4", []).unwrap();
    durable.replay(&parked[0]).await.unwrap();
    assert_eq!(run(&store, "run", 2, 0).await.0, ["B2", "B3"]);
}

#[tokio::test]
async fn a_member_or_a_lease_that_cannot_be_read_is_gone() {
    let (_folder, store, sql) = scene().await;
    assert_eq!(run(&store, "run", 6, 0).await.0.len(), 6);
    sql.execute_batch(
        "INSERT INTO event_sourcery_subscription_members VALUES ('', 'run', 'x', 'yesterday', 1, 'y');
         INSERT INTO event_sourcery_subscription_members VALUES ('', 'run', x'ff', CAST(x'ff' AS TEXT), 'x', x'ff');
         UPDATE event_sourcery_subscription_segments SET member = CAST(x'ff' AS TEXT), leased_until = 'tomorrow'",
    )
    .unwrap();
    store.append(&stream("a"), event("A3")).expected_version(2).await.unwrap();
    store.append(&stream("c"), event("C2")).expected_version(1).await.unwrap();
    assert_eq!(run(&store, "run", 2, 0).await.0, ["A3", "C2"]);
}

/// What is at the destination may be the last one there is.
#[tokio::test]
async fn a_copy_that_deletes_keeps_what_the_source_cannot_read_any_more() {
    for spoil in [
        "UPDATE event_sourcery_events SET uuid = NULL WHERE id = 3",
        "UPDATE event_sourcery_events SET uuid = 'no uuid' WHERE id = 5",
        "UPDATE event_sourcery_events SET uuid = NULL, data = x'' WHERE db_stream_id = 2",
        "UPDATE event_sourcery_streams SET uuid = 'no uuid' WHERE id = 2",
        "UPDATE event_sourcery_streams SET category = x'ff' WHERE id = 2",
    ] {
        let (_folder, store, sql) = scene().await;
        let copy = EventStore::new(MemoryBackend::new()).erased();
        Copy::new(&store, &copy).deleting().run().await.unwrap();
        sql.execute(spoil, []).unwrap();
        let copied = Copy::new(&store, &copy).deleting().run().await.unwrap();
        assert!(!copied.is_clean(), "{spoil}: it is told");
        assert_eq!(copy.load_stream::<RawEvent>(&stream("bad")).await.unwrap().len(), 3, "{spoil}");
        assert_eq!(copy.load_stream::<RawEvent>(&stream("c")).await.unwrap().len(), 1, "{spoil}");
        // What is deleted there goes all the same.
        store.delete_stream(&stream("a")).await.unwrap();
        Copy::new(&store, &copy).deleting().run().await.unwrap();
        assert!(copy.load_stream::<RawEvent>(&stream("a")).await.unwrap().is_empty(), "{spoil}");
    }
}
