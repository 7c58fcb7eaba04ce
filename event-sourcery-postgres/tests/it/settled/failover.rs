//! Contract 4.7 and 4.8: another server takes the place of the one that was read.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_sourcery::{Error, Event as _, EventStore, Next, Position, RawEvent, Result, StreamId};
use event_sourcery_postgres::PostgresBackend;
use postgres_cluster::{ARCHIVING, Cluster};
use uuid::Uuid;

use super::address::Address;
use super::{Reader, append, settled};
use crate::scene::{Scene, Store, event, events, until};

/// A store behind an address that leads to the server, and its database.
pub(super) async fn behind_an_address(cluster: &Cluster) -> (Address, Store, Scene) {
    let scene = Scene::on(cluster.create_database()).await;
    let address = Address::of(cluster.port()).await;
    let store = open(&address, &scene).await;
    (address, store, scene)
}

pub(super) async fn open(address: &Address, scene: &Scene) -> Store {
    let options = PostgresBackend::options(address.url(scene.database.name()));
    EventStore::new(options.acquire_timeout(Duration::from_secs(2)).open().await.unwrap())
}

/// Returns once the standby has replayed everything.
pub(super) async fn until_replayed(primary: &Cluster, standby: &Cluster) {
    let wanted = primary.psql("postgres", "SELECT pg_current_wal_flush_lsn()");
    let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{wanted}'");
    until(async || standby.psql("postgres", &replayed) == "t").await;
}

