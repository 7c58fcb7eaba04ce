//! How far readers are behind while half of all that is written is rolled back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use event_sourcery::StreamId;

use crate::scene::{Scene, Store, event, from_environment};

/// How long to write: `EVENT_SOURCERY_LAG_SECONDS`, or 5 s.
const SECONDS: &str = "EVENT_SOURCERY_LAG_SECONDS";
const WRITERS: usize = 16;

/// Writes as fast as it can, and takes every other transaction back.
async fn write(scene: Arc<Scene>, store: Store, until: Instant, committed: Arc<AtomicUsize>) {
    let mut commits = false;
    while Instant::now() < until {
        let mut tx = scene.begin().await;
        store.within(&mut tx).append(&StreamId::random(), event()).await.unwrap();
        commits = !commits;
        if commits {
            tx.commit().await.unwrap();
            committed.fetch_add(1, Ordering::Relaxed);
        } else {
            tx.rollback().await.unwrap();
        }
    }
}

/// How long it takes from an event that is there to a settled position that reaches it, asked again and again.
async fn lags(scene: &Scene, reader: &Store, until: Instant) -> Vec<Duration> {
    let mut lags = Vec::new();
    while Instant::now() < until {
        let newest = scene.number("SELECT coalesce(max(id), 0) FROM event_sourcery_events").await;
        let began = Instant::now();
        while reader.position().await.unwrap().to_i64() < newest {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        lags.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    lags.sort();
    lags
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_settled_position_stays_less_than_a_second_behind_while_half_is_rolled_back() {
    let scene = Arc::new(Scene::new().await);
    let began = Instant::now();
    let until = began + Duration::from_secs(from_environment(SECONDS, 5));
    let committed = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (scene, store) = (Arc::clone(&scene), scene.store.clone());
            tokio::spawn(write(scene, store, until, Arc::clone(&committed)))
        })
        .collect();
    let lags = lags(&scene, &scene.another_store().await, until).await;
    for writer in writers {
        writer.await.unwrap();
    }
    let (middle, longest) = (lags[lags.len() / 2], lags[lags.len() - 1]);
    println!(
        "{WRITERS} writers for {:.0?}: {} committed, as many rolled back; behind {middle:.1?} at the median, {longest:.1?} at most, of \
         {} looks",
        began.elapsed(),
        committed.load(Ordering::Relaxed),
        lags.len()
    );
    // A machine that is busy with other tests may leave a look waiting for longer now and then.
    assert!(middle < Duration::from_secs(1) && longest < Duration::from_secs(4), "{middle:?}, {longest:?}");
}
