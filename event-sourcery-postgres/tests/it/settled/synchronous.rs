//! Contract 4.5: a position is told although commits cannot be confirmed, or the record is locked.

use std::time::Duration;

use event_sourcery::{Error, Event as _, EventStore, Next, RawEvent, Result, StreamId};
use event_sourcery_postgres::{PostgresBackend, sqlx};
use postgres_cluster::Cluster;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{append, draw, settled};
use crate::scene::{Scene, event, events, open, until};

async fn rolled_back_at_the_end(scene: &Scene) {
    let mut rolled_back = scene.begin().await;
    draw(&scene.store, &mut rolled_back, 1).await;
    rolled_back.rollback().await.unwrap();
}

/// What waits for the standby, or for a place of those who do, never comes, or is refused.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("it waits for nobody")
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

fn synchronous_standby_is_back(cluster: &Cluster) {
    cluster.psql("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
    cluster.psql("postgres", "SELECT pg_reload_conf()");
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
        appends.iter().for_each(JoinHandle::abort);
        synchronous_standby_is_back(&cluster);
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

    synchronous_standby_is_back(&cluster);
    until(async || settled(&scene.store).await == 21).await;
}

/// The call is committed, and its answer lost.
async fn is_cut_off_while_it_waits<T: std::fmt::Debug>(scene: &Scene, call: JoinHandle<Result<T>>) {
    until(async || scene.number(WAIT_FOR_THE_STANDBY).await >= 1).await;
    scene.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").await;
    let lost = call.await.unwrap().unwrap_err();
    assert!(matches!(lost, Error::OutcomeUnknown { .. }), "{lost:?}");
}

/// Whoever is cut off while he waits leaves his events visible, and unconfirmed: a failover would lose them.
#[tokio::test]
async fn a_repeat_is_not_acknowledged_before_its_events_are_on_the_synchronous_standby() {
    let cluster = Cluster::start(&[]);
    let scene = Scene::on(cluster.create_database()).await;
    let (stream, id) = (StreamId::random(), Uuid::now_v7());
    synchronous_standby_is_away(&cluster, &scene).await;
    let append = || {
        let (store, stream) = (scene.store.clone(), stream.clone());
        tokio::spawn(async move { store.append(&stream, event().with_id(id)).await })
    };

    is_cut_off_while_it_waits(&scene, append()).await;
    assert_eq!(scene.events().await, 1, "others see it");

    let repeat = append();
    until(async || repeat.is_finished() || scene.number(WAIT_FOR_THE_STANDBY).await >= 1).await;
    assert!(!repeat.is_finished(), "it is acknowledged");

    let joined = async {
        let mut transaction = scene.begin().await;
        let appended =
            scene.store.within(&mut transaction).append(&stream, event().with_id(id)).await.unwrap();
        transaction.commit().await.unwrap();
        appended
    };
    let mut joined = std::pin::pin!(joined);
    let waits = until(async || scene.number(WAIT_FOR_THE_STANDBY).await >= 2);
    tokio::select! {
        appended = &mut joined => panic!("{appended:?}"),
        () = waits => {}
    }

    synchronous_standby_is_back(&cluster);
    assert!(repeat.await.unwrap().unwrap().repeated && joined.await.repeated);
    assert_eq!(scene.events().await, 1);
}

#[tokio::test]
async fn a_repeated_deletion_is_not_acknowledged_before_the_synchronous_standby_has_it() {
    let cluster = Cluster::start(&[]);
    let scene = Scene::on(cluster.create_database()).await;
    let stream = StreamId::random();
    scene.store.append(&stream, event()).await.unwrap();
    synchronous_standby_is_away(&cluster, &scene).await;
    let delete = || {
        let (store, stream) = (scene.store.clone(), stream.clone());
        tokio::spawn(async move { store.delete_stream(&stream).await })
    };

    is_cut_off_while_it_waits(&scene, delete()).await;
    assert_eq!(scene.events().await, 0, "others see it");
    let repeat = delete();
    until(async || repeat.is_finished() || scene.number(WAIT_FOR_THE_STANDBY).await >= 1).await;
    assert!(!repeat.is_finished(), "it is acknowledged");

    synchronous_standby_is_back(&cluster);
    repeat.await.unwrap().unwrap();
}

/// It is not logged. But planning it may tidy up the catalogue, which is, and one in five such commits waited.
#[tokio::test]
async fn what_is_left_for_other_processes_does_not_wait_for_the_synchronous_standby() {
    let cluster = Cluster::start(&[]);
    let scene = Scene::on(cluster.create_database()).await;
    let mut held = scene.begin().await;
    draw(&scene.store, &mut held, 1).await;
    append(&scene.store).await;
    synchronous_standby_is_away(&cluster, &scene).await;
    for _ in 0..30 {
        let nothing_is_left = "SET synchronous_commit = off;
            UPDATE event_sourcery_evidence SET ceiling = 0, holders = '{}'; ANALYZE event_sourcery_evidence";
        cluster.psql(scene.database.name(), nothing_is_left);
        let store = open(&scene.database.url()).await;
        assert_eq!(in_time(settled(&store)).await, 0);
        assert_eq!(scene.number("SELECT ceiling FROM event_sourcery_evidence").await, 2);
    }
    synchronous_standby_is_back(&cluster);
    held.rollback().await.unwrap();
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
