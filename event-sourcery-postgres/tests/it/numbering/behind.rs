//! Sequences that would give numbers again.

use std::sync::{Arc, Mutex};

use event_sourcery::{Error, EventStore, RawEvent, StreamId};
use event_sourcery_postgres::{PostgresBackend, Rights};
use postgres_cluster::{Database, Server};

use crate::scene::{Scene, Store, event, open, until};

/// The positions that a durable subscription hands over until it has seen this one.
async fn handled_up_to(store: &Store, last: i64) -> Vec<i64> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let is_done = {
        let seen = Arc::clone(&seen);
        async move || seen.lock().unwrap().contains(&last)
    };
    let handle = {
        let seen = Arc::clone(&seen);
        async move |position| seen.lock().unwrap().push(position)
    };
    let subscription = store.subscribe::<RawEvent>().durable("revenue").until(until(is_done));
    subscription
        .run(async move |recorded, _| {
            handle(recorded.position.to_i64()).await;
            Ok(())
        })
        .await
        .unwrap();
    Arc::try_unwrap(seen).unwrap().into_inner().unwrap()
}

/// Ten events, all handled, of which the first five were deleted.
async fn with_history() -> Scene {
    let scene = Scene::new().await;
    let (gone, kept) = (StreamId::random(), StreamId::random());
    for stream in [&gone, &kept] {
        for _ in 0..5 {
            scene.store.append(stream, event()).no_versioning().await.unwrap();
        }
    }
    assert_eq!(handled_up_to(&scene.store, 10).await.len(), 10);
    scene.store.delete_stream(&gone).await.unwrap();
    scene
}

fn went_back(refused: &Error) -> (i64, i64, &'static str, &str) {
    let Error::NumberingWentBack { drawn, highest, evidence, repair } = refused else {
        panic!("{refused:?}")
    };
    assert!(!refused.is_retryable());
    (*drawn, *highest, evidence, repair)
}

