//! Stores of earlier layouts: brought to this one, with others at work on them.

use event_sourcery::{Error, StreamId};
use event_sourcery_postgres::PostgresBackend;
use postgres_cluster::{Database, Server};

use crate::scene::{Scene, event, length, open};

/// Takes back what each layout has added, to the one before it.
const TAKE_BACK: [(i32, &str); 5] = [
    (5, "DROP TABLE event_sourcery_subject_keys"),
    (
        4,
        "ALTER TABLE event_sourcery_outbox_entries DROP COLUMN published_at;
         DROP INDEX ix_event_sourcery_outbox_entries_position, ix_event_sourcery_outbox_entries_stream",
    ),
    (
        3,
        "DROP TABLE event_sourcery_outbox_of_deleted, event_sourcery_subscriptions, event_sourcery_evidence;
         ALTER TABLE event_sourcery_subscription_members DROP COLUMN lasting_ms;
         ALTER TABLE event_sourcery_layout DROP CONSTRAINT event_sourcery_layout_pkey",
    ),
    (2, "DROP TABLE event_sourcery_projected_streams, event_sourcery_aggregate_snapshots"),
    (
        1,
        "DROP TABLE event_sourcery_subscription_segments, event_sourcery_subscription_members,
                    event_sourcery_blocked_streams, event_sourcery_event_blocks, event_sourcery_event_blocks_listed",
    ),
];

/// A store as an earlier version has left it.
async fn of_layout(layout: i32) -> (Scene, StreamId) {
    let (scene, stream) = (Scene::new().await, StreamId::random());
    scene.store.append(&stream, event()).await.unwrap();
    for (before, take_back) in TAKE_BACK.iter().filter(|(before, _)| *before >= layout) {
        scene.database.psql(take_back);
        scene.database.psql(&format!("UPDATE event_sourcery_layout SET version = {before}"));
    }
    (scene, stream)
}

fn schema(database: &Database) -> String {
    database.psql(
        "SELECT attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
         WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace) AND attnum > 0 AND NOT attisdropped
         ORDER BY attrelid::regclass::text, attname;
         SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1;
         SELECT version FROM event_sourcery_layout",
    )
}

#[tokio::test]
async fn a_store_of_an_earlier_layout_becomes_what_a_new_one_is_by_opening_it_and_by_hand() {
    let new = Server::shared().create_database();
    drop(open(&new.url()).await);
    for (layout, lacks, by_hand) in [
        (1, "blocked_streams", false),
        (1, "blocked_streams", true),
        (2, "projected_streams", false),
        (2, "projected_streams", true),
        (3, "outbox_of_deleted", false),
        (3, "outbox_of_deleted", true),
        (3, "subscriptions", false),
        (3, "subscriptions", true),
        (4, "outbox_entries", false),
        (4, "outbox_entries", true),
        (5, "subject_keys", false),
        (5, "subject_keys", true),
    ] {
        let (scene, stream) = of_layout(layout).await;
        let options = || PostgresBackend::options(scene.database.url());
        let missing = options().migrate(false).open().await.unwrap_err();
        assert!(matches!(&missing, Error::MigrationNeeded { problem } if problem.contains(lacks)));
        let printed = options().migration().await.unwrap();
        let alters_what_is_shared = ["streams", "events", "snapshots"]
            .iter()
            .any(|table| printed.contains(&format!("ALTER TABLE \"public\".event_sourcery_{table} ")));
        assert!(!alters_what_is_shared, "{printed}");
        if by_hand {
            scene.database.psql(&format!("BEGIN; {printed} COMMIT;"));
        }
        let store = open(&scene.database.url()).await;
        assert_eq!(options().migration().await.unwrap(), "");
        assert_eq!(schema(&scene.database), schema(&new));
        assert_eq!(length(&store, &stream).await, 1);
    }
}

/// No lock is needed on a table that is there, but for the one that holds the layout's number.
#[tokio::test]
async fn a_store_of_an_earlier_layout_is_migrated_while_a_transaction_is_open_and_others_append() {
    for layout in [1, 2, 3, 4, 5] {
        let (scene, _) = of_layout(layout).await;
        let mut open_one = scene.begin().await;
        scene.store.within(&mut open_one).append(&StreamId::random(), event()).await.unwrap();
        let store = open(&scene.database.url()).await;
        store.append(&StreamId::random(), event()).await.unwrap();
        scene.store.append(&StreamId::random(), event()).await.unwrap();
        open_one.commit().await.unwrap();
        assert_eq!(scene.events().await, 4);
        assert_eq!(scene.database.psql("SELECT version FROM event_sourcery_layout"), "6");
    }
}

#[tokio::test]
async fn the_longest_prefix_leaves_room_for_every_name() {
    let (database, prefix) = (Server::shared().create_database(), "p".repeat(24));
    let options = || PostgresBackend::options(database.url()).table_prefix(prefix.clone());
    drop(options().open().await.unwrap());
    assert_eq!(options().migration().await.unwrap(), "", "every table and index is found by its name");
    let longest = "SELECT max(length(relname)) < 63 FROM pg_class WHERE relnamespace = 'public'::regnamespace
                   AND relkind IN ('r', 'i') AND relname NOT LIKE '%\\_key' AND relname NOT LIKE '%\\_idx'";
    assert_eq!(database.psql(longest), "t");
}
