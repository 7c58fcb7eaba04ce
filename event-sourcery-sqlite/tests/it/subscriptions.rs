//! Durable subscriptions: their tables, and their progress in the transactions of others.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use event_sourcery::backend::{
    BackendTransaction as _, BacklogRequest, BlockedAt, BlockedRequest, BlockedStream, Filter, Kept, Lease,
    ProgressRequest, RenewRequest, Scope, SegmentRecord, StreamProgress, SubscriptionBackend as _,
    SubscriptionChange, SubscriptionId, TransactionalBackend as _,
};
use event_sourcery::{Error, EventStore, Position, RawEvent, Result, StreamId, TenantId};
use event_sourcery_sqlite::rusqlite::Connection;
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};
use faulty_vfs::FaultyVfs;
use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use crate::held_writer::together;

fn billing() -> SubscriptionId {
    SubscriptionId::new(TenantId::DEFAULT, "billing")
}

fn at(position: i64) -> Position {
    Position::from_i64(position)
}

fn event() -> RawEvent {
    RawEvent::new("Happened", "{}").unwrap()
}

/// Makes a stream with an event, at the next position: no stream is blocked by what is not there.
async fn make(backend: &SqliteBackend, stream: &StreamId) {
    EventStore::new(backend.clone()).append(stream, event()).await.unwrap();
}

async fn new_stream(backend: &SqliteBackend) -> StreamId {
    let stream = StreamId::random();
    make(backend, &stream).await;
    stream
}

fn blocked(stream: &StreamId, position: i64) -> BlockedStream {
    let since = Timestamp::from_second(1_700_000_000).unwrap();
    let blocked_at = BlockedAt::new(at(position - 1), at(position));
    BlockedStream::new(TenantId::DEFAULT, stream.clone(), 0, blocked_at, since)
        .with_error("it failed")
        .with_retry_at(Some(since))
}

fn progress(
    lease: Lease,
    position: i64,
    streams: impl IntoIterator<Item = StreamProgress>,
) -> ProgressRequest {
    let streams = streams.into_iter().collect();
    ProgressRequest::new(billing()).with_leases(vec![lease]).with_position(at(position)).with_streams(streams)
}

fn everything(began: Position) -> Kept {
    Kept::new(Scope::default(), began, Vec::new())
}

/// A subscription of one segment, and the lease of a member that has it.
async fn subscribe(backend: &SqliteBackend) -> Lease {
    let (member, start) = (Uuid::now_v7(), Position::START);
    let renew = RenewRequest::new(member, (1, start), everything(start), Duration::from_secs(60));
    let member = renew.member;
    let change = SubscriptionChange::Renew(renew);
    let record = backend.change_subscription(billing(), change).await.unwrap().unwrap();
    record.leases_of(member).next().unwrap().0
}

async fn segment(backend: &SqliteBackend) -> SegmentRecord {
    backend.subscription(billing()).await.unwrap().unwrap().segments[0]
}

async fn waiting(backend: &SqliteBackend, due: bool) -> Vec<BlockedStream> {
    let all = BlockedRequest::new(billing());
    let told = backend.blocked_streams(if due { all.that_are_due() } else { all }).await.unwrap();
    // Which event failed is told beside what is kept.
    told.into_iter().map(|blocked| blocked.with_event(None, None)).collect()
}

fn is_lost<T: std::fmt::Debug>(answer: &Result<T>) -> bool {
    matches!(answer, Err(Error::LeaseLost { subscription, .. }) if subscription == "billing")
}

