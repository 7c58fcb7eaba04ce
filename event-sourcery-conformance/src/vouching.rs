//! Clause 8.7: one row renews the leases of all members of a process that have nothing else to ask for, and each loses its own by itself.

use std::time::Duration;

use event_sourcery::backend::{
    Member, ProgressRequest, RenewRequest, SubscriptionChange, SubscriptionRecord,
};
use event_sourcery::{Error, EventStore, Position};
use uuid::Uuid;

use super::ledger::{kept, ledger, noted};
use super::presences::{MANY, durable, id, record};
use super::running::{Handled, Running, eventually};
use super::subject::Subject;

/// The numbers of two presences.
const ONE: i64 = 7;
const OTHER: i64 = 8;

/// The only member of a subscription, once there is one.
async fn member(store: &EventStore, name: &str) -> Option<Member> {
    record(store, name).await?.members.first().copied()
}

async fn is_vouched_for(store: &EventStore, name: &str) -> bool {
    member(store, name).await.is_some_and(|member| member.vouched_for_by().is_some())
}

/// A member asks for its share of four segments, and to be vouched for.
fn asks(member: Uuid, presence: i64) -> RenewRequest {
    let (create, lasting) = ((4, Position::START), Duration::from_secs(60));
    RenewRequest::new(member, create, kept(create.1), lasting).with_presence(presence)
}

async fn renew(store: &EventStore, name: &str, request: RenewRequest) -> SubscriptionRecord {
    change(store, name, SubscriptionChange::Renew(request)).await.unwrap()
}

async fn change(store: &EventStore, name: &str, change: SubscriptionChange) -> Option<SubscriptionRecord> {
    let told = store.backend().change_subscription(id(name), change).await.unwrap();
    assert_eq!(record(store, name).await, told);
    told
}

/// Renews a presence: for whom it vouches; `None` where it is not there.
async fn vouched_for(store: &EventStore, presence: i64) -> Option<Vec<Uuid>> {
    let mut members = store.backend().renew_presence(presence).await.unwrap()?.members;
    members.sort_unstable();
    Some(members)
}

pub(super) async fn clause_8_7_members_that_have_nothing_to_ask_for_are_renewed_by_one_row(subject: Subject) {
    let (store, watching, lease) = (subject.faulty(), subject.store(), Duration::from_millis(1_500));
    let (erased, handled) = (store.erased(), Handled::default());
    let names: Vec<_> = (0..MANY).map(|number| format!("letters {number}")).collect();
    let runs: Vec<_> =
        names.iter().map(|name| Running::noting(durable(&erased, name, lease), &handled)).collect();
    for name in &names {
        eventually("its presence vouches for it", async || is_vouched_for(&watching, name).await).await;
    }
    let until = async || {
        let mut last = Vec::new();
        for name in &names {
            last.push(member(&watching, name).await.expect("it keeps its leases").until);
        }
        last
    };
    let before = (store.backend().subscription_changes(), store.backend().presence_renewals());
    let (mut renewals, mut last) = (0, until().await);
    while renewals < 4 {
        let is_later = async || until().await.iter().zip(&last).all(|(now, last)| now > last);
        eventually("all renew their leases", is_later).await;
        last = until().await;
        renewals += 1;
    }
    let backend = store.backend();
    let changes = backend.subscription_changes() - before.0;
    let rows = backend.presence_renewals() - before.1;
    assert!(rows < MANY as u64, "{rows} calls for {renewals} renewals of {MANY}");
    assert!(changes < rows, "{changes} changes, and {rows} renewals of one row");
    // They are woken as ever, and keep what they have handled.
    store.erased().append(&ledger("1"), noted(1)).await.unwrap();
    handled.reach(MANY).await;
    for run in runs {
        run.stop().await;
    }
    for name in &names {
        let left = record(&watching, name).await.unwrap();
        assert!(left.members.is_empty(), "who stops is gone at once: {left:?}");
    }
}

