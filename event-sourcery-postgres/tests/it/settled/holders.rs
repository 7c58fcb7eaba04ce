//! Who holds up the settled position is told, by name.

use std::time::Duration;

use event_sourcery_postgres::sqlx;
use postgres_cluster::Cluster;

use super::{append, draw, settled};
use crate::scene::Scene;

#[tokio::test]
async fn an_open_transaction_below_a_committed_event_is_named_until_it_ends() {
    let scene = Scene::new().await;
    let backend = scene.store.backend();
    assert_eq!(backend.held_up_by().await.unwrap(), []);
    let mut late = scene.begin().await;
    sqlx::raw_sql("SET application_name = 'forgotten'").execute(&mut *late).await.unwrap();
    draw(&scene.store, &mut late, 1).await;
    append(&scene.store).await;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *late).await.unwrap();
    // It writes too, and comes later.
    let mut bystander = scene.begin().await;
    let before = backend.held_up_by().await.unwrap();
    draw(&scene.store, &mut bystander, 1).await;

    let holders = backend.held_up_by().await.unwrap();

    assert_eq!((before.len(), holders.len()), (1, 1), "{holders:?}");
    let holder = &holders[0];
    assert_eq!((holder.pid, holder.prepared.as_deref()), (Some(pid), None));
    assert_eq!(holder.application_name.as_deref(), Some("forgotten"));
    assert_eq!(holder.client_address.as_deref(), Some("127.0.0.1"));
    assert_eq!(holder.state.as_deref(), Some("idle in transaction"));
    assert!(holder.open_for.unwrap() < Duration::from_secs(60), "{holder:?}");
    let line = holder.to_string();
    assert!(
        line.starts_with(&format!("process {pid}, application \"forgotten\", at \"127.0.0.1\"")),
        "{line}"
    );
    bystander.rollback().await.unwrap();
    late.rollback().await.unwrap();
    assert_eq!(settled(&scene.store).await, 3);
    assert_eq!(backend.held_up_by().await.unwrap(), []);
}

#[tokio::test]
async fn a_prepared_transaction_is_named_by_the_name_that_ends_it() {
    let cluster = Cluster::start(&[("max_prepared_transactions", "4")]);
    let scene = Scene::on(cluster.create_database()).await;
    let mut late = scene.begin().await;
    draw(&scene.store, &mut late, 1).await;
    append(&scene.store).await;
    sqlx::query("PREPARE TRANSACTION 'late'").execute(&mut *late).await.unwrap();
    drop(late.rollback().await);

    let holders = scene.store.backend().held_up_by().await.unwrap();

    assert_eq!(holders.len(), 1, "{holders:?}");
    assert_eq!((holders[0].pid, holders[0].prepared.as_deref()), (None, Some("late")));
    assert!(holders[0].open_for.is_some());
    scene.run(&format!("ROLLBACK PREPARED '{}'", holders[0].prepared.as_ref().unwrap())).await;
    assert_eq!(settled(&scene.store).await, 2);
}
