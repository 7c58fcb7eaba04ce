//! Streams that wait for a failed event.

use std::time::Duration;

use event_sourcery::backend::{
    BlockedAt, BlockedRequest, JoinableBackend as _, Lease, Segments, StreamProgress,
    SubscriptionBackend as _,
};
use event_sourcery::{Error, Position, StreamId, TenantId};
use event_sourcery_postgres::sqlx::{self, types::Uuid};

use super::{Subscription, blocked, is_lost, renew};
use crate::scene::event;

#[tokio::test]
async fn a_blocked_stream_is_read_back_as_it_was_written() {
    let (subscription, leases) = Subscription::of_member(1).await;
    let stream = StreamId::from_name("invoices/1003").unwrap().in_category("invoices").unwrap();
    subscription.make(&stream).await;
    let mut written = blocked(&stream, 1);
    written.retry_at = Some("2024-05-01T12:00:10Z".parse().unwrap());
    written.attempts = u32::MAX;
    subscription.streams(&leases, vec![StreamProgress::Block(written.clone())]).await.unwrap();
    assert_eq!(subscription.blocked().await, [written]);
}

/// 255 characters in 850 bytes, which cannot be compressed.
fn longest_name() -> String {
    let three_bytes = (0..170).map(|_| fastrand::char('\u{4e00}'..'\u{9e00}'));
    let four_bytes = (0..85).map(|_| fastrand::char('\u{20000}'..'\u{2a000}'));
    three_bytes.chain(four_bytes).collect()
}

/// Five names in a row, four of which tell it from others: more than an entry of a B-tree holds.
#[tokio::test]
async fn a_stream_and_a_subscription_with_the_longest_names_are_blocked_once() {
    let (mut subscription, _) = Subscription::of_member(1).await;
    let longest: [String; 5] = std::array::from_fn(|_| longest_name());
    assert!(longest.iter().all(|name| (name.chars().count(), name.len()) == (255, 850)));
    let [name, category, tenant, subscription_name, subscription_tenant] = &longest;
    subscription.id.name = subscription_name.as_str().into();
    subscription.id.tenant = TenantId::new(subscription_tenant).unwrap();
    let record = subscription.change(renew(Uuid::new_v4(), 1)).await.unwrap();
    let member = record.segments[0].member.unwrap();
    let leases: Vec<_> = record.leases_of(member).map(|(lease, _)| lease).collect();
    let stream = StreamId::from_name(name).unwrap().in_category(category).unwrap();
    let mut written = blocked(&stream, 1);
    written.tenant = TenantId::new(tenant).unwrap();
    let mut namesake = blocked(&stream, 2);
    namesake.tenant = TenantId::new(longest_name()).unwrap();
    for tenant in [&written.tenant, &namesake.tenant] {
        subscription.scene.store.for_tenant(tenant.clone()).append(&stream, event()).await.unwrap();
    }
    subscription.streams(&leases, vec![StreamProgress::Block(written.clone())]).await.unwrap();
    let again = subscription.streams(&leases, vec![StreamProgress::Block(written.clone())]).await;
    assert!(matches!(again, Err(Error::LeaseLost { .. })), "{again:?}");
    subscription.streams(&leases, vec![StreamProgress::Block(namesake.clone())]).await.unwrap();
    assert_eq!(subscription.blocked().await, [written.clone(), namesake.clone()]);
    let free = StreamProgress::Free(written.at(), written.tenant, written.stream);
    subscription.streams(&leases, vec![free]).await.unwrap();
    assert_eq!(subscription.blocked().await, [namesake]);
}

/// The loser of a race waits for the winner, and finds its row.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_block_a_stream_at_once_one_does() {
    let (subscription, leases) = Subscription::of_member(1).await;
    let subscription = std::sync::Arc::new(subscription);
    for round in 0..20 {
        let stream = subscription.new_stream().await;
        let one = || {
            let request =
                subscription.request(&leases, None, vec![StreamProgress::Block(blocked(&stream, round + 1))]);
            let backend = subscription.backend.clone();
            tokio::spawn(async move { backend.progress(request).await })
        };
        let tasks: Vec<_> = (0..8).map(|_| one()).collect();
        let made = futures_util::future::join_all(tasks).await;
        assert_eq!(made.into_iter().filter(|made| made.as_ref().unwrap().is_ok()).count(), 1);
    }
    assert_eq!(subscription.blocked().await.len(), 20);
}

