//! What blocked streams have in the outbox: it is found without an index that has every entry, and in files of the layout before.

use std::sync::Mutex;
use std::time::Duration;

use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery::{Error, EventStore, RawEvent, StreamId, TenantId};
use event_sourcery_sqlite::rusqlite::Connection;
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};
use tokio::time::timeout;

use crate::failures::Folder;

type Store = EventStore<SqliteBackend>;

/// It takes what it is handed, but for some entries, and notes where the events of those stand that it takes.
struct Post<F> {
    refuses: F,
    taken: Mutex<Vec<i64>>,
}

impl<F: Fn(&OutboxEntry) -> bool + Send + Sync> Post<F> {
    fn refusing(refuses: F) -> Self {
        Self { refuses, taken: Mutex::default() }
    }

    fn taken(&self) -> Vec<i64> {
        self.taken.lock().unwrap().clone()
    }
}

impl<F: Fn(&OutboxEntry) -> bool + Send + Sync> Publisher for Post<F> {
    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        let answer = |entry: &OutboxEntry| {
            if (self.refuses)(entry) {
                return Err(PublishError::refused("too heavy"));
            }
            self.taken.lock().unwrap().push(entry.recorded().position.to_i64());
            Ok(())
        };
        Box::pin(std::future::ready(entries.iter().map(answer).collect()))
    }
}

async fn open(folder: &Folder) -> Store {
    folder.store().await.with_outbox(|_| true).unwrap()
}

async fn append(store: &Store, stream: &StreamId, events: usize) {
    let event = || RawEvent::new("Happened", "{}").unwrap();
    store.append(stream, (0..events).map(|_| event()).collect::<Vec<_>>()).no_versioning().await.unwrap();
}

async fn publish(store: &Store, post: impl Publisher) {
    store.outbox().attempts(1).pauses(Duration::ZERO, Duration::ZERO).run(post).await.unwrap();
}

/// Publishes until this has been taken.
async fn publish_until<F>(store: &Store, post: &Post<F>, taken: &[i64])
where
    F: Fn(&OutboxEntry) -> bool + Send + Sync,
{
    let all_of_it = async {
        while post.taken() != taken {
            publish(store, post).await;
        }
    };
    timeout(Duration::from_secs(60), all_of_it).await.unwrap_or_else(|_| panic!("{:?}", post.taken()));
}

fn number(sql: &Connection, query: &str) -> i64 {
    sql.query_row(query, [], |row| row.get(0)).unwrap()
}

const ON_RECORD: &str = "SELECT count(*) FROM event_sourcery_blocked_entries";

#[tokio::test]
async fn what_waits_in_a_file_of_layout_7_is_published_after_the_migration_and_then_is_not_on_record() {
    let (folder, blocked, other) = (Folder::new(), StreamId::random(), StreamId::random());
    let (store, sql) = (open(&folder).await, folder.foreign_connection());
    let post = Post::refusing(|entry| entry.recorded().stream_id == blocked);
    for events in [2, 1] {
        append(&store, &blocked, events).await;
        append(&store, &other, 1).await;
        publish(&store, &post).await;
    }
    assert_eq!(post.taken(), [3, 5]);
    assert_eq!(number(&sql, ON_RECORD), 3, "what a blocked stream has, and nothing else");
    drop(store);
    let before = "
        DROP TABLE event_sourcery_blocked_entries;
        DROP INDEX ix_event_sourcery_outbox_entries_of_others;
        CREATE INDEX ix_event_sourcery_outbox_entries_stream ON event_sourcery_outbox_entries (stream_uuid, position);
        UPDATE event_sourcery_layout SET version = 7";
    sql.execute_batch(before).unwrap();
    let refused = SqliteOptions::new(folder.path()).migrate(false).open().await;
    let Err(Error::MigrationNeeded { problem }) = refused else { panic!("a migration is needed") };
    assert!(problem.contains("CREATE TABLE event_sourcery_blocked_entries"), "{problem}");
    assert!(problem.contains("DROP INDEX ix_event_sourcery_outbox_entries_stream"), "{problem}");
    let store = open(&folder).await;
    assert_eq!(SqliteOptions::new(folder.path()).migration().unwrap(), "");
    let by_stream = "
        SELECT count(*) FROM sqlite_schema i JOIN pragma_index_info(i.name) c
        WHERE i.type = 'index' AND i.tbl_name = 'event_sourcery_outbox_entries' AND c.name = 'stream_uuid'";
    assert_eq!(number(&sql, by_stream), 0, "an append writes to no page of its stream in the outbox");
    let parked = store.outbox().parked().await.unwrap();
    store.outbox().replay(&parked[0]).await.unwrap();
    publish_until(&store, &Post::refusing(|_| false), &[1, 2, 4]).await;
    assert_eq!(number(&sql, ON_RECORD), 0);
}

#[tokio::test]
async fn of_two_tenants_streams_of_one_uuid_each_has_what_it_waits_for_when_the_other_goes_on() {
    let (folder, stream, post) = (Folder::new(), StreamId::random(), Post::refusing(|_| true));
    let store = open(&folder).await;
    for tenant in ["acme", "globex"] {
        append(&store.for_tenant(TenantId::new(tenant).unwrap()), &stream, 2).await;
    }
    publish(&store, &post).await;
    let parked = store.outbox().parked().await.unwrap();
    assert_eq!(parked.iter().map(|parked| parked.tenant.as_str()).collect::<Vec<_>>(), ["acme", "globex"]);
    let post = Post::refusing(|_| false);
    store.outbox().replay(&parked[0]).await.unwrap();
    publish_until(&store, &post, &[1, 2]).await;
    store.outbox().replay(&parked[1]).await.unwrap();
    publish_until(&store, &post, &[1, 2, 3, 4]).await;
    assert_eq!(number(&folder.foreign_connection(), ON_RECORD), 0);
}
