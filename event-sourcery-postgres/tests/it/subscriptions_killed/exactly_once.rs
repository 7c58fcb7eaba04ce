//! Handlers that write through the subscription's transaction: every event takes effect once, in the order of its stream.

use std::time::{Duration, Instant};

use event_sourcery::StreamId;
use killed::{Load, append_to_all, freeze_once, kill_again_and_again, kills, streams, until};

use super::folder::{Folder, folder};
use super::{read_model, record, until_all_is_handled, worker};
use crate::process::store_url;
use crate::scene::{Scene, event, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_each_event_takes_effect_once_and_in_order() {
    if let Some(url) = store_url() {
        return read_model::count(&open(&url).await, || ()).await;
    }
    let test = concat!(module_path!(), "::whoever_is_killed_each_event_takes_effect_once_and_in_order");
    let scene = Scene::new().await;
    read_model::create(&scene).await;
    let (load, url) = (Load::on(&scene.store), scene.database.url());
    kill_again_and_again(kills(), || worker(test, &url), async || read_model::effects(&scene).await).await;
    let streams = load.end().await;
    let before = read_model::effects(&scene).await;
    let last = [worker(test, &url), worker(test, &url)];
    until_all_is_handled(&scene.store).await;
    last.into_iter().for_each(killed::Worker::stop);

    let effects = read_model::effects(&scene).await;
    println!("{} kills, {effects} effects, {} of them after the last kill", kills(), effects - before);
    assert!(before > 0, "they worked between the kills");
    read_model::check(&scene, &streams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_frozen_in_its_transaction_holds_nobody_up_and_takes_no_effect() {
    if let Some(url) = store_url() {
        let folder = folder(url.rsplit_once('/').unwrap().1);
        return read_model::count(&open(&url).await, || {
            freeze_once(&folder);
        })
        .await;
    }
    let test =
        concat!(module_path!(), "::a_process_frozen_in_its_transaction_holds_nobody_up_and_takes_no_effect");
    let scene = Scene::new().await;
    read_model::create(&scene).await;
    let (streams, url) = (streams(), scene.database.url());
    let _folder = Folder::of(&scene);
    append_to_all(&scene.store, &streams, 3).await;
    let before = worker(test, &url);
    until(async || before.is_frozen()).await;

    let froze = Instant::now();
    let elsewhere = scene.store.append(&StreamId::random(), event()).await.unwrap();
    let held_up = !elsewhere.position.is_covered_by(scene.store.position().await.unwrap());
    until(async || elsewhere.position.is_covered_by(scene.store.position().await.unwrap())).await;
    let took = froze.elapsed();
    println!("another's event is readable {took:?} after the freeze; held up at first: {held_up}");
    // As long as its lease, and not as long as any other transaction of the store may idle.
    assert!(took < super::LEASE + Duration::from_secs(7), "{took:?}");
    let other = worker(test, &url);
    until_all_is_handled(&scene.store).await;
    read_model::check(&scene, &streams).await;
    let reached = record(&scene.store).await.unwrap();

    before.thaw();
    until(async || {
        let record = record(&scene.store).await.unwrap();
        let shares: Vec<_> =
            record.members.iter().map(|member| record.leases_of(member.id).count()).collect();
        shares == [4, 4]
    })
    .await;
    read_model::check(&scene, &streams).await;
    let now = record(&scene.store).await.unwrap();
    for (before, now) in reached.segments.iter().zip(&now.segments) {
        assert!(before.position <= now.position, "{now:?}");
    }
    append_to_all(&scene.store, &streams, 3).await;
    until_all_is_handled(&scene.store).await;
    before.stop();
    other.stop();
    read_model::check(&scene, &streams).await;
}