#[tokio::test]
async fn an_error_with_a_nul_in_it_is_kept_without() {
    let (subscription, leases) = Subscription::of_member(1).await;
    let mut written = blocked(&subscription.new_stream().await, 1);
    written.error = "no\0such customer".to_owned();
    subscription.streams(&leases, vec![StreamProgress::Block(written)]).await.unwrap();
    assert_eq!(subscription.blocked().await[0].error, "no\u{fffd}such customer");
}

/// What each of them needs, and that nothing of the rest is written without.
#[tokio::test]
async fn a_stream_that_is_not_as_it_was_said_to_be_is_refused_with_all_the_rest() {
    let (subscription, leases) = Subscription::of_member(1).await;
    let (stream, free) = (subscription.new_stream().await, subscription.new_stream().await);
    let other = subscription.new_stream().await;
    let tenant = TenantId::DEFAULT;
    let [at_1, at_6, at_8, at_9] = [1, 6, 8, 9].map(|position| blocked(&stream, position).at());
    // An event was left out meanwhile.
    let skipped = BlockedAt::new(at_1.position, at_1.position);
    subscription.streams(&leases, vec![StreamProgress::Block(blocked(&stream, 1))]).await.unwrap();
    let before = subscription.blocked().await;
    for wrong in [
        StreamProgress::Block(blocked(&stream, 1)),
        StreamProgress::Change(at_6, blocked(&stream, 9)),
        StreamProgress::Change(skipped, blocked(&stream, 9)),
        StreamProgress::Change(at_1, blocked(&free, 9)),
        StreamProgress::Free(at_8, tenant.clone(), stream.clone()),
        StreamProgress::Free(skipped, tenant.clone(), stream.clone()),
        StreamProgress::Free(at_1, TenantId::new("acme").unwrap(), stream.clone()),
        StreamProgress::Waits(tenant.clone(), free.clone()),
    ] {
        let right = StreamProgress::Block(blocked(&other, 3));
        let request = subscription.request(&leases, Some(20), vec![right, wrong]);
        let refused = subscription.backend.progress(request.clone()).await;
        assert!(is_lost(&refused), "{refused:?}: {request:?}");
        let mut handling = subscription.backend.begin_handling(Duration::from_secs(9), None).await.unwrap();
        let refused = subscription.backend.join(&mut handling).progress(&request).await;
        assert!(is_lost(&refused), "{refused:?}: {request:?}");
        subscription.backend.commit(handling).await.unwrap();
        assert_eq!((subscription.blocked().await, subscription.positions().await), (before.clone(), vec![0]));
    }
    let right = vec![StreamProgress::Waits(tenant.clone(), stream.clone())];
    subscription.streams(&leases, right).await.unwrap();
    let right = vec![StreamProgress::Change(at_1, blocked(&stream, 9))];
    subscription.streams(&leases, right).await.unwrap();
    assert_eq!(subscription.blocked().await, [blocked(&stream, 9)]);
    let lost = Lease::new(leases[0].segment, leases[0].token + 1);
    let free = || vec![StreamProgress::Free(at_9, tenant.clone(), stream.clone())];
    assert!(is_lost(&subscription.streams(&[lost], free()).await));
    subscription.streams(&[], free()).await.unwrap();
    assert_eq!(subscription.blocked().await, []);
}

