//! Contract 8.5: who waits is woken, by other processes too, and finds by itself what it is not told of.

use std::time::{Duration, Instant};

use event_sourcery::backend::Backend as _;
use event_sourcery::{EventStore, Position, RawEvent, StreamId};
use event_sourcery_postgres::{PostgresBackend, PostgresOptions, sqlx};

use crate::scene::{AT_THE_GATE, GATE, Scene, Store, event, until};

/// The store as another process has it.
async fn opened(options: PostgresOptions) -> Store {
    EventStore::new(options.open().await.unwrap())
}

fn options(scene: &Scene) -> PostgresOptions {
    PostgresBackend::options(scene.database.url())
}

/// How long it takes from the answer to an append by the one until the other one, which waits, knows: at the median.
async fn median(from: &Store, to: &Store, tries: usize) -> Duration {
    let mut took = Vec::new();
    for _ in 0..tries {
        let (reader, settled) = (to.backend().clone(), to.position().await.unwrap());
        let waiting = tokio::spawn(async move {
            reader.wait_beyond(settled).await.unwrap();
            Instant::now()
        });
        // At any moment between two looks.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(20..180))).await;
        from.append(&StreamId::random(), event()).await.unwrap();
        let committed = Instant::now();
        took.push(waiting.await.unwrap().saturating_duration_since(committed));
    }
    took.sort_unstable();
    println!("{took:?}");
    took[tries / 2]
}

/// Soon is a median of less than 25 ms: who only looks knows after 50 ms. Other tests may keep the machine busy for a while.
async fn is_told_soon(from: &Store, to: &Store) {
    let mut medians = Vec::new();
    for _ in 0..5 {
        let median = median(from, to, 20).await;
        if median < Duration::from_millis(25) {
            return;
        }
        medians.push(median);
    }
    panic!("{medians:?}");
}

