//! Clause 8.7: the durable subscriptions of a process renew their leases together, and each loses its own by itself.

use std::sync::Arc;
use std::time::Duration;

use event_sourcery::backend::{
    Backend, RenewRequest, SubscriptionChange, SubscriptionId, SubscriptionRecord,
};
use event_sourcery::{Durable, EventStore, Position, TenantId};
use futures_util::future::{Either, select};
use jiff::Timestamp;
use uuid::Uuid;

use super::ledger::{Noted, kept, ledger, noted};
use super::running::{Handled, Running, eventually};
use super::subject::Subject;

/// How many subscriptions a process has.
pub(super) const MANY: usize = 40;

pub(super) fn id(name: &str) -> SubscriptionId {
    SubscriptionId::new(TenantId::DEFAULT, name)
}

pub(super) fn durable(store: &EventStore, name: &str, lease: Duration) -> Durable<Arc<dyn Backend>, Noted> {
    store.subscribe::<Noted>().durable(name).lease(lease)
}

pub(super) async fn record(store: &EventStore, name: &str) -> Option<SubscriptionRecord> {
    store.backend().subscription(id(name)).await.unwrap()
}

/// Until when the only member of a subscription counts.
async fn until(store: &EventStore, name: &str) -> Option<Timestamp> {
    record(store, name).await?.members.first().map(|member| member.until)
}

pub(super) async fn clause_8_7_the_members_of_a_process_renew_their_leases_together(subject: Subject) {
    let (store, lease) = (subject.faulty(), Duration::from_millis(1_500));
    let (erased, watching) = (store.erased(), subject.store());
    let names: Vec<_> = (0..MANY).map(|number| format!("letters {number}")).collect();
    let handled = Handled::default();
    let runs: Vec<_> =
        names.iter().map(|name| Running::noting(durable(&erased, name, lease), &handled)).collect();
    for name in &names {
        eventually("each has its leases", async || until(&watching, name).await.is_some()).await;
    }
    let renewed = async || {
        let mut last = Vec::new();
        for name in &names {
            last.push(until(&watching, name).await.expect("a member that is driven keeps its leases"));
        }
        last
    };
    let (before, changes) = (renewed().await, store.backend().subscription_changes());
    for _ in 0..3 {
        let last = renewed().await;
        let is_later = async || renewed().await.iter().zip(&last).all(|(now, last)| now > last);
        eventually("all renew their leases", is_later).await;
    }
    let changes = store.backend().subscription_changes() - changes;
    assert!(renewed().await.iter().zip(&before).all(|(now, before)| now > before));
    assert!(changes < MANY as u64, "{changes} calls for three renewals of {MANY}");
    for run in runs {
        run.stop().await;
    }
    for name in &names {
        let left = record(&watching, name).await.unwrap();
        assert!(left.members.is_empty(), "who stops is gone at once: {left:?}");
    }
}

pub(super) async fn clause_8_7_a_member_that_hangs_loses_its_leases_though_others_of_its_process_renew_theirs(
    subject: Subject,
) {
    let (store, lease) = (subject.store(), Duration::from_millis(300));
    let handled = Handled::default();
    let neighbour = Running::noting(durable(&store, "others", lease), &handled);
    // Driven until it has its leases, and never again.
    let mut hanging = Box::pin(durable(&store, "letters", lease).run(async |_, _| Ok(())));
    let joined = Box::pin(eventually("it has joined", async || until(&store, "letters").await.is_some()));
    match select(&mut hanging, joined).await {
        Either::Left((ended, _)) => panic!("it has ended: {ended:?}"),
        Either::Right(_) => {}
    }
    let member = record(&store, "letters").await.unwrap().members[0].id;
    let successor = Running::noting(durable(&store, "letters", lease), &handled);
    eventually("its work is taken over", async || {
        let record = record(&store, "letters").await.unwrap();
        record.segments.iter().all(|segment| segment.member.is_some_and(|holder| holder != member))
    })
    .await;
    assert!(until(&store, "others").await.is_some(), "its neighbour has its leases");
    store.append(&ledger("1"), noted(1)).await.unwrap();
    eventually("both that are driven handle it", async || handled.numbers() == [1, 1]).await;
    drop(hanging);
    successor.stop().await;
    neighbour.stop().await;
}

pub(super) async fn clause_8_7_several_subscriptions_are_changed_as_each_would_be(subject: Subject) {
    let store = subject.store();
    let [first, second] = [1, 2].map(Uuid::from_u128);
    let renew = |member: Uuid, position: Position| {
        let request = RenewRequest::new(member, (4, position), kept(position), Duration::from_secs(60));
        SubscriptionChange::Renew(request)
    };
    let change = async |changes: Vec<(&str, SubscriptionChange)>| {
        let names: Vec<_> = changes.iter().map(|(name, _)| *name).collect();
        let changes = changes.into_iter().map(|(name, change)| (id(name), change)).collect();
        let told = store.backend().change_subscriptions(changes).await.unwrap();
        assert_eq!(told.len(), names.len());
        for (name, told) in names.iter().zip(&told) {
            assert_eq!(&record(&store, name).await, told, "{name}");
        }
        told
    };
    assert!(change(Vec::new()).await.is_empty());
    let (start, later) = (Position::START, Position::from_i64(7));
    let told = change(vec![
        ("one", renew(first, start)),
        ("two", renew(first, later)),
        ("three", renew(first, start)),
    ])
    .await;
    let positions = |told: &Option<SubscriptionRecord>| told.as_ref().unwrap().segments[0].position;
    assert_eq!(told.iter().map(positions).collect::<Vec<_>>(), [start, later, start]);
    let leases: Vec<_> = told[2].as_ref().unwrap().leases_of(first).collect();
    assert_eq!(leases.len(), 4);

    let reached = vec![(leases[1].0, later)];
    let told = change(vec![
        ("three", SubscriptionChange::Leave { member: first, reached }),
        ("never there", SubscriptionChange::Leave { member: first, reached: Vec::new() }),
        ("two", renew(second, start)),
        ("one", SubscriptionChange::Remove),
    ])
    .await;
    let three = told[0].as_ref().unwrap();
    assert!(three.members.is_empty());
    assert_eq!(three.segments.iter().map(|s| s.position).collect::<Vec<_>>(), [start, later, start, start]);
    assert_eq!(told[1], None);
    assert_eq!(told[2].as_ref().unwrap().members.len(), 2);
    assert_eq!(told[3], None);
}