#[tokio::test]
async fn blocked_streams_are_listed_by_position_as_asked() {
    let (subscription, leases) = Subscription::of_member(1).await;
    for position in 1..=9 {
        let mut one = blocked(&subscription.new_stream().await, position);
        if ![3, 5, 7, 9].contains(&position) {
            continue;
        }
        one.segment = u16::try_from(position % 4).unwrap();
        one.retry_at = match position {
            3 => None,
            9 => Some("2999-01-01T00:00:00Z".parse().unwrap()),
            _ => Some("2024-01-01T00:00:00Z".parse().unwrap()),
        };
        subscription.streams(&leases, vec![StreamProgress::Block(one)]).await.unwrap();
    }
    for (segments, due, after, limit, expected) in [
        (None, false, 0, 100, vec![3, 5, 7, 9]),
        (None, false, 3, 2, vec![5, 7]),
        (None, true, 0, 100, vec![5, 7]),
        (Some(Segments::new(4, [1])), false, 0, 100, vec![5, 9]),
        (Some(Segments::new(4, [1])), true, 0, 100, vec![5]),
        (Some(Segments::new(4, [])), false, 0, 100, vec![]),
    ] {
        let mut request =
            BlockedRequest::new(subscription.id.clone()).with_page(Position::from_i64(after), limit);
        (request.segments, request.due) = (segments, due);
        let found = subscription.backend.blocked_streams(request).await.unwrap();
        let positions: Vec<_> = found.iter().map(|blocked| blocked.position.to_i64()).collect();
        assert_eq!(positions, expected);
    }
}

/// Contract 5.1.
#[tokio::test]
async fn a_deleted_stream_is_blocked_for_no_subscription_and_its_namesakes_still_are() {
    let (subscription, leases) = Subscription::of_member(1).await;
    let store = &subscription.scene.store;
    let stream = StreamId::random();
    let namesake = stream.clone().in_category("invoices").unwrap();
    let mut of_tenant = blocked(&stream, 3);
    of_tenant.tenant = TenantId::new("acme").unwrap();
    subscription.make(&stream).await;
    subscription.make(&namesake).await;
    store.for_tenant(of_tenant.tenant.clone()).append(&stream, event()).await.unwrap();
    let all = [blocked(&stream, 1), blocked(&namesake, 2), of_tenant];
    let block = || all.iter().cloned().map(StreamProgress::Block).collect::<Vec<_>>();
    subscription.streams(&leases, block()).await.unwrap();
    let mut other = subscription.request(&[], None, block());
    other.subscription.name = "other".into();
    subscription.backend.progress(other).await.unwrap();

    let mut tx = subscription.scene.begin().await;
    store.within(&mut tx).delete_stream(&stream).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(subscription.blocked().await.len(), 3);
    store.delete_stream(&stream).await.unwrap();

    assert_eq!(subscription.blocked().await, all[1..]);
    let left = "SELECT count(*) FROM event_sourcery_blocked_streams WHERE subscription_name = 'other'";
    assert_eq!(subscription.scene.number(left).await, 2);
    // Whoever does not know of subscriptions deletes the next one, and that it is blocked goes all the same.
    subscription.scene.run("DELETE FROM event_sourcery_events; DELETE FROM event_sourcery_streams").await;
    assert_eq!(subscription.blocked().await, all[1..]);
    store.delete_stream(&namesake).await.unwrap();
    assert_eq!(subscription.blocked().await, all[2..]);
}

/// The deletion found no stream. Before it came to what blocks the stream, the stream was made anew, and blocked by an event of
/// its own: taking that away would hand the next event over before the one that failed.
#[tokio::test]
async fn a_deletion_that_finds_no_stream_leaves_a_newer_one_blocked() {
    for is_begun in [true, false] {
        assert_newer_one_stays_blocked(is_begun).await;
    }
}

