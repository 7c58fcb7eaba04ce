//! Clauses 8.7 and 5.1 at the backend trait: who has lost a lease can write nothing, progress is all or nothing, and what is
//! gone is not blocked.

use std::time::Duration;

use event_sourcery::backend::{
    BlockedAt, BlockedRequest, BlockedStream, Lease, ProgressRequest, RenewRequest, Segments, StreamProgress,
    SubscriptionChange, SubscriptionId, SubscriptionRecord,
};
use event_sourcery::{Error, EventStore, Position, Result, StreamId, TenantId};
use uuid::Uuid;

use super::ledger::{Ledgers as _, delete_request, kept, ledger, noted};
use super::running::eventually;
use super::subject::Subject;

fn id() -> SubscriptionId {
    SubscriptionId::new(TenantId::DEFAULT, "letters")
}

fn at(position: i64) -> Position {
    Position::from_i64(position)
}

async fn change(store: &EventStore, change: SubscriptionChange) -> SubscriptionRecord {
    let told = store.backend().change_subscription(id(), change).await.unwrap().unwrap();
    assert_eq!(store.backend().subscription(id()).await.unwrap().as_ref(), Some(&told));
    told
}

/// A member asks for its share of four segments.
async fn renew(store: &EventStore, member: Uuid, reached: Vec<(Lease, Position)>) -> Vec<(Lease, Position)> {
    let (create, lasting) = ((4, Position::START), Duration::from_secs(60));
    let request = RenewRequest::new(member, create, kept(create.1), lasting).with_reached(reached);
    change(store, SubscriptionChange::Renew(request)).await.leases_of(member).collect()
}

async fn leave(store: &EventStore, member: Uuid) {
    change(store, SubscriptionChange::Leave { member, reached: Vec::new() }).await;
}

fn progress(leases: &[(Lease, Position)], position: i64, streams: Vec<StreamProgress>) -> ProgressRequest {
    let leases = leases.iter().map(|(lease, _)| *lease).collect();
    ProgressRequest::new(id()).with_leases(leases).with_position(at(position)).with_streams(streams)
}

async fn checkpoints(store: &EventStore) -> Vec<Position> {
    let record = store.backend().subscription(id()).await.unwrap().unwrap();
    record.segments.iter().map(|segment| segment.position).collect()
}

/// A stream with an event, blocked by it: no other is blocked.
async fn failing(store: &EventStore, stream: StreamId) -> BlockedStream {
    let appended = store.append(&stream, noted(1)).no_versioning().await.unwrap();
    let records = store.records(appended.position).await;
    let event = records.last().unwrap();
    let (id, name) = (event.wrapped_event.uuid, event.event().name().into());
    blocked(&stream, event.position).with_event(Some(id), Some(name))
}

fn blocked(stream: &StreamId, position: Position) -> BlockedStream {
    let since = jiff::Timestamp::from_second(1_700_000_000).unwrap();
    let at = BlockedAt::new(at(position.to_i64() - 1), position);
    BlockedStream::new(TenantId::DEFAULT, stream.clone(), 1, at, since).with_error("it failed")
}

fn block(blocked: &BlockedStream) -> StreamProgress {
    StreamProgress::Block(blocked.clone())
}

async fn blocked_streams(store: &EventStore) -> Vec<BlockedStream> {
    store.backend().blocked_streams(BlockedRequest::new(id())).await.unwrap()
}

fn assert_lost(answer: Result<()>) {
    assert_refused!(answer, Error::LeaseLost { subscription, .. } if subscription == "letters");
}

