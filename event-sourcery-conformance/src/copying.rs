//! What was copied to another store is what was there: clauses on ids, versions, order and content, in the copy.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use event_sourcery::backend::{AppendRequest, Expectation, StreamAppend};
use event_sourcery::copy::{Compared, Copy, DifferenceKind, export};
use event_sourcery::testing::Fault;
use event_sourcery::{
    Context, Error, Event as _, EventStore, MemoryBackend, Position, Query, RawEvent, StreamId, TenantId,
};
use uuid::Uuid;

use super::customers::{Customers as _, Registered, ann, bob, customers, encryption, forgotten};
use super::ledger::{Ledgers as _, ledger, noted, notes, record, tenant};
use super::subject::Subject;
use super::tagging::{note, read, tagged, with};

fn memory() -> EventStore {
    EventStore::new(MemoryBackend::new()).erased()
}

async fn compared(source: &EventStore, destination: &EventStore) -> Compared {
    Copy::new(source, destination).compare().await.unwrap()
}

/// Streams of two tenants in some categories, with versions and without, that are written in turn.
async fn with_streams(store: &EventStore) {
    let (red, acme) = (ledger("1").in_category("red").unwrap(), store.for_tenant(tenant("acme")));
    let unnamed = StreamId::random();
    for round in 0..40 {
        store.append(&ledger("1"), notes([round, round + 1])).expected_version(2 * round).await.unwrap();
        store.append(&red, noted(round)).no_versioning().await.unwrap();
        acme.append(&ledger("1"), noted(round)).expected_version(round).await.unwrap();
        let context = Context::new().with_correlation_id(Uuid::now_v7());
        let at = "2001-02-03T04:05:06.000007Z".parse().unwrap();
        let raw = RawEvent::new("raw", format!(r#"{{"n":{round}.10,"t":"ü🧀"}}"#)).unwrap();
        let raw = raw.with_schema_version(4).with_context(context).with_created_at(at);
        store.append(&unnamed, raw).expected_version(round).await.unwrap();
    }
    let last = store.append(&ledger("last"), notes(0..600)).await.unwrap();
    store.settled(last.position).await;
}

pub(super) async fn clause_2_13_a_copy_to_another_store_and_back_is_equal(subject: Subject) {
    let (store, between, other) = (subject.store(), memory(), subject.fresh().await);
    let back = other.store();
    with_streams(&store).await;
    let mut pages = 0;
    let copied = Copy::new(&store, &between).on_progress(|_| pages += 1).run().await.unwrap();
    assert_eq!((copied.written, copied.present, copied.is_clean()), (800, 0, true), "{copied:?}");
    assert!(pages > 1, "{pages}");
    Copy::new(&between, &back).run().await.unwrap();

    let all = store.records_after(Position::START).await;
    let old = all[100].position;
    let found = Copy::new(&store, &back).checkpoints([old, Position::START]).compare().await.unwrap();
    assert!(found.is_equal() && found.same == 800, "{found:?}");
    let mut copies = back.records_after(Position::START).await;
    while copies.len() < all.len() {
        tokio::task::yield_now().await;
        copies = back.records_after(Position::START).await;
    }
    for (one, copy) in all.iter().zip(&copies) {
        assert_eq!((&one.wrapped_event, one.stream_id.name()), (&copy.wrapped_event, copy.stream_id.name()));
    }
    assert_eq!(found.position(old), Some(copies[100].position));
    assert_eq!(found.position(Position::START), Some(Position::START));
    assert_eq!(found.position(all[7].position), None, "it was not asked for");
    let again = Copy::new(&store, &back).run().await.unwrap();
    assert_eq!((again.written, again.present), (0, 800));
}

/// Polls a future so many times, and gives it up.
pub(super) async fn given_up<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..times {
        let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(done) = polled {
            return Some(done);
        }
        tokio::task::yield_now().await;
    }
    None
}

pub(super) async fn clause_2_7_a_copy_that_is_killed_at_any_call_goes_on_and_doubles_nothing(
    subject: Subject,
) {
    let (source, faulty) = (memory(), subject.faulty());
    with_streams(&source).await;
    let destination = faulty.erased();
    // Each one comes at least one call further than the one before it.
    for nth in (1..).step_by(7) {
        faulty.backend().fail(nth, if nth % 2 == 0 { Fault::Before } else { Fault::After });
        match Copy::new(&source, &destination).run().await {
            Ok(_) => break,
            Err(Error::Backend { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let last = source.append(&ledger("more"), notes(0..700)).await.unwrap();
    source.settled(last.position).await;
    let copying = subject.store();
    let mut times = 1;
    while given_up(Copy::new(&source, &copying).run(), times).await.is_none() {
        times += times;
    }
    // What was given up may be settled only now.
    Copy::new(&source, &copying).run().await.unwrap();
    let found = compared(&source, &copying).await;
    assert!(found.is_equal() && found.same == 1_500, "{found:?}");
}

pub(super) async fn clause_4_2_what_is_written_while_it_is_copied_is_copied_once(subject: Subject) {
    let (source, destination) = (subject.store(), memory());
    source.append(&ledger("0"), notes(0..600)).await.unwrap();
    let writer = source.clone();
    let writing = async move {
        for number in 1..=60 {
            let (versioned, events) = (ledger(&(number % 7).to_string()), notes([number]));
            let version = writer.version(&versioned).await.unwrap();
            writer.append(&versioned, events.clone()).expected_version(version).await.unwrap();
            writer.append(&ledger("audit"), events).no_versioning().await.unwrap();
        }
    };
    let copied = Copy::new(&source, &destination).run_until(writing).await.unwrap();
    assert!(copied.written > 600, "it was written meanwhile: {copied:?}");
    let last = source.append(&ledger("last"), noted(1)).await.unwrap();
    source.settled(last.position).await;
    Copy::new(&source, &destination).run().await.unwrap();
    let found = compared(&source, &destination).await;
    assert!(found.is_equal() && found.same == 721, "{found:?}");
}

pub(super) async fn clause_5_2_streams_that_are_deleted_and_live_anew_are_told_and_copied_when_asked(
    subject: Subject,
) {
    let (source, destination) = (memory(), subject.store());
    let [gone, versioned, unversioned] = ["gone", "versioned", "unversioned"].map(ledger);
    source.append(&ledger("stays"), notes(1..=2)).await.unwrap();
    source.append(&gone, notes(1..=2)).await.unwrap();
    source.append(&versioned, notes(1..=2)).await.unwrap();
    source.append(&unversioned, notes(1..=2)).no_versioning().await.unwrap();
    let last = {
        Copy::new(&source, &destination).run().await.unwrap();
        destination.append(&ledger("own"), noted(7)).await.unwrap()
    };
    destination.settled(last.position).await;
    for stream in [&gone, &versioned, &unversioned] {
        source.delete_stream(stream).await.unwrap();
    }
    source.append(&versioned, notes(3..=5)).await.unwrap();
    source.append(&unversioned, notes(3..=5)).no_versioning().await.unwrap();

    // It might be the wrong store.
    let copied = Copy::new(&source, &destination).run().await.unwrap();
    assert_eq!((copied.extra, copied.left_out, copied.deleted, copied.written), (7, 6, 0, 0), "{copied:?}");
    assert_eq!(destination.numbers(&versioned).await, [1, 2]);
    assert_eq!(destination.numbers(&unversioned).await, [1, 2]);
    let found = compared(&source, &destination).await;
    assert_eq!((found.same, found.missing, found.extra), (2, 6, 7), "{found:?}");
    assert_eq!(found.differences[0].kind, DifferenceKind::Extra);

    let copied = Copy::new(&source, &destination).deleting().run().await.unwrap();
    assert_eq!((copied.deleted, copied.written, copied.is_clean()), (4, 6, true), "{copied:?}");
    assert!(copied.deleted_streams.contains(&(TenantId::DEFAULT, gone.clone())));
    assert!(destination.numbers(&gone).await.is_empty());
    assert_eq!(destination.numbers(&unversioned).await, [3, 4, 5]);
    Copy::new(&source, &destination).run().await.unwrap();
    assert!(compared(&source, &destination).await.is_equal());
}

pub(super) async fn clause_3_6_holes_in_versions_are_copied_or_told(subject: Subject) {
    let (source, other) = (subject.store(), subject.fresh().await);
    let (destination, stream) = (other.store(), ledger("numbered by its caller"));
    for (behind, first) in [(0, 3), (4, 5), (6, 9)] {
        let events = vec![record(first), record(first + 1)];
        let part = StreamAppend::new(stream.clone(), Expectation::Version(behind), events);
        let part = if first == behind + 1 { part } else { part.with_first_version(first) };
        let request = AppendRequest::new(TenantId::DEFAULT, vec![part]);
        subject.backend().append(Arc::new(request)).await.unwrap();
    }
    assert_eq!(source.versions(&stream).await, [3, 4, 5, 6, 9, 10].map(Some));
    let last = source.append(&stream, noted(11)).expected_version(10).await.unwrap();
    source.settled(last.position).await;
    let copied = Copy::new(&source, &destination).run().await.unwrap();
    assert!(copied.is_clean() && copied.written == 7, "{copied:?}");
    assert_eq!(destination.versions(&stream).await, [3, 4, 5, 6, 9, 10, 11].map(Some));
    assert!(compared(&source, &destination).await.is_equal());

    let without_holes = memory();
    let copied = Copy::new(&source, &without_holes).run().await.unwrap();
    assert_eq!((copied.written, copied.left_out), (0, 7), "{copied:?}");
    assert!(matches!(copied.described[0].problem, Error::NotCarriedOver { .. }), "{copied:?}");
    assert_eq!(compared(&source, &without_holes).await.missing, 7);
}

pub(super) async fn clause_13_3_keys_are_copied_when_asked_and_shredding_always_is(subject: Subject) {
    let (source, stream) = (subject.private(), customers("all"));
    let destination = EventStore::new(MemoryBackend::new()).erased();
    let reading = || destination.clone().with_encryption(encryption()).unwrap();
    let appended = source.append(&stream, (ann(), bob())).await.unwrap();
    source.settled(appended.position).await;

    let copied = Copy::new(&source, &destination).run().await.unwrap();
    assert_eq!((copied.sealed, copied.keys), (2, 0));
    let closed = reading().load_stream::<Registered>(&stream).await;
    assert_refused!(closed, Error::SealBroken { .. });
    assert!(compared(&source, &destination).await.is_equal());
    let found = Copy::new(&source, &destination).with_keys().compare().await.unwrap();
    assert_eq!((found.missing_keys, found.is_equal()), (2, false));

    let copied = Copy::new(&source, &destination).with_keys().run().await.unwrap();
    assert_eq!((copied.keys, copied.other_keys, copied.written), (2, 0, 0), "{copied:?}");
    assert_eq!(reading().registrations(&stream).await, [ann(), bob()]);
    assert!(Copy::new(&source, &destination).with_keys().compare().await.unwrap().is_equal());

    let shredded = source.shred("17").await.unwrap();
    source.settled(shredded.position).await;
    Copy::new(&source, &destination).run().await.unwrap();
    assert_eq!(reading().registrations(&stream).await, [forgotten(&ann()), bob()]);
    let refused = reading().append(&customers("17"), ann()).await;
    assert_refused!(refused, Error::SubjectShredded { .. });
}

pub(super) async fn clause_17_1_tags_are_copied_through_a_file_and_to_another_store(subject: Subject) {
    let (store, between, other) = (subject.store(), memory(), subject.fresh().await);
    let (back, both) = (other.store(), Query::from(with(&["course:c1", "student:s1"])));
    note(&store, 1, &["student:s1", "course:c1"]).await;
    let last = store.append(&ledger("1"), [tagged(2, &["course:c1"]), tagged(3, &[])]).await.unwrap();
    store.settled(last.position).await;
    let (_, before) = read(&back, &both).await;

    let mut file = Vec::new();
    export(&store, &mut file).await.unwrap();
    Copy::import(file.as_slice(), &between).run().await.unwrap();
    Copy::new(&between, &back).run().await.unwrap();
    assert!(compared(&store, &back).await.is_equal());
    assert_eq!(read(&back, &both).await.0, [1]);
    // A copy writes like anybody else.
    let late = back.append(&ledger("2"), noted(4)).unless_moved(&before).await;
    assert_refused!(late, Error::BoundaryMoved { .. });

    let without = memory();
    let copied = Copy::new(&store, &without).without_tags().run().await.unwrap();
    assert_eq!((copied.written, copied.untagged, copied.is_clean()), (3, 2, true), "{copied:?}");
    let found = compared(&store, &without).await;
    assert_eq!((found.same, found.different), (1, 2), "{found:?}");
    assert!(Copy::new(&store, &without).without_tags().compare().await.unwrap().is_equal());
}

pub(super) async fn clause_17_1_tags_are_copied_or_refused_and_left_out_when_asked(subject: Subject) {
    let (source, destination, name) = (memory(), subject.store(), subject.backend().name());
    let are_taken = subject.capabilities().tags;
    source.append(&ledger("1"), noted(1)).await.unwrap();
    note(&source, 2, &["course:c1"]).await;
    match Copy::new(&source, &destination).run().await {
        Ok(_) if are_taken => return,
        refused => {
            assert_refused!(refused, Error::Unsupported { backend, .. } if !are_taken && backend == name);
        }
    }
    subject.holds(0).await;
    let copied = Copy::new(&source, &destination).without_tags().run().await.unwrap();
    assert_eq!((copied.written, copied.untagged, copied.is_clean()), (2, 1, true), "{copied:?}");
}