async fn assert_newer_one_stays_blocked(is_begun: bool) {
    let (subscription, leases) = Subscription::of_member(1).await;
    let (store, stream) = (&subscription.scene.store, subscription.new_stream().await);
    subscription.streams(&leases, vec![StreamProgress::Block(blocked(&stream, 1))]).await.unwrap();
    subscription.scene.run("DELETE FROM event_sourcery_events; DELETE FROM event_sourcery_streams").await;
    // It waits for the row, or before it has begun.
    let mut holding = subscription.scene.begin().await;
    if !is_begun {
        let hold = "LOCK TABLE event_sourcery_blocked_streams IN ACCESS EXCLUSIVE MODE";
        sqlx::raw_sql(hold).execute(&mut *holding).await.unwrap();
    }
    let anew = store.within(&mut holding).append(&stream, event()).await.unwrap().position.to_i64();
    let block = "UPDATE event_sourcery_blocked_streams SET position = $1, after_position = $1 - 1";
    sqlx::query(block).bind(anew).execute(&mut *holding).await.unwrap();
    let (deleter, deleted) = (store.clone(), stream.clone());
    let deleting = tokio::spawn(async move { deleter.delete_stream(&deleted).await });
    subscription.scene.until_waiting(1).await;
    holding.commit().await.unwrap();
    deleting.await.unwrap().unwrap();
    assert_eq!(subscription.blocked().await, [blocked(&stream, anew)]);
}

/// Its retry goes on to the next event, whose row the deletion waits for.
#[tokio::test]
async fn a_deletion_frees_its_stream_also_where_what_blocks_it_is_changed_meanwhile() {
    let (subscription, leases) = Subscription::of_member(1).await;
    let (backend, stream) = (subscription.backend.clone(), subscription.new_stream().await);
    let first = blocked(&stream, 1);
    subscription.streams(&leases, vec![StreamProgress::Block(first.clone())]).await.unwrap();
    let mut changing = backend.begin_handling(Duration::from_secs(30), None).await.unwrap();
    let change = StreamProgress::Change(first.at(), blocked(&stream, 2));
    let request = subscription.request(&leases, None, vec![change]);
    backend.join(&mut changing).progress(&request).await.unwrap();
    let (deleter, deleted) = (subscription.scene.store.clone(), stream.clone());
    let deleting = tokio::spawn(async move { deleter.delete_stream(&deleted).await });
    subscription.scene.until_waiting(1).await;
    backend.commit(changing).await.unwrap();
    deleting.await.unwrap().unwrap();
    assert_eq!(subscription.blocked().await, []);
}

/// Whichever comes first, the other one waits for it; nobody who appends does.
#[tokio::test]
async fn a_stream_that_is_blocked_and_deleted_at_the_same_moment_leaves_nothing_blocked() {
    let (subscription, leases) = Subscription::of_member(1).await;
    let (backend, store) = (subscription.backend.clone(), &subscription.scene.store);
    let block = |stream: &StreamId, position| {
        subscription.request(&leases, Some(7), vec![StreamProgress::Block(blocked(stream, position))])
    };
    for (commits, position) in [(true, 1), (false, 2)] {
        let (stream, backend) = (subscription.new_stream().await, backend.clone());
        let mut deleting = subscription.scene.begin().await;
        store.within(&mut deleting).delete_stream(&stream).await.unwrap();
        let request = block(&stream, position);
        let blocking = tokio::spawn(async move { backend.progress(request).await });
        subscription.scene.until_waiting(1).await;
        if commits {
            deleting.commit().await.unwrap()
        } else {
            deleting.rollback().await.unwrap()
        }
        blocking.await.unwrap().unwrap();
        assert_eq!(subscription.blocked().await.len(), usize::from(!commits));
        store.delete_stream(&stream).await.unwrap();
    }

    let stream = subscription.new_stream().await;
    let mut blocking = backend.begin_handling(Duration::from_secs(30), None).await.unwrap();
    backend.join(&mut blocking).progress(&block(&stream, 3)).await.unwrap();
    store.append(&stream, event()).expected_version(1).await.unwrap();
    let (deleter, deleted) = (store.clone(), stream.clone());
    let deleting = tokio::spawn(async move { deleter.delete_stream(&deleted).await });
    subscription.scene.until_waiting(1).await;
    backend.commit(blocking).await.unwrap();
    deleting.await.unwrap().unwrap();
    assert_eq!(subscription.blocked().await, []);
}