pub(super) async fn clause_8_7_who_lost_a_lease_cannot_move_the_checkpoint(subject: Subject) {
    let (store, another) = (subject.store(), subject.another_store().await);
    let [first, second] = [Uuid::from_u128(1), Uuid::from_u128(2)];
    let old = renew(&store, first, Vec::new()).await;
    assert_eq!(old.len(), 4);
    store.backend().progress(progress(&old, 10, vec![])).await.unwrap();
    assert_eq!(checkpoints(&another).await, [at(10); 4]);
    // It never moves back.
    store.backend().progress(progress(&old, 7, vec![])).await.unwrap();
    assert_eq!(checkpoints(&another).await, [at(10); 4]);
    leave(&another, first).await;
    let new = renew(&another, second, Vec::new()).await;
    assert_eq!(new.iter().map(|(_, position)| *position).collect::<Vec<_>>(), [at(10); 4]);
    assert_lost(store.backend().progress(progress(&old, 20, vec![])).await);
    assert_lost(store.backend().progress(progress(&old[..1], 20, vec![])).await);
    // One old token among others that hold.
    assert_lost(store.backend().progress(progress(&[new[0], old[1], new[2]], 20, vec![])).await);
    let reached = old.iter().map(|(lease, _)| (*lease, at(20))).collect();
    let given = renew(&store, first, reached).await;
    assert!(given.is_empty(), "all of it belongs to somebody: {given:?}");
    let late = SubscriptionChange::Leave { member: first, reached: vec![(old[2].0, at(20))] };
    change(&store, late).await;
    assert_eq!(checkpoints(&another).await, [at(10); 4]);
    another.backend().progress(progress(&new[1..3], 20, vec![])).await.unwrap();
    assert_eq!(checkpoints(&store).await, [at(10), at(20), at(20), at(10)]);
    change(&store, SubscriptionChange::Reset { position: at(3), present: Vec::new() }).await;
    assert_lost(another.backend().progress(progress(&new, 30, vec![])).await);
    assert_eq!(checkpoints(&store).await, [at(3); 4]);
    let unknown = Lease::new(9, 0);
    assert_lost(store.backend().progress(progress(&[(unknown, at(0))], 30, vec![])).await);
    store.backend().change_subscription(id(), SubscriptionChange::Remove).await.unwrap();
    assert_lost(another.backend().progress(progress(&new, 30, vec![])).await);
    assert_eq!(store.backend().subscription(id()).await.unwrap(), None);
}

pub(super) async fn clause_8_7_progress_is_kept_as_a_whole_or_not_at_all(subject: Subject) {
    let store = subject.store();
    let leases = renew(&store, Uuid::from_u128(1), Vec::new()).await;
    let (first, second) = (failing(&store, ledger("1")).await, failing(&store, ledger("2")).await);
    let free = failing(&store, ledger("3")).await.stream;
    let waits = |stream: &StreamId| StreamProgress::Waits(TenantId::DEFAULT, stream.clone());
    let frees =
        |was: BlockedAt, stream: &StreamId| StreamProgress::Free(was, TenantId::DEFAULT, stream.clone());
    let was = first.at();
    // When the event before it was left out and it had not failed yet; once it is left out, too.
    let [before, later] = [BlockedAt::new(was.after, was.after), BlockedAt::new(was.position, was.position)];
    store.backend().progress(progress(&leases, 5, vec![block(&first)])).await.unwrap();
    let again = first.clone().with_attempts(2);
    let change = |was: BlockedAt| StreamProgress::Change(was, again.clone());
    let refused: [Vec<StreamProgress>; 8] = [
        vec![block(&second), block(&again)],
        vec![block(&second), waits(&free)],
        vec![change(was), frees(before, &first.stream)],
        vec![change(was), frees(later, &first.stream)],
        vec![block(&second), change(before)],
        vec![block(&second), change(later)],
        vec![waits(&first.stream), frees(was, &free)],
        // It is another tenant's, and another category's.
        vec![
            block(&second),
            StreamProgress::Waits(TenantId::new("acme").unwrap(), first.stream.clone()),
            waits(&first.stream.clone().in_category("red").unwrap()),
        ],
    ];
    for streams in refused {
        let told = format!("{streams:?}");
        let answer = store.backend().progress(progress(&leases, 9, streams)).await;
        assert!(matches!(answer, Err(Error::LeaseLost { .. })), "{told}: {answer:?}");
        assert_eq!(checkpoints(&store).await, [at(5); 4], "{told}");
        assert_eq!(blocked_streams(&store).await, std::slice::from_ref(&first), "{told}");
    }
    let taken = vec![change(was), block(&second)];
    store.backend().progress(progress(&leases, 9, taken)).await.unwrap();
    assert_eq!(checkpoints(&store).await, [at(9); 4]);
    assert_eq!(blocked_streams(&store).await, [again, second.clone()]);
    let taken = vec![frees(was, &first.stream), waits(&second.stream)];
    store.backend().progress(progress(&leases, 10, taken)).await.unwrap();
    assert_eq!(blocked_streams(&store).await, [second]);
}

