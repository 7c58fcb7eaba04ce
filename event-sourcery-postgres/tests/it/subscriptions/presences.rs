//! Presences: renewed while others are at work, lost, and forgotten.

use std::time::{Duration, Instant};

use event_sourcery::Error;
use event_sourcery::backend::{Member, SubscriptionBackend as _, SubscriptionChange, SubscriptionRecord};
use event_sourcery_postgres::sqlx::{self, types::Uuid};
use futures_util::future::join_all;

use super::{Subscription, renew};
use crate::scene::until;

/// A member asks to be vouched for by the presence of this number.
fn asks(member: Uuid, presence: i64) -> SubscriptionChange {
    match renew(member, 4) {
        SubscriptionChange::Renew(request) => SubscriptionChange::Renew(request.with_presence(presence)),
        other => other,
    }
}

impl Subscription {
    async fn vouched_for(&self, presence: i64) -> Option<Vec<Uuid>> {
        Some(self.backend.renew_presence(presence).await.unwrap()?.members)
    }
}

fn presences(record: &SubscriptionRecord) -> Vec<Option<i64>> {
    record.members.iter().map(|member| member.presence).collect()
}

/// The renewal does not wait for who takes over, nor he for it; whom he has taken out is vouched for no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_presence_is_renewed_while_somebody_is_about_to_take_over_from_its_member() {
    let subscription = Subscription::new().await;
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let record = subscription.change(asks(first, 7)).await.unwrap();
    // It has read the members, and not written yet.
    let mut gate = subscription.scene.begin().await;
    let closed = "LOCK TABLE event_sourcery_subscription_members IN SHARE MODE";
    sqlx::raw_sql(closed).execute(&mut *gate).await.unwrap();
    let SubscriptionChange::Renew(request) = asks(second, 8) else { return };
    let takes_over = SubscriptionChange::Renew(request.with_members(Vec::new(), record.members));
    let (backend, id) = (subscription.backend.clone(), subscription.id.clone());
    let taking_over = tokio::spawn(async move { backend.change_subscription(id, takes_over).await });
    subscription.scene.until_waiting(1).await;
    assert_eq!(subscription.vouched_for(7).await, Some(vec![first]), "it is not taken out yet");
    gate.commit().await.unwrap();
    let taken = taking_over.await.unwrap().unwrap().unwrap();
    // One that has waited for a moment reads again, and hears of the first.
    let became = (taken.members.len(), taken.leases_of(second).count());
    assert!([(1, 4), (2, 0)].contains(&became), "{taken:?}");
    assert!(subscription.vouched_for(7).await.is_none_or(|members| members.is_empty()));
}

/// All who show themselves wait for the renewal: each asks for itself instead.
#[tokio::test]
async fn a_renewal_waits_only_for_a_moment_for_who_has_locked_the_presence() {
    let subscription = Subscription::new().await;
    let first = Uuid::from_u128(1);
    subscription.change(asks(first, 7)).await;
    assert_eq!(subscription.vouched_for(7).await, Some(vec![first]));
    let mut holder = subscription.scene.begin().await;
    let lock = "SELECT FROM event_sourcery_subscription_presences FOR UPDATE";
    sqlx::raw_sql(lock).execute(&mut *holder).await.unwrap();
    let begun = Instant::now();
    let refused = subscription.backend.renew_presence(7).await;
    assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    holder.commit().await.unwrap();
    assert_eq!(subscription.vouched_for(7).await, Some(vec![first]));
}