/// The store opens after the repair, and hands over every event that is acknowledged from then on.
async fn is_repaired(database: &Database, repair: &str, above: i64) {
    database.psql(repair);
    let store = open(&database.url()).await;
    let mut acknowledged = Vec::new();
    for _ in 0..3 {
        let appended = store.append(&StreamId::random(), event()).await.unwrap();
        acknowledged.push(appended.position.to_i64());
    }
    assert!(acknowledged.iter().all(|position| *position > above), "{acknowledged:?}");
    let handled = handled_up_to(&store, *acknowledged.last().unwrap()).await;
    assert_eq!(handled, acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_that_was_set_back_is_refused_when_the_store_is_opened_and_can_be_repaired() {
    for (set_back, drawn) in [
        ("SELECT setval('event_sourcery_events_id_seq', 3)", 3),
        ("SELECT setval('event_sourcery_events_id_seq', 1, false)", 0),
        ("SELECT setval('event_sourcery_events_id_seq', 7, false)", 6),
        ("ALTER SEQUENCE event_sourcery_events_id_seq RESTART", 0),
        ("ALTER SEQUENCE event_sourcery_events_id_seq MINVALUE -9 RESTART -5", -6),
    ] {
        let scene = with_history().await;
        scene.run(set_back).await;
        let refused = PostgresBackend::connect(scene.database.url()).await.unwrap_err();
        let (found, highest, _, repair) = went_back(&refused);
        assert_eq!((found, highest), (drawn, 10), "{set_back}");
        is_repaired(&scene.database, repair, 10).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_tells_of_a_position_is_evidence() {
    for (take_away, highest, told_by) in [
        ("DELETE FROM event_sourcery_settled; UPDATE event_sourcery_subscription_segments SET position = 0", 10, "an event"),
        ("TRUNCATE event_sourcery_streams, event_sourcery_events RESTART IDENTITY CASCADE", 10, "the settled position"),
        (
            "TRUNCATE event_sourcery_streams, event_sourcery_events, event_sourcery_settled RESTART IDENTITY CASCADE;
             INSERT INTO event_sourcery_settled (position) VALUES (0)",
            10,
            "a checkpoint",
        ),
        (
            "TRUNCATE event_sourcery_streams, event_sourcery_events, event_sourcery_settled,
                 event_sourcery_subscription_segments RESTART IDENTITY CASCADE;
             INSERT INTO event_sourcery_settled (position) VALUES (0);
             UPDATE event_sourcery_event_blocks_listed SET below = 2",
            2 * 1024 - 1,
            "the directory of event names",
        ),
    ] {
        let scene = with_history().await;
        scene.run(take_away).await;
        scene.run("SELECT setval('event_sourcery_events_id_seq', 1, false)").await;
        let refused = PostgresBackend::connect(scene.database.url()).await.unwrap_err();
        let (_, found, evidence, repair) = went_back(&refused);
        assert_eq!((found, evidence), (highest, told_by));
        scene.run(repair).await;
        PostgresBackend::connect(scene.database.url()).await.unwrap();
    }
}

/// Entries of the outbox have numbers of their own, of which no position tells.
#[tokio::test]
async fn a_number_of_an_entry_of_the_outbox_that_is_taken_is_refused_too() {
    let scene = Scene::new().await;
    let store = scene.store.clone().with_outbox(|_| true).unwrap();
    for _ in 0..3 {
        store.append(&StreamId::random(), event()).await.unwrap();
    }
    scene.run("SELECT setval('event_sourcery_outbox_entries_id_seq', 1)").await;
    let refused = store.append(&StreamId::random(), event()).await.unwrap_err();
    let (_, highest, evidence, _) = went_back(&refused);
    assert_eq!((highest, evidence), (3, "an entry of the outbox"));
    assert_eq!(scene.events().await, 3);
    let refused = PostgresBackend::connect(scene.database.url()).await.unwrap_err();
    let (drawn, highest, _, repair) = went_back(&refused);
    assert!(drawn < highest && highest == 3, "{drawn}");
    scene.run(repair).await;
    open(&scene.database.url()).await;
    store.append(&StreamId::random(), event()).await.unwrap();
    assert_eq!(scene.number("SELECT count(*) FROM event_sourcery_outbox_entries").await, 4);
}

/// Keys of rows: one that is drawn again refuses a row that is new, or has it taken for one that is there. The application may read
/// these sequences, too.
#[tokio::test]
async fn numbers_of_blocked_streams_tags_and_deletions_that_are_taken_are_refused_too() {
    for (table, columns, values, told_by) in [
        (
            "blocked_streams",
            "stream_uuid, category, tenant_id, subscription_tenant_id, subscription_name, segment, after_position, position, attempts, \
             error, since",
            "gen_random_uuid(), '', '', '', 'revenue', 0, 0, 1, 1, '', clock_timestamp()",
            "the number of a blocked stream",
        ),
        ("tags", "version, tenant_id, value", "1, '', 'number:' || n", "the number of a tag"),
        ("stream_deletions", "tenant_id", "''", "the number of a deletion"),
    ] {
        let scene = Scene::new().await;
        let role = format!("app_{}", scene.database.name());
        scene.run(&format!("CREATE ROLE {role} LOGIN")).await;
        let owner = PostgresBackend::options(scene.database.url());
        scene.run(&owner.grants(&role, Rights::Application).await.unwrap()).await;
        let url = scene.database.url().replace("//postgres@", &format!("//{role}@"));
        let table = format!("event_sourcery_{table}");
        scene
            .run(&format!("INSERT INTO {table} ({columns}) SELECT {values} FROM generate_series(1, 3) AS n"))
            .await;
        PostgresBackend::options(&url).open().await.unwrap();
        scene.run(&format!("SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1)")).await;
        for url in [url, scene.database.url()] {
            let refused = PostgresBackend::options(url).open().await.unwrap_err();
            let (drawn, highest, evidence, repair) = went_back(&refused);
            assert_eq!((drawn, highest, evidence), (1, 3, told_by));
            assert!(repair.contains(&format!("{table}_id_seq")), "{repair}");
        }
        let refused = PostgresBackend::connect(scene.database.url()).await.unwrap_err();
        scene.run(went_back(&refused).3).await;
        open(&scene.database.url()).await;
        scene.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
    }
}

/// As logical replication, `COPY` and a dump of the data alone leave them.
#[tokio::test(flavor = "multi_thread")]
async fn tables_that_were_moved_without_their_sequences_are_refused_and_can_be_repaired() {
    let (scene, moved) = (with_history().await, Server::shared().create_database());
    let all = scene.database.dump_without_sequences();
    moved.psql(&all);
    let refused = PostgresBackend::connect(moved.url()).await.unwrap_err();
    let (drawn, highest, _, repair) = went_back(&refused);
    assert_eq!((drawn, highest), (0, 10));
    assert!(repair.contains("events_id_seq") && repair.contains("streams_id_seq"), "{repair}");
    is_repaired(&moved, repair, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_name_needs_quotes_can_be_repaired() {
    let database = Server::shared().create_database();
    let options = || PostgresBackend::options(database.url()).schema("odd \"name'; --");
    let store = EventStore::new(options().open().await.unwrap());
    store.append(&StreamId::random(), event()).await.unwrap();
    database.psql("SELECT setval(pg_get_serial_sequence('\"odd \"\"name''; --\".event_sourcery_events', 'id'), 1, false)");
    let refused = options().open().await.unwrap_err();
    let (.., repair) = went_back(&refused);
    database.psql(repair);
    options().open().await.unwrap();
}

/// An open store notices too, as soon as a position is taken.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_whose_position_is_taken_says_so_and_writes_nothing() {
    let scene = Scene::new().await;
    let stream = StreamId::random();
    for version in 0..4 {
        scene.store.append(&stream, event()).expected_version(version).await.unwrap();
    }
    scene.run("SELECT setval('event_sourcery_events_id_seq', 1, false)").await;
    let mut joined = scene.begin().await;
    let several = scene.store.append(&StreamId::random(), event()).and(&StreamId::random(), event());
    let refused = [
        scene.store.append(&StreamId::random(), event()).await.map(drop),
        scene.store.append(&stream, [event(), event()]).expected_version(4).await.map(drop),
        several.await.map(drop),
    ];
    for refused in refused {
        let refused = refused.unwrap_err();
        let (_, highest, evidence, _) = went_back(&refused);
        assert_eq!((highest, evidence), (4, "an event"));
    }
    scene.run("SELECT setval('event_sourcery_events_id_seq', 1, false)").await;
    let refused = scene.store.within(&mut joined).append(&StreamId::random(), event()).await.unwrap_err();
    let (.., repair) = went_back(&refused);
    assert_eq!(scene.events().await, 4);
    scene.run(repair).await;
    scene.store.within(&mut joined).append(&StreamId::random(), event()).await.unwrap();
    joined.commit().await.unwrap();
    assert_eq!(scene.number("SELECT max(id) FROM event_sourcery_events").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_a_stream_that_is_taken_is_refused_too() {
    let scene = Scene::new().await;
    for _ in 0..20 {
        scene.store.append(&StreamId::random(), event()).await.unwrap();
    }
    scene.run("SELECT setval('event_sourcery_streams_id_seq', 1, false)").await;
    let refused = scene.store.append(&StreamId::random(), event()).await.unwrap_err();
    let (_, highest, evidence, _) = went_back(&refused);
    assert_eq!((highest, evidence), (20, "the number of a stream"));
    let refused = PostgresBackend::connect(scene.database.url()).await.unwrap_err();
    let (.., repair) = went_back(&refused);
    scene.run(repair).await;
    scene.store.append(&StreamId::random(), event()).await.unwrap();
    open(&scene.database.url()).await.append(&StreamId::random(), event()).await.unwrap();
}

/// Whoever looks while others append, and roll back, is never told of numbers that went back.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_others_write_to_is_opened_without_a_false_alarm() {
    let scene = Scene::new().await;
    let writer = {
        let store = scene.store.clone();
        tokio::spawn(async move {
            loop {
                store.append(&StreamId::random(), event()).await.unwrap();
                let _ = store.position().await.unwrap();
            }
        })
    };
    for _ in 0..40 {
        PostgresBackend::options(scene.database.url()).max_connections(1).open().await.unwrap();
        let mut taken_back = scene.begin().await;
        scene.store.within(&mut taken_back).append(&StreamId::random(), event()).await.unwrap();
        taken_back.rollback().await.unwrap();
    }
    writer.abort();
}
