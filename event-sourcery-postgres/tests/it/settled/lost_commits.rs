//! Contract 8.6: commits of handlers are lost, and none of the events. A standby had not received them, or a crash took them back
//! because nobody had waited for the disk. Whoever handled them notices nothing by the events.

use std::time::Duration;

use event_sourcery::EventStore;
use event_sourcery_postgres::{PostgresBackend, sqlx};
use postgres_cluster::{Cluster, Pooler, Pooling};
use tokio::sync::{oneshot, watch};

use super::checkpoints::{CHECKPOINT, Pair, Way, append, lease_and_readers, letters, passes, reach};
use super::failover::{behind_an_address, open};
use super::settled;
use crate::scene::{Scene, until};

#[tokio::test(flavor = "multi_thread")]
async fn no_way_of_writing_a_checkpoint_passes_commits_that_a_standby_lacks() {
    let mut servers = Pair::start();
    let (address, store, scene) = behind_an_address(&servers.primary).await;
    append(&store, 25).await;
    let (lease, readers) = lease_and_readers(&store, async || open(&address, &scene).await).await;
    reach(&store, Way::Alone, lease, 20).await.unwrap();
    for (_, reader) in &readers {
        assert_eq!(settled(reader).await, 25);
    }
    servers.leave_the_standby_behind().await;
    reach(&store, Way::InAHandlersTransaction, lease, 25).await.unwrap();

    servers.lead_to_the_standby(&address);
    for (way, reader) in &readers {
        for position in [25, 26] {
            let told = reach(reader, *way, lease, position).await;
            assert!(way.has_lost(&told), "{way:?}: {told:?}");
            assert_eq!(servers.says(&scene, CHECKPOINT), "20", "{way:?}");
        }
    }
}

/// It waits for events meanwhile, and need not meet an error.
#[tokio::test(flavor = "multi_thread")]
async fn each_event_takes_effect_once_when_a_standby_leads_that_lacks_a_handlers_commit() {
    let mut servers = Pair::start();
    let (address, store, scene) = behind_an_address(&servers.primary).await;
    scene.run("CREATE TABLE effects (position bigint)").await;
    append(&store, 20).await;
    let ((stop, stopped), (gate, is_open)) = (oneshot::channel::<()>(), watch::channel(true));
    let (begun, has_begun) = watch::channel(0);
    let durable = letters(&store).lease(Duration::from_secs(30)).until(stopped);
    let run = tokio::spawn(durable.run_within(async move |recorded, tx| {
        let position = recorded.position.to_i64();
        let insert = sqlx::query("INSERT INTO effects VALUES ($1)").bind(position);
        insert.execute(tx.connection()).await?;
        begun.send_replace(position);
        passes(&is_open).await;
        Ok(())
    }));
    let name = scene.database.name();
    until(async || servers.primary.psql(name, CHECKPOINT) == "20").await;
    gate.send_replace(false);
    append(&store, 5).await;
    until(async || *has_begun.borrow() > 20).await;
    servers.leave_the_standby_behind().await;
    gate.send_replace(true);
    until(async || servers.primary.psql(name, CHECKPOINT) == "25").await;

    servers.lead_to_the_standby(&address);
    append(&open(&address, &scene).await, 1).await;
    let newest = servers.says(&scene, "SELECT max(id) FROM event_sourcery_events");
    let effects = "SELECT count(*), count(DISTINCT position), max(position) FROM effects";
    let expected = format!("26|26|{newest}");
    until(async || servers.says(&scene, effects) == expected).await;
    drop(stop);
    run.await.unwrap().unwrap();
    assert_eq!(servers.says(&scene, effects), expected);
}

/// The log of what nobody waits for is written late.
const LATE: [(&str, &str); 2] = [("wal_writer_delay", "10s"), ("autovacuum", "off")];

/// A handler's transaction waits for no disk, and then the server crashes. Whether that took it back: on a slow machine, the server
/// may have written its log by then.
async fn a_crash_takes_a_checkpoint_back(cluster: &mut Cluster, pooler: Option<&Pooler>) -> bool {
    let scene = Scene::on(cluster.create_database()).await;
    let name = scene.database.name();
    scene.run(&format!("ALTER DATABASE {name} SET synchronous_commit = off")).await;
    let another = async || {
        let options = match pooler {
            Some(pooler) => PostgresBackend::options(pooler.url(&scene.database)).transaction_pooler(true),
            None => PostgresBackend::options(scene.database.url()).notifications(false),
        };
        EventStore::new(options.open().await.unwrap())
    };
    let store = another().await;
    append(&store, 25).await;
    let (lease, readers) = lease_and_readers(&store, another).await;
    reach(&store, Way::Alone, lease, 20).await.unwrap();
    for (_, reader) in &readers {
        assert_eq!(settled(reader).await, 25);
    }
    // What comes now fits in a page of the log that is not full.
    scene.run("CHECKPOINT; SELECT pg_switch_wal()").await;
    reach(&store, Way::InAHandlersTransaction, lease, 25).await.unwrap();

    cluster.kill();
    cluster.start_again();
    let checkpoint = || cluster.psql(name, CHECKPOINT);
    if checkpoint() != "20" {
        return false;
    }
    for (way, reader) in &readers {
        let told = reach(reader, *way, lease, 25).await;
        assert!(way.has_lost(&told), "{way:?}: {told:?}");
        assert_eq!(checkpoint(), "20", "{way:?}");
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_of_writing_a_checkpoint_passes_commits_that_a_crash_took_back() {
    let mut cluster = Cluster::start(&LATE);
    until(async || a_crash_takes_a_checkpoint_back(&mut cluster, None).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_way_of_writing_a_checkpoint_through_a_pooler_passes_commits_that_a_crash_took_back() {
    let mut cluster = Cluster::start(&LATE);
    // It connects again as soon as it is asked to.
    let at_once = [("server_login_retry", "1")];
    let pooler = Pooler::start_with(cluster.server(), Pooling::Transaction, 20, &at_once);
    until(async || a_crash_takes_a_checkpoint_back(&mut cluster, Some(&pooler)).await).await;
}
