//! Changes of a subscription as a whole: one at a time, whether it exists or not.

use std::time::Duration;

use event_sourcery::Position;
use event_sourcery::backend::{StreamProgress, SubscriptionBackend as _, SubscriptionChange};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_postgres::sqlx::{self, types::Uuid};
use futures_util::future::join_all;

use super::{Subscription, blocked, renew};

#[tokio::test]
async fn what_is_not_there_is_none_and_stays_none() {
    let subscription = Subscription::new().await;
    assert_eq!(subscription.read().await, None);
    for change in [
        SubscriptionChange::Remove,
        SubscriptionChange::Reset { position: Position::START, present: Vec::new() },
        SubscriptionChange::Leave { member: Uuid::new_v4(), reached: Vec::new() },
    ] {
        assert_eq!(subscription.change(change).await, None);
    }
}

#[tokio::test]
async fn leases_last_by_the_servers_clock_in_whole_microseconds() {
    let (subscription, _) = Subscription::of_member(2).await;
    let until = subscription.read().await.unwrap().segments[0].leased_until;
    let left = subscription
        .scene
        .number(
            "SELECT (extract(epoch FROM leased_until - now() AT TIME ZONE 'UTC') * 1000)::bigint
             FROM event_sourcery_subscription_segments WHERE segment = 0",
        )
        .await;
    assert!((5_000..=10_000).contains(&left), "{left} ms");
    assert_eq!(until.subsec_nanosecond() % 1_000, 0);
}

#[tokio::test]
async fn a_change_writes_only_what_is_different() {
    let subscription = Subscription::new().await;
    let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
    for member in [one, two, one, two] {
        subscription.change(renew(member, 8)).await;
    }
    let rows = "SELECT segment, s.ctid FROM event_sourcery_subscription_segments s
                JOIN event_sourcery_subscription_members m ON m.member = s.member";
    let of_one = format!("{rows} WHERE m.member = '{one}' ORDER BY segment");
    let before = subscription.scene.database.psql(&of_one);
    subscription.change(renew(two, 8)).await;
    assert_eq!(subscription.scene.database.psql(&of_one), before);
    assert_eq!(before.lines().count(), 4);
}

/// Eight processes show up at the same moment, and each has its share.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_create_a_subscription_at_once_all_take_part_in_the_same_one() {
    for count in [12, 64] {
        let mut subscription = Subscription::new().await;
        // Half of the connections wait for long.
        let many = PostgresBackend::options(subscription.scene.database.url()).max_connections(16);
        subscription.backend = many.open().await.unwrap();
        let members: Vec<_> = (0..8).map(|_| Uuid::new_v4()).collect();
        // Nobody sees that there is none before all have come.
        let mut gate = subscription.scene.begin().await;
        let closed = "LOCK TABLE event_sourcery_subscription_segments IN EXCLUSIVE MODE";
        sqlx::raw_sql(closed).execute(&mut *gate).await.unwrap();
        let tries = members.iter().zip(1..).map(|(member, extra)| {
            let (backend, id) = (subscription.backend.clone(), subscription.id.clone());
            let change = renew(*member, count - extra);
            tokio::spawn(async move { backend.change_subscription(id, change).await.unwrap().unwrap() })
        });
        let tries: Vec<_> = tries.collect();
        subscription.scene.until_waiting(8).await;
        gate.commit().await.unwrap();
        let records = join_all(tries).await;
        let segments = subscription.read().await.unwrap().segments.len();
        for record in records {
            assert_eq!(record.unwrap().segments.len(), segments);
        }
        // By then everybody knows of everybody.
        for member in members.iter().chain(&members) {
            subscription.change(renew(*member, count)).await;
        }
        let record = subscription.read().await.unwrap();
        assert_eq!(record.members.len(), 8);
        assert!(record.segments.iter().all(|segment| segment.member.is_some()), "{record:?}");
    }
}

/// Somebody removes it while others renew: it is whole, or gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_subscription_that_is_removed_while_others_renew_it_is_whole_or_gone() {
    let subscription = Subscription::new().await;
    let tasks = (0..6_u16).map(|number| {
        let (backend, id) = (subscription.backend.clone(), subscription.id.clone());
        let member = Uuid::new_v4();
        tokio::spawn(async move {
            for _ in 0..40 {
                let change = if number < 2 { SubscriptionChange::Remove } else { renew(member, 3 + number) };
                let changed = backend.change_subscription(id.clone(), change).await.unwrap();
                let Some(record) = changed else { continue };
                assert!((5..9).contains(&record.segments.len()), "{record:?}");
                let tokens = record.segments.iter().all(|segment| segment.token >= 0);
                assert!(tokens && record.members.iter().any(|other| other.id == member), "{record:?}");
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    let segments = "SELECT count(DISTINCT segment) - coalesce(max(segment) + 1, 0)
                    FROM event_sourcery_subscription_segments";
    assert_eq!(subscription.scene.number(segments).await, 0, "its numbers have no holes");
    subscription.change(SubscriptionChange::Remove).await;
    for table in ["segments", "members"] {
        let left = format!("SELECT count(*) FROM event_sourcery_subscription_{table}");
        assert_eq!(subscription.scene.number(&left).await, 0);
    }
}

#[tokio::test]
async fn a_reset_and_a_removal_free_the_blocked_streams_of_this_subscription_only() {
    for change in [
        SubscriptionChange::Reset { position: Position::START, present: Vec::new() },
        SubscriptionChange::Remove,
    ] {
        let (subscription, leases) = Subscription::of_member(1).await;
        let mut other = Subscription::on(crate::scene::Scene::new().await);
        other.backend = subscription.backend.clone();
        other.id.name = "other".into();
        let stream = subscription.new_stream().await;
        subscription.streams(&leases, vec![StreamProgress::Block(blocked(&stream, 1))]).await.unwrap();
        other.streams(&[], vec![StreamProgress::Block(blocked(&stream, 1))]).await.unwrap();
        subscription.change(change).await;
        assert_eq!((subscription.blocked().await.len(), other.blocked().await.len()), (0, 1));
    }
}

/// A change waits for a checkpoint that is being written, and knows it then.
#[tokio::test]
async fn a_change_knows_the_checkpoint_that_it_has_waited_for() {
    use event_sourcery::backend::JoinableBackend as _;

    let (subscription, leases) = Subscription::of_member(2).await;
    let backend = &subscription.backend;
    let mut handling = backend.begin_handling(Duration::from_secs(30), None).await.unwrap();
    let request = subscription.request(&leases, Some(9), Vec::new());
    backend.join(&mut handling).progress(&request).await.unwrap();
    let (other, id) = (backend.clone(), subscription.id.clone());
    let taking_over = tokio::spawn(async move {
        other.change_subscription(id, renew(Uuid::new_v4(), 2)).await.unwrap().unwrap()
    });
    subscription.scene.until_waiting(1).await;
    backend.commit(handling).await.unwrap();
    let positions = taking_over.await.unwrap().segments;
    assert!(positions.iter().all(|segment| segment.position == Position::from_i64(9)), "{positions:?}");
}