pub(super) async fn clause_8_8_one_blocked_stream_is_told_by_itself_and_with_no_more_than_is_asked_for(
    subject: Subject,
) {
    let store = subject.store();
    let acme = TenantId::new("acme").unwrap();
    let leases = renew(&store, Uuid::from_u128(1), Vec::new()).await;
    let one = failing(&store, ledger("1")).await;
    let namesake = failing(&store, ledger("1").in_category("red").unwrap()).await;
    let mut of_acme = failing(&store.for_tenant(acme.clone()), ledger("1")).await;
    (of_acme.tenant, of_acme.retry_at) = (acme.clone(), Some(one.since));
    let streams = [&one, &namesake, &of_acme].map(block).to_vec();
    store.backend().progress(progress(&leases, 9, streams)).await.unwrap();

    let about = |tenant: &TenantId, stream: &StreamId| {
        BlockedRequest::new(id()).with_stream(tenant.clone(), stream.clone())
    };
    for blocked in [&one, &namesake, &of_acme] {
        let this = about(&blocked.tenant, &blocked.stream);
        let (is_due, this_segment) = (blocked.retry_at.is_some(), Segments::new(4, [blocked.segment]));
        let (before, other_segment) = (at(blocked.position.to_i64() - 1), Segments::new(4, [0]));
        for (request, is_told) in [
            (this.clone(), true),
            (this.clone().that_are_due(), is_due),
            (this.clone().with_page(before, 1).with_segments(this_segment), true),
            (this.clone().with_page(blocked.position, 1), false),
            (this.clone().with_segments(other_segment), false),
        ] {
            let told = store.backend().blocked_streams(request.clone()).await.unwrap();
            assert_eq!(told, Vec::from_iter(is_told.then(|| blocked.clone())), "{request:?}");
        }
    }
    for stream in [about(&acme, &namesake.stream), about(&acme, &ledger("2"))] {
        assert_eq!(store.backend().blocked_streams(stream).await.unwrap(), []);
    }
    let without = |blocked: &BlockedStream| blocked.clone().with_error("").with_event(None, None);
    for (request, told) in [
        (BlockedRequest::new(id()), vec![&one, &namesake, &of_acme]),
        (BlockedRequest::new(id()).that_are_due(), vec![&of_acme]),
        (about(&TenantId::DEFAULT, &one.stream), vec![&one]),
    ] {
        let request = request.without_errors();
        let expected: Vec<_> = told.into_iter().map(without).collect();
        assert_eq!(store.backend().blocked_streams(request).await.unwrap(), expected);
    }
}

pub(super) async fn clause_5_1_a_stream_that_is_gone_is_not_blocked(subject: Subject) {
    let store = subject.store();
    let leases = renew(&store, Uuid::from_u128(1), Vec::new()).await;
    let gone = failing(&store, ledger("1")).await;
    // Its namesakes do not make it exist.
    let namesake = failing(&store, ledger("1").in_category("red").unwrap()).await;
    let acme = store.for_tenant(TenantId::new("acme").unwrap());
    acme.append(&gone.stream, noted(1)).await.unwrap();
    store.backend().delete(delete_request(&gone.stream)).await.unwrap();
    let never_there = blocked(&ledger("never there"), namesake.position);
    let streams = vec![block(&gone), block(&namesake), block(&never_there)];
    // Whoever was at it goes on, as though it had never failed.
    store.backend().progress(progress(&leases, 9, streams)).await.unwrap();
    assert_eq!(checkpoints(&store).await, [at(9); 4]);
    assert_eq!(blocked_streams(&store).await, std::slice::from_ref(&namesake));
    let waits = StreamProgress::Waits(TenantId::DEFAULT, gone.stream.clone());
    assert_lost(store.backend().progress(progress(&leases, 10, vec![waits])).await);
}

pub(super) async fn clause_5_1_a_stream_made_anew_is_not_blocked_by_an_event_of_the_old_one(
    subject: Subject,
) {
    let store = subject.store();
    let leases = renew(&store, Uuid::from_u128(1), Vec::new()).await;
    let gone = failing(&store, ledger("1")).await;
    let other = failing(&store, ledger("2")).await;
    store.backend().delete(delete_request(&gone.stream)).await.unwrap();
    let anew = failing(&store, ledger("1")).await;
    // Neither by another stream's event.
    for position in [gone.position, other.position] {
        let streams = vec![block(&blocked(&gone.stream, position))];
        store.backend().progress(progress(&leases, 9, streams)).await.unwrap();
        assert_eq!(blocked_streams(&store).await, []);
    }
    let waits = StreamProgress::Waits(TenantId::DEFAULT, gone.stream.clone());
    assert_lost(store.backend().progress(progress(&leases, 10, vec![waits])).await);
    store.backend().progress(progress(&leases, 10, vec![block(&anew)])).await.unwrap();
    assert_eq!(blocked_streams(&store).await, [anew]);
}

