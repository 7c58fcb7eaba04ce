//! Contract 9.1 where only SQLite can break it: listeners run on the writer, in a transaction that others share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use event_sourcery::{Error, EventStore, Heard, Listening, RawEvent, Result, Source, StreamId, Within};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions, SqliteTransaction, rusqlite};
use faulty_vfs::FaultyVfs;
use tempfile::TempDir;

use crate::failures::Folder;
use crate::held_writer::together;

type Store = EventStore<SqliteBackend>;

type Tx<'w, 't> = Within<'w, SqliteTransaction<'t>>;

const TABLE: &str = "CREATE TABLE rows (number INTEGER)";
const INSERT: &str = "INSERT INTO rows VALUES (1)";

fn event(name: &'static str) -> RawEvent {
    RawEvent::new(name, "{}").unwrap()
}

/// A store beside a table of the caller's own.
struct Shop {
    store: Store,
    folder: Folder,
}

impl Shop {
    async fn new() -> Self {
        let folder = Folder::new();
        let store = folder.store().await;
        folder.foreign_connection().execute_batch(TABLE).unwrap();
        Self { store, folder }
    }

    fn rows(&self) -> i64 {
        count(&self.folder.foreign_connection(), "rows")
    }

    fn events(&self) -> i64 {
        count(&self.folder.foreign_connection(), "event_sourcery_events")
    }

    /// Those who hear of events of this name do so.
    fn listen(
        &self,
        name: &'static str,
        listener: impl Fn(&mut Tx<'_, '_>) -> Result<(), Source> + Send + Sync + 'static,
    ) -> Listening {
        let listen = self.store.listen::<RawEvent>().event_names([name]);
        listen.in_transaction(move |_, tx| listener(tx)).unwrap()
    }

