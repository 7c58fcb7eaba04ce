//! The server is killed or restarted, connections are terminated and answers lost, while a subscription is at work in
//! transactions of the server.

use std::time::Duration;

use event_sourcery::{Error, StreamId};
use event_sourcery_postgres::PostgresBackend;
use killed::{Load, append_to_all, streams, until};
use postgres_cluster::{Cluster, Server};

use super::{read_model, until_all_is_handled, worker};
use crate::crashes::proxy::{Lost, Proxy};
use crate::process::store_url;
use crate::scene::{Scene, from_environment, open};

/// How often to terminate connections, and to break them: `EVENT_SOURCERY_KILLS`, or 60 times.
const KILLS: &str = "EVENT_SOURCERY_KILLS";
/// How often to restart the server: `EVENT_SOURCERY_SERVER_KILLS`, or 3 times.
const SERVER_KILLS: &str = "EVENT_SOURCERY_SERVER_KILLS";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_server_is_restarted_each_event_takes_effect_once_all_the_same() {
    if let Some(url) = store_url() {
        return read_model::count(&open(&url).await, || ()).await;
    }
    let test =
        concat!(module_path!(), "::when_the_server_is_restarted_each_event_takes_effect_once_all_the_same");
    let mut cluster = Cluster::start(&[("fsync", "off")]);
    let scene = Scene::on(cluster.create_database()).await;
    read_model::create(&scene).await;
    let (streams, url) = (streams(), scene.database.url());
    append_to_all(&scene.store, &streams, 5).await;
    let workers = [worker(test, &url), worker(test, &url)];
    let mut scene = scene;
    for number in 0..from_environment(SERVER_KILLS, 3) {
        until_handled(&scene, &streams).await;
        append_to_all(&scene.store, &streams, 20).await;
        let before = read_model::effects(&scene).await;
        until(async || read_model::effects(&scene).await > before).await;
        tokio::task::block_in_place(|| {
            if number % 2 == 0 {
                cluster.kill()
            } else {
                cluster.stop_fast()
            }
            cluster.start_again();
        });
        // What is left in the pools is from before the restart.
        scene = Scene::on(scene.database).await;
    }
    until_handled(&scene, &streams).await;
    workers.into_iter().for_each(killed::Worker::stop);
    read_model::check(&scene, &streams).await;
}

async fn until_handled(scene: &Scene, streams: &[StreamId]) {
    until_all_is_handled(&scene.store).await;
    read_model::check(scene, streams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_connections_are_terminated_each_event_takes_effect_once_all_the_same() {
    if let Some(url) = store_url() {
        return read_model::count(&open(&url).await, || ()).await;
    }
    let test = concat!(
        module_path!(),
        "::when_connections_are_terminated_each_event_takes_effect_once_all_the_same"
    );
    let scene = Scene::new().await;
    read_model::create(&scene).await;
    let load = Load::on(&scene.store);
    let url = format!("{}?application_name=worker", scene.database.url());
    let workers = [worker(test, &url), worker(test, &url)];
    let mut terminated = 0;
    for _ in 0..from_environment(KILLS, 60) {
        let before = read_model::effects(&scene).await;
        until(async || read_model::effects(&scene).await > before).await;
        tokio::time::sleep(Duration::from_micros(fastrand::u64(..20_000))).await;
        terminated += scene.number(TERMINATE).await;
    }
    let streams = load.end().await;
    until_all_is_handled(&scene.store).await;
    workers.into_iter().for_each(killed::Worker::stop);
    println!("{terminated} connections terminated, {} effects", read_model::effects(&scene).await);
    assert!(terminated > 0, "some were terminated");
    read_model::check(&scene, &streams).await;
}

/// Of the workers' connections, those that are at something.
const TERMINATE: &str = "
    SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'worker' AND state <> 'idle'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_questions_or_answers_are_lost_each_event_takes_effect_once_all_the_same() {
    if let Some(url) = store_url() {
        // One connection for the handler, one to show itself and to wait on.
        let options = PostgresBackend::options(url).max_connections(4);
        // The way may break meanwhile, too.
        let backend = loop {
            match options.clone().open().await {
                Err(Error::Unavailable { .. } | Error::OutcomeUnknown { .. }) => {}
                opened => break opened.unwrap(),
            }
        };
        return read_model::count(&event_sourcery::EventStore::new(backend), || ()).await;
    }
    let test = concat!(
        module_path!(),
        "::when_questions_or_answers_are_lost_each_event_takes_effect_once_all_the_same"
    );
    let scene = Scene::new().await;
    read_model::create(&scene).await;
    let url = Server::shared().url("postgres");
    let port = url.rsplit_once(':').unwrap().1.split('/').next().unwrap().parse().unwrap();
    let load = Load::on(&scene.store);
    let proxies = [Proxy::to(port, Lost::Answer).await, Proxy::to(port, Lost::Question).await];
    let workers = proxies.each_ref().map(|proxy| worker(test, &proxy.url(scene.database.name())));
    for _ in 0..from_environment(KILLS, 60) {
        let before = read_model::effects(&scene).await;
        until(async || read_model::effects(&scene).await > before).await;
        for proxy in &proxies {
            proxy.cut(fastrand::i64(1..60));
        }
        until(async || proxies.iter().any(Proxy::has_cut)).await;
    }
    let streams = load.end().await;
    until_all_is_handled(&scene.store).await;
    workers.into_iter().for_each(killed::Worker::stop);
    read_model::check(&scene, &streams).await;
}
