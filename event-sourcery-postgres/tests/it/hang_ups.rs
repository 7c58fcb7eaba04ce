//! Clients that hang up: every call of the store's is polled a few times and dropped. Web frameworks do that to the handler
//! of a client that is gone. Whatever was dropped, no transaction stays open, and what is acknowledged afterwards is
//! committed.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use event_sourcery::{
    Aggregate, Emitting, Event, EventStore, Projector, RawEvent, Repository, Result, Start, StreamId,
};
use event_sourcery_postgres::sqlx::postgres::PgPoolOptions;
use event_sourcery_postgres::{PostgresBackend, PostgresOptions, sqlx};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;

use serde::{Deserialize, Serialize};

use crate::scene::{Scene, Store, event, length, until};

/// A call is polled once, twice, and so on: each time it is given up one step later.
const MOST_POLLS: usize = 30;

/// How long a call is polled at most: some wait for ever.
const A_WHILE: Duration = Duration::from_millis(100);

#[derive(Event, Serialize, Deserialize, Debug)]
enum CounterEvent {
    Counted,
}

#[derive(Default)]
struct Counter;

impl Aggregate for Counter {
    type Event = CounterEvent;
    const CATEGORY: &'static str = "counters";
    fn apply(&mut self, _: &CounterEvent) {}
}

/// A call that somebody makes, of this store, about this stream.
type Call = for<'s> fn(&'s Store, &'s StreamId) -> LocalBoxFuture<'s, Result<()>>;

macro_rules! call {
    (|$store:ident, $stream:ident| $call:expr) => {
        |$store, $stream| async move { $call.await.map(drop) }.boxed_local()
    };
}

