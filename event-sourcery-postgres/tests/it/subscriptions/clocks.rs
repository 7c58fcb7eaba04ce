//! Clause 8.7: a dead member's work is taken over, also where the server's clock was set back since.

use std::time::Duration;

use event_sourcery::{Durable, RawEvent};
use event_sourcery_postgres::PostgresBackend;
use tokio::sync::{mpsc, oneshot};

use crate::scene::{Scene, Store, event, until};

const LEASE: Duration = Duration::from_millis(500);

/// Much longer than it takes, and than nothing would be taken over for.
const IN_TIME: Duration = Duration::from_secs(60);

fn letters(store: &Store) -> Durable<PostgresBackend, RawEvent> {
    store.subscribe().durable("letters").lease(LEASE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_members_work_is_taken_over_although_the_clock_was_set_back() {
    let scene = Scene::new().await;
    let dies = tokio::spawn(letters(&scene.store).run(async |_, _| Ok(())));
    until(async || letters(&scene.store).status().await.unwrap().is_some()).await;
    dies.abort();
    assert!(dies.await.unwrap_err().is_cancelled());
    // To set the clock back is to move all times on.
    scene
        .run(
            "UPDATE event_sourcery_subscription_segments SET leased_until = leased_until + interval '1 hour';
             UPDATE event_sourcery_subscription_members SET member_until = member_until + interval '1 hour';
             UPDATE event_sourcery_subscription_presences SET renewed = renewed + interval '1 hour'",
        )
        .await;
    assert_taken_over(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_or_a_lease_whose_end_cannot_be_told_is_gone() {
    let scene = Scene::new().await;
    letters(&scene.store).until(std::future::ready(())).run(async |_, _| Ok(())).await.unwrap();
    scene
        .run(
            "UPDATE event_sourcery_subscription_segments SET member = gen_random_uuid(), leased_until = 'infinity';
             INSERT INTO event_sourcery_subscription_members (tenant_id, name, member, member_until, lasting_ms)
             VALUES ('', 'letters', gen_random_uuid(), 'infinity', 1)",
        )
        .await;
    assert_taken_over(&scene).await;
}

async fn assert_taken_over(scene: &Scene) {
    scene.store.append(&event_sourcery::StreamId::random(), event()).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let (handled, mut first) = mpsc::unbounded_channel();
    let other = letters(&scene.another_store().await);
    let run = tokio::spawn(other.until(stopped).run(async move |_, _| Ok(handled.send(())?)));
    tokio::time::timeout(IN_TIME, first.recv()).await.expect("it is handled").unwrap();
    drop(stop);
    run.await.unwrap().unwrap();
    assert_eq!(letters(&scene.store).status().await.unwrap().unwrap().members, 0);
}
