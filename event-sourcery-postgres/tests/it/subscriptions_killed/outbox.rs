//! The outbox: who publishes is killed, frozen, or cut off from the server, and the server is restarted. Nothing is lost, and each
//! stream keeps its order for whoever drops repeats.

use std::time::Duration;

use event_sourcery::StreamId;
use killed::{
    HandledEvents, Load, Noting, Worker, append_to_all, freeze_once, kill_again_and_again, kills, streams,
    told_to_stop, until,
};
use postgres_cluster::{Cluster, Server};

use super::folder::{Folder, folder};
use super::{LEASE, worker};
use crate::crashes::proxy::{Lost, Proxy};
use crate::process::store_url;
use crate::scene::{Scene, Store, from_environment, open};

/// How often to restart the server: `EVENT_SOURCERY_SERVER_KILLS`, or twice, once killed and once stopped.
const SERVER_KILLS: &str = "EVENT_SOURCERY_SERVER_KILLS";

const LEFT: &str = "SELECT count(*) FROM event_sourcery_outbox_entries";

/// The database's name.
fn name(url: &str) -> &str {
    url.rsplit_once('/').unwrap().1
}

fn handled_of(database: &str) -> HandledEvents {
    HandledEvents::within(&folder(database))
}

fn with_outbox(scene: &Scene) -> Store {
    scene.store.clone().with_outbox(|_| true).unwrap()
}

/// What a worker does: it publishes whatever comes.
async fn publish_all(url: &str, before: impl Fn() + Send + Sync) {
    let outbox = open(url).await.outbox().lease(LEASE).until(told_to_stop());
    let publishing = outbox.run_forever(Noting::new(handled_of(name(url)), before));
    publishing.await.expect("it bears whatever befalls the others and the server");
}

/// Returns once nothing is left, however much there is, and however slow the machine: as long as it goes on.
async fn until_published(scene: &Scene) {
    let mut left = scene.number(LEFT).await;
    while left > 0 {
        let before = left;
        until(async || {
            left = scene.number(LEFT).await;
            left < before
        })
        .await;
    }
}

/// All of the streams was published, in order, and nothing is parked. Tells how many came again.
async fn check(scene: &Scene, handled: &HandledEvents, streams: &[StreamId]) -> usize {
    // Nor does anything wait because somebody else was publishing it.
    until(async || scene.store.outbox().blocked().await.unwrap().is_empty()).await;
    let mut lengths = Vec::new();
    for stream in streams {
        lengths.push((stream.clone(), scene.store.version(stream).await.unwrap().unwrap_or(0)));
    }
    handled.check_order(&lengths)
}

/// How many entries this worker has published.
fn published_by(worker: &Worker, handled: &HandledEvents) -> usize {
    handled.read().iter().filter(|line| line.process == worker.id()).count()
}

