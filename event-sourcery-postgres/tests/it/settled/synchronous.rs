//! Contract 4.5: a position is told although commits cannot be confirmed, or the record is locked.

use std::time::{Duration, Instant};

use event_sourcery::{EventStore, Next, RawEvent, StreamId};
use event_sourcery_postgres::{PostgresBackend, sqlx};
use postgres_cluster::Cluster;

use super::{append, draw, settled};
use crate::scene::{Scene, event, events, until};

async fn rolled_back_at_the_end(scene: &Scene) {
    let mut rolled_back = scene.begin().await;
    draw(&scene.store, &mut rolled_back, 1).await;
    rolled_back.rollback().await.unwrap();
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let done = work.await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    done
}

async fn reads(scene: &Scene, count: usize) {
    let store = scene.another_store().await;
    let mut all = store.read_all::<RawEvent>().stream();
    for _ in 0..count {
        assert!(all.try_next().await.unwrap().is_some());
    }
}

/// Commits wait for a standby that is not there.
async fn synchronous_standby_is_away(cluster: &Cluster, scene: &Scene) {
    cluster.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    cluster.psql("postgres", "SELECT pg_reload_conf()");
    until(async || scene.number("SELECT count(*) FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting = 'nobody'").await == 1).await;
}

const WAIT_FOR_THE_STANDBY: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

#[tokio::test(flavor = "multi_thread")]
async fn readers_go_on_while_any_number_of_appends_wait_for_the_synchronous_standby() {
    let cluster = Cluster::start(&[]);
    for connections in [2, 10] {
        let scene = Scene::on(cluster.create_database()).await;
        let options = PostgresBackend::options(scene.database.url()).max_connections(connections);
        let store = EventStore::new(options.open().await.unwrap());
        let stream = StreamId::random();
        store.append(&stream, events(20_000)).await.unwrap();
        synchronous_standby_is_away(&cluster, &scene).await;
        let appends: Vec<_> = (0..50)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.append(&StreamId::random(), event()).await })
            })
            .collect();
        let waiting = i64::from(connections / 2);
        until(async || scene.number(WAIT_FOR_THE_STANDBY).await >= waiting).await;
        for _ in 0..3 {
            assert_eq!(in_time(settled(&store)).await, 20_000);
            assert_eq!(
                in_time(store.load_stream::<RawEvent>(&stream).into_future()).await.unwrap().len(),
                20_000
            );
            // A rare one is looked for in the directory, which is built meanwhile.
            let mut rare = store.subscribe::<RawEvent>().event_names(["Rare"]).stream();
            assert!(matches!(in_time(rare.try_next()).await, Ok(Some(Next::CaughtUp(_)))));
        }
        appends.iter().for_each(tokio::task::JoinHandle::abort);
        cluster.psql("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
        cluster.psql("postgres", "SELECT pg_reload_conf()");
        until(async || scene.number(WAIT_FOR_THE_STANDBY).await == 0).await;
    }
}

#[tokio::test]
async fn old_events_are_handed_over_while_the_synchronous_standby_is_away() {
    let cluster = Cluster::start(&[]);
    let scene = Scene::on(cluster.create_database()).await;
    scene.store.append(&StreamId::random(), events(20)).await.unwrap();
    rolled_back_at_the_end(&scene).await;
    synchronous_standby_is_away(&cluster, &scene).await;

    for _ in 0..5 {
        assert_eq!(in_time(settled(&scene.store)).await, 20, "what is above all events is not on record");
    }
    in_time(reads(&scene, 20)).await;
    let waiting = scene.number(WAIT_FOR_THE_STANDBY).await;
    assert!(waiting <= 2, "{waiting} connections wait for the standby: one a process, at most");

    cluster.psql("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
    cluster.psql("postgres", "SELECT pg_reload_conf()");
    until(async || settled(&scene.store).await == 21).await;
}

#[tokio::test]
async fn old_events_are_handed_over_while_the_records_are_locked() {
    let scene = Scene::new().await;
    scene.store.append(&StreamId::random(), events(3)).await.unwrap();
    rolled_back_at_the_end(&scene).await;
    append(&scene.store).await;
    let mut locking = scene.begin().await;
    let lock =
        "SELECT FROM event_sourcery_settled FOR UPDATE; SELECT FROM event_sourcery_evidence FOR UPDATE";
    sqlx::raw_sql(lock).execute(&mut *locking).await.unwrap();
    let options = PostgresBackend::options(scene.database.url()).max_connections(1);
    let store = EventStore::new(options.open().await.unwrap());
    assert_eq!(in_time(settled(&store)).await, 5);
    in_time(reads(&scene, 4)).await;
    locking.rollback().await.unwrap();
}
