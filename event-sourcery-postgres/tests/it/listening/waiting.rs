//! Listeners that wait for somebody's lock, and such as hang: nobody else notices, and their append is told of in time.

use std::time::{Duration, Instant};

use event_sourcery::{Error, EventStore, RawEvent, StreamId, TenantId};
use event_sourcery_postgres::{PostgresBackend, classify, sqlx};
use futures_util::future::join_all;

use super::{OPEN, heard, listen};
use crate::scene::{Scene, Store, Tx, event, until};

const PATIENCE: Duration = Duration::from_secs(4);

/// What is refused in time may take as much longer on a busy machine.
const SLACK: Duration = Duration::from_secs(8);

const COUNT: &str = "UPDATE counters SET count = count + 1";

/// A store whose listener counts in a row, and a transaction that holds the row.
async fn held_row(patience: Duration) -> (Scene, Store, Tx) {
    let scene = Scene::new().await;
    scene.run("CREATE TABLE counters (count INT); INSERT INTO counters VALUES (0)").await;
    let options = PostgresBackend::options(scene.database.url()).lock_timeout(patience);
    let store = EventStore::new(options.open().await.unwrap());
    listen(&store, COUNT);
    let mut holder = scene.begin().await;
    sqlx::raw_sql("SELECT FROM counters FOR UPDATE").execute(&mut *holder).await.unwrap();
    (scene, store, holder)
}

fn append_all(store: &Store, count: usize) -> Vec<tokio::task::JoinHandle<event_sourcery::Result<()>>> {
    let append = |_| {
        let store = store.clone();
        tokio::spawn(async move { store.append(&StreamId::random(), heard()).await.map(drop) })
    };
    (0..count).map(append).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_holds_for_a_while_is_waited_for() {
    let (scene, store, holder) = held_row(Duration::from_secs(60)).await;
    let waiting = append_all(&store, 3);
    scene.until_waiting(1).await;
    // Longer than a first try takes.
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(300) {
        store.append(&StreamId::random(), event()).await.unwrap();
    }
    assert!(waiting.iter().all(|append| !append.is_finished()));
    holder.rollback().await.unwrap();
    for appended in join_all(waiting).await {
        appended.unwrap().unwrap();
    }
    assert_eq!(scene.number("SELECT count::bigint FROM counters").await, 3);
    assert_eq!(scene.number("SELECT count(*) FROM event_sourcery_events WHERE name = 'Heard'").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_wait_for_a_row_each_is_busy_in_time_and_others_are_answered() {
    let (scene, store, holder) = held_row(PATIENCE).await;
    let began = Instant::now();
    let waiting = append_all(&store, 30);
    scene.until_waiting(2).await;
    let (tenant, mut slowest) = (store.for_tenant(TenantId::new("acme").unwrap()), Duration::ZERO);
    for _ in 0..10 {
        let (stream, since) = (StreamId::random(), Instant::now());
        tenant.append(&stream, event()).await.unwrap();
        assert_eq!(tenant.load_stream::<RawEvent>(&stream).await.unwrap().len(), 1);
        slowest = slowest.max(since.elapsed());
    }
    assert!(slowest < PATIENCE, "{slowest:?}");
    for refused in join_all(waiting).await {
        let refused = refused.unwrap().unwrap_err();
        assert!(matches!(refused, Error::Busy { .. }) && refused.is_retryable(), "{refused:?}");
    }
    assert!(began.elapsed() < PATIENCE + SLACK, "{:?}", began.elapsed());
    holder.rollback().await.unwrap();
    assert_eq!(scene.number("SELECT count(*) FROM event_sourcery_events WHERE name = 'Heard'").await, 0);
    store.append(&StreamId::random(), heard()).await.unwrap();
}

/// A limit on locks, a limit on statements, or somebody who cancels one: the caller's statements, the store's, which a trigger delays,
/// and those of a listener are told of alike.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_limit_ends_a_statement_and_whoevers_it_is_it_is_busy() {
    const LIMITS: [&str; 2] = [
        "DO $$ BEGIN RAISE EXCEPTION 'a limit on locks' USING ERRCODE = '55P03'; END $$",
        "DO $$ BEGIN RAISE EXCEPTION 'a limit on statements' USING ERRCODE = '57014'; END $$",
    ];
    let scene = Scene::new().await;
    for limit in LIMITS {
        let of_the_caller = sqlx::raw_sql(limit).execute(&scene.pool).await.unwrap_err();
        let options =
            || PostgresBackend::options(scene.database.url()).lock_timeout(Duration::from_millis(200));
        let (listened, triggered) = (options().open().await.unwrap(), options().open().await.unwrap());
        let (listened, triggered) = (EventStore::new(listened), EventStore::new(triggered));
        listen(&listened, limit);
        let of_a_listener = listened.append(&StreamId::random(), heard()).await.unwrap_err();
        let body = limit.trim_start_matches("DO ");
        scene
            .run(&format!(
                "CREATE OR REPLACE FUNCTION ends() RETURNS trigger LANGUAGE plpgsql AS {body};
                 CREATE OR REPLACE TRIGGER ends AFTER INSERT ON event_sourcery_events FOR EACH ROW EXECUTE FUNCTION ends()"
            ))
            .await;
        let of_the_store = triggered.append(&StreamId::random(), event()).await.unwrap_err();
        scene.run("DROP TRIGGER ends ON event_sourcery_events").await;
        for refused in [classify(of_the_caller), of_a_listener, of_the_store] {
            assert!(matches!(refused, Error::Busy { .. }), "{limit}: {refused:?}");
        }
    }
    assert_eq!(scene.events().await, 0);
}

/// Each has taken what the other one waits for: the server ends one of them, which can be made again.
#[tokio::test(flavor = "multi_thread")]
async fn listeners_that_take_rows_in_opposite_orders_come_through() {
    let scene = Scene::new().await;
    scene
        .run("CREATE TABLE counters (name TEXT, count INT); INSERT INTO counters VALUES ('a', 0), ('b', 0)")
        .await;
    let within = scene.store.listen::<RawEvent>().within(|heard, tx| {
        Box::pin(async move {
            let order = if heard.event().name() == "AB" { ["a", "b"] } else { ["b", "a"] };
            for name in order {
                let count = sqlx::query("UPDATE counters SET count = count + 1 WHERE name = $1").bind(name);
                count.execute(tx.connection()).await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        })
    });
    within.unwrap();
    let tasks = ["AB", "BA"].map(|name| {
        let store = scene.store.clone();
        tokio::spawn(async move {
            for _ in 0..5 {
                let append =
                    async || store.append(&StreamId::random(), RawEvent::new(name, "{}").unwrap()).await;
                while let Err(refused) = append().await {
                    assert!(refused.is_retryable(), "{refused:?}");
                }
            }
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(scene.number("SELECT sum(count)::bigint FROM counters").await, 20);
}

/// 8.7 for transactions of listeners: one that hangs holds up neither readers nor its connection for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_hangs_is_ended_and_holds_nobody_up() {
    let scene = Scene::new().await;
    let within = scene.store.listen::<RawEvent>().event_names(["Heard"]);
    within.within(|_, _| Box::pin(std::future::pending())).unwrap();
    let began = Instant::now();
    let hanging = append_all(&scene.store, 2);
    until(async || scene.number(OPEN).await == 2).await;
    let after = scene.store.append(&StreamId::random(), event()).await.unwrap();
    for refused in join_all(hanging).await {
        let refused = refused.unwrap().unwrap_err();
        assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    until(async || after.position.is_covered_by(scene.store.position().await.unwrap())).await;
    assert_eq!(scene.events().await, 1);
}
