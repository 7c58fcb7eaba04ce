//! Clause 8.10, for readers: waiting until a durable subscription has handled what was appended.

use std::sync::Arc;
use std::time::Duration;

use event_sourcery::backend::{
    Lease, ProgressRequest, RenewRequest, Segments, SubscriptionChange, SubscriptionId,
};
use event_sourcery::{Error, EventStore, Position, RawEvent, StreamId, TenantId};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

use super::ledger::{Ledgers as _, kept, ledger, noted, tenant};
use super::running::{Handled, Running, SOON, Settings, eventually, letters};
use super::subject::Subject;

const NOT_LONG: Duration = Duration::from_millis(40);

/// Waits until the subscription is there to be waited for.
async fn begun(store: &EventStore) {
    eventually("the subscription has begun", async || letters(store).status().await.unwrap().is_some()).await;
}

/// A subscription of four segments that nobody works on but the case.
async fn by_hand(store: &EventStore) -> Vec<Lease> {
    let member = Uuid::from_u128(1);
    let (create, lasting) = ((4, Position::START), Duration::from_secs(600));
    let renew = RenewRequest::new(member, create, kept(create.1), lasting);
    let change = SubscriptionChange::Renew(renew);
    let record = store.backend().change_subscription(id(), change).await.unwrap().unwrap();
    record.leases_of(member).map(|(lease, _)| lease).collect()
}

fn id() -> SubscriptionId {
    SubscriptionId::new(TenantId::DEFAULT, "letters")
}

async fn reach(store: &EventStore, lease: Lease, position: i64) {
    let progress = ProgressRequest::new(id()).with_leases(vec![lease]);
    store.backend().progress(progress.with_position(Position::from_i64(position))).await.unwrap();
}

fn in_segment(segment: u16) -> StreamId {
    let mut streams = (0..).map(|number: u32| ledger(&number.to_string()));
    streams.find(|stream| Segments::number_of(stream.uuid(), 4) == segment).unwrap()
}

pub(super) async fn clause_8_10_what_was_waited_for_was_handled(subject: Subject) {
    let (store, handled) = (subject.store(), Handled::default());
    let run = Running::noting(letters(&store), &handled);
    begun(&store).await;
    for number in 1..=30 {
        let stream = ledger(&number.to_string());
        let appended = store.append(&stream, noted(number)).await.unwrap();
        letters(&store).wait_for(&stream, appended.position, SOON).await.unwrap();
        assert_eq!(handled.of(&stream), [number]);
    }
    let waiting = letters(&store).wait_for_everything(store.position().await.unwrap(), SOON).await.unwrap();
    assert!(waiting.is_empty());
    run.stop().await;
}

pub(super) async fn clause_8_10_what_is_not_handled_in_time_is_an_error_that_can_be_retried(
    subject: Subject,
) {
    let (store, stream, gate) = (subject.store(), ledger("1"), Arc::new(Semaphore::new(0)));
    let held = Arc::clone(&gate);
    let run = Running::start(letters(&store), move |_, _| {
        let held = Arc::clone(&held);
        async move {
            held.acquire().await?.forget();
            Ok(())
        }
    });
    begun(&store).await;
    let appended = store.append(&stream, noted(1)).await.unwrap();
    let since = Instant::now();
    let late = letters(&store).wait_for(&stream, appended.position, NOT_LONG).await;
    assert!(since.elapsed() >= NOT_LONG);
    assert!(late.as_ref().unwrap_err().is_retryable());
    assert_refused!(
        late,
        Error::NotHandledInTime { subscription, stream: Some(of), position, is_blocked: false, waited, .. }
            if subscription == "letters" && of == stream && position == appended.position && waited >= NOT_LONG,
    );
    store.settled(appended.position).await;
    let settled = store.position().await.unwrap();
    let late = letters(&store).wait_for_everything(settled, Duration::ZERO).await;
    assert_refused!(late, Error::NotHandledInTime { stream: None, .. });
    gate.add_permits(1);
    letters(&store).wait_for(&stream, appended.position, SOON).await.unwrap();
    run.stop().await;
}

pub(super) async fn clause_8_14_who_waits_for_a_subscription_that_does_not_run_in_time_is_told(
    subject: Subject,
) {
    let (store, stream) = (subject.store(), ledger("1"));
    let appended = store.append(&stream, noted(1)).await.unwrap();
    assert_refused!(
        letters(&store).wait_for(&stream, appended.position, NOT_LONG).await,
        Error::SubscriptionNotFound { subscription } if subscription == "letters",
    );
    assert_refused!(
        letters(&store).wait_for_everything(Position::START, NOT_LONG).await,
        Error::SubscriptionNotFound { .. },
    );
}

pub(super) async fn clause_8_14_a_subscription_that_has_not_run_yet_is_waited_for(subject: Subject) {
    let (store, stream, handled) = (subject.store(), ledger("1"), Handled::default());
    let appended = store.append(&stream, noted(1)).await.unwrap();
    let waits = store.clone();
    let waiting =
        tokio::spawn(async move { letters(&waits).wait_for(&ledger("1"), appended.position, SOON).await });
    tokio::time::sleep(NOT_LONG).await;
    assert!(!waiting.is_finished());
    let run = Running::noting(letters(&store), &handled);
    waiting.await.unwrap().unwrap();
    assert_eq!(handled.of(&stream), [1]);
    run.stop().await;
}

