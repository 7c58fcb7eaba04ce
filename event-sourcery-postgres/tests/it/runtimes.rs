//! A store that several runtimes use, some of which end, or are driven no more.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_sourcery::{EventStore, Result, StreamId};
use event_sourcery_postgres::PostgresBackend;
use futures_util::future::join_all;
use postgres_cluster::{Database, Server};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::scene::{AT_THE_GATE, GATE, Store, event, length, open, until};

/// More than run alone, so that the others share statements.
const AT_ONCE: usize = 40;

/// An answer that has not come by then is taken for one that never comes.
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// So many appends at once, each to a stream of its own, on this runtime.
fn append(store: &Store, appends: usize, runtime: &Runtime) -> Vec<(StreamId, JoinHandle<Result<()>>)> {
    let streams = (0..appends).map(|_| StreamId::random());
    let append = |stream: StreamId| {
        let (store, to) = (store.clone(), stream.clone());
        (stream, runtime.spawn(async move { store.append(&to, event()).await.map(drop) }))
    };
    streams.map(append).collect()
}

/// All of them are answered, and written once.
async fn are_written(store: &Store, appends: Vec<(StreamId, JoinHandle<Result<()>>)>) {
    let (streams, answers): (Vec<_>, Vec<_>) = appends.into_iter().unzip();
    let answers = tokio::time::timeout(PATIENCE, join_all(answers)).await.expect("they are answered");
    for (stream, answer) in streams.iter().zip(answers) {
        answer.unwrap().unwrap();
        assert_eq!(length(store, stream).await, 1);
    }
}

fn opened(database: &Database, runtime: &Runtime) -> Store {
    runtime.block_on(open(&database.url()))
}

#[test]
fn a_store_goes_on_after_the_runtime_that_opened_it_and_each_that_used_it_has_ended() {
    let database = Server::shared().create_database();
    let first = runtime();
    let store = opened(&database, &first);
    drop(first);
    for _ in 0..3 {
        let runtime = runtime();
        let appends = append(&store, AT_ONCE, &runtime);
        runtime.block_on(are_written(&store, appends));
    }
}

#[test]
fn a_store_goes_on_beside_a_runtime_that_opened_it_and_is_driven_no_more() {
    let database = Server::shared().create_database();
    let (first, second) = (runtime(), runtime());
    let store = opened(&database, &first);
    let appends = append(&store, AT_ONCE, &second);
    second.block_on(are_written(&store, appends));
    drop(first);
}

#[test]
fn appends_that_share_a_batch_with_those_of_a_runtime_that_ends_are_answered() {
    let database = Server::shared().create_database();
    let lasting = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let few = PostgresBackend::options(database.url()).max_connections(3);
    let few = few.lock_timeout(PATIENCE).acquire_timeout(PATIENCE);
    let store = EventStore::new(lasting.block_on(few.open()).unwrap());
    database.psql(GATE);
    for _ in 0..5 {
        database.psql("INSERT INTO gate VALUES (TRUE)");
        let ending = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let ended = append(&store, 8, &ending);
        let appends = append(&store, 8, &lasting);
        // Those run alone and hold the connections. The others share a batch of the runtime that ends, and wait for one.
        lasting.block_on(until(async || database.psql(AT_THE_GATE) == "3"));
        ending.shutdown_background();
        database.psql("DELETE FROM gate");
        lasting.block_on(are_written(&store, appends));
        drop(ended);
    }
}

#[test]
fn many_appends_to_one_stream_that_wait_when_their_runtime_ends_are_dropped_one_after_the_other() {
    const WAITING: usize = 5_000;
    let database = Server::shared().create_database();
    let lasting = runtime();
    let store = opened(&database, &lasting);
    database.psql(GATE);
    database.psql("INSERT INTO gate VALUES (TRUE)");
    let ending = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (stream, sent) = (StreamId::random(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..WAITING {
        let (store, stream, sent) = (store.clone(), stream.clone(), Arc::clone(&sent));
        ending.spawn(async move {
            let mut append = pin!(store.append(&stream, event()).no_versioning().into_future());
            poll_fn(|context| {
                sent.fetch_add(1, Ordering::Relaxed);
                append.as_mut().poll(context)
            })
            .await
        });
    }
    lasting.block_on(until(async || sent.load(Ordering::Relaxed) >= WAITING));
    drop(ending);
    database.psql("DELETE FROM gate");
    lasting.block_on(async { store.append(&stream, event()).no_versioning().await.unwrap() });
}