/// Writers and a reader that go on whatever happens, until they are told to stop.
struct Traffic {
    acknowledged: Arc<Mutex<Vec<Uuid>>>,
    read: Arc<Mutex<Vec<(i64, Uuid)>>>,
    /// The last error that the reader met.
    met: Arc<Mutex<Option<Error>>>,
    told: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Traffic {
    fn on(store: &Store) -> Self {
        let mut traffic = Self {
            acknowledged: Arc::default(),
            read: Arc::default(),
            met: Arc::default(),
            told: Arc::default(),
            tasks: Vec::new(),
        };
        for number in 0..4 {
            let (store, told) = (store.clone(), Arc::clone(&traffic.told));
            let acknowledged = Arc::clone(&traffic.acknowledged);
            traffic.tasks.push(tokio::spawn(async move {
                while !told.load(Ordering::SeqCst) {
                    write(&store, number == 0, &acknowledged).await;
                }
            }));
        }
        let (store, told) = (store.clone(), Arc::clone(&traffic.told));
        let (read, met) = (Arc::clone(&traffic.read), Arc::clone(&traffic.met));
        traffic.tasks.push(tokio::spawn(async move {
            let mut at = Position::START;
            while !told.load(Ordering::SeqCst) {
                if let Err(error) = follow(&store, &mut at, &read, &told).await {
                    *met.lock().unwrap() = Some(error);
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }));
        traffic
    }

    /// Returns once the reader has read so many events more. It never does so on a server of another history.
    async fn goes_on_for(&self, events: usize) {
        let before = self.read.lock().unwrap().len();
        until(async || {
            let met = self.met.lock().unwrap();
            assert!(!matches!(*met, Some(Error::HistoryReplaced { .. })), "{met:?}");
            self.read.lock().unwrap().len() >= before + events
        })
        .await;
    }

    async fn stop(self) -> (Vec<Uuid>, Vec<(i64, Uuid)>) {
        self.told.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
        (self.acknowledged.lock().unwrap().clone(), self.read.lock().unwrap().clone())
    }
}

/// An append: alone, or in a transaction that takes a while and may be rolled back.
async fn write(store: &Store, in_transaction: bool, acknowledged: &Mutex<Vec<Uuid>>) {
    let id = Uuid::now_v7();
    let event = event().with_id(id);
    let written = async {
        if !in_transaction {
            return store.append(&StreamId::random(), event).await.map(|_| true);
        }
        let mut tx = store.backend().begin().await?;
        store.within(&mut tx).append(&StreamId::random(), event).await?;
        tokio::time::sleep(Duration::from_millis(7)).await;
        if id.as_bytes()[15].is_multiple_of(2) {
            return tx.rollback().await.map(|()| false);
        }
        tx.commit().await.map(|()| true)
    };
    match written.await {
        Ok(true) => acknowledged.lock().unwrap().push(id),
        Ok(false) => {}
        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
    }
}

/// Reads on until an error, or until it is told to stop. What waits for an event is given up again and again.
async fn follow(
    store: &Store,
    at: &mut Position,
    read: &Mutex<Vec<(i64, Uuid)>>,
    told: &AtomicBool,
) -> Result<()> {
    let mut following = store.subscribe::<RawEvent>().after(*at).stream();
    while !told.load(Ordering::SeqCst) {
        let next = tokio::time::timeout(Duration::from_millis(200), following.try_next());
        let Ok(next) = next.await else { continue };
        match next? {
            Some(Next::Event(recorded)) => {
                read.lock().unwrap().push((recorded.position.to_i64(), recorded.wrapped_event.uuid));
                *at = recorded.position;
            }
            Some(Next::CaughtUp(position)) => *at = position,
            None => return Ok(()),
        }
    }
    Ok(())
}

/// What stands above a position, once all of it is settled.
async fn rest_above(at: i64, store: &Store, server: &Cluster, database: &str) -> Vec<(i64, Uuid)> {
    let newest: i64 = server.psql(database, "SELECT max(id) FROM event_sourcery_events").parse().unwrap();
    until(async || settled(store).await >= newest).await;
    let mut all = store.read_all::<RawEvent>().after(Position::from_i64(at)).stream();
    let mut rest = Vec::new();
    while let Some(recorded) = all.try_next().await.unwrap() {
        rest.push((recorded.position.to_i64(), recorded.wrapped_event.uuid));
    }
    rest
}

/// What was acknowledged on a primary with a synchronous standby is there after the standby has taken over, and the reader
/// that was at work goes on in order.
#[tokio::test(flavor = "multi_thread")]
async fn readers_go_on_in_order_when_a_synchronous_standby_takes_over() {
    let mut primary = Cluster::start(&[("wal_level", "replica"), ("max_wal_senders", "4")]);
    let standby = primary.standby();
    primary.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()");
    let (address, store, scene) = behind_an_address(&primary).await;
    let traffic = Traffic::on(&store);
    traffic.goes_on_for(300).await;

    primary.kill();
    standby.psql("postgres", "SELECT 1");
    standby.promote();
    // The new server waits for nobody.
    standby.psql("postgres", "ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()");
    address.leads_to(standby.port());
    traffic.goes_on_for(300).await;
    let (acknowledged, mut read) = traffic.stop().await;
    let (at, new) = (read.last().unwrap().0, open(&address, &scene).await);
    read.extend(rest_above(at, &new, &standby, scene.database.name()).await);

    assert!(read.windows(2).all(|pair| pair[0].0 < pair[1].0), "out of order, or twice");
    let places: HashMap<_, _> = read.iter().map(|(position, id)| (*id, *position)).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|id| !places.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged", lost.len(), acknowledged.len());
}

/// A primary whose standby lacks what `primary_only` has done there; the standby leads when this returns.
async fn with_a_standby_that_is_behind(
    before: usize,
    primary_only: impl AsyncFnOnce(&Store, &Scene),
) -> (Address, Store, Scene, [Cluster; 2]) {
    let mut primary = Cluster::start(&[("wal_level", "replica"), ("max_wal_senders", "4")]);
    let mut standby = primary.standby();
    let (address, store, scene) = behind_an_address(&primary).await;
    store.append(&StreamId::random(), events(before)).await.unwrap();
    assert_eq!(settled(&store).await, i64::try_from(before).unwrap());
    until_replayed(&primary, &standby).await;
    standby.stop_fast();
    primary_only(&store, &scene).await;
    primary.kill();
    standby.start_again();
    standby.promote();
    address.leads_to(standby.port());
    (address, store, scene, [primary, standby])
}

async fn is_told_that_the_server_was_replaced(store: &Store) {
    until(async || match store.position().await {
        Err(Error::HistoryReplaced { .. }) => true,
        Err(Error::Unavailable { .. }) => false,
        other => panic!("{other:?}"),
    })
    .await;
    let mut waiting = store.subscribe::<RawEvent>().stream();
    let told = waiting.try_next().await;
    assert!(matches!(told, Err(Error::HistoryReplaced { .. })), "{told:?}");
}

/// What the standby lacks is lost, and its positions are given again: who was handed them is told.
#[tokio::test(flavor = "multi_thread")]
async fn readers_are_told_when_a_standby_takes_over_that_lacks_what_they_were_handed() {
    let lost = async |store: &Store, _: &Scene| {
        for _ in 0..60 {
            append(store).await;
        }
        assert_eq!(settled(store).await, 80);
    };
    let (address, store, scene, _servers) = with_a_standby_that_is_behind(20, lost).await;
    // Another process writes where this one has read already.
    let new = open(&address, &scene).await;
    let mut again = Vec::new();
    for _ in 0..80 {
        again.push(append(&new).await);
    }
    assert!(again[0] <= 80, "a position is given again: {again:?}");

    is_told_that_the_server_was_replaced(&store).await;
    let expected: Vec<_> = (1..=20).chain(again).collect();
    Reader::of(&new).comes_to_see(&expected).await;
    Reader::of(&open(&address, &scene).await).comes_to_see(&expected).await;
}

/// The positions that were given on the other server are none that this one has given.
#[tokio::test(flavor = "multi_thread")]
async fn appends_go_on_when_a_standby_takes_over_that_lacks_what_was_settled() {
    let lost = async |store: &Store, _: &Scene| {
        store.append(&StreamId::random(), events(1_000)).await.unwrap();
        assert_eq!(settled(store).await, 1_020);
    };
    let (_address, store, _scene, _servers) = with_a_standby_that_is_behind(20, lost).await;
    let mut position = None;
    until(async || {
        let appended = store.append(&StreamId::random(), event()).await;
        position = appended.ok().map(|appended| appended.position.to_i64());
        position.is_some()
    })
    .await;
    assert!(position.is_some_and(|position| position <= 1_020), "{position:?}");
    let mut transaction = store.backend().begin().await.unwrap();
    store.within(&mut transaction).append(&StreamId::random(), event()).await.unwrap();
    transaction.commit().await.unwrap();
    is_told_that_the_server_was_replaced(&store).await;
}

/// The newest event is there. Above it positions were settled that were rolled back, and they are drawn again.
#[tokio::test(flavor = "multi_thread")]
async fn readers_are_told_when_positions_that_they_passed_are_drawn_again() {
    let passed = async |store: &Store, scene: &Scene| {
        let mut rolled_back = scene.begin().await;
        store.within(&mut rolled_back).append(&StreamId::random(), events(60)).await.unwrap();
        rolled_back.rollback().await.unwrap();
        until(async || settled(store).await == 80).await;
    };
    let (address, store, scene, _servers) = with_a_standby_that_is_behind(20, passed).await;
    let new = open(&address, &scene).await;
    let first = append(&new).await;
    assert!(first <= 80, "{first}");
    for _ in first..=80 {
        append(&new).await;
    }
    is_told_that_the_server_was_replaced(&store).await;
}

/// A reader begins in a process that has looked at the server before only. What was settled there is not settled here.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_not_read_up_to_a_position_that_was_settled_on_another_server() {
    let lost = async |store: &Store, _: &Scene| {
        store.append(&StreamId::random(), events(1_000)).await.unwrap();
        assert_eq!(settled(store).await, 1_020);
    };
    let (address, store, scene, _servers) = with_a_standby_that_is_behind(20, lost).await;
    let new = open(&address, &scene).await;
    let mut late = new.backend().begin().await.unwrap();
    new.within(&mut late).append(&StreamId::random(), event()).await.unwrap();
    // More than a page.
    new.append(&StreamId::random(), events(900)).await.unwrap();

    let mut told = None;
    until(async || {
        let mut all = store.subscribe::<RawEvent>().stream();
        told = loop {
            match all.try_next().await {
                Ok(Some(Next::Event(recorded))) => {
                    assert!(recorded.position.to_i64() <= 20, "{}", recorded.position);
                }
                Ok(_) => panic!("it was read to the end, without what is late"),
                Err(Error::Unavailable { .. }) => break None,
                Err(error) => break Some(error),
            }
        };
        told.is_some()
    })
    .await;
    assert!(matches!(told, Some(Error::HistoryReplaced { .. })), "{told:?}");
    late.commit().await.unwrap();
}

/// The same, before anybody has written on the new server.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_would_draw_positions_again_is_refused_before_it_does() {
    let passed = async |store: &Store, scene: &Scene| {
        let mut rolled_back = scene.begin().await;
        store.within(&mut rolled_back).append(&StreamId::random(), events(60)).await.unwrap();
        rolled_back.rollback().await.unwrap();
        until(async || settled(store).await == 80).await;
    };
    let (_address, store, _scene, _servers) = with_a_standby_that_is_behind(20, passed).await;
    until(async || match store.position().await {
        Err(Error::NumberingWentBack { highest: 80, .. }) => true,
        Err(Error::Unavailable { .. }) => false,
        other => panic!("{other:?}"),
    })
    .await;
}

/// A backup restored to a point in time behind the same address.
#[tokio::test(flavor = "multi_thread")]
async fn readers_are_told_of_a_server_that_was_restored_to_a_point_in_time() {
    let settings = [ARCHIVING.as_slice(), &[("max_wal_senders", "4")]].concat();
    let mut primary = Cluster::start(&settings);
    let (address, store, scene) = behind_an_address(&primary).await;
    append(&store).await;
    let backup = primary.backup();
    append(&store).await;
    primary.psql("postgres", "SELECT pg_create_restore_point('before the accident')");
    let traffic = Traffic::on(&store);
    traffic.goes_on_for(100).await;
    // The file that the switch completed: it holds the restore point.
    let complete = primary.psql("postgres", "SELECT pg_walfile_name(pg_switch_wal())");
    let archived = format!("SELECT last_archived_wal >= '{complete}' FROM pg_stat_archiver");
    until(async || primary.psql("postgres", &archived) == "t").await;
    primary.kill();
    let restored = backup.restored_to("before the accident");
    address.leads_to(restored.port());
    let (_, read) = traffic.stop().await;
    assert!(read.len() > 100);

    is_told_that_the_server_was_replaced(&store).await;
    let new = open(&address, &scene).await;
    // What was under way when the address led elsewhere may have been written there.
    let there = restored.psql(scene.database.name(), "SELECT id FROM event_sourcery_events ORDER BY id");
    let mut there: Vec<i64> = there.lines().map(|id| id.parse().unwrap()).collect();
    assert_eq!(there[..2], [1, 2]);
    Reader::of(&new).comes_to_see(&there).await;
    there.push(append(&new).await);
    Reader::of(&new).comes_to_see(&there).await;
}

/// A position kept elsewhere, as of before the restore.
#[tokio::test]
async fn a_position_of_before_a_restore_is_beyond_the_end() {
    let scene = Scene::new().await;
    append(&scene.store).await;
    let beyond = Position::from_i64(7);
    let told = scene.store.subscribe::<RawEvent>().after(beyond).stream().try_next().await;
    assert!(matches!(told, Err(Error::BeyondEnd { position, .. }) if position == beyond), "{told:?}");
    let told = scene.store.read_all::<RawEvent>().after(beyond).stream().try_next().await;
    assert!(matches!(told, Err(Error::BeyondEnd { .. })), "{told:?}");
}