pub(super) async fn clause_8_7_a_member_that_is_not_heard_of_again_does_not_count(subject: Subject) {
    let store = subject.store();
    let (member, lasting) = (Uuid::from_u128(1), Duration::from_millis(1));
    let request = RenewRequest::new(member, (4, at(0)), kept(at(0)), lasting);
    store.backend().change_subscription(id(), SubscriptionChange::Renew(request)).await.unwrap();
    let members = async || store.backend().subscription(id()).await.unwrap().unwrap().members;
    eventually("it counts no more", async || members().await.is_empty()).await;
    renew(&store, Uuid::from_u128(2), Vec::new()).await;
    assert_eq!(members().await.iter().map(|member| member.id).collect::<Vec<_>>(), [Uuid::from_u128(2)]);
}

/// The store's clock may be set back: then the lease of a dead member seems to last.
pub(super) async fn clause_8_7_who_was_not_heard_of_is_gone_whatever_the_stores_clock_says(subject: Subject) {
    let store = subject.store();
    let [dead, alive] = [Uuid::from_u128(1), Uuid::from_u128(2)];
    assert_eq!(renew(&store, dead, Vec::new()).await.len(), 4);
    let found = store.backend().subscription(id()).await.unwrap().unwrap().members;
    let asks = |unheard| {
        RenewRequest::new(alive, (4, at(0)), kept(at(0)), Duration::from_secs(60))
            .with_members(Vec::new(), unheard)
    };
    // One that has shown up since is there.
    renew(&store, dead, Vec::new()).await;
    let record = change(&store, SubscriptionChange::Renew(asks(found))).await;
    assert_eq!((record.members.len(), record.leases_of(alive).count()), (2, 0));
    leave(&store, alive).await;
    let found = store.backend().subscription(id()).await.unwrap().unwrap().members;
    let record = change(&store, SubscriptionChange::Renew(asks(found))).await;
    assert_eq!(record.members.iter().map(|member| member.id).collect::<Vec<_>>(), [alive]);
    assert_eq!(record.leases_of(alive).count(), 4);
}

/// The store's clock may be set forwards: then the leases of all members seem to have ended.
pub(super) async fn clause_8_7_who_was_heard_of_is_there_whatever_the_stores_clock_says(subject: Subject) {
    let store = subject.store();
    let [first, second] = [Uuid::from_u128(1), Uuid::from_u128(2)];
    let lasting = Duration::from_millis(1);
    let request = RenewRequest::new(first, (4, at(0)), kept(at(0)), lasting);
    let record =
        store.backend().change_subscription(id(), SubscriptionChange::Renew(request)).await.unwrap().unwrap();
    let members = async || store.backend().subscription(id()).await.unwrap().unwrap().members;
    eventually("its lease seems to have ended", async || members().await.is_empty()).await;
    let heard = record.members.clone();
    let request = RenewRequest::new(second, (4, at(0)), kept(at(0)), lasting);
    let request = request.with_members(heard, Vec::new());
    let told =
        store.backend().change_subscription(id(), SubscriptionChange::Renew(request)).await.unwrap().unwrap();
    assert_eq!((told.leases_of(first).count(), told.leases_of(second).count()), (4, 0));
}

pub(super) async fn clause_8_7_segments_are_dealt_out_evenly_and_given_up_for_those_who_join(
    subject: Subject,
) {
    let store = subject.store();
    let members = [1, 2, 3].map(Uuid::from_u128);
    assert_eq!(renew(&store, members[0], vec![]).await.len(), 4);
    // The first one has to give up before the others can take.
    assert_eq!(renew(&store, members[1], vec![]).await.len(), 0);
    let kept = renew(&store, members[0], vec![]).await;
    let taken = renew(&store, members[1], vec![]).await;
    assert_eq!((kept.len(), taken.len()), (2, 2));
    for _ in 0..2 {
        for member in members {
            renew(&store, member, vec![]).await;
        }
    }
    let mut shares = Vec::new();
    for member in members {
        shares.push(renew(&store, member, vec![]).await);
    }
    assert_eq!(shares.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1]);
    let mut segments: Vec<_> = shares.concat().iter().map(|(lease, _)| lease.segment).collect();
    segments.sort();
    assert_eq!(segments, [0, 1, 2, 3]);
}