#[tokio::test]
async fn a_file_of_layout_1_is_migrated_with_its_events() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("events.db");
    let stream = StreamId::from_name("kept").unwrap();
    let store = EventStore::new(SqliteBackend::open(&path).await.unwrap());
    store.append(&stream, [event(), event()]).await.unwrap();
    drop(store);
    back_to_layout_1(&Connection::open(&path).unwrap());

    let Err(Error::MigrationNeeded { problem }) = SqliteOptions::new(&path).migrate(false).open().await
    else {
        panic!("a migration is needed")
    };
    for made in [
        "subscription_segments",
        "subscription_members",
        "subscription_presences",
        "blocked_streams",
        "projected_streams",
        "event_blocks",
        "event_blocks_mark",
    ] {
        assert!(problem.contains(&format!("CREATE TABLE event_sourcery_{made}")), "{problem}");
    }
    assert!(!problem.contains("CREATE TABLE event_sourcery_events"), "{problem}");

    let backend = SqliteBackend::open(&path).await.unwrap();
    assert_eq!(SqliteOptions::new(&path).migration().unwrap(), "");
    let store = EventStore::new(backend.clone());
    assert_eq!(store.load_stream::<RawEvent>(&stream).await.unwrap().len(), 2);
    let mut filter = Filter::default();
    filter.names = Some(["Happened".into()].into());
    assert_eq!(backend.backlog(BacklogRequest::new(Position::START, filter)).await.unwrap().events, 2);
    let lease = subscribe(&backend).await;
    backend.progress(progress(lease, 2, [StreamProgress::Block(blocked(&stream, 2))])).await.unwrap();
    assert_eq!(segment(&backend).await.position, at(2));
}

fn back_to_layout_1(connection: &Connection) {
    connection
        .execute_batch(
            "DROP TABLE event_sourcery_subscription_segments;
             DROP TABLE event_sourcery_subscription_members;
             DROP TABLE event_sourcery_subscription_presences;
             DROP TABLE event_sourcery_blocked_streams;
             DROP TABLE event_sourcery_projected_streams;
             DROP TABLE event_sourcery_event_blocks;
             DROP TABLE event_sourcery_event_blocks_mark;
             UPDATE event_sourcery_layout SET version = 1;",
        )
        .unwrap();
}

#[tokio::test]
async fn what_a_change_tells_is_what_is_read_back() {
    let folder = TempDir::new().unwrap();
    let backend = SqliteBackend::open(folder.path().join("events.db")).await.unwrap();
    assert_eq!(backend.subscription(billing()).await.unwrap(), None);
    let (member, lasting) = (Uuid::now_v7(), Duration::from_nanos(12_345_678_901));
    let renew = RenewRequest::new(member, (3, at(7)), everything(at(7)), lasting);
    for member in [renew.member, Uuid::now_v7(), renew.member] {
        let mut renew = renew.clone();
        renew.member = member;
        let change = SubscriptionChange::Renew(renew);
        let told = backend.change_subscription(billing(), change).await.unwrap();
        assert_eq!(told.as_ref().map(|record| record.segments.len()), Some(3));
        assert_eq!(backend.subscription(billing()).await.unwrap(), told);
    }
    let leave = SubscriptionChange::Leave { member: renew.member, reached: Vec::new() };
    let told = backend.change_subscription(billing(), leave).await.unwrap();
    assert_eq!(told.as_ref().map(|record| record.members.len()), Some(1));
    assert_eq!(backend.subscription(billing()).await.unwrap(), told);
    let other = SubscriptionId::new(TenantId::new("acme").unwrap(), "billing");
    assert_eq!(backend.subscription(other).await.unwrap(), None);
    assert_eq!(backend.change_subscription(billing(), SubscriptionChange::Remove).await.unwrap(), None);
    assert_eq!(backend.subscription(billing()).await.unwrap(), None);
}

#[tokio::test]
async fn behind_the_highest_token_comes_another_and_nobody_is_harmed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("events.db");
    let backend = SqliteBackend::open(&path).await.unwrap();
    let stream = new_stream(&backend).await;
    let lease = Lease::new(subscribe(&backend).await.segment, i64::MAX);
    let table = "event_sourcery_subscription_segments";
    let foreign = Connection::open(&path).unwrap();
    foreign.execute(&format!("UPDATE {table} SET token = ?1"), [i64::MAX]).unwrap();
    backend.progress(progress(lease, 1, [])).await.unwrap();
    let reset = SubscriptionChange::Reset { position: Position::START, present: Vec::new() };
    backend.change_subscription(billing(), reset).await.unwrap();
    assert!(is_lost(&backend.progress(progress(lease, 1, [])).await));
    let first = backend.subscription(billing()).await.unwrap().unwrap().members[0].id;
    let leave = SubscriptionChange::Leave { member: first, reached: Vec::new() };
    backend.change_subscription(billing(), leave).await.unwrap();
    foreign.execute(&format!("UPDATE {table} SET token = ?1"), [i64::MAX]).unwrap();
    let taken_over = subscribe(&backend).await;
    assert_ne!(taken_over.token, i64::MAX);
    backend.progress(progress(taken_over, 1, [])).await.unwrap();
    EventStore::new(backend).append(&stream, event()).expected_version(1).await.unwrap();
}