pub(super) async fn clause_8_7_a_presence_vouches_for_its_members_as_long_as_nothing_changes(
    subject: Subject,
) {
    let store = subject.store();
    let [first, second, third] = [1, 2, 3].map(Uuid::from_u128);
    assert_eq!(vouched_for(&store, ONE).await, None);
    assert_eq!(store.backend().renew_presence(Member::FOR_ITSELF).await.unwrap(), None);
    let given = renew(&store, "letters", asks(first, ONE)).await;
    renew(&store, "bills", asks(third, ONE)).await;
    assert_eq!(vouched_for(&store, ONE).await, Some(vec![first, third]));
    let renewed = record(&store, "letters").await.unwrap();
    assert!(renewed.members[0].until > given.members[0].until);
    assert_eq!(renewed.segments, given.segments);

    let joined = renew(&store, "letters", asks(second, OTHER)).await;
    assert_eq!(joined.members[0].presence, Some(Member::FOR_ITSELF), "it has to give something up");
    assert_eq!(joined.members[0].until, renewed.members[0].until);
    assert_eq!(vouched_for(&store, ONE).await, Some(vec![third]));
    let kept = record(&store, "letters").await.unwrap();
    assert_eq!(kept.members[0], joined.members[0], "it counts for no longer");
    let others = store.backend().renew_presence(ONE).await.unwrap().unwrap().others;
    assert!(matches!(others[..], [(OTHER, renewed)] if renewed < kept.members[1].until), "{others:?}");

    for (member, presence) in [(first, ONE), (second, OTHER), (first, ONE), (second, OTHER)] {
        renew(&store, "letters", asks(member, presence)).await;
    }
    assert_eq!(vouched_for(&store, ONE).await, Some(vec![first, third]));
    assert_eq!(vouched_for(&store, OTHER).await, Some(vec![second]));
    let reset = SubscriptionChange::Reset { position: Position::START, present: Vec::new() };
    change(&store, "letters", reset).await;
    assert_eq!(vouched_for(&store, ONE).await, Some(vec![third]));
    assert_eq!(vouched_for(&store, OTHER).await, Some(Vec::new()));

    // Who only keeps what it has is not vouched for: it may have to give it up.
    renew(&store, "bills", asks(third, ONE).without_share()).await;
    assert_eq!(vouched_for(&store, ONE).await, Some(Vec::new()));
    change(&store, "letters", SubscriptionChange::Remove).await;
    renew(&store, "bills", asks(third, 9)).await;
    assert_eq!(vouched_for(&store, OTHER).await, None, "it vouches for nobody, and is forgotten");
}

/// Before: whoever takes over has heard of the member then, whatever he had found. Behind: nobody vouches for it any more.
pub(super) async fn clause_8_7_a_presence_that_is_renewed_before_or_behind_a_takeover_changes_nothing_of_it(
    subject: Subject,
) {
    let store = subject.store();
    let [first, second] = [1, 2].map(Uuid::from_u128);
    let seen = renew(&store, "letters", asks(first, ONE)).await.members[0];
    vouched_for(&store, ONE).await;
    let takes_over = |unheard: Member| asks(second, OTHER).with_members(Vec::new(), vec![unheard]);
    let refused = renew(&store, "letters", takes_over(seen)).await;
    assert_eq!((refused.members.len(), refused.leases_of(second).count()), (2, 0));

    let held = renew(&store, "letters", asks(first, ONE)).await;
    let old: Vec<_> = held.leases_of(first).map(|(lease, _)| lease).collect();
    assert!(!old.is_empty());
    let taken = renew(&store, "letters", takes_over(held.members[0])).await;
    assert_eq!((taken.members.len(), taken.leases_of(second).count()), (1, 4));
    assert!(vouched_for(&store, ONE).await.is_none_or(|members| members.is_empty()));
    let mut late = ProgressRequest::new(id("letters"));
    (late.leases, late.position) = (old, Some(Position::from_i64(9)));
    let refused = store.backend().progress(late).await;
    assert!(matches!(refused, Err(Error::LeaseLost { .. })), "{refused:?}");
    assert_eq!(record(&store, "letters").await, Some(taken));
}

/// Another process takes over, though the one that had it goes on with other subscriptions.
pub(super) async fn clause_8_7_a_member_that_was_dropped_is_followed_though_its_presence_is_renewed(
    subject: Subject,
) {
    let (store, another) = (subject.store(), subject.another_store().await);
    let (lease, handled) = (Duration::from_millis(300), Handled::default());
    let neighbour = Running::noting(durable(&store, "others", lease), &handled);
    let dropped = Running::noting(durable(&store, "letters", lease), &handled);
    eventually("both are vouched for", async || {
        is_vouched_for(&store, "letters").await && is_vouched_for(&store, "others").await
    })
    .await;
    let presence = member(&store, "letters").await.and_then(|member| member.vouched_for_by());
    assert_eq!(presence, member(&store, "others").await.and_then(|member| member.vouched_for_by()));
    dropped.kill().await;
    let successor = Running::noting(durable(&another, "letters", lease), &handled);
    store.append(&ledger("1"), noted(1)).await.unwrap();
    eventually("both that are driven handle it", async || handled.numbers() == [1, 1]).await;
    successor.stop().await;
    neighbour.stop().await;
    assert!(record(&store, "letters").await.unwrap().members.is_empty());
}

/// It does not wait for progress that nobody makes.
pub(super) async fn clause_8_7_a_member_that_is_vouched_for_is_told_of_a_reset(subject: Subject) {
    let (store, handled, lease) = (subject.store(), Handled::default(), Duration::from_millis(600));
    store.append(&ledger("1"), noted(1)).await.unwrap();
    let run = Running::noting(durable(&store, "letters", lease), &handled);
    handled.reach(1).await;
    eventually("its presence vouches for it", async || is_vouched_for(&store, "letters").await).await;
    let reset = SubscriptionChange::Reset { position: Position::START, present: Vec::new() };
    store.backend().change_subscription(id("letters"), reset).await.unwrap();
    eventually("it comes again", async || handled.numbers() == [1, 1]).await;
    run.stop().await;
}
