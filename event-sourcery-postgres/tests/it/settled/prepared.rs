//! Transactions that were prepared: they own their positions without a connection, and across restarts of the server.

use std::process::Command;

use event_sourcery_postgres::sqlx;
use postgres_cluster::Cluster;

use super::{Reader, append, draw};
use crate::scene::{Scene, until};

/// A server that allows prepared transactions, with a store whose position 1 an open transaction has drawn, and whose
/// position 2 is committed.
struct Prepared {
    reader: Reader,
    scene: Scene,
    cluster: Cluster,
}

impl Prepared {
    async fn in_two_steps(look_between: bool) -> Self {
        let cluster = Cluster::start(&[("max_prepared_transactions", "4")]);
        let scene = Scene::on(cluster.create_database()).await;
        let mut reader = Reader::of(&scene.store);
        let mut late = scene.begin().await;
        assert_eq!(draw(&scene.store, &mut late, 1).await, [1]);
        assert_eq!(append(&scene.store).await, 2);
        if look_between {
            reader.sees_only(&[]).await;
        }
        sqlx::query("PREPARE TRANSACTION 'late'").execute(&mut *late).await.unwrap();
        // A connection of its own, so that no other transaction takes its name.
        drop(late.rollback().await);
        Self { reader, scene, cluster }
    }

    async fn commit_prepared(&mut self) {
        self.scene.run("COMMIT PREPARED 'late'").await;
        self.reader.comes_to_see(&[1, 2]).await;
    }

    async fn rollback_prepared(&mut self) {
        self.scene.run("ROLLBACK PREPARED 'late'").await;
        self.reader.comes_to_see(&[2]).await;
    }

    /// The server is there again, and its clients have noticed.
    async fn until_it_answers(&self) {
        let store = &self.scene.store;
        until(async || store.position().await.is_ok()).await;
        until(async || sqlx::query("SELECT 1").execute(&self.scene.pool).await.is_ok()).await;
    }
}

#[tokio::test]
async fn an_event_above_a_prepared_one_is_handed_out_after_it() {
    for look_between in [true, false] {
        let mut prepared = Prepared::in_two_steps(look_between).await;
        prepared.reader.sees_only(&[]).await;
        prepared.commit_prepared().await;
    }
}

#[tokio::test]
async fn a_prepared_position_that_is_rolled_back_is_passed_over() {
    let mut prepared = Prepared::in_two_steps(true).await;
    prepared.reader.sees_only(&[]).await;
    prepared.rollback_prepared().await;
}

#[tokio::test]
async fn a_prepared_transaction_is_waited_for_across_a_restart_of_the_server() {
    for (crash, commit) in [(false, true), (true, true), (true, false)] {
        let mut prepared = Prepared::in_two_steps(true).await;
        prepared.reader.sees_only(&[]).await;
        if crash {
            prepared.cluster.kill();
        } else {
            prepared.cluster.stop_fast();
        }
        prepared.cluster.start_again();
        prepared.until_it_answers().await;

        prepared.reader.sees_only(&[]).await;
        assert!(append(&prepared.scene.another_store().await).await > 2);
        prepared.reader.sees_only(&[]).await;
        let ending = if commit { "COMMIT PREPARED 'late'" } else { "ROLLBACK PREPARED 'late'" };
        prepared.scene.run(ending).await;
        let handed_out = if commit { 3 } else { 2 };
        let reader = &mut prepared.reader;
        until(async || reader.look().await.len() == handed_out).await;
    }
}

/// When one of its processes is killed, the server ends all others and recovers, and goes on as the same server: its
/// start is as long ago as before, but the names of the transactions begin anew.
#[tokio::test]
async fn a_prepared_transaction_is_waited_for_when_the_server_recovers_in_place() {
    let mut prepared = Prepared::in_two_steps(true).await;
    prepared.reader.sees_only(&[]).await;
    let victim = prepared.scene.number("SELECT pg_backend_pid()::bigint").await;
    assert!(Command::new("kill").args(["-KILL", &victim.to_string()]).status().unwrap().success());
    let pool = &prepared.scene.pool;
    let recovered = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)";
    until(async || {
        sqlx::query_scalar(recovered)
            .bind(i32::try_from(victim).unwrap())
            .fetch_one(pool)
            .await
            .unwrap_or(false)
    })
    .await;
    prepared.until_it_answers().await;

    prepared.reader.sees_only(&[]).await;
    prepared.commit_prepared().await;
}

#[tokio::test]
async fn a_reader_that_starts_while_a_transaction_is_prepared_waits_for_it() {
    let mut prepared = Prepared::in_two_steps(false).await;
    prepared.reader = Reader::of(&prepared.scene.another_store().await);
    prepared.reader.sees_only(&[]).await;
    prepared.commit_prepared().await;
}