/// How many connections listen.
async fn listeners(scene: &Scene) -> i64 {
    let listening = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    scene.number(listening).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_another_process_wakes_long_before_the_next_look() {
    let scene = Scene::new().await;
    let another = scene.another_store().await;
    is_told_soon(&scene.store, &another).await;
    assert_eq!(listeners(&scene).await, 1, "only who waits listens");
}

/// As where the server's queue of notifications is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_the_server_does_not_let_be_announced_fail_nothing_and_are_found_by_looking() {
    let scene = Scene::new().await;
    scene
        .run(
            "ALTER FUNCTION pg_catalog.pg_notify(text, text) RENAME TO notify_of_before;
             CREATE FUNCTION pg_catalog.pg_notify(text, text) RETURNS void LANGUAGE plpgsql
             AS 'BEGIN RAISE ''too many notifications in the NOTIFY queue'' USING ERRCODE = ''53400''; END'",
        )
        .await;
    let reader = scene.another_store().await.backend().clone();
    for position in 1..=3 {
        let (reader, before) = (reader.clone(), Position::from_i64(position - 1));
        let waiting = tokio::spawn(async move { reader.wait_beyond(before).await.unwrap() });
        scene.store.append(&StreamId::random(), event()).await.unwrap();
        assert_eq!(waiting.await.unwrap().to_i64(), position);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_of_another_process_wakes_when_it_commits() {
    let scene = Scene::new().await;
    let reader = scene.another_store().await.backend().clone();
    let first = tokio::spawn({
        let reader = reader.clone();
        async move { reader.wait_beyond(Position::START).await.unwrap() }
    });
    until(async || listeners(&scene).await == 1).await;
    let mut tx = scene.store.backend().begin().await.unwrap();
    scene.store.within(&mut tx).append(&StreamId::random(), event()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(first.await.unwrap().to_i64(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_notifications_nobody_listens_and_commits_are_found_by_looking() {
    let scene = Scene::new().await;
    let quiet = opened(options(&scene).notifications(false)).await;
    for (from, to) in [(&quiet, &scene.store), (&scene.store, &quiet)] {
        let median = median(from, to, 5).await;
        assert!(median < Duration::from_secs(1), "{median:?}");
    }
    assert_eq!(listeners(&scene).await, 1, "the other one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_of_nothing_looks_as_often_as_it_was_asked_to() {
    let scene = Scene::new().await;
    let often = opened(options(&scene).notifications(false).look_every(Duration::from_millis(5))).await;
    let median = median(&scene.store, &often, 20).await;
    assert!(median < Duration::from_millis(40), "{median:?}");
}

/// It is told of others' commits, and looks seldom while there are none. Of a foreign transaction's commit nobody tells it; but
/// what was appended there was appended through this store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_it_is_quiet_a_commit_that_nobody_tells_of_is_found_all_the_same() {
    let scene = Scene::new().await;
    let reader = scene.store.backend().clone();
    let waiting = tokio::spawn(async move { reader.wait_beyond(Position::START).await.unwrap() });
    until(async || listeners(&scene).await == 1).await;
    // Longer than it takes until it is quiet.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut tx = scene.store.backend().pool().begin().await.unwrap();
    scene.store.within(&mut tx).append(&StreamId::random(), event()).await.unwrap();
    tx.commit().await.unwrap();
    let committed = Instant::now();
    assert_eq!(waiting.await.unwrap().to_i64(), 1);
    assert!(committed.elapsed() < Duration::from_millis(500), "{:?}", committed.elapsed());
}

/// As a program that does not use this library: it tells nobody, ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_in_which_somebody_writes_who_tells_nobody_is_not_quiet() {
    let scene = Scene::new().await;
    let tells_nobody = opened(options(&scene).notifications(false)).await;
    let waiting = |after| {
        let reader = scene.store.backend().clone();
        tokio::spawn(async move { reader.wait_beyond(after).await.unwrap() })
    };
    let first = waiting(Position::START);
    until(async || listeners(&scene).await == 1).await;
    // Longer than it takes until it is quiet.
    tokio::time::sleep(Duration::from_secs(6)).await;
    tells_nobody.append(&StreamId::random(), event()).await.unwrap();
    let second = waiting(first.await.unwrap());
    tells_nobody.append(&StreamId::random(), event()).await.unwrap();
    let committed = Instant::now();
    assert_eq!(second.await.unwrap().to_i64(), 2);
    assert!(committed.elapsed() < Duration::from_secs(1), "{:?}", committed.elapsed());
}

/// Whoever waits for the answer tells others of the commit; the server makes it without him.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_is_committed_after_it_was_given_up_wakes_those_who_wait() {
    let scene = Scene::new().await;
    scene.database.psql(GATE);
    let never = || options(&scene).look_every(Duration::from_secs(600));
    let (here, elsewhere) = (opened(never()).await, opened(never()).await);
    let waiting = [&here, &elsewhere].map(|store| {
        let reader = store.backend().clone();
        tokio::spawn(async move { reader.wait_beyond(Position::START).await.unwrap() })
    });
    until(async || listeners(&scene).await == 2).await;
    // Each looks once more when it has begun to listen.
    tokio::time::sleep(Duration::from_millis(300)).await;
    scene.run("INSERT INTO gate VALUES (TRUE)").await;
    let appending = tokio::spawn(async move { here.append(&StreamId::random(), event()).await });
    until(async || scene.number(AT_THE_GATE).await == 1).await;
    appending.abort();
    assert!(appending.await.unwrap_err().is_cancelled());
    scene.run("DELETE FROM gate").await;
    for waiting in waiting {
        let found = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert_eq!(found.expect("it is told").unwrap().to_i64(), 1);
    }
}

#[tokio::test]
async fn what_a_batch_commits_when_its_callers_are_gone_wakes_those_who_wait() {
    let scene = Scene::new().await;
    let one_writes = opened(options(&scene).max_connections(2)).await;
    let reader = opened(options(&scene).look_every(Duration::from_secs(600))).await.backend().clone();
    scene.database.psql(GATE);
    scene
        .run(
            "DROP TRIGGER gate ON event_sourcery_events;
             CREATE TRIGGER gate AFTER INSERT ON event_sourcery_events FOR EACH ROW WHEN (NEW.name = 'Gated')
             EXECUTE FUNCTION wait_at_gate();
             INSERT INTO gate VALUES (TRUE)",
        )
        .await;
    // The first three run alone, and the others together behind them.
    let appending = ["Happened", "Happened", "Happened", "Gated", "Gated"].map(|name| {
        let store = one_writes.clone();
        tokio::spawn(async move {
            let event = RawEvent::new(name, "{}").unwrap();
            store.append(&StreamId::random(), event).await
        })
    });
    until(async || scene.number(AT_THE_GATE).await == 1).await;
    let mut known = Position::START;
    while known.to_i64() < 3 {
        known = reader.wait_beyond(known).await.unwrap();
    }
    // The two may be of two batches.
    let waiting = tokio::spawn(async move {
        while known.to_i64() < 5 {
            known = reader.wait_beyond(known).await.unwrap();
        }
        known
    });
    until(async || listeners(&scene).await == 1).await;
    // Until it has looked once more, and the first three are told of.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for append in appending.into_iter().skip(3) {
        append.abort();
        assert!(append.await.unwrap_err().is_cancelled());
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    scene.run("DELETE FROM gate").await;
    let found = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert_eq!(found.expect("it is told").unwrap().to_i64(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_whose_connection_is_ended_is_replaced_and_nothing_is_missed_meanwhile() {
    let scene = Scene::new().await;
    let another = scene.another_store().await;
    for _ in 0..3 {
        let settled = another.position().await.unwrap();
        let reader = another.backend().clone();
        let waiting = tokio::spawn(async move { reader.wait_beyond(settled).await.unwrap() });
        until(async || listeners(&scene).await == 1).await;
        scene
            .run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND query LIKE 'LISTEN%'",
            )
            .await;
        scene.store.append(&StreamId::random(), event()).await.unwrap();
        let found = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert!(found.expect("it is found by looking").unwrap() > settled);
        until(async || listeners(&scene).await == 1).await;
    }
    is_told_soon(&scene.store, &another).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_ends_with_its_store() {
    let scene = Scene::new().await;
    let another = scene.another_store().await;
    median(&scene.store, &another, 1).await;
    assert_eq!(listeners(&scene).await, 1);
    drop(another);
    until(async || listeners(&scene).await == 0).await;
}

/// In one database, but not about one another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_of_other_names_are_not_woken() {
    let scene = Scene::new().await;
    let other = opened(options(&scene).schema("billing").table_prefix("billing_")).await;
    let mut listener = sqlx::postgres::PgListener::connect(&scene.database.url()).await.unwrap();
    listener.listen("event_sourcery").await.unwrap();
    for (store, expected) in
        [(&scene.store, "\"public\".event_sourcery_events"), (&other, "\"billing\".billing_events")]
    {
        store.append(&StreamId::random(), event()).await.unwrap();
        assert_eq!(listener.recv().await.unwrap().payload(), expected);
    }
}

/// An append's transaction that notified would wait for every other one that does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_commits_are_announced_by_few_notifications() {
    let scene = Scene::new().await;
    let mut listener = sqlx::postgres::PgListener::connect(&scene.database.url()).await.unwrap();
    listener.listen("event_sourcery").await.unwrap();
    let began = Instant::now();
    for _ in 0..200 {
        scene.store.append(&StreamId::random(), event()).await.unwrap();
    }
    let most = began.elapsed().as_millis() / 20 + 2;
    let mut told = 0;
    while let Ok(notification) = tokio::time::timeout(Duration::from_millis(300), listener.recv()).await {
        notification.unwrap();
        told += 1;
    }
    assert!((1..=most).contains(&told), "{told} of at most {most}");
}
