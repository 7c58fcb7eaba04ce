//! Clause 4.7, for durable subscriptions: what lies beyond the end of the store is told, and not waited for.

use std::time::Duration;

use event_sourcery::backend::{RenewRequest, SubscriptionChange, SubscriptionId};
use event_sourcery::{AppendPosition, Error, EventStore, Position, Start, TenantId};
use uuid::Uuid;

use super::ledger::{Ledgers as _, kept, ledger, noted};
use super::running::{Handled, Running, letters};
use super::subject::Subject;

/// A store with an event, and a position that it has not come to.
async fn with_an_event(store: &EventStore) -> Position {
    let appended = store.append(&ledger("1"), noted(1)).await.unwrap();
    store.settled(appended.position).await;
    Position::from_i64(appended.position.to_i64() + 1_000)
}

pub(super) async fn clause_4_7_a_run_whose_checkpoint_lies_beyond_the_end_ends_with_that(subject: Subject) {
    let (store, handled) = (subject.store(), Handled::default());
    let beyond = with_an_event(&store).await;
    let id = || SubscriptionId::new(TenantId::DEFAULT, "letters");
    let (member, lasting) = (Uuid::from_u128(1), Duration::from_secs(60));
    let renew = RenewRequest::new(member, (8, beyond), kept(beyond), lasting);
    let leave = SubscriptionChange::Leave { member, reached: Vec::new() };
    for change in [SubscriptionChange::Renew(renew), leave] {
        store.backend().change_subscription(id(), change).await.unwrap();
    }
    let told = Running::noting(letters(&store), &handled).ended().await.unwrap_err();
    let (lies, would_be_passed) = (beyond, beyond.to_i64());
    // A store that compares its numbering with the checkpoints refuses to be read at all.
    let is_told = matches!(told, Error::BeyondEnd { position, .. } if position == lies)
        || matches!(told, Error::NumberingWentBack { highest, .. } if highest == would_be_passed);
    assert!(is_told, "{told:?}");
    letters(&store).reset(Start::Beginning).await.unwrap();
    let run = Running::noting(letters(&store), &handled);
    handled.reach(1).await;
    run.stop().await;
}

pub(super) async fn clause_4_7_nothing_starts_and_nobody_waits_beyond_the_end(subject: Subject) {
    let (store, handled) = (subject.store(), Handled::default());
    let beyond = with_an_event(&store).await;
    let told = Running::noting(letters(&store).start(Start::After(beyond)), &handled).ended().await;
    assert_refused!(told, Error::BeyondEnd { position, .. } if position == beyond);
    assert_eq!(letters(&store).status().await.unwrap(), None);
    let run = Running::noting(letters(&store), &handled);
    handled.reach(1).await;
    let told = letters(&store).reset(Start::After(beyond)).await;
    assert_refused!(told, Error::BeyondEnd { position, .. } if position == beyond);
    let waits = AppendPosition::from_i64(beyond.to_i64());
    let told = letters(&store).wait_for(&ledger("1"), waits, Duration::from_millis(20)).await;
    assert_refused!(told, Error::BeyondEnd { position, .. } if position == beyond);
    run.stop().await;
}