#[tokio::test]
async fn a_blocked_stream_reads_back_and_those_that_are_due_are_told_from_the_others() {
    let folder = TempDir::new().unwrap();
    let backend = SqliteBackend::open(folder.path().join("events.db")).await.unwrap();
    let lease = subscribe(&backend).await;
    let named = StreamId::from_name("invoices/1003").unwrap().in_category("invoices").unwrap();
    let parked = blocked(&new_stream(&backend).await, 1).with_retry_at(None);
    let later = "2999-01-01T00:00:00Z".parse().unwrap();
    let later = blocked(&new_stream(&backend).await, 2).with_retry_at(Some(later));
    make(&backend, &named).await;
    let due = blocked(&named, 3);
    let all = [&due, &parked, &later].map(|blocked| StreamProgress::Block(blocked.clone()));
    backend.progress(progress(lease, 5, all)).await.unwrap();

    assert_eq!(waiting(&backend, false).await, [parked, later, due.clone()]);
    assert_eq!(waiting(&backend, true).await, std::slice::from_ref(&due));
    assert_eq!(waiting(&backend, true).await[0].stream.name(), Some("invoices/1003"));

    let mut again = due.clone().with_attempts(2);
    again.position = at(6);
    let change = || progress(lease, 6, [StreamProgress::Change(due.at(), again.clone())]);
    backend.progress(change()).await.unwrap();
    assert_eq!(waiting(&backend, true).await, std::slice::from_ref(&again));
    assert!(is_lost(&backend.progress(change()).await), "it is not the event at 3 any more");
    backend
        .change_subscription(
            billing(),
            SubscriptionChange::Reset { position: at(1), present: vec![(at(3), at(4))] },
        )
        .await
        .unwrap();
    assert_eq!(waiting(&backend, false).await, []);
}

#[tokio::test]
async fn deleting_a_stream_frees_it_in_every_subscription_and_no_other_stream() {
    let folder = TempDir::new().unwrap();
    let backend = SqliteBackend::open(folder.path().join("events.db")).await.unwrap();
    let store = EventStore::new(backend.clone());
    let stream = StreamId::random();
    let elsewhere = stream.clone().in_category("other").unwrap();
    let of_tenant = TenantId::new("acme").unwrap();
    make(&backend, &stream).await;
    make(&backend, &elsewhere).await;
    store.for_tenant(of_tenant.clone()).append(&stream, event()).await.unwrap();
    let other = SubscriptionId::new(of_tenant.clone(), "billing");
    let mut of_other_tenant = blocked(&stream, 3);
    of_other_tenant.tenant = of_tenant.clone();
    for subscription in [billing(), other.clone()] {
        let streams = [blocked(&stream, 1), blocked(&elsewhere, 2), of_other_tenant.clone()];
        let streams = streams.map(StreamProgress::Block).to_vec();
        let request = ProgressRequest::new(subscription).with_streams(streams);
        backend.progress(request).await.unwrap();
    }

    store.delete_stream(&stream).await.unwrap();

    for subscription in [billing(), other] {
        let left = backend.blocked_streams(BlockedRequest::new(subscription)).await.unwrap();
        assert_eq!(left.iter().map(|blocked| blocked.position).collect::<Vec<_>>(), [at(2), at(3)]);
    }
}

