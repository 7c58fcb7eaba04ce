//! The outbox: whoever publishes is killed, nothing is lost, each stream keeps its order, and only what was published since the
//! last progress was kept comes again.

use std::path::Path;

use event_sourcery::backend::{Backend as _, OutboxRequest, SubscriptionBackend as _, SubscriptionId};
use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery::{Position, TenantId};
use killed::{HandledEvents, Load, kill_again_and_again, kills, told_to_stop, until};

use super::{LEASE, Scene, Store, open};
use crate::process::store_path;

/// Tells of each entry in a file, with where the outbox stood then.
struct Noting {
    store: Store,
    handled: HandledEvents,
}

impl Publisher for Noting {
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
    until(async || {
        let left = scene.store.backend().outbox(OutboxRequest::new(Position::START, 1)).await.unwrap();
        left.records.is_empty()
    })
    .await;
    last.into_iter().for_each(killed::Worker::stop);
    assert_eq!(scene.store.outbox().blocked().await.unwrap(), [], "none was refused");
    let mut lengths = Vec::new();
    for stream in &streams {
        lengths.push((stream.clone(), scene.store.version(stream).await.unwrap().unwrap_or(0)));
    }
    let again = handled.check(&lengths);
    println!("{kills} kills, {} entries published, {again} of them came again", handled.read().len());
}

/// Publishes whatever comes.
async fn publish_all(path: &Path) {
    let (store, handled) = (open(path).await, handled_beside(path));
    let outbox = store.outbox().lease(LEASE).until(told_to_stop());
    outbox.run_forever(Noting { store, handled }).await.expect("it bears whatever befalls the others");
}