pub(super) async fn clause_8_10_a_stream_that_waits_for_a_failed_event_is_not_handled(subject: Subject) {
    let (store, handled) = (subject.store(), Handled::default());
    let acme = store.for_tenant(tenant("acme"));
    let (stream, free) = (ledger("1"), ledger("2"));
    let settings = Settings { attempts: 1, ..Settings::default() };
    let run = Running::planned(settings.of(store.subscribe()), &handled, |item, _| match item.number {
        2 => Err("not this one".into()),
        _ => Ok(()),
    });
    begun(&store).await;
    let first = store.append(&stream, noted(1)).await.unwrap();
    let failed = store.append(&stream, noted(2)).expected_version(1).await.unwrap();
    let behind = store.append(&stream, noted(3)).expected_version(2).await.unwrap();
    let other = store.append(&free, noted(1)).await.unwrap();
    let namesake = acme.append(&stream, noted(1)).await.unwrap();
    eventually("it is parked", async || !letters(&store).parked().await.unwrap().is_empty()).await;

    for append in [&failed, &behind] {
        let blocked = letters(&store).wait_for(&stream, append.position, NOT_LONG).await;
        assert_refused!(
            blocked,
            Error::NotHandledInTime { stream: Some(of), .. } if of == stream,
        );
    }
    letters(&store).wait_for(&stream, first.position, SOON).await.unwrap();
    letters(&store).wait_for(&free, other.position, SOON).await.unwrap();
    letters(&store).wait_for(&stream, namesake.position, SOON).await.unwrap();

    for another in [&free, &stream.clone().in_category("red").unwrap()] {
        let wrong = letters(&store).wait_for(another, behind.position, SOON).await;
        assert_refused!(wrong, Error::InvalidOption { option: "stream", .. });
    }
    store.settled(namesake.position).await;
    let settled = store.position().await.unwrap();
    let waiting = letters(&store).wait_for_everything(settled, SOON).await.unwrap();
    assert_eq!(waiting.iter().map(|blocked| &blocked.stream).collect::<Vec<_>>(), [&stream]);
    let blocked = letters(&store).wait_for(&stream, behind.position, NOT_LONG).await;
    assert_refused!(blocked, Error::NotHandledInTime { is_blocked: true, .. });

    letters(&store).skip(&waiting[0]).await.unwrap();
    letters(&store).wait_for(&stream, behind.position, SOON).await.unwrap();
    assert_eq!(handled.numbers().iter().filter(|number| **number == 3).count(), 1);
    run.stop().await;
}

pub(super) async fn clause_8_10_other_parts_of_the_subscription_are_not_waited_for(subject: Subject) {
    let store = subject.store();
    let leases = by_hand(&store).await;
    let (mine, other) = (in_segment(1), in_segment(2));
    store.append(&other, noted(1)).await.unwrap();
    let appended = store.append(&mine, noted(1)).await.unwrap();
    store.settled(appended.position).await;
    assert_refused!(
        letters(&store).wait_for(&mine, appended.position, Duration::ZERO).await,
        Error::NotHandledInTime { .. },
    );
    reach(&store, leases[1], appended.position.to_i64()).await;
    letters(&store).wait_for(&mine, appended.position, Duration::ZERO).await.unwrap();
    let everything =
        letters(&store).wait_for_everything(store.position().await.unwrap(), Duration::ZERO).await;
    assert_refused!(everything, Error::NotHandledInTime { checkpoint: Position::START, .. });
    reach(&store, leases[2], appended.position.to_i64()).await;
    let everything =
        letters(&store).wait_for_everything(store.position().await.unwrap(), Duration::ZERO).await;
    assert!(
        everything.unwrap().is_empty(),
        "two parts have nothing to handle, wherever their checkpoints are"
    );
}

pub(super) async fn clause_8_10_what_a_subscription_does_not_want_is_not_waited_for(subject: Subject) {
    let (store, stream) = (subject.store(), in_segment(1));
    let leases = by_hand(&store).await;
    let first = store.append(&stream, noted(1)).await.unwrap();
    reach(&store, leases[1], first.position.to_i64()).await;
    let unwanted = RawEvent::new("closed", "{}").unwrap();
    let appended = store.append(&stream, unwanted).expected_version(1).await.unwrap();
    store.settled(appended.position).await;
    letters(&store).wait_for(&stream, appended.position, Duration::ZERO).await.unwrap();
    let wanted = store.append(&stream, noted(3)).expected_version(2).await.unwrap();
    letters(&store).wait_for(&stream, appended.position, Duration::ZERO).await.unwrap();
    assert_refused!(
        letters(&store).wait_for(&stream, wanted.position, NOT_LONG).await,
        Error::NotHandledInTime { .. },
    );
}
