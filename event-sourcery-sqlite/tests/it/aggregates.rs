//! Aggregates in closures, and what is left of the states of streams that somebody else has deleted.

use std::convert::Infallible;

use event_sourcery::{
    Aggregate, CommandError, Emitting, Error, Event, EventStore, Repository, SnapshotState, StreamId,
};
use event_sourcery_sqlite::SqliteBackend;
use serde::{Deserialize, Serialize};

use crate::failures::Folder;

#[derive(Event)]
enum CounterEvent {
    Counted,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{0} are too many")]
struct TooMany(u64);

#[derive(Default, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Counter {
    count: u64,
}

impl Aggregate for Counter {
    type Event = CounterEvent;
    const CATEGORY: &'static str = "counters";

    fn apply(&mut self, _: &CounterEvent) {
        self.count += 1;
    }
}

impl SnapshotState for Counter {
    const FORMAT: u16 = 1;
}

fn count(counter: &mut Emitting<Counter>) -> Result<u64, TooMany> {
    counter.emit(CounterEvent::Counted);
    if counter.count > 3 { Err(TooMany(counter.count)) } else { Ok(counter.count) }
}

struct Shop {
    folder: Folder,
    store: EventStore<SqliteBackend>,
    counters: Repository<Counter>,
}

impl Shop {
    async fn new() -> Self {
        let folder = Folder::new();
        let store = folder.store().await;
        let counters = Repository::new(&store).snapshot_every(1);
        Self { folder, store, counters }
    }

    fn states(&self) -> i64 {
        let count = "SELECT count(*) FROM event_sourcery_aggregate_snapshots";
        self.folder.foreign_connection().query_row(count, [], |row| row.get(0)).unwrap()
    }

    async fn state_is_kept(&self) {
        while self.states() == 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_a_closure_does_with_aggregates_is_kept_or_not_as_a_whole() {
    let shop = Shop::new().await;
    let [one, other] = [StreamId::random(), StreamId::random()];
    for gives_up in [true, false] {
        let (counters, one, other) = (shop.counters.clone(), one.clone(), other.clone());
        let done = shop.store.transaction(move |tx| {
            counters.on(&mut *tx).aggregate(&one, count).run()?;
            let mut seen = counters.on(&mut *tx).load(&one).run()?;
            assert_eq!(seen.count, 1, "it sees what it has written");
            seen.execute(count).map_err(CommandError::Rejected)?;
            counters.on(&mut *tx).save(seen)?;
            counters.on(&mut *tx).aggregate(&other, count).run()?;
            if gives_up { Err(CommandError::Rejected(TooMany(0))) } else { Ok(()) }
        });
        assert_eq!(done.await.is_err(), gives_up);
    }
    assert_eq!(shop.states(), 0, "what may be rolled back is not kept as a state");
    assert_eq!(shop.counters.load(&one).await.unwrap().count, 2);
    assert_eq!(shop.counters.load(&other).await.unwrap().count, 1);
}

#[tokio::test]
async fn a_rejected_command_leaves_the_closure_usable() {
    let shop = Shop::new().await;
    let (counters, id) = (shop.counters.clone(), StreamId::random());
    let at = id.clone();
    let counted = shop.store.transaction(move |tx| {
        for _ in 0..3 {
            counters.on(&mut *tx).aggregate(&at, count).run()?;
        }
        let rejected = counters.on(&mut *tx).aggregate(&at, count).run();
        assert!(matches!(rejected, Err(CommandError::Rejected(TooMany(4)))));
        Ok::<_, CommandError<TooMany>>(())
    });
    counted.await.unwrap();
    assert_eq!(shop.counters.load(&id).await.unwrap().count, 3);
}

#[tokio::test]
async fn calls_can_be_made_in_tasks() {
    let shop = Shop::new().await;
    let (counters, id) = (shop.counters.clone(), StreamId::random());
    let counted = tokio::spawn(async move {
        counters.aggregate(&id, count).idempotency_key("1").await?;
        let mut loaded = counters.load(&id).await?;
        loaded.execute(count).map_err(CommandError::Rejected)?;
        counters.save(&mut loaded).await?;
        Ok::<_, CommandError<TooMany>>(loaded.count)
    });
    assert_eq!(counted.await.unwrap().unwrap(), 2);
}

/// A command that is never rejected fails as the store does.
#[tokio::test]
async fn a_command_without_an_error_of_its_own_is_one_of_the_store() {
    let shop = Shop::new().await;
    let id = StreamId::random();
    let never_rejected = |counter: &mut Emitting<Counter>| {
        counter.emit(CounterEvent::Counted);
        Ok::<_, Infallible>(())
    };
    let counted = async {
        shop.counters.aggregate(&id, never_rejected).await?;
        Ok::<_, Error>(())
    };
    counted.await.unwrap();
}

/// Whoever does not know of states leaves them, and SQLite gives the number of the row that was deleted to the next stream.
#[tokio::test]
async fn the_next_stream_does_not_inherit_a_state() {
    let shop = Shop::new().await;
    let (old, heir) = (StreamId::random(), StreamId::random());
    shop.counters.aggregate(&old, count).await.unwrap();
    shop.state_is_kept().await;
    let foreign = shop.folder.foreign_connection();
    foreign.execute_batch("DELETE FROM event_sourcery_events; DELETE FROM event_sourcery_streams").unwrap();
    let without = Repository::<Counter>::new(&shop.store);
    without.aggregate(&heir, count).await.unwrap();
    let row = "SELECT count(*) FROM event_sourcery_aggregate_snapshots JOIN event_sourcery_streams ON id = db_stream_id";
    assert_eq!(foreign.query_row(row, [], |row| row.get::<_, i64>(0)), Ok(1), "it has its number");

    assert_eq!(shop.counters.load(&heir).await.unwrap().count, 1);
    // What is left gives way to the heir's own.
    shop.counters.aggregate(&heir, count).await.unwrap();
    let versions = "SELECT version FROM event_sourcery_aggregate_snapshots";
    while foreign.query_row(versions, [], |row| row.get::<_, i64>(0)) != Ok(2) {
        tokio::task::yield_now().await;
    }
}

/// All tables of the store but ours are made anew, as the reference's own `drop_all` and `create_all` do: numbers, versions and
/// positions begin anew.
#[tokio::test]
async fn a_state_does_not_count_after_the_shared_tables_were_made_anew() {
    let shop = Shop::new().await;
    let (old, new) = (StreamId::random(), StreamId::random());
    shop.counters.aggregate(&old, count).await.unwrap();
    shop.state_is_kept().await;
    let foreign = shop.folder.foreign_connection();
    foreign
        .execute_batch(
            "DELETE FROM event_sourcery_events; DELETE FROM event_sourcery_streams; DELETE FROM sqlite_sequence",
        )
        .unwrap();
    foreign
        .execute("UPDATE event_sourcery_aggregate_snapshots SET data = replace(data, '\"count\":1', '\"count\":40')", [])
        .unwrap();
    let without = Repository::<Counter>::new(&shop.store);
    without.aggregate(&new, count).await.unwrap();
    assert_eq!(shop.counters.load(&new).await.unwrap().count, 1);
}