    /// Appends these at once, each to a stream of its own: which of them were appended.
    async fn append_together(&self, names: &[&'static str]) -> Vec<Result<()>> {
        let streams: Vec<_> = names.iter().map(|_| StreamId::random()).collect();
        let append = |(stream, &name): (&StreamId, &&'static str)| {
            self.store.append(stream, event(name)).into_future()
        };
        let answers = together(&self.store, streams.iter().zip(names).map(append)).await;
        answers.into_iter().map(|answer| answer.map(drop)).collect()
    }
}

fn count(connection: &rusqlite::Connection, table: &str) -> i64 {
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

fn insert(tx: &mut Tx<'_, '_>) -> Result<(), Source> {
    tx.connection().execute(INSERT, [])?;
    Ok(())
}

#[tokio::test]
async fn a_row_of_a_listener_and_the_event_are_both_there_or_neither() {
    let shop = Shop::new().await;
    shop.listen("Heard", insert);
    shop.store.append(&StreamId::random(), [event("Heard"), event("Other"), event("Heard")]).await.unwrap();
    assert_eq!((shop.rows(), shop.events()), (2, 3));
    let fails = shop.listen("Heard", |tx| {
        insert(tx)?;
        tx.connection().execute("INSERT INTO nowhere VALUES (1)", [])?;
        Ok(())
    });
    let refused = shop.store.append(&StreamId::random(), event("Heard")).await.unwrap_err();
    let Error::ListenerFailed { source, .. } = &refused else { panic!("{refused:?}") };
    assert!(source.is::<rusqlite::Error>(), "{source}");
    assert_eq!((shop.rows(), shop.events()), (2, 3));
    fails.remove();
    shop.store.append(&StreamId::random(), event("Heard")).await.unwrap();
    assert_eq!((shop.rows(), shop.events()), (3, 4));
}

#[tokio::test]
async fn of_appends_in_one_group_those_whose_listener_fails_fail_alone() {
    let shop = Shop::new().await;
    shop.listen("Heard", insert);
    for (name, panics) in [("Fails", false), ("Panics", true)] {
        shop.listen(name, move |tx| {
            insert(tx)?;
            assert!(!panics, "as it was told to");
            Err("as it was told to".into())
        });
    }
    let names = ["Heard", "Other", "Fails", "Heard", "Panics", "Other", "Heard", "Fails"];
    for round in 1..=3 {
        let answers = shop.append_together(&names).await;
        for (name, answer) in names.iter().zip(answers) {
            match answer {
                Ok(()) => assert!(["Heard", "Other"].contains(name), "{name}"),
                Err(Error::ListenerFailed { source, .. }) => {
                    assert!(["Fails", "Panics"].contains(name), "{name}");
                    assert!(source.to_string().ends_with("as it was told to"), "{source}");
                }
                Err(other) => panic!("{name}: {other:?}"),
            }
        }
        assert_eq!((shop.rows(), shop.events()), (3 * round, 5 * round));
    }
}

/// What ends the transaction of a group ends that of others, who must neither lose what was acknowledged nor be refused
/// for it.
#[tokio::test]
async fn a_listener_that_ends_the_transaction_of_its_group_fails_alone() {
    for end in
        ["COMMIT", "ROLLBACK", "END", "COMMIT; BEGIN", "ROLLBACK; BEGIN IMMEDIATE", "ROLLBACK; SAVEPOINT own"]
    {
        for heeds_the_error in [true, false] {
            let shop = Shop::new().await;
            shop.listen("Heard", insert);
            shop.listen("Ends", move |tx| {
                let ended =
                    end.split("; ").try_for_each(|statement| tx.connection().execute_batch(statement));
                // Each statement would be committed by itself by now.
                let _ = insert(tx);
                let _ = tx.append(&StreamId::random(), event("Other")).run();
                if heeds_the_error { ended.map_err(Source::from) } else { Ok(()) }
            });
            let answers = shop.append_together(&["Heard", "Ends", "Other", "Ends", "Heard"]).await;
            let told = format!("{end}, {heeds_the_error}: {answers:?}");
            assert!([0, 2, 4].iter().all(|at| answers[*at].is_ok()), "{told}");
            assert!([1, 3].iter().all(|at| answers[*at].is_err()), "{told}");
            assert_eq!((shop.rows(), shop.events()), (2, 3), "{told}");
            shop.store.append(&StreamId::random(), event("Heard")).await.expect("the writer lives on");
        }
    }
}

#[tokio::test]
async fn a_listener_that_ends_the_transaction_of_a_closure_has_ended_all_of_it() {
    for end in ["COMMIT", "ROLLBACK"] {
        let shop = Shop::new().await;
        shop.listen("Ends", move |tx| {
            let _ = tx.connection().execute_batch(end);
            Ok(())
        });
        let ended = shop.store.transaction(|tx| {
            tx.append(&StreamId::random(), event("Other")).run()?;
            tx.append(&StreamId::random(), event("Ends")).run().map(drop)
        });
        let ended = ended.await;
        assert!(matches!(ended, Err(Error::Backend { .. })), "{end}: {ended:?}");
        assert_eq!(shop.events(), 0);
        shop.store.append(&StreamId::random(), event("Other")).await.expect("the writer lives on");
    }
}

#[tokio::test]
async fn a_closure_goes_on_after_a_listener_has_failed_in_it() {
    let shop = Shop::new().await;
    shop.listen("Fails", |tx| {
        insert(tx)?;
        Err("as it was told to".into())
    });
    let done: Result<()> = shop
        .store
        .transaction(|tx| {
            let stream = StreamId::random();
            let refused = tx.append(&stream, [event("Other"), event("Fails")]).run();
            assert!(matches!(refused, Err(Error::ListenerFailed { .. })), "{refused:?}");
            assert_eq!(tx.version(&stream)?, None);
            tx.append(&stream, event("Other")).run().map(drop)
        })
        .await;
    done.unwrap();
    assert_eq!((shop.rows(), shop.events()), (0, 1));
}

#[tokio::test]
async fn appends_that_are_listened_to_share_a_sync() {
    let (vfs, folder) = (FaultyVfs::register("listened"), TempDir::new().unwrap());
    let options = SqliteOptions::new(folder.path().join("events.db")).vfs(vfs.name());
    let store = EventStore::new(options.open().await.unwrap());
    let table = |tx: &mut Tx<'_, '_>| -> Result<(), Source> { Ok(tx.connection().execute_batch(TABLE)?) };
    store.transaction(table).await.unwrap();
    let heard = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&heard);
    let listener = move |_: Heard<RawEvent>, tx: &mut Tx<'_, '_>| -> Result<(), Source> {
        counts.fetch_add(1, Ordering::SeqCst);
        insert(tx)
    };
    store.listen::<RawEvent>().in_transaction(listener).unwrap();
    let before = vfs.syncs();
    let streams: Vec<_> = (0..64).map(|_| StreamId::random()).collect();
    let appends = streams.iter().map(|stream| store.append(stream, event("Heard")).into_future());
    assert!(together(&store, appends).await.iter().all(Result::is_ok));
    assert_eq!((vfs.syncs() - before, heard.load(Ordering::SeqCst)), (1, 64));
}
