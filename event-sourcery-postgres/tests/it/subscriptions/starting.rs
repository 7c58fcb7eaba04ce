//! Clause 8.14: from now on, while positions below are still open.

use std::sync::{Arc, Mutex};

use event_sourcery::{RawEvent, Result, Start, StreamId};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::scene::{Scene, Store, event, events, until};

type Numbers = Arc<Mutex<Vec<i64>>>;

/// Handles events from now on, and notes their positions.
fn run_from_now(store: &Store, handled: &Numbers) -> (oneshot::Sender<()>, JoinHandle<Result<()>>) {
    let ((stop, stopped), handled) = (oneshot::channel::<()>(), Arc::clone(handled));
    let subscription = store.subscribe::<RawEvent>().durable("letters").start(Start::Now).until(stopped);
    let run = tokio::spawn(subscription.run(async move |recorded, _| {
        handled.lock().unwrap().push(recorded.position.to_i64());
        Ok(())
    }));
    (stop, run)
}

async fn append(store: &Store, count: usize) -> i64 {
    store.append(&StreamId::random(), events(count)).await.unwrap().position.to_i64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_now_on_is_what_commits_from_now_on_however_low_it_stands() {
    let scene = Scene::new().await;
    append(&scene.store, 2).await;
    let (mut first, mut second) = (scene.begin().await, scene.begin().await);
    let open = scene.store.within(&mut first).append(&StreamId::random(), event()).await.unwrap();
    append(&scene.store, 3).await;
    let taken_back = scene.store.within(&mut second).append(&StreamId::random(), event()).await.unwrap();
    let last_before = append(&scene.store, 1).await;
    assert_eq!((open.position.to_i64(), taken_back.position.to_i64(), last_before), (3, 7, 8));

    let (handled, another) = (Numbers::default(), scene.another_store().await);
    let (stop, run) = run_from_now(&another, &handled);
    let letters = || scene.store.subscribe::<RawEvent>().durable("letters");
    until(async || letters().status().await.unwrap().is_some()).await;
    let after = append(&scene.store, 1).await;
    first.commit().await.unwrap();
    second.rollback().await.unwrap();
    until(async || handled.lock().unwrap().len() >= 2).await;
    let last = append(&scene.store, 1).await;
    until(async || handled.lock().unwrap().len() >= 3).await;
    assert_eq!(*handled.lock().unwrap(), [3, after, last]);

    drop(stop);
    run.await.unwrap().unwrap();

    // So it is where it is reset.
    let mut third = scene.begin().await;
    let open = scene.store.within(&mut third).append(&StreamId::random(), event()).await.unwrap();
    append(&scene.store, 2).await;
    letters().reset(Start::Now).await.unwrap();
    third.commit().await.unwrap();
    let after = append(&scene.store, 1).await;
    let (stop, run) = run_from_now(&another, &handled);
    until(async || handled.lock().unwrap().len() >= 5).await;
    drop(stop);
    run.await.unwrap().unwrap();
    assert_eq!(handled.lock().unwrap()[3..], [open.position.to_i64(), after]);
}