/// Nobody waits for somebody who waits for him: presences are locked last.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_ask_and_renew_at_once_do_not_end_each_other() {
    let subscription = Subscription::new().await;
    let tasks = (0..8_u128).map(|number| {
        let (backend, mut id) = (subscription.backend.clone(), subscription.id.clone());
        tokio::spawn(async move {
            let presence = i64::try_from(number % 2).unwrap() + 1;
            for round in 0..30 {
                id.name = format!("letters {}", (number + round) % 3).into();
                let change = asks(Uuid::from_u128(number + 1), presence);
                backend.change_subscription(id.clone(), change).await.unwrap();
                backend.renew_presence(presence).await.unwrap();
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
}

#[tokio::test]
async fn presences_that_vouch_for_nobody_are_forgotten_when_another_begins() {
    let subscription = Subscription::new().await;
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    subscription.change(asks(first, 7)).await;
    subscription.change(SubscriptionChange::Leave { member: first, reached: Vec::new() }).await;
    assert!(subscription.vouched_for(7).await.is_none_or(|members| members.is_empty()));
    subscription.change(asks(second, 8)).await;
    let count = "SELECT count(*) FROM event_sourcery_subscription_presences";
    assert_eq!(subscription.scene.number(count).await, 1);
    assert_eq!(subscription.vouched_for(7).await, None);
    assert_eq!(subscription.vouched_for(8).await, Some(vec![second]));
}

/// As after a failover: what was vouched for in one run of the server is not in the next, and each finds out what that lacks.
#[tokio::test]
async fn a_presence_of_another_run_of_the_server_vouches_for_nobody() {
    let subscription = Subscription::new().await;
    let first = Uuid::from_u128(1);
    subscription.change(asks(first, 7)).await;
    assert_eq!(subscription.vouched_for(7).await, Some(vec![first]));
    // The server empties it whenever it recovers.
    subscription.scene.run("DELETE FROM event_sourcery_evidence").await;
    assert_eq!(subscription.vouched_for(7).await, None);
    let record = subscription.change(asks(first, 7)).await.unwrap();
    assert_eq!(presences(&record), [Some(7)]);
    assert_eq!(subscription.vouched_for(7).await, Some(vec![first]));
}

/// Programs of an earlier version, which are still at work, go by the rows of members alone, and do not know the column.
#[tokio::test]
async fn beside_a_member_of_an_earlier_version_the_rows_tell_until_when_members_count() {
    let subscription = Subscription::new().await;
    let first = Uuid::from_u128(1);
    subscription.change(asks(first, 7)).await;
    let older = "INSERT INTO event_sourcery_subscription_members (tenant_id, name, member, member_until, lasting_ms)
                 VALUES ('', 'invoices', gen_random_uuid(), now() AT TIME ZONE 'UTC' + interval '1 hour', 10000)";
    subscription.scene.run(older).await;
    let rows = "SELECT count(*) FROM event_sourcery_subscription_members
                WHERE presence = 0 AND member_until > now() AT TIME ZONE 'UTC' + interval '5 seconds'";
    let record = subscription.change(asks(first, 7)).await.unwrap();
    assert_eq!(presences(&record), [Some(Member::FOR_ITSELF), None]);
    assert_eq!(subscription.scene.number(rows).await, 1);
    assert!(subscription.vouched_for(7).await.is_none_or(|members| members.is_empty()));
}

/// The rows are gone, and so is all that vouched for members: each asks for itself, and keeps what it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_presence_whose_row_is_lost_is_made_anew_and_the_leases_go_on() {
    let subscription = Subscription::new().await;
    let store = &subscription.scene.store;
    let durable = store.subscribe::<event_sourcery::RawEvent>().durable("invoices");
    let run = tokio::spawn(durable.lease(Duration::from_millis(900)).run(async |_, _| Ok(())));
    let member = async || subscription.read().await?.members.first().copied();
    until(async || member().await.is_some_and(|member| member.vouched_for_by().is_some())).await;
    let held = subscription.read().await.unwrap().segments;
    subscription.scene.run("DELETE FROM event_sourcery_subscription_presences").await;
    let count = "SELECT count(*) FROM event_sourcery_subscription_presences";
    until(async || subscription.scene.number(count).await == 1).await;
    let last = member().await.unwrap();
    until(async || member().await.is_some_and(|member| member.until > last.until)).await;
    assert_eq!(subscription.read().await.unwrap().segments, held);
    run.abort();
}
