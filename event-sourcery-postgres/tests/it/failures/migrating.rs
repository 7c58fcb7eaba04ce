//! Making the tables: by us, by hand, by many at once, and not at all.

use std::process::Stdio;

use event_sourcery::{Error, EventStore, StreamId};
use event_sourcery_postgres::PostgresBackend;
use futures_util::future::join_all;
use postgres_cluster::{Database, Server};

use crate::process::{once_more_on, store_url};
use crate::scene::{event, length, open};

const TABLES: [&str; 16] = [
    "streams",
    "events",
    "snapshots",
    "outbox_entries",
    "projector_cursors",
    "settled",
    "subscription_segments",
    "subscription_members",
    "subscription_presences",
    "blocked_streams",
    "blocked_entries",
    "projected_streams",
    "event_blocks",
    "event_blocks_listed",
    "subject_keys",
    "layout",
];

fn catalogue(database: &Database) -> String {
    database.psql(
        "SELECT oid, relname, relfilenode, xmin FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1;
         SELECT xmin, ctid FROM event_sourcery_layout; SELECT xmin, ctid FROM event_sourcery_settled",
    )
}

#[tokio::test]
async fn tables_that_are_missing_and_not_to_be_made_are_named() {
    let database = Server::shared().create_database();
    let unmigrated = || PostgresBackend::options(database.url()).migrate(false);
    let problem = async || match unmigrated().open().await {
        Err(Error::MigrationNeeded { problem }) => problem,
        other => panic!("{other:?}"),
    };
    let all = problem().await;
    for table in TABLES {
        assert!(all.contains(&format!("event_sourcery_{table}")), "{table}: {all}");
    }
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(database.psql(tables), "0", "none was made");
    drop(open(&database.url()).await);
    unmigrated().open().await.expect("nothing is missing");
    database.psql("DROP TABLE event_sourcery_outbox_entries");
    let one = problem().await;
    assert!(
        one.contains("event_sourcery_outbox_entries") && !one.contains("event_sourcery_streams"),
        "{one}"
    );
    drop(open(&database.url()).await);
    unmigrated().open().await.expect("what was missing was made");
}

#[tokio::test]
async fn the_printed_migration_run_by_hand_makes_a_store_with_nothing_left_to_migrate() {
    for (schema, prefix) in [
        ("public", "event_sourcery_"),
        ("billing", "billing_"),
        ("odd \"name'; --", ""),
        ("{events}", "{layout} Ü\"; -- '"),
    ] {
        let database = Server::shared().create_database();
        let options = || PostgresBackend::options(database.url()).schema(schema).table_prefix(prefix);
        let sql = options().migration().await.unwrap();
        assert_eq!(options().migration().await.unwrap(), sql, "printing changes nothing");
        database.psql(&format!("BEGIN; {sql} COMMIT;"));
        assert_eq!(options().migration().await.unwrap(), "", "nothing is left to do");
        let store = EventStore::new(options().migrate(false).open().await.unwrap());
        let stream = StreamId::random();
        store.append(&stream, event()).await.unwrap();
        assert_eq!(length(&store, &stream).await, 1);
        assert_eq!(store.position().await.unwrap().to_i64(), 1);
    }
}

#[tokio::test]
async fn opening_again_changes_nothing() {
    let database = Server::shared().create_database();
    drop(open(&database.url()).await);
    let before = catalogue(&database);
    assert_eq!(PostgresBackend::options(database.url()).migration().await.unwrap(), "");
    drop(open(&database.url()).await);
    assert_eq!(catalogue(&database), before);
}

/// The lock that a migration would need is not taken by who has nothing to migrate.
#[tokio::test]
async fn a_store_that_needs_no_migration_opens_while_others_append() {
    let scene = crate::scene::Scene::new().await;
    let mut tx = scene.begin().await;
    scene.store.within(&mut tx).append(&StreamId::random(), event()).await.unwrap();
    scene.another_store().await;
    tx.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_that_open_an_empty_database_at_once_all_succeed() {
    for _ in 0..5 {
        let database = Server::shared().create_database();
        let opening = (0..8).map(|_| tokio::spawn(PostgresBackend::options(database.url()).open()));
        let opened = join_all(opening.collect::<Vec<_>>()).await;
        let stores: Vec<_> =
            opened.into_iter().map(|opened| EventStore::new(opened.unwrap().unwrap())).collect();
        let stream = StreamId::random();
        for store in &stores {
            store.append(&stream, event()).no_versioning().await.unwrap();
        }
        assert_eq!(length(&stores[0], &stream).await, stores.len());
        assert_eq!(database.psql("SELECT count(*) FROM event_sourcery_layout"), "1");
    }
}

#[tokio::test]
async fn many_processes_that_open_an_empty_database_at_once_all_succeed() {
    let stream = StreamId::from_name("shared").unwrap();
    if let Some(url) = store_url() {
        let store = open(&url).await;
        store.append(&stream, event()).no_versioning().await.unwrap();
        return;
    }
    let test = concat!(module_path!(), "::many_processes_that_open_an_empty_database_at_once_all_succeed");
    for _ in 0..3 {
        let database = Server::shared().create_database();
        let start = |_| once_more_on(test, &database.url()).stderr(Stdio::inherit()).spawn().unwrap();
        let processes: Vec<_> = (0..8).map(start).collect();
        for mut process in processes {
            assert!(process.wait().unwrap().success(), "its message is above");
        }
        assert_eq!(length(&open(&database.url()).await, &stream).await, 8);
    }
}
