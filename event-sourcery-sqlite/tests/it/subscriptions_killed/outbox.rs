//! The outbox: whoever publishes is killed or frozen, nothing is lost, each stream keeps its order, and only what was published since
//! the last progress was kept comes again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use event_sourcery::backend::{Backend as _, OutboxRequest, SubscriptionBackend as _, SubscriptionId};
use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery::{Position, StreamId, TenantId};
use event_sourcery_sqlite::rusqlite::Connection;
use killed::{
    HandledEvents, Load, Noting, Worker, append_to_all, kill_again_and_again, kills, streams, told_to_stop,
    until,
};

use super::{LEASE, Scene, Store, open};
use crate::process::store_path;

/// Tells of each entry in a file, with where the outbox stood then.
struct Telling {
    store: Store,
    handled: HandledEvents,
}

impl Publisher for Telling {
    fn batch(&self) -> usize {
        3
    }

    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            let id = SubscriptionId::outbox(TenantId::DEFAULT);
            let record = self.store.backend().subscription(id).await.unwrap().unwrap();
            entries.iter().for_each(|entry| self.handled.note(entry.recorded(), &record));
            entries.iter().map(|_| Ok(())).collect()
        })
    }
}

fn handled_beside(store: &Path) -> HandledEvents {
    HandledEvents::within(store.parent().expect("a file is in a folder"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_while_it_publishes_nothing_is_lost_and_each_stream_keeps_its_order() {
    if let Some(path) = store_path() {
        return publish_all(&path).await;
    }
    let test = concat!(
        module_path!(),
        "::whoever_is_killed_while_it_publishes_nothing_is_lost_and_each_stream_keeps_its_order"
    );
    let scene = Scene::new().await;
    let handled = handled_beside(&scene.path);
    let load = Load::on(&scene.store.clone().with_outbox(|_| true).unwrap());
    let kills = kills() / 2;
    kill_again_and_again(kills, || scene.worker(test), async || handled.read().len() as u64).await;
    let streams = load.end().await;
    let last = [scene.worker(test), scene.worker(test)];
    until_published(&scene).await;
    last.into_iter().for_each(Worker::stop);
    let again = handled.check(&lengths(&scene, &streams).await);
    println!("{kills} kills, {} entries published, {again} of them came again", handled.read().len());
}

/// Returns once nothing is left, and nothing is parked either.
async fn until_published(scene: &Scene) {
    until(async || {
        let left = scene.store.backend().outbox(OutboxRequest::new(Position::START, 1)).await.unwrap();
        left.records.is_empty()
    })
    .await;
    assert_eq!(scene.store.outbox().blocked().await.unwrap(), [], "none was refused");
}

async fn lengths(scene: &Scene, streams: &[StreamId]) -> Vec<(StreamId, u64)> {
    let mut lengths = Vec::new();
    for stream in streams {
        lengths.push((stream.clone(), scene.store.version(stream).await.unwrap().unwrap_or(0)));
    }
    lengths
}

/// Publishes whatever comes.
async fn publish_all(path: &Path) {
    let (store, handled) = (open(path).await, handled_beside(path));
    let outbox = store.outbox().lease(LEASE).until(told_to_stop());
    outbox.run_forever(Telling { store, handled }).await.expect("it bears whatever befalls the others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_frozen_worker_sends_when_it_goes_on_are_repeats_and_the_order_holds() {
    if let Some(path) = store_path() {
        return freeze_over_the_first(&path).await;
    }
    let test = concat!(
        module_path!(),
        "::what_a_frozen_worker_sends_when_it_goes_on_are_repeats_and_the_order_holds"
    );
    let scene = Scene::new().await;
    let (handled, streams) = (handled_beside(&scene.path), streams());
    let store = scene.store.clone().with_outbox(|_| true).unwrap();
    let published_by =
        |worker: &Worker| handled.read().iter().filter(|line| line.process == worker.id()).count();
    append_to_all(&store, &streams, 3).await;
    let gate = gate_beside(&scene.path);
    std::fs::create_dir(&gate).unwrap();
    let frozen = scene.worker(test);
    until(async || gate.join("reached").exists()).await;
    // Not while it writes: the others would wait until it goes on.
    until(async || {
        frozen.freeze();
        until(async || frozen.is_frozen()).await;
        let can_write = can_be_written(&scene.path);
        if !can_write {
            frozen.thaw();
        }
        can_write
    })
    .await;
    std::fs::remove_dir_all(&gate).unwrap();
    let other = scene.worker(test);
    until_published(&scene).await;
    assert_eq!(published_by(&frozen), 0, "all of it was published by the other one");

    frozen.thaw();
    until(async || published_by(&frozen) > 0).await;
    assert!(handled.check_order(&lengths(&scene, &streams).await) > 0, "it has sent what the other one had");

    let before = published_by(&frozen);
    until(async || {
        append_to_all(&store, &streams, 1).await;
        until_published(&scene).await;
        published_by(&frozen) > before
    })
    .await;
    frozen.stop();
    other.stop();
    handled.check_order(&lengths(&scene, &streams).await);
}

/// Stands at the gate before the first entries arrive, as long as there is one.
async fn freeze_over_the_first(path: &Path) {
    let outbox = open(path).await.outbox().lease(LEASE).until(told_to_stop());
    let gate = gate_beside(path);
    let stand = move || {
        while gate.exists() {
            let _ = std::fs::create_dir(gate.join("reached"));
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    let publishing = outbox.run_forever(Noting::new(handled_beside(path), stand));
    publishing.await.expect("it bears the loss of its lease");
}

fn gate_beside(store: &Path) -> PathBuf {
    store.with_file_name("gate")
}

/// Whether nobody holds the lock of those who write.
fn can_be_written(path: &Path) -> bool {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_millis(50)).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
}
