//! Checkpoints: under the leases that they are written with, all or none.

use std::time::Duration;

use event_sourcery::Error;
use event_sourcery::backend::{
    Backend as _, JoinableBackend as _, Lease, SubscriptionBackend as _, SubscriptionChange,
};
use event_sourcery::{Position, StreamId};
use event_sourcery_postgres::sqlx::types::Uuid;
use event_sourcery_postgres::{PostgresBackend, sqlx};

use super::{Subscription, is_lost, renew};
use crate::scene::{event, length};

#[tokio::test]
async fn checkpoints_of_several_segments_move_together_and_never_back() {
    let (subscription, leases) = Subscription::of_member(3).await;
    subscription.reach(&leases[1..2], 7).await.unwrap();
    subscription.reach(&leases, 5).await.unwrap();
    assert_eq!(subscription.positions().await, [5, 7, 5]);
    subscription.reach(&leases[..2], 6).await.unwrap();
    assert_eq!(subscription.positions().await, [6, 7, 5]);
}

#[tokio::test]
async fn with_one_token_that_is_not_the_segments_nothing_is_written() {
    let (subscription, leases) = Subscription::of_member(3).await;
    let older = Lease::new(leases[2].segment, leases[2].token - 1);
    let unknown = Lease::new(9, leases[2].token);
    for wrong in [older, unknown] {
        let refused = subscription.reach(&[leases[0], wrong], 5).await;
        assert!(is_lost(&refused), "{refused:?}");
    }
    let mut other = subscription.request(&leases, Some(5), Vec::new());
    other.subscription.name = "other".into();
    assert!(matches!(subscription.backend.progress(other).await, Err(Error::LeaseLost { .. })));
    assert_eq!(subscription.positions().await, [0, 0, 0]);
}