/// Whoever does not know of subscriptions has deleted the stream.
#[tokio::test]
async fn deleting_a_stream_frees_what_is_left_of_one_whose_row_is_gone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("events.db");
    let backend = SqliteBackend::open(&path).await.unwrap();
    let lease = subscribe(&backend).await;
    let streams = [new_stream(&backend).await, new_stream(&backend).await];
    let all = [blocked(&streams[0], 1), blocked(&streams[1], 2)].map(StreamProgress::Block);
    backend.progress(progress(lease, 2, all)).await.unwrap();
    let others = Connection::open(&path).unwrap();
    others.execute_batch("DELETE FROM event_sourcery_events; DELETE FROM event_sourcery_streams;").unwrap();
    EventStore::new(backend.clone()).delete_stream(&streams[0]).await.unwrap();
    assert_eq!(waiting(&backend, false).await, [blocked(&streams[1], 2)]);
}

#[tokio::test]
async fn progress_inside_a_closure_is_rolled_back_with_it() {
    let folder = TempDir::new().unwrap();
    let backend = SqliteBackend::open(folder.path().join("events.db")).await.unwrap();
    let lease = subscribe(&backend).await;
    let (stream, other) = (new_stream(&backend).await, new_stream(&backend).await);
    for keep in [false, true] {
        let request = progress(lease, 9, [StreamProgress::Block(blocked(&stream, 1))]);
        let lost = request.clone().with_leases(vec![Lease::new(lease.segment, lease.token + 1)]);
        let half =
            progress(lease, 9, [StreamProgress::Block(blocked(&other, 2)), request.streams[0].clone()]);
        let ended = backend
            .transaction::<(), Error, _>(&TenantId::DEFAULT, move |transaction| {
                assert!(is_lost(&transaction.progress(&lost)));
                transaction.progress(&request)?;
                assert!(is_lost(&transaction.progress(&half)), "the stream is blocked already");
                if keep { Ok(()) } else { Err(Error::Closed) }
            })
            .await;
        assert_eq!(ended.is_ok(), keep);
        assert_eq!(segment(&backend).await.position, at(if keep { 9 } else { 0 }));
        assert_eq!(waiting(&backend, false).await.len(), usize::from(keep));
    }
}

#[tokio::test]
async fn progress_that_is_refused_in_a_group_is_refused_alone() {
    let (vfs, folder) = (FaultyVfs::register("progress"), TempDir::new().unwrap());
    let options = SqliteOptions::new(folder.path().join("events.db")).vfs(vfs.name());
    let backend = options.open().await.unwrap();
    let store = EventStore::new(backend.clone());
    let lease = subscribe(&backend).await;
    let (stream, half) = (new_stream(&backend).await, new_stream(&backend).await);
    let free = StreamId::random();
    let block = |stream: &StreamId, position| StreamProgress::Block(blocked(stream, position));
    let frees = |blocked: BlockedStream| StreamProgress::Free(blocked.at(), blocked.tenant, blocked.stream);
    let requests = [
        progress(lease, 4, [block(&stream, 1)]),
        progress(lease, 6, [block(&half, 2)])
            .with_leases(vec![lease, Lease::new(lease.segment, lease.token - 1)]),
        progress(lease, 7, [block(&half, 2), frees(blocked(&free, 1))]),
        progress(lease, 8, [StreamProgress::Waits(TenantId::DEFAULT, stream.clone())]),
        progress(lease, 9, [StreamProgress::Waits(TenantId::DEFAULT, free.clone())]),
        progress(lease, 5, []),
    ];
    let before = vfs.syncs();
    let append = async || store.append(&free, event()).await.map(drop);
    let mut calls: Vec<Pin<Box<dyn Future<Output = Result<()>>>>> = vec![Box::pin(append())];
    for request in requests {
        let backend = backend.clone();
        calls.push(Box::pin(async move { backend.progress(request).await }));
    }

    let answers = together(&store, calls).await;

    assert_eq!(vfs.syncs() - before, 1);
    let lost: Vec<_> = answers.iter().map(is_lost).collect();
    assert_eq!(lost, [false, false, true, true, false, true, false], "{answers:?}");
    assert!(answers.iter().all(|answer| answer.is_ok() || is_lost(answer)), "{answers:?}");
    assert_eq!(segment(&backend).await.position, at(8), "it never moves back");
    let left = waiting(&backend, false).await;
    assert_eq!(left.iter().map(|blocked| &blocked.stream).collect::<Vec<_>>(), [&stream]);
    assert_eq!(store.load_stream::<RawEvent>(&free).await.unwrap().len(), 1);
}