const CALLS: [(&str, Call); 19] = [
    ("begin", call!(|store, _stream| store.backend().begin())),
    ("begin_with", call!(|store, _stream| store.backend().begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE"))),
    ("append", call!(|store, stream| store.append(stream, event()))),
    ("append without versions", call!(|store, stream| store.append(stream, event()).no_versioning())),
    ("several", call!(|store, stream| store.append(stream, event()).and(&StreamId::random(), event()))),
    ("load", call!(|store, stream| store.load_stream::<RawEvent>(stream))),
    ("load a range", call!(|store, stream| store.load_stream::<RawEvent>(stream).versions(1..))),
    ("delete", call!(|store, stream| store.delete_stream(stream))),
    ("snapshot", call!(|store, stream| store.save_snapshot(stream, 1, event()))),
    ("position", call!(|store, _stream| store.position())),
    ("held_up_by", call!(|store, _stream| store.backend().held_up_by())),
    ("next", call!(|store, _stream| store.subscribe::<RawEvent>().stream().try_next())),
    ("status", call!(|store, _stream| store.subscribe::<RawEvent>().durable("status").status())),
    ("parked", call!(|store, _stream| store.subscribe::<RawEvent>().durable("parked").parked())),
    ("reset", call!(|store, stream| durable(store, stream).reset(Start::Beginning))),
    ("run", call!(|store, stream| durable(store, stream).run(async |_, _| Ok(())))),
    ("run_within", call!(|store, stream| durable(store, stream).run_within(async |_, _| Ok(())))),
    ("command", call!(|store, stream| count(store, stream))),
    ("forget", call!(|store, _stream| Projector::new("forgotten").unwrap().forget(store))),
];

fn durable(store: &Store, stream: &StreamId) -> event_sourcery::Durable<PostgresBackend, RawEvent> {
    store.subscribe::<RawEvent>().durable(stream.uuid().to_string())
}

async fn count(store: &Store, stream: &StreamId) -> Result<()> {
    let (counters, counter) = (Repository::<Counter>::new(store), StreamId::from_uuid(stream.uuid()));
    let emit = |counter: &mut Emitting<Counter>| {
        counter.emit(CounterEvent::Counted);
        Ok::<_, Infallible>(())
    };
    counters.aggregate(&counter.in_category("counters")?, emit).await.expect("nobody else counts");
    Ok(())
}

/// Polls it so many times, and drops it.
async fn hang_up_on<T>(work: impl Future<Output = T>, after: usize) {
    let mut work = pin!(work);
    let mut polls = 0;
    let given_up = poll_fn(|context| {
        polls += 1;
        let over = work.as_mut().poll(context).is_ready();
        if over || polls == after { Poll::Ready(()) } else { Poll::Pending }
    });
    let _ = tokio::time::timeout(A_WHILE, given_up).await;
}

impl Scene {
    /// Returns once nobody has a transaction open in the database.
    async fn has_no_transaction_open(&self, after: &str) {
        let open = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
        let ended = until(async || self.number(open).await == 0);
        tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap_or_else(|_| {
            panic!("a transaction was left open by {after}");
        });
    }
}

async fn leaves_nothing_behind(scene: &Scene, store: &Store) {
    scene.store.append(&StreamId::random(), event()).await.unwrap();
    for polls in 1..=MOST_POLLS {
        for (name, call) in CALLS {
            hang_up_on(call(store, &StreamId::random()), polls).await;
            // What was dropped goes back in a task.
            let pool = store.backend().pool();
            until(async || pool.num_idle() == pool.size() as usize).await;
            scene.has_no_transaction_open(&format!("{name}, polled {polls} times")).await;
            let after = StreamId::random();
            store.append(&after, event()).await.unwrap();
            assert_eq!(length(&scene.store, &after).await, 1, "{name}, polled {polls} times");
        }
    }
}

#[tokio::test]
async fn no_call_that_is_dropped_leaves_a_transaction_open() {
    let scene = Scene::new().await;
    let options = PostgresBackend::options(scene.database.url()).max_connections(2);
    leaves_nothing_behind(&scene, &EventStore::new(options.open().await.unwrap())).await;
}

/// As sqlx makes it, with everything at its default.
#[tokio::test]
async fn no_call_that_is_dropped_leaves_a_transaction_open_in_a_pool_of_the_callers() {
    let scene = Scene::new().await;
    let pool = PgPoolOptions::new().max_connections(1).connect(&scene.database.url()).await.unwrap();
    leaves_nothing_behind(&scene, &EventStore::new(PostgresBackend::from_pool(pool).await.unwrap())).await;
}

/// What the caller's own pool leaks, the caller's own calls have to live with. Ours do not run there.
#[tokio::test]
async fn an_append_is_committed_whatever_the_callers_pool_has_leaked() {
    let scene = Scene::new().await;
    let pool = PgPoolOptions::new().max_connections(1).connect(&scene.database.url()).await.unwrap();
    let store = EventStore::new(PostgresBackend::from_pool(pool.clone()).await.unwrap());
    let (mut leaked, mut round) = (0, 0);
    // How many polls it takes to leak depends on how fast the server answers.
    while round < MOST_POLLS || leaked == 0 {
        round += 1;
        assert!(round < 100 * MOST_POLLS, "sqlx does not leak any more: then this is a test of nothing");
        hang_up_on(pool.begin(), 1 + round % 8).await;
        let open = "SELECT now() <> statement_timestamp()";
        let row = sqlx::raw_sql(open).fetch_one(&pool).await.unwrap();
        leaked += i32::from(sqlx::Row::get::<bool, _>(&row, 0));
        let (one, other) = (StreamId::random(), StreamId::random());
        store.append(&one, event()).await.unwrap();
        store.append(&one, event()).expected_version(1).and(&other, event()).await.unwrap();
        let mut joined = store.backend().begin().await.unwrap();
        store.within(&mut joined).append(&other, event()).expected_version(1).await.unwrap();
        joined.commit().await.unwrap();
        assert_eq!((length(&scene.store, &one).await, length(&scene.store, &other).await), (2, 2));
    }
}

/// A pool with our settings finds out for the caller too.
#[tokio::test]
async fn a_pool_with_our_options_closes_what_comes_back_with_a_transaction_open() {
    let scene = Scene::new().await;
    scene.run("CREATE TABLE own (number INT)").await;
    let options = PostgresOptions::pool_options().max_connections(1);
    let pool = options.connect(&scene.database.url()).await.unwrap();
    for round in 1..=MOST_POLLS {
        hang_up_on(pool.begin(), 1 + round % 4).await;
        sqlx::query("INSERT INTO own VALUES (1)").execute(&pool).await.unwrap();
        let own = i64::try_from(round).unwrap();
        assert_eq!(scene.number("SELECT count(*) FROM own").await, own, "it is committed at once");
    }
}
