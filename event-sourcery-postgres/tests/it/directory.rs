//! The directory of event names, built by several readers while others append.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use event_sourcery::{Error, Event, Position, RawEvent, StreamId};
use event_sourcery_postgres::PostgresBackend;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::scene::{Scene, Store, events, until};

const WRITERS: usize = 8;
const APPENDS: usize = 120;

#[derive(Event, Serialize, Deserialize, Debug)]
#[event(name = "Rare")]
struct Rare {}

/// Appends batches, every tenth with a rare event in it, and leaves holes of several blocks.
async fn write(scene: Arc<Scene>, writing: Arc<AtomicUsize>) {
    for number in 0..APPENDS {
        let mut batch = events(fastrand::usize(1..100));
        if number % 10 == 0 {
            let place = fastrand::usize(0..=batch.len());
            batch.insert(place, RawEvent::new("Rare", "{}").unwrap());
        }
        let mut tx = scene.begin().await;
        scene.store.within(&mut tx).append(&StreamId::random(), batch).await.unwrap();
        if fastrand::u8(..10) == 0 {
            let draw = "SELECT count(nextval('event_sourcery_events_id_seq')) FROM generate_series(1, 3000)";
            event_sourcery_postgres::sqlx::query(draw).execute(&mut *tx).await.unwrap();
        }
        if fastrand::u8(..10) < 2 {
            tx.rollback().await.unwrap();
        } else {
            tx.commit().await.unwrap();
        }
    }
    writing.fetch_sub(1, Ordering::AcqRel);
}

async fn read(store: &Store, after: Position) -> Vec<i64> {
    let mut rare = store.read_all::<Rare>().after(after).stream();
    let mut found = Vec::new();
    while let Some(recorded) = rare.try_next().await.unwrap() {
        found.push(recorded.position.to_i64());
    }
    found
}

/// Follows the rare events, each time from where the settled position was before, and goes through all now and then.
async fn follow(store: Store, writing: Arc<AtomicUsize>) -> Vec<i64> {
    let mut followed = Vec::new();
    loop {
        let was_last = writing.load(Ordering::Acquire) == 0;
        let after = Position::from_i64(followed.last().copied().unwrap_or(0));
        followed.extend(read(&store, after).await);
        let all = read(&store, Position::START).await;
        assert_eq!(all[..followed.len()], followed);
        if was_last {
            return followed;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_while_some_append_and_several_list() {
    let (scene, writing) = (Arc::new(Scene::new().await), Arc::new(AtomicUsize::new(WRITERS)));
    let mut readers = Vec::new();
    for _ in 0..3 {
        readers.push(tokio::spawn(follow(scene.another_store().await, Arc::clone(&writing))));
    }
    let writers = (0..WRITERS).map(|_| tokio::spawn(write(Arc::clone(&scene), Arc::clone(&writing))));
    for written in join_all(writers.collect::<Vec<_>>()).await {
        written.unwrap();
    }

    let rare = scene.database.psql("SELECT id FROM event_sourcery_events WHERE name = 'Rare'");
    let rare: BTreeSet<i64> = rare.lines().map(|line| line.parse().unwrap()).collect();
    assert!(rare.len() > 50, "{}", rare.len());
    for reader in readers {
        assert!(reader.await.unwrap().into_iter().eq(rare.iter().copied()));
    }
    let unlisted = "SELECT count(*) FROM event_sourcery_events e, event_sourcery_event_blocks_listed l
         WHERE e.id / 1024 < l.below AND NOT EXISTS (
             SELECT FROM event_sourcery_event_blocks b WHERE b.name = e.name AND b.block = e.id / 1024)";
    assert_eq!(scene.number(unlisted).await, 0);
    let listed = scene.number("SELECT below FROM event_sourcery_event_blocks_listed").await;
    let drawn = scene.number("SELECT last_value FROM event_sourcery_events_id_seq").await;
    assert!(listed > drawn / 1024 - 20, "{listed} of {}", drawn / 1024);
}

/// The directory keeps the old names: a subscription to the new one would look at no block of theirs.
#[tokio::test]
async fn names_that_were_changed_by_hand_are_found_once_the_directory_begins_anew() {
    let scene = Scene::new().await;
    // Far more than is read without the directory.
    for _ in 0..60 {
        scene.store.append(&StreamId::random(), events(1_000)).await.unwrap();
    }
    until(async || scene.store.position().await.unwrap().to_i64() == 60_000).await;
    scene
        .run(
            "INSERT INTO event_sourcery_event_blocks (name, block)
             SELECT DISTINCT name, id / 1024 FROM event_sourcery_events;
             UPDATE event_sourcery_event_blocks_listed SET below = 58",
        )
        .await;
    scene.run("UPDATE event_sourcery_events SET name = 'Rare' WHERE id IN (50000, 59000)").await;
    assert!(read(&scene.store, Position::START).await.is_empty());
    scene.run("UPDATE event_sourcery_event_blocks_listed SET below = 0").await;
    assert_eq!(read(&scene.store, Position::START).await, [50_000, 59_000]);
}

/// As where the events were filled in from elsewhere, and the directory is that of others.
#[tokio::test]
async fn a_directory_that_lacks_names_of_events_is_refused_when_the_store_is_opened_and_can_be_repaired() {
    let scene = Scene::new().await;
    scene.store.append(&StreamId::random(), events(2_100)).await.unwrap();
    let open = async || PostgresBackend::connect(scene.database.url()).await;
    // In the first block, and in the last that is listed.
    for position in [7, 1_500] {
        scene
            .run(
                "INSERT INTO event_sourcery_event_blocks (name, block)
                 SELECT DISTINCT name, id / 1024 FROM event_sourcery_events ON CONFLICT DO NOTHING;
                 UPDATE event_sourcery_event_blocks_listed SET below = 2",
            )
            .await;
        open().await.unwrap();
        let rename = "UPDATE event_sourcery_events SET name = 'Rare' WHERE id = ";
        scene.run(&format!("{rename}{position}")).await;
        let refused = open().await.unwrap_err();
        let Error::ForeignLayout { problem, .. } = &refused else { panic!("{refused:?}") };
        let remedy = problem.find("UPDATE").map(|at| &problem[at..]).unwrap();
        scene.run(remedy).await;
        open().await.unwrap();
    }
    assert_eq!(read(&scene.another_store().await, Position::START).await, [7, 1_500]);
}