/// A statement that has waited for a lock goes on with what is there then, not with what was there when it began.
#[tokio::test]
async fn progress_that_has_waited_for_a_change_of_the_segments_goes_by_what_they_are_then() {
    for (change, expected) in [
        ("leased_until = leased_until + interval '1 s'", Some([5, 5])),
        ("position = 4", Some([5, 5])),
        ("position = 6 WHERE segment = 0", Some([6, 5])),
        ("token = token + 1 WHERE segment = 0", None),
        ("token = token + 1 WHERE segment = 1", None),
    ] {
        let (subscription, leases) = Subscription::of_member(2).await;
        let mut tx = subscription.scene.begin().await;
        let update = format!("UPDATE event_sourcery_subscription_segments SET {change}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(update)).execute(&mut *tx).await.unwrap();
        let (backend, request) =
            (subscription.backend.clone(), subscription.request(&leases, Some(5), Vec::new()));
        let waiting = tokio::spawn(async move { backend.progress(request).await });
        subscription.scene.until_waiting(1).await;
        tx.commit().await.unwrap();
        let made = waiting.await.unwrap();
        match expected {
            Some(positions) => {
                made.unwrap();
                assert_eq!(subscription.positions().await, positions, "{change}");
            }
            None => {
                assert!(is_lost(&made), "{change}: {made:?}");
                assert_eq!(subscription.positions().await, [0, 0], "{change}");
            }
        }
    }
}

/// A trigger is refused when the store is opened. This one comes later.
#[tokio::test]
async fn a_checkpoint_that_the_server_does_not_write_is_no_progress() {
    let (subscription, leases) = Subscription::of_member(2).await;
    subscription
        .scene
        .run(
            "CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER mute BEFORE UPDATE ON event_sourcery_subscription_segments
             FOR EACH ROW WHEN (OLD.segment = 1) EXECUTE FUNCTION leave_out()",
        )
        .await;
    let refused = subscription.reach(&leases, 5).await.unwrap_err();
    assert!(matches!(refused, Error::ForeignLayout { .. }), "{refused:?}");
    assert_eq!(subscription.positions().await[1], 0);
    subscription.scene.run("DROP TRIGGER mute ON event_sourcery_subscription_segments").await;
    subscription.reach(&leases, 5).await.unwrap();
    assert_eq!(subscription.positions().await, [5, 5]);
}

#[tokio::test]
async fn in_a_handlers_transaction_the_checkpoint_is_there_with_what_the_handler_wrote() {
    let (subscription, leases) = Subscription::of_member(1).await;
    let (backend, stream) = (&subscription.backend, StreamId::random());
    for commit in [false, true] {
        let mut handling = backend.begin_handling(Duration::from_secs(10), None).await.unwrap();
        subscription.scene.store.within(&mut handling).append(&stream, event()).await.unwrap();
        let request = subscription.request(&leases, Some(3), Vec::new());
        backend.join(&mut handling).progress(&request).await.unwrap();
        if commit {
            backend.commit(handling).await.unwrap();
        }
    }
    assert_eq!(subscription.positions().await, [3]);
    assert_eq!(length(&subscription.scene.store, &stream).await, 1);
}

#[tokio::test]
async fn in_a_handlers_transaction_too_a_lost_lease_is_told_and_the_transaction_can_go_on() {
    let (subscription, leases) = Subscription::of_member(2).await;
    subscription.change(SubscriptionChange::Reset { position: Position::START, present: Vec::new() }).await;
    let backend = &subscription.backend;
    let mut handling = backend.begin_handling(Duration::from_secs(10), None).await.unwrap();
    let request = subscription.request(&leases, Some(3), Vec::new());
    let refused = backend.join(&mut handling).progress(&request).await;
    assert!(is_lost(&refused), "{refused:?}");
    sqlx::query("SELECT 1").execute(PostgresBackend::connection(&mut handling)).await.unwrap();
    backend.commit(handling).await.unwrap();
    assert_eq!(subscription.positions().await, [0, 0]);
}

/// Where nobody may mark the run of the server, its name is the time at which that was started.
#[tokio::test]
async fn in_a_handlers_transaction_the_server_runs_as_before_however_that_writes_times() {
    let subscription = Subscription::new().await;
    let (scene, backend) = (&subscription.scene, &subscription.backend);
    scene
        .run(
            "CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
             CREATE TRIGGER mute BEFORE INSERT ON event_sourcery_evidence
             FOR EACH ROW EXECUTE FUNCTION leave_out(); DELETE FROM event_sourcery_evidence",
        )
        .await;
    subscription.new_stream().await;
    assert_eq!(backend.position().await.unwrap().to_i64(), 1);
    let member = Uuid::new_v4();
    let record = subscription.change(renew(member, 1)).await.unwrap();
    let leases: Vec<_> = record.leases_of(member).map(|(lease, _)| lease).collect();
    let mut handling = backend.begin_handling(Duration::from_secs(10), None).await.unwrap();
    sqlx::raw_sql("SET LOCAL TIME ZONE 'Asia/Kathmandu'; SET LOCAL DateStyle = 'German'")
        .execute(PostgresBackend::connection(&mut handling))
        .await
        .unwrap();
    let request = subscription.request(&leases, Some(1), Vec::new());
    backend.join_handling(&mut handling).progress(&request).await.unwrap();
    backend.commit(handling).await.unwrap();
    assert_eq!(subscription.positions().await, [1]);
}

/// What stands in a name is not read as SQL, also where a backslash begins something in a text.
#[tokio::test]
async fn in_a_handlers_transaction_names_are_what_they_are_however_that_reads_texts() {
    let subscription = Subscription::new().await;
    let options = PostgresBackend::options(subscription.scene.database.url()).schema(r"back\'slash");
    let (backend, id, member) = (options.open().await.unwrap(), &subscription.id, Uuid::new_v4());
    let renewed = backend.change_subscription(id.clone(), renew(member, 1)).await.unwrap().unwrap();
    let leases: Vec<_> = renewed.leases_of(member).map(|(lease, _)| lease).collect();
    let mut handling = backend.begin_handling(Duration::from_secs(10), None).await.unwrap();
    sqlx::raw_sql("SET LOCAL standard_conforming_strings = off")
        .execute(PostgresBackend::connection(&mut handling))
        .await
        .unwrap();
    let request = subscription.request(&leases, Some(1), Vec::new());
    backend.join_handling(&mut handling).progress(&request).await.unwrap();
    backend.commit(handling).await.unwrap();
    let kept = backend.subscription(id.clone()).await.unwrap().unwrap();
    assert_eq!(kept.segments[0].position.to_i64(), 1);
}

/// Two that write the same checkpoints, in whatever order their leases come, do not end each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn progress_of_many_segments_at_once_ends_in_no_deadlock() {
    let (subscription, leases) = Subscription::of_member(8).await;
    let tasks = (0..4).map(|number| {
        let backend = subscription.backend.clone();
        let mut leases = leases.clone();
        leases.rotate_left(2 * number);
        if number % 2 == 0 {
            leases.reverse();
        }
        let requests: Vec<_> =
            (0..50).map(|position| subscription.request(&leases, Some(position), Vec::new())).collect();
        tokio::spawn(async move {
            for request in requests {
                backend.progress(request).await.unwrap();
            }
        })
    });
    for task in futures_util::future::join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(subscription.positions().await, [49; 8]);
}
