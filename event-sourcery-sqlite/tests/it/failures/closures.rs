//! Closures that run in a transaction and fail, each in its way: nothing of them is kept, and the writer lives on.

use std::fmt::Debug;

use event_sourcery::{Error, EventStore, RawEvent, Result, StreamId, Within};
use event_sourcery_sqlite::{SqliteBackend, SqliteTransaction};

use super::{Folder, event, length};
use crate::appender::own_error;

type Tx<'a, 't> = Within<'a, SqliteTransaction<'t>>;

/// A store beside a table of the caller's own.
struct Shop {
    store: EventStore<SqliteBackend>,
    stream: StreamId,
    folder: Folder,
}

impl Shop {
    async fn new() -> Self {
        let folder = Folder::new();
        let store = folder.store().await;
        folder.foreign_connection().execute_batch("CREATE TABLE orders (number INTEGER)").unwrap();
        Self { store, stream: StreamId::random(), folder }
    }

    fn orders(&self) -> i64 {
        let count = "SELECT count(*) FROM orders";
        self.folder.foreign_connection().query_row(count, [], |row| row.get(0)).unwrap()
    }

    /// Nothing was kept, and the writer goes on: alone, in groups and with closures.
    async fn check_untouched(&self) {
        assert_eq!((self.orders(), length(&self.store, &self.stream).await), (0, 0), "nothing is kept");
        self.store.append(&StreamId::random(), event()).await.expect("the writer lives on");
        let stream = self.stream.clone();
        self.store.transaction(move |tx| order(tx, &stream)).await.expect("the writer runs closures");
        assert_eq!((self.orders(), length(&self.store, &self.stream).await), (1, 1));
    }
}

/// An order: the caller's row, and the event.
fn order(tx: &mut Tx<'_, '_>, stream: &StreamId) -> Result<()> {
    tx.connection().execute("INSERT INTO orders VALUES (1)", []).map_err(own_error)?;
    tx.append(stream, event()).run().map(drop)
}

fn run(tx: &Tx<'_, '_>, sql: &str) -> Result<()> {
    tx.connection().execute_batch(sql).map_err(own_error)
}

