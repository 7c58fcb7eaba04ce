//! Stores of earlier layouts: brought to this one, with others at work on them.

use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery::{Error, StreamId};
use event_sourcery_postgres::PostgresBackend;
use postgres_cluster::{Database, Server};

use crate::scene::{Scene, event, length, open, until};

/// Takes back what each layout has added, to the one before it.
const TAKE_BACK: [(i32, &str); 7] = [
    (
        7,
        "DROP TABLE event_sourcery_blocked_entries;
         CREATE INDEX ix_event_sourcery_outbox_entries_stream ON event_sourcery_outbox_entries ((data ->> 'stream_id'), position)",
    ),
    (
        6,
        "DROP TABLE event_sourcery_tags, event_sourcery_tagged_events, event_sourcery_event_tags,
                    event_sourcery_stream_deletions",
    ),
    (
        5,
        "DROP TABLE event_sourcery_subject_keys;
         DROP TABLE event_sourcery_subscription_presences;
         ALTER TABLE event_sourcery_subscription_members DROP COLUMN presence",
    ),
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
        (5, "subscription_presences", false),
        (5, "subscription_presences", true),
        (5, "subject_keys", false),
        (5, "subject_keys", true),
        (6, "tagged_events", false),
        (6, "tagged_events", true),
        (7, "blocked_entries", false),
        (7, "blocked_entries", true),
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

/// No lock is needed on a table that is there, but for the one that holds the layout's number, and the outbox, which loses an index.
#[tokio::test]
async fn a_store_of_an_earlier_layout_is_migrated_while_a_transaction_is_open_and_others_append() {
    for layout in [1, 2, 3, 4, 5, 6, 7] {
        let (scene, _) = of_layout(layout).await;
        let mut open_one = scene.begin().await;
        scene.store.within(&mut open_one).append(&StreamId::random(), event()).await.unwrap();
        let store = open(&scene.database.url()).await;
        store.append(&StreamId::random(), event()).await.unwrap();
        scene.store.append(&StreamId::random(), event()).await.unwrap();
        open_one.commit().await.unwrap();
        assert_eq!(scene.events().await, 4);
        assert_eq!(scene.database.psql("SELECT version FROM event_sourcery_layout"), "8");
    }
}

/// It takes everything, or nothing.
struct Post {
    takes: bool,
}

impl Publisher for Post {
    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        let answer = |_| if self.takes { Ok(()) } else { Err(PublishError::refused("too heavy")) };
        Box::pin(std::future::ready(entries.iter().map(answer).collect()))
    }
}

#[tokio::test]
async fn what_waits_in_the_outbox_of_layout_7_is_published_after_the_migration_and_then_is_not_on_record() {
    let scene = Scene::new().await;
    let store = scene.store.clone().with_outbox(|_| true).unwrap();
    store.append(&StreamId::random(), [event(), event()]).await.unwrap();
    store.outbox().attempts(1).run(Post { takes: false }).await.unwrap();
    let on_record = "SELECT count(*) FROM event_sourcery_blocked_entries";
    assert_eq!(scene.number(on_record).await, 2);
    let (_, take_back) = TAKE_BACK[0];
    scene.database.psql(&format!("{take_back}; UPDATE event_sourcery_layout SET version = 7"));
    let store = open(&scene.database.url()).await;
    let parked = store.outbox().parked().await.unwrap();
    store.outbox().replay(&parked[0]).await.unwrap();
    until(async || {
        store.outbox().run(Post { takes: true }).await.unwrap();
        scene.number("SELECT count(*) FROM event_sourcery_outbox_entries").await == 0
    })
    .await;
    assert_eq!(scene.number(on_record).await, 0);
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
