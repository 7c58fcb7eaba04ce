//! What tags and boundaries are on SQLite beyond the contract: rows that go with their events, and positions that are given again.

use event_sourcery::{
    Error, Event as _, EventStore, NewEvent, Query, QueryItem, RawEvent, Selection, StreamId, Tag,
};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};
use uuid::Uuid;

use crate::failures::Folder;

fn course() -> Query {
    QueryItem::new().tagged(Tag::new("course", "c1").unwrap()).into()
}

fn opened() -> NewEvent<RawEvent> {
    RawEvent::new("Opened", "{}").unwrap().with_tags([Tag::new("course", "c1").unwrap()])
}

async fn read(store: &EventStore<SqliteBackend>) -> Selection<RawEvent> {
    store.read(&course()).await.unwrap()
}

/// What was read in a transaction that is rolled back, with this many events of its own.
async fn read_and_rolled_back(store: &EventStore<SqliteBackend>, own: usize) -> Selection<RawEvent> {
    let (tell, told) = std::sync::mpsc::channel();
    let rolled_back = store.transaction::<(), Error, _>(move |tx| {
        for _ in 0..own {
            tx.append(&StreamId::random(), opened()).run()?;
        }
        let _ = tell.send(tx.read(&course()).run()?);
        Err(Error::Closed)
    });
    assert!(matches!(rolled_back.await, Err(Error::Closed)));
    told.recv().unwrap()
}

#[tokio::test]
async fn what_was_read_in_a_transaction_that_was_rolled_back_decides_nothing_although_its_positions_are_given_again()
 {
    let folder = Folder::new();
    let store = folder.store().await;
    store.append(&StreamId::random(), opened()).await.unwrap();
    for others in [0, 1, 2] {
        let within = read_and_rolled_back(&store, 1).await;
        for _ in 0..others {
            store.append(&StreamId::random(), opened()).await.unwrap();
        }
        assert_eq!(read(&store).await.events.len(), within.events.len() - 1 + others);
        let decided = store.append(&StreamId::random(), opened()).unless_moved(&within.boundary).await;
        assert!(matches!(decided, Err(Error::BoundaryMoved { .. })), "{others}: {decided:?}");
    }
    // One that had read nothing of its own holds.
    let within = read_and_rolled_back(&store, 0).await;
    store.append(&StreamId::random(), opened()).unless_moved(&within.boundary).await.unwrap();
}

#[tokio::test]
async fn what_was_read_behind_a_savepoint_decides_nothing_once_that_is_taken_back_and_its_position_and_id_are_anothers()
 {
    let folder = Folder::new();
    let store = folder.store().await;
    let decided = store.transaction::<_, Error, _>(|tx| {
        let id = Uuid::now_v7();
        tx.append(&StreamId::random(), opened()).run()?;
        tx.connection().execute_batch("SAVEPOINT own").unwrap();
        tx.append(&StreamId::random(), opened().with_id(id)).run()?;
        let within = tx.read::<RawEvent>(&course()).run()?;
        tx.connection().execute_batch("ROLLBACK TO own; RELEASE own").unwrap();
        let closed = RawEvent::new("Closed", "{}")?.with_tags([Tag::new("course", "c1")?]).with_id(id);
        let untagged = RawEvent::new("Noted", "{}")?;
        tx.append(&StreamId::random(), closed).run()?;
        let now = tx.read::<RawEvent>(&course()).run()?;
        let refused = tx.append(&StreamId::random(), untagged.clone()).unless_moved(&within.boundary).run();
        tx.append(&StreamId::random(), untagged).unless_moved(&now.boundary).run()?;
        Ok((refused, now.boundary))
    });
    let (refused, now) = decided.await.unwrap();
    assert!(matches!(refused, Err(Error::BoundaryMoved { .. })), "{refused:?}");
    // What is committed is what was read.
    store.append(&StreamId::random(), opened()).unless_moved(&now).await.unwrap();
}

#[tokio::test]
async fn the_tags_of_deleted_events_are_removed_with_them() {
    let folder = Folder::new();
    let (store, stream) = (folder.store().await, StreamId::random());
    store.append(&stream, vec![opened(); 40]).await.unwrap();
    store.append(&StreamId::random(), opened()).await.unwrap();
    store.delete_stream(&stream).await.unwrap();
    assert_eq!(read(&store).await.events.len(), 1);
    let left = "SELECT count(*) FROM event_sourcery_event_tags
                WHERE position NOT IN (SELECT id FROM event_sourcery_events)";
    let left = folder.foreign_connection().query_row(left, [], |row| row.get::<_, i64>(0));
    assert_eq!(left, Ok(0));
}

#[tokio::test]
async fn a_file_of_the_layout_before_gets_the_tables_of_tags() {
    let folder = Folder::new();
    drop(folder.store().await);
    let before = "DROP TABLE event_sourcery_event_tags; DROP TABLE event_sourcery_stream_deletions; UPDATE event_sourcery_layout SET version = 6";
    folder.foreign_connection().execute_batch(before).unwrap();
    let refused = SqliteOptions::new(folder.path()).migrate(false).open().await;
    let Err(Error::MigrationNeeded { problem }) = refused else { panic!("a migration is needed") };
    assert!(problem.contains("CREATE TABLE event_sourcery_event_tags"), "{problem}");
    let store = folder.store().await;
    assert_eq!(SqliteOptions::new(folder.path()).migration().unwrap(), "");
    store.append(&StreamId::random(), opened()).await.unwrap();
    assert_eq!(read(&store).await.events[0].wrapped_event.tags, [Tag::new("course", "c1").unwrap()]);
}
