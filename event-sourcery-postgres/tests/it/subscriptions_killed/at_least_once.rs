//! Handlers that write elsewhere: nothing is lost, and only what was handled since the last checkpoint comes again.

use std::time::Duration;

use event_sourcery::StreamId;
use event_sourcery::backend::SubscriptionBackend as _;
use killed::{HandledEvents, Load, kill_again_and_again, kills, told_to_stop, until};

use super::folder::{Folder, folder};
use super::{LEASE, id, record, subscription, until_all_is_handled, worker};
use crate::process::store_url;
use crate::scene::{Scene, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_nothing_is_lost_and_nothing_comes_again_from_behind_a_checkpoint() {
    if let Some(url) = store_url() {
        return note_all(&url, LEASE).await;
    }
    let test = concat!(
        module_path!(),
        "::whoever_is_killed_nothing_is_lost_and_nothing_comes_again_from_behind_a_checkpoint"
    );
    let scene = Scene::new().await;
    let (_folder, url) = (Folder::of(&scene), scene.database.url());
    let handled = HandledEvents::within(&folder(scene.database.name()));
    let load = Load::on(&scene.store);
    let kills = kills() / 2;
    kill_again_and_again(kills, || worker(test, &url), async || handled.read().len() as i64).await;
    let streams = load.end().await;
    let last = [worker(test, &url), worker(test, &url)];
    until_all_is_handled(&scene.store).await;
    last.into_iter().for_each(killed::Worker::stop);
    let again = handled.check(&lengths(&scene, &streams).await);
    println!("{kills} kills, {} events handled, {again} of them came again", handled.read().len());
}

/// Notes every event that comes.
async fn note_all(url: &str, lease: Duration) {
    let store = open(url).await;
    let handled = HandledEvents::within(&folder(url.rsplit_once('/').unwrap().1));
    let noting = subscription(&store).lease(lease).until(told_to_stop()).run(async |event, store| {
        let record = store.backend().subscription(id()).await?;
        handled.note(&event, &record.unwrap());
        Ok(())
    });
    noting.await.expect("it bears whatever befalls the others");
}

async fn lengths(scene: &Scene, streams: &[StreamId]) -> Vec<(StreamId, u64)> {
    let mut lengths = Vec::new();
    for stream in streams {
        lengths.push((stream.clone(), scene.store.version(stream).await.unwrap().unwrap_or(0)));
    }
    lengths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_clean_stop_nothing_comes_again_and_the_next_one_goes_on_at_once() {
    if let Some(url) = store_url() {
        // Nobody waits for its end.
        return note_all(&url, Duration::from_secs(3_600)).await;
    }
    let test =
        concat!(module_path!(), "::after_a_clean_stop_nothing_comes_again_and_the_next_one_goes_on_at_once");
    let scene = Scene::new().await;
    let (_folder, url) = (Folder::of(&scene), scene.database.url());
    let (handled, load) = (HandledEvents::within(&folder(scene.database.name())), Load::on(&scene.store));
    for _ in 0..10 {
        let (before, more) = (handled.read().len(), fastrand::usize(1..40));
        let worker = worker(test, &url);
        until(async || handled.read().len() >= before + more).await;
        worker.stop();
        let record = record(&scene.store).await.unwrap();
        assert_eq!(record.members, [], "it has left");
        assert!(record.segments.iter().all(|segment| segment.member.is_none()), "{record:?}");
    }
    let streams = load.end().await;
    let last = worker(test, &url);
    until_all_is_handled(&scene.store).await;
    last.stop();
    assert_eq!(handled.check(&lengths(&scene, &streams).await), 0, "nothing came again");
}
