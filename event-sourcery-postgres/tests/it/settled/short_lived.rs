//! Contract 4.8: a process that reads once and ends gets as far as one that stays.

use std::time::Duration;

use event_sourcery::{Next, RawEvent, StreamId};

use super::{append, draw, settled};
use crate::scene::{Scene, event};

/// Reads all there is, as a process that is started for it.
async fn reads_once(scene: &Scene) -> i64 {
    let store = scene.another_store().await;
    let mut all = store.subscribe::<RawEvent>().stream();
    let mut read = 0;
    loop {
        match all.try_next().await.unwrap() {
            Some(Next::Event(recorded)) => read = recorded.position.to_i64(),
            _ => return read,
        }
    }
}

/// Somebody is always writing, and every other transaction is rolled back: there is no moment without a hole and a holder.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_read_once_go_on_from_what_others_have_seen() {
    let scene = Scene::new().await;
    append(&scene.store).await;
    let mut open = Vec::new();
    let mut lag = Vec::new();
    for round in 0..12_usize {
        let mut tx = scene.begin().await;
        let drawn = draw(&scene.store, &mut tx, 1).await[0];
        open.push((tx, round % 2 == 0));
        append(&scene.store).await;
        if open.len() > 2 {
            match open.remove(0) {
                (tx, true) => tx.commit().await.unwrap(),
                (tx, false) => tx.rollback().await.unwrap(),
            }
        }
        lag.push(drawn - reads_once(&scene).await);
        tokio::time::sleep(Duration::from_millis(110)).await;
    }
    // Evidence of a round is complete once the two that were open then have ended.
    assert!(lag[4..].iter().all(|lag| *lag <= 12), "{lag:?}");
}

/// Evidence that is left says nothing of a transaction that began later.
#[tokio::test]
async fn what_was_left_passes_over_nobody() {
    let scene = Scene::new().await;
    append(&scene.store).await;
    let mut first = scene.begin().await;
    assert_eq!(draw(&scene.store, &mut first, 1).await, [2]);
    assert_eq!(append(&scene.store).await, 3);
    assert_eq!(settled(&scene.another_store().await).await, 1);
    let mut second = scene.begin().await;
    assert_eq!(draw(&scene.store, &mut second, 1).await, [4]);
    assert_eq!(append(&scene.store).await, 5);
    first.rollback().await.unwrap();

    assert_eq!(settled(&scene.another_store().await).await, 3);
    second.commit().await.unwrap();
    assert_eq!(settled(&scene.another_store().await).await, 5);
    scene.store.append(&StreamId::random(), event()).await.unwrap();
    assert_eq!(settled(&scene.another_store().await).await, 6);
}
