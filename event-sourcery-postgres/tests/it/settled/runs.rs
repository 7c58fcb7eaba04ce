//! Contract 4.8: evidence counts in the run of the server in which it was found.

use std::time::Duration;

use event_sourcery::{EventStore, RawEvent, StreamId};
use event_sourcery_postgres::{PostgresBackend, sqlx};
use postgres_cluster::Cluster;

use super::{Reader, append, draw, settled};
use crate::scene::{Scene, event, events, until};

/// The log of what nobody commits is written late.
const UNWRITTEN: [(&str, &str); 2] = [("wal_writer_delay", "10s"), ("autovacuum", "off")];

/// A transaction has drawn forty positions when the server crashes, before its log was flushed; the positions are drawn again.
/// What the reader has seen of them before the crash must not count after it. Whether they were: on a slow machine, the server
/// may have written its log by then.
async fn positions_drawn_before_a_crash_are_handed_out_after_it(
    cluster: &mut Cluster,
    crash: impl AsyncFnOnce(&mut Cluster),
) -> bool {
    let scene = Scene::on(cluster.create_database()).await;
    let quiet = PostgresBackend::options(scene.database.url()).notifications(false);
    let store = EventStore::new(quiet.acquire_timeout(Duration::from_secs(2)).open().await.unwrap());
    store.append(&StreamId::random(), events(33)).await.unwrap();
    let mut reader = Reader::of(&store);
    let mut expected: Vec<_> = (1..=33).collect();
    reader.comes_to_see(&expected).await;
    scene.run("CHECKPOINT; SELECT pg_switch_wal()").await;
    let mut lost = scene.begin().await;
    draw(&store, &mut lost, 40).await;
    reader.sees_only(&expected).await;

    crash(cluster).await;
    let drawn_again = async || {
        store.append(&StreamId::random(), event()).await.map(|appended| appended.position.to_i64()).ok()
    };
    let mut first = None;
    until(async || {
        first = drawn_again().await;
        first.is_some()
    })
    .await;
    expected.push(first.unwrap());
    reader.comes_to_see(&expected).await;
    let mut late = store.backend().begin().await.unwrap();
    store.within(&mut late).append(&StreamId::random(), event()).await.unwrap();
    expected.push(first.unwrap() + 2);
    assert_eq!(append(&store).await, first.unwrap() + 2);
    reader.sees_only(&expected[..34]).await;
    late.commit().await.unwrap();
    expected.insert(34, first.unwrap() + 1);
    reader.comes_to_see(&expected).await;
    first.unwrap() < 74
}

#[tokio::test]
async fn positions_are_not_passed_that_are_drawn_again_after_a_crash_with_the_clock_set_back() {
    for (before, after) in [("+0", "-2h"), ("-1h", "+3h")] {
        let mut cluster = Cluster::start(&UNWRITTEN);
        cluster.stop_fast();
        cluster.set_clock(before);
        cluster.start_again();
        until(async || {
            positions_drawn_before_a_crash_are_handed_out_after_it(&mut cluster, async |cluster| {
                cluster.kill();
                cluster.set_clock(after);
                cluster.start_again();
            })
            .await
        })
        .await;
    }
}

/// One process of the server is killed: the others go too, and the server recovers without having been started anew.
#[tokio::test]
async fn positions_are_not_passed_that_are_drawn_again_after_a_process_of_the_server_was_killed() {
    let mut cluster = Cluster::start(&UNWRITTEN);
    let kill_one = async |cluster: &mut Cluster| {
        let started = "SELECT pg_postmaster_start_time()";
        let before = cluster.psql("postgres", started);
        // It kills itself, and psql with it.
        let suicide = "COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID'";
        let url = cluster.url("postgres");
        let pool = crate::scene::pool(&url);
        let _ = sqlx::raw_sql(suicide).execute(&pool).await;
        until(async || sqlx::query("SELECT 1").execute(&pool).await.is_ok()).await;
        assert_eq!(cluster.psql("postgres", started), before, "the server was not started anew");
    };
    until(async || positions_drawn_before_a_crash_are_handed_out_after_it(&mut cluster, kill_one).await)
        .await;
}

/// What was read in one run is not handed out as if it had been settled there, where it was settled in another.
#[tokio::test]
async fn a_process_that_looks_for_the_first_time_after_a_crash_marks_the_run() {
    let mut cluster = Cluster::start(&[]);
    let scene = Scene::on(cluster.create_database()).await;
    append(&scene.store).await;
    assert_eq!(settled(&scene.store).await, 1);
    let run = "SELECT run FROM event_sourcery_evidence";
    let before = scene.database.psql(run);
    cluster.kill();
    cluster.start_again();
    assert_eq!(scene.database.psql(run), "", "the server has emptied the table");
    let restarted = scene.another_store().await;
    // The sequence goes on further up.
    assert!(settled(&restarted).await >= 1);
    let after = scene.database.psql(run);
    assert!(!after.is_empty() && after != before);
    assert_eq!(
        restarted.read_all::<RawEvent>().stream().try_next().await.unwrap().unwrap().position.to_i64(),
        1
    );
}
