//! Two stores in one file.

use event_sourcery::{Error, EventStore, NewEvent, Position, RawEvent, StreamId};
use event_sourcery_sqlite::rusqlite::Connection;
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};
use uuid::Uuid;

use super::{Folder, event, length};

async fn store(folder: &Folder, prefix: &str) -> EventStore<SqliteBackend> {
    EventStore::new(SqliteOptions::new(folder.path()).table_prefix(prefix).open().await.unwrap())
}

#[tokio::test]
async fn two_prefixes_in_one_file_are_two_stores_that_share_nothing() {
    let folder = Folder::new();
    let (billing, shipping) = (store(&folder, "billing_").await, store(&folder, "shipping_").await);
    let (stream, id) = (StreamId::from_name("orders/7").unwrap(), Uuid::now_v7());
    billing.append(&stream, [event(), event()]).await.unwrap();
    assert_eq!(length(&shipping, &stream).await, 0);
    assert_eq!(shipping.position().await.unwrap(), Position::START);
    let with_id = || NewEvent::new(event()).with_id(id);
    billing.append(&StreamId::random(), with_id()).await.unwrap();
    let same_id = shipping.append(&stream, with_id()).await.unwrap();
    assert_eq!(
        (same_id.first_version, same_id.repeated),
        (Some(1), false),
        "an event id counts in its store only"
    );
    shipping.delete_stream(&stream).await.unwrap();
    assert_eq!((length(&billing, &stream).await, length(&shipping, &stream).await), (2, 0));
}

#[tokio::test]
async fn an_empty_prefix_is_a_prefix() {
    let folder = Folder::new();
    let (plain, other) = (store(&folder, "").await, store(&folder, "event_sourcery_").await);
    let stream = StreamId::random();
    plain.append(&stream, event()).await.unwrap();
    assert_eq!((length(&plain, &stream).await, length(&other, &stream).await), (1, 0));
}

/// The row that a store's own append would have made, in another store's transaction.
fn count(connection: &Connection, table: &str) -> i64 {
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn one_closure_writes_to_two_stores_of_one_file_or_to_neither() {
    let folder = Folder::new();
    let (billing, shipping) = (store(&folder, "billing_").await, store(&folder, "shipping_").await);
    for fails in [true, false] {
        let stream = StreamId::from_name("orders/7").unwrap();
        let written: Result<(), Error> = billing
            .transaction(move |tx| {
                tx.append(&stream, event()).run()?;
                let into_other =
                    "INSERT INTO shipping_projector_cursors (name, stream_id, version) VALUES ('a', 'b', 1)";
                tx.connection().execute(into_other, []).map_err(crate::appender::own_error)?;
                if fails { Err(Error::Closed) } else { Ok(()) }
            })
            .await;
        assert_eq!(written.is_err(), fails);
        let foreign = folder.foreign_connection();
        let both = (count(&foreign, "billing_events"), count(&foreign, "shipping_projector_cursors"));
        assert_eq!(both, if fails { (0, 0) } else { (1, 1) });
    }
    assert_eq!(
        shipping.load_stream::<RawEvent>(&StreamId::from_name("orders/7").unwrap()).await.unwrap().len(),
        0
    );
}
