//! Closures that queue up share a commit, with each other and with appends: each is kept whole or not at all, and fails alone.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_sourcery::{Error, EventStore, Heard, RawEvent, Result, Source, StreamId, Within};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions, SqliteTransaction};
use faulty_vfs::{Fault, FaultyVfs};
use futures_util::FutureExt as _;
use tempfile::TempDir;

use crate::appender::own_error;
use crate::held_writer::together;

type Tx<'w, 't> = Within<'w, SqliteTransaction<'t>>;

/// What a closure does.
type Work = fn(&mut Tx<'_, '_>) -> Result<()>;

/// A call, which may panic.
type Call = Pin<Box<dyn Future<Output = std::thread::Result<Result<()>>> + Send>>;

/// How many syncs a group may take: one, and a few where a busy machine makes a closure take long.
const FEW: u64 = 4;

const TABLES: &str = "
    CREATE TABLE orders (number INTEGER);
    CREATE TABLE once (id INTEGER PRIMARY KEY);
    INSERT INTO once VALUES (1);
    CREATE TABLE customers (id INTEGER PRIMARY KEY);
    CREATE TABLE bills (customer INTEGER REFERENCES customers (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE paid (customer INTEGER REFERENCES customers (id));";

/// Nobody has this number.
const BILL: &str = "INSERT INTO bills VALUES (1003)";

/// A store beside tables of the caller's own.
struct Shop {
    store: EventStore<SqliteBackend>,
    vfs: FaultyVfs,
    _folder: TempDir,
}

impl Shop {
    async fn new(name: &str) -> Self {
        let (vfs, folder) = (FaultyVfs::register(name), TempDir::new().unwrap());
        let options = SqliteOptions::new(folder.path().join("events.db")).vfs(vfs.name());
        let store = EventStore::new(options.open().await.unwrap());
        store.transaction(|tx| run(tx, TABLES)).await.unwrap();
        Self { store, vfs, _folder: folder }
    }

    fn closure(&self, work: impl FnOnce(&mut Tx<'_, '_>) -> Result<()> + Send + 'static) -> Call {
        let store = self.store.clone();
        Box::pin(AssertUnwindSafe(async move { store.transaction(work).await }).catch_unwind())
    }

    /// A row of the caller's and an event in this stream, and then what may go wrong.
    fn order(
        &self,
        stream: &StreamId,
        then: impl FnOnce(&mut Tx<'_, '_>) -> Result<()> + Send + 'static,
    ) -> Call {
        let stream = stream.clone();
        self.closure(move |tx| {
            run(tx, "INSERT INTO orders VALUES (1)")?;
            tx.append(&stream, event("Ordered")).run()?;
            then(tx)
        })
    }

    fn append(&self, stream: &StreamId, name: &'static str) -> Call {
        let (store, stream) = (self.store.clone(), stream.clone());
        let append = async move { store.append(&stream, event(name)).await.map(drop) };
        Box::pin(AssertUnwindSafe(append).catch_unwind())
    }

    async fn rows(&self, table: &str) -> usize {
        let count = format!("SELECT count(*) FROM {table}");
        let count = move |tx: &mut Tx<'_, '_>| -> Result<usize> {
            tx.connection().query_row(&count, [], |row| row.get(0)).map_err(own_error)
        };
        self.store.transaction(count).await.unwrap()
    }

    async fn length(&self, stream: &StreamId) -> usize {
        self.store.load_stream::<RawEvent>(stream).await.unwrap().len()
    }

    /// Which of these streams have an event.
    async fn kept(&self, streams: &[StreamId]) -> Vec<bool> {
        let mut kept = Vec::new();
        for stream in streams {
            kept.push(self.length(stream).await == 1);
        }
        kept
    }
}

fn event(name: &'static str) -> RawEvent {
    RawEvent::new(name, "{}").unwrap()
}

fn streams<const COUNT: usize>() -> [StreamId; COUNT] {
    std::array::from_fn(|_| StreamId::random())
}

fn run(tx: &Tx<'_, '_>, sql: &str) -> Result<()> {
    tx.connection().execute_batch(sql).map_err(own_error)
}

fn fine(_: &mut Tx<'_, '_>) -> Result<()> {
    Ok(())
}

fn is_kept(answer: &std::thread::Result<Result<()>>) -> bool {
    matches!(answer, Ok(Ok(())))
}

fn is_constraint(answer: &std::thread::Result<Result<()>>) -> bool {
    matches!(answer, Ok(Err(Error::Backend { source, .. })) if source.to_string().contains("FOREIGN KEY"))
}

#[tokio::test]
async fn closures_that_queue_up_share_a_sync_in_their_order() {
    let shop = Shop::new("shared").await;
    let before = shop.vfs.syncs();
    let closures = (0..64).map(|_| {
        shop.store.transaction(|tx| {
            run(tx, "INSERT INTO orders VALUES (1)")?;
            tx.append(&StreamId::random(), event("Ordered")).run()
        })
    });
    let answers: Vec<_> = together(&shop.store, closures).await.into_iter().map(Result::unwrap).collect();
    let syncs = shop.vfs.syncs() - before;
    println!("{syncs} syncs for 64 closures");
    assert!(syncs <= FEW, "{syncs}");
    assert!(answers.is_sorted_by_key(|appended| appended.position.to_i64()));
    assert_eq!(shop.rows("orders").await, 64);
}

#[tokio::test]
async fn closures_and_appends_share_a_sync() {
    let shop = Shop::new("mixed").await;
    let (streams, before) = (streams::<64>(), shop.vfs.syncs());
    let calls = streams.iter().zip([true, false, false].into_iter().cycle());
    let calls = calls.map(
        |(stream, is_append)| {
            if is_append { shop.append(stream, "Appended") } else { shop.order(stream, fine) }
        },
    );
    let answers = together(&shop.store, calls).await;
    let syncs = shop.vfs.syncs() - before;
    assert!(syncs <= FEW, "{syncs}");
    assert!(answers.iter().all(is_kept));
    assert!(shop.kept(&streams).await.into_iter().all(|kept| kept));
}

#[tokio::test]
async fn of_closures_that_share_a_commit_those_that_fail_fail_alone() {
    let ways: [(&str, Work); 11] = [
        ("an error of its own", |_| Err(Error::backend("own", "as it was told to"))),
        ("a refusal", |tx| tx.append(&StreamId::random(), event("Late")).expected_version(7).run().map(drop)),
        ("a panic", |_| panic!("as it was told to")),
        ("a savepoint left open", |tx| run(tx, "SAVEPOINT own; INSERT INTO nowhere VALUES (1)")),
        ("a commit", |tx| run(tx, "COMMIT").or(Ok(()))),
        ("a rollback", |tx| run(tx, "ROLLBACK").or(run(tx, "BEGIN IMMEDIATE")).or(Ok(()))),
        ("a prepared commit", |tx| {
            let _ = tx.connection().prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
            Ok(())
        }),
        ("a prepared rollback", |tx| {
            let _ = tx.connection().prepare_cached("ROLLBACK").and_then(|mut end| end.execute([]));
            Ok(())
        }),
        ("the savepoint's end", |tx| run(tx, "RELEASE event_sourcery_group")),
        ("a deferred constraint", |tx| run(tx, BILL)),
        ("a constraint made deferred", |tx| {
            run(tx, "PRAGMA defer_foreign_keys = ON; INSERT INTO paid VALUES (1003)")
        }),
    ];
    let shop = Shop::new("fail-alone").await;
    for (round, (way, fails)) in (1..).zip(ways) {
        let (streams, before) = (streams::<8>(), shop.vfs.syncs());
        let call = |(number, stream)| match number {
            0 | 3 | 7 => shop.order(stream, fails),
            2 | 5 => shop.append(stream, "Appended"),
            _ => shop.order(stream, fine),
        };
        let answers = together(&shop.store, (0..).zip(&streams).map(call)).await;
        let syncs = shop.vfs.syncs() - before;
        assert!((1..=FEW).contains(&syncs), "{way}: {syncs}");
        let kept = [false, true, true, false, true, true, true, false];
        assert_eq!(answers.iter().map(is_kept).collect::<Vec<_>>(), kept, "{way}: {answers:?}");
        assert_eq!(shop.kept(&streams).await, kept, "{way}");
        assert_eq!((shop.rows("orders").await, shop.rows("bills").await), (round * 3, 0), "{way}");
        if way.contains("constraint") {
            assert!([0, 3, 7].iter().all(|at| is_constraint(&answers[*at])), "{way}: {answers:?}");
        }
    }
}

#[tokio::test]
async fn what_a_closure_has_deferred_is_not_deferred_for_the_next() {
    let shop = Shop::new("deferred-once").await;
    let defers = |tx: &mut Tx<'_, '_>| run(tx, "PRAGMA defer_foreign_keys = ON");
    let pays = |tx: &mut Tx<'_, '_>| -> Result<()> {
        assert!(run(tx, "INSERT INTO paid VALUES (1003)").is_err(), "at the statement, not at the end");
        Ok(())
    };
    let [one, two, three, four] = streams();
    let fails = |tx: &mut Tx<'_, '_>| -> Result<()> {
        run(tx, "PRAGMA Defer_Foreign_Keys = 1")?;
        Err(Error::backend("own", "as it was told to"))
    };
    let calls = [
        shop.order(&one, defers),
        shop.order(&two, pays),
        shop.order(&three, fails),
        shop.order(&four, pays),
    ];
    let answers = together(&shop.store, calls).await;
    assert_eq!(answers.iter().map(is_kept).collect::<Vec<_>>(), [true, true, false, true], "{answers:?}");
}

#[tokio::test]
async fn a_constraint_that_holds_at_the_end_of_a_closure_refuses_nothing() {
    let shop = Shop::new("mended").await;
    let mends = |tx: &mut Tx<'_, '_>| {
        run(tx, "INSERT INTO bills VALUES (7)")?;
        run(tx, "INSERT INTO customers VALUES (7)")
    };
    let [one, two] = streams();
    let answers = together(&shop.store, [shop.order(&one, mends), shop.order(&two, fine)]).await;
    assert!(answers.iter().all(is_kept), "{answers:?}");
    assert_eq!(shop.rows("bills").await, 1);
}

/// A closure that comes behind is not to blame, nor one that was there before.
#[tokio::test]
async fn an_append_whose_listener_violates_a_deferred_constraint_fails_alone() {
    let shop = Shop::new("listener-violates").await;
    let listener = |_: Heard<RawEvent>, tx: &mut Tx<'_, '_>| -> Result<(), Source> {
        Ok(tx.connection().execute_batch(BILL)?)
    };
    shop.store.listen::<RawEvent>().event_names(["Violates"]).in_transaction(listener).unwrap();
    for is_closure in [false, true] {
        let streams = streams::<8>();
        let call = |(number, stream)| match number {
            1 | 3 | 7 => shop.append(stream, "Violates"),
            2 | 5 if is_closure => shop.order(stream, fine),
            _ => shop.append(stream, "Appended"),
        };
        let answers = together(&shop.store, (0..).zip(&streams).map(call)).await;
        let kept = [true, false, true, false, true, true, true, false];
        assert_eq!(answers.iter().map(is_kept).collect::<Vec<_>>(), kept, "{is_closure}: {answers:?}");
        assert!([1, 3, 7].iter().all(|at| is_constraint(&answers[*at])), "{is_closure}: {answers:?}");
        assert_eq!(shop.kept(&streams).await, kept, "{is_closure}");
    }
}

/// SQLite takes back the whole transaction by itself.
#[tokio::test]
async fn where_one_makes_sqlite_roll_back_everything_appends_stand_and_closures_are_told_to_run_again() {
    let shop = Shop::new("rolled-back").await;
    let ran = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&ran);
    let counted = move |_: &mut Tx<'_, '_>| {
        counts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    };
    let streams = streams::<6>();
    let [one, two, three, four, five, six] = &streams;
    let calls = [
        shop.append(one, "Appended"),
        shop.order(two, counted),
        shop.append(three, "Appended"),
        shop.order(four, |tx| run(tx, "INSERT OR ROLLBACK INTO once VALUES (1)").or(Ok(()))),
        shop.order(five, fine),
        shop.append(six, "Appended"),
    ];
    let answers = together(&shop.store, calls).await;
    let kept = [true, false, true, false, true, true];
    assert_eq!(answers.iter().map(is_kept).collect::<Vec<_>>(), kept, "{answers:?}");
    assert!(matches!(&answers[1], Ok(Err(lost @ Error::SerializationFailure { .. })) if lost.is_retryable()));
    assert!(matches!(&answers[3], Ok(Err(Error::Backend { .. }))), "{answers:?}");
    assert_eq!((shop.kept(&streams).await, shop.rows("orders").await), (kept.to_vec(), 1));
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_append_that_is_refused_after_it_has_written_leaves_the_closure_before_it() {
    let shop = Shop::new("half-written").await;
    let [one, two, three] = streams();
    let late = {
        let (store, new, three) = (shop.store.clone(), StreamId::random(), three.clone());
        let late = async move {
            let append = store.append(&new, event("New")).and(&three, event("Late")).expected_version(9);
            append.await.map(drop)
        };
        Box::pin(AssertUnwindSafe(late).catch_unwind())
    };
    let calls: [Call; 3] = [shop.order(&one, fine), late, shop.order(&two, fine)];
    let answers = together(&shop.store, calls).await;
    assert!(matches!(answers[1], Ok(Err(Error::Conflict { expected: 9, .. }))), "{answers:?}");
    assert_eq!(shop.kept(&[one, two, three]).await, [true, true, false]);
    assert_eq!(shop.rows("event_sourcery_events").await, 2);
}

#[tokio::test]
async fn nobody_is_told_of_success_where_the_sync_fails() {
    let shop = Shop::new("sync-fails").await;
    let [one, two, three] = streams();
    let refused = |_: &mut Tx<'_, '_>| -> Result<()> { Err(Error::backend("own", "as it was told to")) };
    let calls = [shop.order(&one, fine), shop.append(&two, "Appended"), shop.order(&three, refused)];
    shop.vfs.fail_sync_once(1);
    let answers = together(&shop.store, calls).await;
    assert!(
        answers.iter().all(|answer| matches!(answer, Ok(Err(Error::Backend { backend: "sqlite", .. })))),
        "{answers:?}"
    );
    assert_eq!(shop.kept(&[one, two, three]).await, [false; 3]);
    assert_eq!(shop.rows("orders").await, 0);
}

#[tokio::test]
async fn where_the_disk_is_full_at_the_commit_appends_are_made_again_and_closures_are_refused() {
    let shop = Shop::new("full-at-commit").await;
    let streams = streams::<4>();
    let [one, two, three, four] = &streams;
    let calls = [
        shop.append(one, "Appended"),
        shop.order(two, fine),
        shop.append(three, "Appended"),
        shop.order(four, fine),
    ];
    shop.vfs.fail_write_once(1, Fault::DiskFull);
    let answers = together(&shop.store, calls).await;
    let kept = [true, false, true, false];
    assert_eq!(answers.iter().map(is_kept).collect::<Vec<_>>(), kept, "{answers:?}");
    assert!([1, 3].iter().all(|at| matches!(answers[*at], Ok(Err(Error::StorageFull { .. })))));
    assert_eq!((shop.kept(&streams).await, shop.rows("orders").await), (kept.to_vec(), 0));
}

/// Those who share its commit wait for it, once.
#[tokio::test]
async fn a_closure_that_takes_long_is_the_last_of_its_group_and_the_next_runs_alone() {
    let shop = Shop::new("long").await;
    let streams = streams::<7>();
    let call = |(number, stream)| match number {
        1 => shop.order(stream, |_| {
            std::thread::sleep(Duration::from_millis(100));
            Ok(())
        }),
        _ => shop.order(stream, fine),
    };
    let before = shop.vfs.syncs();
    let answers = together(&shop.store, (0..).zip(&streams).map(call)).await;
    let syncs = shop.vfs.syncs() - before;
    assert!((3..=2 + FEW).contains(&syncs), "{syncs}");
    assert!(answers.iter().all(is_kept), "{answers:?}");
}

#[tokio::test]
async fn a_closure_may_begin_in_vain_and_have_savepoints_of_its_own() {
    let shop = Shop::new("savepoints").await;
    let own = |tx: &mut Tx<'_, '_>| {
        assert!(run(tx, "BEGIN").is_err());
        run(tx, "SAVEPOINT own; DELETE FROM orders; ROLLBACK TO own; RELEASE own")
    };
    let [one, two] = streams();
    let answers = together(&shop.store, [shop.order(&one, fine), shop.order(&two, own)]).await;
    assert!(answers.iter().all(is_kept), "{answers:?}");
    assert_eq!(shop.rows("orders").await, 2);
}