/// Appends, until a worker that was away publishes again.
async fn until_back(worker: &Worker, scene: &Scene, handled: &HandledEvents, streams: &[StreamId]) {
    let (store, before) = (with_outbox(scene), published_by(worker, handled));
    until(async || {
        append_to_all(&store, streams, 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        published_by(worker, handled) > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_while_it_publishes_nothing_is_lost_and_each_stream_keeps_its_order() {
    if let Some(url) = store_url() {
        return publish_all(&url, || ()).await;
    }
    let test = concat!(
        module_path!(),
        "::whoever_is_killed_while_it_publishes_nothing_is_lost_and_each_stream_keeps_its_order"
    );
    let scene = Scene::new().await;
    let (_folder, url) = (Folder::of(&scene), scene.database.url());
    let handled = handled_of(scene.database.name());
    let load = Load::on(&with_outbox(&scene));
    let kills = kills() / 4;
    kill_again_and_again(kills, || worker(test, &url), async || handled.read().len()).await;
    let streams = load.end().await;
    let last = [worker(test, &url), worker(test, &url)];
    until_published(&scene).await;
    last.into_iter().for_each(Worker::stop);
    let again = check(&scene, &handled, &streams).await;
    println!("{kills} kills, {} entries published, {again} of them came again", handled.read().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_frozen_worker_sends_when_it_goes_on_are_repeats_and_the_order_holds() {
    if let Some(url) = store_url() {
        let folder = folder(name(&url));
        return publish_all(&url, || {
            freeze_once(&folder);
        })
        .await;
    }
    let test = concat!(
        module_path!(),
        "::what_a_frozen_worker_sends_when_it_goes_on_are_repeats_and_the_order_holds"
    );
    let scene = Scene::new().await;
    let (_folder, url) = (Folder::of(&scene), scene.database.url());
    let (handled, streams) = (handled_of(scene.database.name()), streams());
    append_to_all(&with_outbox(&scene), &streams, 3).await;
    let frozen = worker(test, &url);
    until(async || frozen.is_frozen()).await;
    let other = worker(test, &url);
    until_published(&scene).await;
    assert_eq!(published_by(&frozen, &handled), 0, "all of it was published by the other one");

    frozen.thaw();
    until(async || published_by(&frozen, &handled) > 0).await;
    let again = check(&scene, &handled, &streams).await;
    assert!(again > 0, "it has sent what the other one had sent");

    until_back(&frozen, &scene, &handled, &streams).await;
    until_published(&scene).await;
    frozen.stop();
    other.stop();
    check(&scene, &handled, &streams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_cut_off_while_it_publishes_is_followed_by_another_and_goes_on_when_it_is_back() {
    if let Some(url) = store_url() {
        return publish_all(&url, || ()).await;
    }
    let test = concat!(
        module_path!(),
        "::a_worker_that_is_cut_off_while_it_publishes_is_followed_by_another_and_goes_on_when_it_is_back"
    );
    let scene = Scene::new().await;
    let (_folder, url) = (Folder::of(&scene), Server::shared().url("postgres"));
    let port = url.rsplit_once(':').unwrap().1.split('/').next().unwrap().parse().unwrap();
    let (handled, streams, proxy) =
        (handled_of(scene.database.name()), streams(), Proxy::to(port, Lost::Answer).await);
    handled.hold();
    append_to_all(&with_outbox(&scene), &streams, 3).await;
    let cut_off = worker(test, &proxy.url(scene.database.name()));
    until(async || published_by(&cut_off, &handled) > 0).await;
    // It has sent some entries, and cannot take down that it has.
    proxy.close();
    handled.let_go();
    let other = worker(test, &scene.database.url());
    until_published(&scene).await;
    assert!(check(&scene, &handled, &streams).await > 0, "what was not taken down came again");

    proxy.mend();
    until_back(&cut_off, &scene, &handled, &streams).await;
    until_published(&scene).await;
    cut_off.stop();
    other.stop();
    check(&scene, &handled, &streams).await;
}

/// Each time, entries have arrived at the other end, and are not taken down yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_server_is_restarted_while_entries_are_published_nothing_is_lost_and_the_order_holds() {
    if let Some(url) = store_url() {
        return publish_all(&url, || ()).await;
    }
    let test = concat!(
        module_path!(),
        "::when_the_server_is_restarted_while_entries_are_published_nothing_is_lost_and_the_order_holds"
    );
    let mut cluster = Cluster::start(&[("fsync", "off")]);
    let mut scene = Scene::on(cluster.create_database()).await;
    let (_folder, url, streams) = (Folder::of(&scene), scene.database.url(), streams());
    let handled = handled_of(scene.database.name());
    let workers = [worker(test, &url), worker(test, &url)];
    for number in 0..from_environment(SERVER_KILLS, 2) {
        let before = handled.read().len();
        handled.hold();
        append_to_all(&with_outbox(&scene), &streams, 5).await;
        until(async || handled.read().len() > before).await;
        tokio::task::block_in_place(|| {
            if number % 2 == 0 {
                cluster.kill()
            } else {
                cluster.stop_fast()
            }
            cluster.start_again();
        });
        handled.let_go();
        // What is left in the pools is from before the restart.
        scene = Scene::on(scene.database).await;
        until_published(&scene).await;
    }
    workers.into_iter().for_each(Worker::stop);
    let again = check(&scene, &handled, &streams).await;
    println!("{} entries published, {again} of them came again", handled.read().len());
}