fn ended_inside<T: Debug>(result: Result<T>) {
    let error = result.unwrap_err();
    assert!(
        matches!(&error, Error::Backend { backend: "sqlite", source, .. } if source.to_string().contains("closure")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_closure_that_panics_panics_in_its_caller() {
    let shop = Shop::new().await;
    let (store, stream) = (shop.store.clone(), shop.stream.clone());
    let call = tokio::spawn(async move {
        let work = move |tx: &mut Tx<'_, '_>| -> Result<()> {
            order(tx, &stream)?;
            panic!("out of stock")
        };
        store.transaction(work).await
    });
    let panic = call.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref(), Some(&"out of stock"));
    shop.check_untouched().await;
}

#[tokio::test]
async fn a_closures_own_error_comes_through_and_nothing_is_kept() {
    #[derive(Debug)]
    enum Refusal {
        OutOfStock { left: u32 },
        Store(Error),
    }
    impl From<Error> for Refusal {
        fn from(error: Error) -> Self {
            Self::Store(error)
        }
    }
    let shop = Shop::new().await;
    let stream = shop.stream.clone();
    let refused = shop.store.transaction::<(), _, _>(move |tx| {
        order(tx, &stream)?;
        Err(Refusal::OutOfStock { left: 3 })
    });
    assert!(matches!(refused.await, Err(Refusal::OutOfStock { left: 3 })));
    let stream = shop.stream.clone();
    let conflict = shop.store.transaction::<(), Refusal, _>(move |tx| {
        order(tx, &stream)?;
        tx.append(&stream, event()).expected_version(5).run()?;
        Ok(())
    });
    assert!(matches!(conflict.await, Err(Refusal::Store(Error::Conflict { expected: 5, actual: 1, .. }))));
    shop.check_untouched().await;
}

#[tokio::test]
async fn a_closure_that_ends_the_transaction_gets_an_error_and_nothing_is_kept() {
    for end in ["COMMIT", "ROLLBACK", "END", "COMMIT; BEGIN", "ROLLBACK; BEGIN IMMEDIATE"] {
        for heeds_the_error in [true, false] {
            let shop = Shop::new().await;
            let stream = shop.stream.clone();
            let ended = shop.store.transaction(move |tx| {
                order(tx, &stream)?;
                let ended = end.split("; ").try_for_each(|statement| run(tx, statement));
                if heeds_the_error { ended } else { Ok(()) }
            });
            let ended: Result<()> = ended.await;
            assert!(matches!(ended, Err(Error::Backend { .. })), "{end}: {ended:?}");
            shop.check_untouched().await;
        }
    }
}

#[tokio::test]
async fn what_a_closure_writes_after_it_has_ended_the_transaction_is_not_kept() {
    for end in ["COMMIT", "ROLLBACK"] {
        for again in ["SELECT 1", "BEGIN", "SAVEPOINT own"] {
            let shop = Shop::new().await;
            let stream = shop.stream.clone();
            let ended = shop.store.transaction(move |tx| {
                let _ = run(tx, end);
                let _ = run(tx, again);
                let _ = order(tx, &stream);
                let _ = run(tx, "COMMIT");
                let _ = tx.append(&stream, event()).run();
                Ok(())
            });
            ended_inside(ended.await);
            shop.check_untouched().await;
        }
    }
}

/// SQLite ends the transaction by itself when the disk is full; a closure may overlook it.
#[tokio::test]
async fn a_closure_that_goes_on_after_the_disk_was_full_keeps_nothing() {
    let shop = Shop::new().await;
    let stream = shop.stream.clone();
    let ended = shop.store.transaction(move |tx| {
        order(tx, &stream)?;
        let limit_to = |tx: &Tx<'_, '_>, pages: u32| {
            tx.connection()
                .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
                .map_err(own_error)
        };
        limit_to(tx, 1)?;
        let large = RawEvent::new("Large", format!("{{\"a\":\"{}\"}}", "x".repeat(100_000)))?;
        let refused = tx.append(&StreamId::random(), large).run().unwrap_err();
        assert!(matches!(refused, Error::StorageFull { .. }), "{refused:?}");
        limit_to(tx, 1_000_000)?;
        let _ = order(tx, &stream);
        Ok(())
    });
    ended_inside(ended.await);
    shop.check_untouched().await;
}

#[tokio::test]
async fn a_refused_append_leaves_its_transaction_usable_and_nothing_of_itself() {
    let shop = Shop::new().await;
    let (stream, other) = (shop.stream.clone(), StreamId::random());
    let (kept, never_made) = (stream.clone(), other.clone());
    let done: Result<()> = shop
        .store
        .transaction(move |tx| {
            order(tx, &stream)?;
            let conflict =
                tx.append(&other, event()).and(&stream, event()).expected_version(9).run().unwrap_err();
            assert!(matches!(conflict, Error::Conflict { expected: 9, actual: 1, .. }), "{conflict:?}");
            assert!(tx.load_stream::<RawEvent>(&other).run()?.is_empty(), "the other stream was not made");
            tx.append(&stream, event()).expected_version(1).run()?;
            Ok(())
        })
        .await;
    done.unwrap();
    assert_eq!((shop.orders(), length(&shop.store, &kept).await), (1, 2));
    assert_eq!(length(&shop.store, &never_made).await, 0);
}

#[tokio::test]
async fn a_commit_that_the_callers_own_constraint_refuses_keeps_nothing() {
    let shop = Shop::new().await;
    let tables = "CREATE TABLE customers (id INTEGER PRIMARY KEY);
        CREATE TABLE bills (customer INTEGER REFERENCES customers (id) DEFERRABLE INITIALLY DEFERRED)";
    shop.folder.foreign_connection().execute_batch(tables).unwrap();
    let stream = shop.stream.clone();
    let refused = shop.store.transaction(move |tx| {
        order(tx, &stream)?;
        run(tx, "INSERT INTO bills VALUES (1003)")
    });
    let refused = refused.await.unwrap_err();
    assert!(
        matches!(&refused, Error::Backend { source, .. } if source.to_string().contains("FOREIGN KEY")),
        "{refused:?}"
    );
    shop.check_untouched().await;
}
