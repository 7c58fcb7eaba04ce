//! Streams that are too long to be removed at once: hidden when they are deleted, removed bit by bit.

use event_sourcery::backend::{Backend as _, OutboxRequest};
use event_sourcery::{Category, Event as _, EventStore, NewEvent, Position, RawEvent, StreamId};
use event_sourcery_sqlite::rusqlite::Connection;
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions, Synchronous};
use tokio::time::{Duration, Instant, sleep};
use uuid::Uuid;

use crate::failures::Folder;
use crate::held_writer::together;
use crate::process::{once_more_on, store_path};

type Store = EventStore<SqliteBackend>;

/// So many events take longer to be removed than a deletion takes, and than it takes to do something else meanwhile.
const MANY: u64 = 40_000;

fn stream() -> StreamId {
    StreamId::from_name("long").unwrap().in_category("ledgers").unwrap()
}

fn event(number: u64) -> NewEvent<RawEvent> {
    let event = RawEvent::new("Happened", format!(r#"{{"number":{number}}}"#)).unwrap();
    event.with_id(Uuid::from_u128(u128::from(number) + 1))
}

async fn open(folder: &Folder) -> Store {
    let fast = SqliteOptions::new(folder.path()).synchronous(Synchronous::Off);
    EventStore::new(fast.open().await.unwrap())
}

async fn filled(folder: &Folder) -> Store {
    let store = open(folder).await;
    fill(&store, &stream()).await;
    store
}

async fn fill(store: &Store, stream: &StreamId) {
    for first in (0..MANY).step_by(2_000) {
        let append = store.append(stream, (first..first + 2_000).map(event).collect::<Vec<_>>());
        append.expected_version(first).await.unwrap();
    }
}

fn number(sql: &Connection, query: &str) -> u64 {
    sql.query_row(query, [], |row| row.get(0)).unwrap()
}

fn rows(sql: &Connection) -> u64 {
    number(sql, "SELECT count(*) FROM event_sourcery_events")
}

async fn all(store: &Store) -> Vec<Uuid> {
    let (mut events, mut ids) = (store.read_all::<RawEvent>().stream(), Vec::new());
    while let Some(event) = events.try_next().await.unwrap() {
        ids.push(event.wrapped_event.uuid);
    }
    ids
}

/// Waits until there are no more rows than this, and no stream is hidden.
async fn until_left(sql: &Connection, events: u64, streams: u64) {
    let give_up = Instant::now() + Duration::from_secs(60);
    while rows(sql) > events || number(sql, "SELECT count(*) FROM event_sourcery_streams") > streams {
        assert!(Instant::now() < give_up, "{} rows are left", rows(sql));
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(rows(sql), events);
}

#[tokio::test]
async fn what_is_called_behind_a_long_deletion_is_answered_while_its_rows_are_still_there() {
    let folder = Folder::new();
    let (store, sql) = (filled(&folder).await, folder.foreign_connection());
    store.delete_stream(&stream()).await.unwrap();
    let other = StreamId::random();
    store.append(&other, event(MANY)).await.unwrap();
    assert!(rows(&sql) > 1, "everything was removed before the append was answered");
    assert!(store.load_stream::<RawEvent>(&stream()).await.unwrap().is_empty());
    assert_eq!(all(&store).await, [Uuid::from_u128(u128::from(MANY) + 1)]);
    let ledgers = Category::new("ledgers").unwrap();
    let in_category = store.read_all::<RawEvent>().category(ledgers).stream().try_next().await.unwrap();
    assert!(in_category.is_none());
    until_left(&sql, 1, 1).await;
}

/// Half of the ids are taken before anything is removed, by one append; it is not to go with what is removed.
#[tokio::test]
async fn what_is_appended_meanwhile_is_another_stream_and_may_have_the_ids_of_the_one_that_goes() {
    let folder = Folder::new();
    let (store, sql) = (filled(&folder).await, folder.foreign_connection());
    store.delete_stream(&stream()).await.unwrap();
    let again = || (MANY - 1_000..MANY).map(event).collect::<Vec<_>>();
    let appended = store.append(&stream(), again()).await.unwrap();
    assert_eq!((appended.first_version, appended.repeated), (Some(1), false));
    assert!(rows(&sql) > 1_000, "everything was removed before the append was answered");
    assert!(store.append(&stream(), again()).await.unwrap().repeated);
    until_left(&sql, 1_000, 1).await;
    let loaded = store.load_stream::<RawEvent>(&stream()).await.unwrap();
    let ids: Vec<_> = loaded.iter().map(|event| event.uuid).collect();
    assert_eq!((ids, loaded[0].version), (all(&store).await, Some(1)));
}

#[tokio::test]
async fn a_deletion_that_is_rolled_back_leaves_the_whole_stream() {
    let folder = Folder::new();
    let (store, sql) = (filled(&folder).await, folder.foreign_connection());
    let refused = store.transaction::<(), event_sourcery::Error, _>(|tx| {
        tx.delete_stream(&stream()).run()?;
        assert!(tx.load_stream::<RawEvent>(&stream()).run()?.is_empty());
        Err(event_sourcery::Error::Closed)
    });
    refused.await.unwrap_err();
    store.append(&StreamId::random(), event(MANY)).await.unwrap();
    assert_eq!(rows(&sql), MANY + 1);
    assert_eq!(store.version(&stream()).await.unwrap(), Some(MANY));
}

/// Whoever had the store goes away in the middle of it.
async fn assert_goes_on_after(leave: impl AsyncFnOnce(&Folder)) {
    let folder = Folder::new();
    drop(filled(&folder).await);
    leave(&folder).await;
    let sql = folder.foreign_connection();
    assert!(rows(&sql) > 0, "everything was removed before it went away");
    let last = number(&sql, "SELECT seq FROM sqlite_sequence WHERE name = 'event_sourcery_events'");
    let store = open(&folder).await;
    assert!(store.load_stream::<RawEvent>(&stream()).await.unwrap().is_empty());
    assert!(all(&store).await.is_empty());
    until_left(&sql, 0, 0).await;
    let appended = store.append(&stream(), event(0)).await.unwrap();
    assert_eq!((appended.first_version, appended.repeated), (Some(1), false));
    assert_eq!(appended.position.to_i64().cast_unsigned(), last + 1);
}

#[tokio::test]
async fn what_is_left_when_the_store_is_closed_is_removed_once_it_is_open_again() {
    assert_goes_on_after(async |folder| {
        let store = open(folder).await;
        store.delete_stream(&stream()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_a_crash_leaves_is_as_hidden_as_before_and_removed_once_the_store_is_open_again() {
    if let Some(path) = store_path() {
        let store = EventStore::new(SqliteBackend::open(path).await.unwrap());
        store.delete_stream(&stream()).await.unwrap();
        std::process::abort();
    }
    let test = concat!(
        module_path!(),
        "::what_a_crash_leaves_is_as_hidden_as_before_and_removed_once_the_store_is_open_again"
    );
    assert_goes_on_after(async |folder| {
        let child = once_more_on(test, folder.path()).status().unwrap();
        assert!(!child.success(), "it was to crash");
    })
    .await;
}

/// A process that only reads, and one that is not the one that removes, see nothing of it either.
#[tokio::test]
async fn another_process_sees_nothing_of_what_is_left() {
    let folder = Folder::new();
    drop(filled(&folder).await);
    let store = open(&folder).await;
    store.delete_stream(&stream()).await.unwrap();
    drop(store);
    let sql = folder.foreign_connection();
    let left = rows(&sql);
    assert!(left > 0, "everything was removed before it was closed");
    let reader = SqliteOptions::new(folder.path()).read_only(true).open().await.unwrap();
    let reader = EventStore::new(reader);
    assert!(all(&reader).await.is_empty());
    assert_eq!(rows(&sql), left, "who only reads removes nothing");
}

/// An entry of Event Sourcery for Python does not tell its category. Its event would, which is still there.
#[tokio::test]
async fn an_entry_of_a_stream_without_a_category_has_none_while_what_is_left_of_that_is_hidden() {
    let folder = Folder::new();
    let (store, sql, stream) = (open(&folder).await, folder.foreign_connection(), StreamId::random());
    fill(&store, &stream).await;
    let enter = "INSERT INTO event_sourcery_outbox_entries (created_at, data, position, tries_left)
        SELECT created_at, json_object('uuid', uuid, 'stream_id', ?1, 'created_at', created_at, 'version', version,
               'name', name, 'data', json(data), 'context', json(event_context), 'tenant_id', ''), id, 3
        FROM event_sourcery_events ORDER BY id DESC LIMIT 1";
    sql.execute(enter, [stream.uuid().to_string()]).unwrap();
    store.delete_stream(&stream).await.unwrap();
    drop(store);
    let is_there = format!("SELECT count(*) FROM event_sourcery_events WHERE id = {MANY}");
    assert_eq!(number(&sql, &is_there), 1, "its event was removed before the store was closed");
    let reader = SqliteOptions::new(folder.path()).read_only(true).open().await.unwrap();
    let page = reader.outbox(OutboxRequest::new(Position::START, 10)).await.unwrap();
    assert_eq!(page.records.iter().map(|record| &record.stream).collect::<Vec<_>>(), [&stream]);
}

/// The user's table refers to one of them: he has to let it go first.
#[tokio::test]
async fn a_foreign_key_of_the_users_keeps_what_it_refers_to_and_nothing_else_from_being_removed() {
    let folder = Folder::new();
    drop(open(&folder).await);
    let sql = folder.foreign_connection();
    let hidden = "
        INSERT INTO event_sourcery_streams (id, uuid, category, tenant_id)
        VALUES (1, '01', char(0), char(0)), (2, '02', char(0), char(0));
        INSERT INTO event_sourcery_events (uuid, name, data, event_context, created_at, db_stream_id)
        SELECT 'of ' || id, 'Happened', '{}', '{}', '2024-05-01 12:00:00.000000', id FROM event_sourcery_streams ORDER BY id;
        CREATE TABLE audited (event INTEGER REFERENCES event_sourcery_events (id));
        INSERT INTO audited SELECT min(id) FROM event_sourcery_events";
    sql.execute_batch(hidden).unwrap();
    let store = open(&folder).await;
    until_left(&sql, 1, 1).await;
    assert!(all(&store).await.is_empty());
    store.append(&StreamId::random(), event(0)).await.unwrap();
    sql.execute("DELETE FROM audited", []).unwrap();
    drop(store);
    let store = open(&folder).await;
    until_left(&sql, 1, 1).await;
    assert_eq!(all(&store).await.len(), 1);
}

/// What removes has ended its own transactions before. That is not to have left anything to end others' by.
#[tokio::test]
async fn a_closure_that_tries_to_commit_fails_alone_also_where_something_was_removed() {
    let folder = Folder::new();
    drop(open(&folder).await);
    let sql = folder.foreign_connection();
    let hidden =
        "INSERT INTO event_sourcery_streams (uuid, category, tenant_id) VALUES ('00', char(0), char(0))";
    sql.execute(hidden, []).unwrap();
    let store = open(&folder).await;
    until_left(&sql, 0, 0).await;
    let calls = [false, true].map(|commits| {
        store.transaction(move |tx| {
            tx.append(&StreamId::random(), RawEvent::new("Happened", "{}")?).run()?;
            if commits {
                let _ = tx.connection().prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
            }
            Ok::<_, event_sourcery::Error>(())
        })
    });
    let answers = together(&store, calls).await;
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false], "{answers:?}");
    assert_eq!(rows(&sql), 1);
}
