//! Clause 13.3: what is left once a data subject was shredded, and that nothing comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use event_sourcery::backend::{KeysRequest, Span};
use event_sourcery::privacy::{Encryption, KeyState, MasterKey, SubjectShredded};
use event_sourcery::{
    Emitting, Error, Event as _, NewEvent, Next, Position, RawEvent, Repository, StreamId, TenantId,
};
use futures_util::future::join_all;
use uuid::Uuid;

use super::customers::{
    Customer, CustomerInTheClear, Customers as _, Registered, ann, bob, customers, encryption, forgotten,
    registered,
};
use super::ear::Ear;
use super::ledger::{Ledgers as _, ledger, load_request, noted};
use super::outbox::publish;
use super::post::Post;
use super::reaction::{Deed, End, Reaction};
use super::running::{Settings, eventually};
use super::subject::Subject;

pub(super) async fn clause_13_3_a_shredded_subject_reads_as_its_mask_everywhere(subject: Subject) {
    let (store, stream) = (subject.private(), customers("all"));
    let store = if subject.capabilities().outbox { store.with_outbox(|_| true).unwrap() } else { store };
    let appended = store.append(&stream, (ann(), bob(), ann())).await.unwrap();
    store.save_snapshot(&stream, 3, ann()).await.unwrap();
    store.settled(appended.position).await;
    store.shred("17").await.unwrap();

    let left = [forgotten(&ann()), bob(), forgotten(&ann())];
    assert_eq!(store.registrations(&stream).await, left);
    let snapshot = store.load_stream::<Registered>(&stream).await.unwrap();
    assert_eq!((snapshot.len(), &snapshot[0].event), (1, &left[0]));
    let range = store.load_stream::<Registered>(&stream).versions(1..=2).await.unwrap();
    assert_eq!(range.into_iter().map(|wrapped| wrapped.event).collect::<Vec<_>>(), left[..2]);
    let mut pages = store.load_stream::<Registered>(&stream).full_history().stream();
    for expected in &left {
        assert_eq!(pages.try_next().await.unwrap().unwrap().event, *expected);
    }
    let mut all = store.read_all::<Registered>().stream();
    for expected in &left {
        assert_eq!(all.try_next().await.unwrap().unwrap().wrapped_event.event, *expected);
    }
    let mut batches = store.subscribe::<Registered>().batches(3);
    let batch = batches.next(Duration::from_secs(20)).await.unwrap();
    assert_eq!(batch.events.iter().map(|recorded| recorded.event()).collect::<Vec<_>>(), left.each_ref());
    if subject.capabilities().outbox {
        let post = Post::default();
        publish(&store, &post).await;
        let entries = post.entries();
        let of_ann = entries.iter().filter(|entry| entry.recorded().stream_id == stream);
        let texts: Vec<_> = of_ann.map(|entry| entry.recorded().event().data().get().to_owned()).collect();
        assert_eq!(texts.len(), 3);
        assert!(texts.iter().all(|text| !text.contains("ann@example.com")), "{texts:?}");
    }
}

pub(super) async fn clause_13_3_nothing_is_written_for_a_shredded_subject(subject: Subject) {
    let (store, stream) = (subject.private(), customers("17"));
    // Each has the key in memory.
    let others = join_all((0..3).map(|_| subject.another_private())).await;
    store.append(&stream, ann()).await.unwrap();
    for other in &others {
        assert_eq!(other.registrations(&stream).await, [ann()]);
    }
    store.shred("17").await.unwrap();
    for other in others.iter().chain([&store]) {
        for _ in 0..2 {
            let refused = other.append(&stream, ann()).expected_version(1).await;
            assert_refused!(refused, Error::SubjectShredded { subject } if subject == "17");
            let refused = other.append(&stream, (bob(), ann())).expected_version(1).await;
            assert_refused!(refused, Error::SubjectShredded { .. });
        }
        let refused = other.save_snapshot(&stream, 1, ann()).await;
        assert_refused!(refused, Error::SubjectShredded { .. });
        assert_eq!(other.registrations(&stream).await, [forgotten(&ann())], "a refusal tells it");
    }
    let appended = store.append(&stream, bob()).expected_version(1).await.unwrap();
    assert_eq!(appended.last_version, Some(2), "others are untouched");
    // Who never had a key cannot get one either.
    store.shred("20").await.unwrap();
    let refused = others[0].append(&customers("20"), registered("20", "x")).await;
    assert_refused!(refused, Error::SubjectShredded { .. });
}

pub(super) async fn clause_13_3_writers_that_race_a_shredder_write_before_it_or_not_at_all(subject: Subject) {
    let (shredder, stream) = (subject.private(), customers("17"));
    shredder.append(&stream, ann()).no_versioning().await.unwrap();
    let writers = join_all((0..4).map(|_| subject.another_private())).await;
    let writers = writers.into_iter().map(|writer| {
        let stream = stream.clone();
        tokio::spawn(async move {
            let mut written = 0;
            loop {
                match writer.append(&stream, ann()).no_versioning().await {
                    Ok(_) => written += 1,
                    Err(Error::SubjectShredded { .. }) => return written,
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    eventually("some are written", async || shredder.registrations(&stream).await.len() > 8).await;
    shredder.shred("17").await.unwrap();
    let at_once = shredder.registrations(&stream).await;
    let written: usize = join_all(writers).await.into_iter().map(|written| written.unwrap()).sum();
    let left = shredder.registrations(&stream).await;
    assert_eq!((left.len(), at_once.len()), (written + 1, written + 1), "none behind it");
    assert!(left.iter().all(|one| *one == forgotten(&ann())));
}

pub(super) async fn clause_13_3_shredding_is_a_fact_and_happens_once(subject: Subject) {
    let (store, another) = (subject.private(), subject.another_private().await);
    store.append(&customers("17"), ann()).await.unwrap();
    let (one, two) = tokio::join!(store.shred("17"), another.shred("17"));
    assert_eq!(
        [one.unwrap().repeated, two.unwrap().repeated].iter().filter(|repeated| !**repeated).count(),
        1
    );
    let again = store.shred("17").await.unwrap();
    assert!(again.repeated);
    store.settled(again.position).await;
    let mut subscription = store.subscribe::<SubjectShredded>().stream();
    let Some(Next::Event(recorded)) = subscription.try_next().await.unwrap() else { panic!("no event") };
    assert_eq!(recorded.event().subject, "17");
    assert!(matches!(subscription.try_next().await.unwrap(), Some(Next::CaughtUp(_))));
    assert_refused!(store.shred("").await, Error::InvalidName { .. });
    assert_refused!(subject.store().shred("18").await, Error::InvalidOption { option: "encryption", .. });
    let keys = KeysRequest::new(TenantId::DEFAULT, vec![Arc::from("17")]);
    assert!(subject.backend().keys(keys).await.unwrap()[0].wrapped.is_none());
}

pub(super) async fn clause_13_3_what_was_read_ahead_is_handed_over_with_masks(subject: Subject) {
    let (store, stream) = (subject.private(), customers("17"));
    let appended = store.append(&stream, (ann(), ann(), ann())).await.unwrap();
    store.settled(appended.position).await;
    let mut subscription = store.subscribe::<Registered>().stream();
    let mut next = async || match subscription.try_next().await.unwrap() {
        Some(Next::Event(recorded)) => recorded.into_event(),
        other => panic!("{other:?}"),
    };
    assert_eq!(next().await, ann());
    store.shred("17").await.unwrap();
    assert_eq!(next().await, forgotten(&ann()));
    assert_eq!(next().await, forgotten(&ann()));
}

/// However often it reads meanwhile.
pub(super) async fn clause_13_3_another_handle_reads_no_longer_than_it_was_said(subject: Subject) {
    let (store, stream) = (subject.private(), customers("17"));
    let of = |lives| Encryption::new(MasterKey::from_bytes([1; 32])).cache_for(lives);
    let at_once = subject.another_store().await.with_encryption(of(Duration::ZERO)).unwrap();
    let soon = subject.another_store().await.with_encryption(of(Duration::from_millis(100))).unwrap();
    store.append(&stream, ann()).await.unwrap();
    assert_eq!(at_once.registrations(&stream).await, [ann()]);
    assert_eq!(soon.registrations(&stream).await, [ann()]);
    store.shred("17").await.unwrap();
    assert_eq!(at_once.registrations(&stream).await, [forgotten(&ann())]);
    let is_over = async || soon.registrations(&stream).await == [forgotten(&ann())];
    eventually("its key is too old", is_over).await;
}

fn identified(event: Registered) -> NewEvent<Registered> {
    event.with_id(Uuid::from_u128(7))
}

pub(super) async fn clause_13_3_a_repeat_is_recognised_by_what_is_encrypted(subject: Subject) {
    let (store, stream) = (subject.private(), customers("17"));
    let first = store.append(&stream, identified(ann())).await.unwrap();
    for handle in [&store, &subject.another_private().await] {
        let again = handle.append(&stream, identified(ann())).await.unwrap();
        assert!(again.repeated && again.position == first.position);
        let other = identified(registered("17", "another@example.com"));
        assert_refused!(handle.append(&stream, other).await, Error::DuplicateEvent { .. });
    }
    subject.holds_events(&stream, 1).await;
}

pub(super) async fn clause_13_3_a_report_tells_what_there_is_before_and_after(subject: Subject) {
    let (store, stream) = (subject.private(), customers("17"));
    let report = async |after| subject.store().subject_report("17", after).await.unwrap();
    assert_eq!(report(Position::START).await.key, KeyState::NeverGiven);
    let appended = store.append(&stream, (bob(), ann())).await.unwrap();
    store.append(&ledger("1"), noted(1)).await.unwrap();
    store.settled(appended.position).await;
    let before = report(Position::START).await;
    let [mention] = before.mentions.as_slice() else { panic!("{before:?}") };
    assert_eq!((&mention.stream, mention.version, &*mention.name), (&stream, Some(2), "registered"));
    assert_eq!(mention.fields, ["/born", "/email"]);
    assert_eq!((before.key, before.next), (KeyState::Stored, None));
    assert!(report(mention.position).await.mentions.is_empty());

    store.shred("17").await.unwrap();
    let after = report(Position::START).await;
    assert_eq!((after.key, after.mentions), (KeyState::Shredded, before.mentions));
    assert_refused!(store.subject_report("", Position::START).await, Error::InvalidName { .. });
}

pub(super) async fn clause_13_3_no_state_is_kept_that_holds_what_is_encrypted(subject: Subject) {
    let (store, id) = (subject.private(), StreamId::random());
    let repository = Repository::<Customer>::new(&store).snapshot_every(1);
    for _ in 0..3 {
        let emit = |customer: &mut Emitting<Customer>| {
            customer.emit(ann());
            Ok::<_, std::convert::Infallible>(())
        };
        repository.aggregate(&id, emit).await.unwrap();
    }
    // A program of before the marks.
    let before = Repository::<CustomerInTheClear>::new(&store).snapshot_every(1);
    assert_eq!(before.load(&id).await.unwrap().0.email, "ann@example.com");
    // What would be kept is kept in a task by then.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let stream = repository.stream_id(&id).unwrap();
    let span = Span::FromState { name: "customer", format: 1 };
    let loaded = subject.backend().load(load_request(&stream, span)).await.unwrap();
    assert!(loaded.snapshot.is_none());
    store.shred("17").await.unwrap();
    assert_eq!(repository.load(&id).await.unwrap().email, "forgotten");
    assert_eq!(before.load(&id).await.unwrap().0.email, "forgotten");
}

pub(super) async fn clause_13_3_an_append_to_several_streams_is_sealed_as_a_whole(subject: Subject) {
    let (store, [one, two]) = (subject.private(), ["1", "2"].map(customers));
    store.append(&one, ann()).and(&two, (bob(), ann())).await.unwrap();
    assert_eq!(store.registrations(&two).await, [bob(), ann()]);
    subject.holds_no_secret(&one).await;
    subject.holds_no_secret(&two).await;
    store.shred("18").await.unwrap();
    let refused = store.append(&one, ann()).expected_version(1).and(&two, bob()).expected_version(2).await;
    assert_refused!(refused, Error::SubjectShredded { .. });
    subject.holds_events(&one, 1).await;
}

/// What a handler or a listener appends to an archive: each event of another stream, as it is.
fn archived(event: &RawEvent, of: &StreamId, archive: &StreamId) -> Deed {
    assert!(event.data().get().contains("@example.com"), "{}", event.data());
    let copy = || (archive.clone(), NewEvent::new(event.clone()));
    let appends = (of != archive).then(copy).into_iter().collect();
    Deed { deletes: Vec::new(), shreds: Vec::new(), appends, end: End::Done }
}

pub(super) async fn clause_13_3_a_handlers_transaction_seals_and_opens(subject: Subject) {
    let (store, stream, archive) = (subject.private(), customers("17"), customers("archive"));
    store.append(&stream, (ann(), bob())).await.unwrap();
    let reactor = subject.reactor().await.with_encryption(encryption());
    let (stopped, until) = tokio::sync::oneshot::channel::<()>();
    let to = archive.clone();
    let reaction = Reaction::new(move |recorded| archived(recorded.event(), &recorded.stream_id, &to));
    let settings = Settings { names: &["registered"], ..Settings::default() };
    let run = reactor.run_exactly_once(settings, Box::pin(async move { drop(until.await) }), reaction);
    let run = tokio::spawn(run);
    let copies = async || store.load_stream::<Registered>(&archive).await.unwrap().len() == 2;
    eventually("both are copied", copies).await;
    drop(stopped);
    run.await.unwrap().unwrap();
    subject.holds_no_secret(&archive).await;
    assert_eq!(store.registrations(&archive).await, [ann(), bob()]);
}

pub(super) async fn clause_13_3_a_transaction_shreds_with_all_that_it_writes_or_not_at_all(subject: Subject) {
    let (store, stream, noting) = (subject.private(), customers("17"), ledger("noting"));
    let at_once = encryption().cache_for(Duration::ZERO);
    let reader = subject.another_store().await.with_encryption(at_once).unwrap();
    store.append(&stream, ann()).await.unwrap();
    let (tries, is_done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (tried, may_end, to) = (Arc::clone(&tries), Arc::clone(&is_done), noting.clone());
    let reaction = Reaction::new(move |_| {
        tried.fetch_add(1, Ordering::SeqCst);
        let end = if may_end.load(Ordering::SeqCst) { End::Done } else { End::Fails };
        let note = RawEvent::new("noted", r#"{"number":17}"#).unwrap();
        let appends = vec![(to.clone(), NewEvent::new(note))];
        Deed { deletes: Vec::new(), shreds: vec!["17"], appends, end }
    });
    let reactor = subject.reactor().await.with_encryption(encryption());
    let (stopped, until) = tokio::sync::oneshot::channel::<()>();
    let settings = Settings { names: &["registered"], attempts: 100_000, ..Settings::default() };
    let run = reactor.run_exactly_once(settings, Box::pin(async move { drop(until.await) }), reaction);
    let run = tokio::spawn(run);

    eventually("it was taken back", async || tries.load(Ordering::SeqCst) > 1).await;
    let key = async || reader.subject_report("17", Position::START).await.unwrap().key;
    assert_eq!(key().await, KeyState::Stored);
    assert_eq!(reader.registrations(&stream).await, [ann()]);
    assert!(store.numbers(&noting).await.is_empty());
    is_done.store(true, Ordering::SeqCst);
    eventually("it was shredded", async || key().await == KeyState::Shredded).await;
    assert_eq!(store.numbers(&noting).await, [17], "with what else it has written");
    assert_eq!(reader.registrations(&stream).await, [forgotten(&ann())]);
    let fact = StreamId::from_name("17").unwrap().in_category(SubjectShredded::CATEGORY).unwrap();
    assert_eq!(store.load_stream::<SubjectShredded>(&fact).await.unwrap().len(), 1);
    // Who has the key in memory is refused as well.
    let refused = store.append(&stream, ann()).expected_version(1).await;
    assert_refused!(refused, Error::SubjectShredded { .. });
    assert!(store.shred("17").await.unwrap().repeated);
    drop(stopped);
    run.await.unwrap().unwrap();
}

pub(super) async fn clause_13_3_a_listener_hears_in_the_clear_and_its_append_is_sealed(subject: Subject) {
    let (store, stream, archive) = (subject.private(), customers("17"), customers("archive"));
    let to = archive.clone();
    let listen = store.listen::<RawEvent>().event_names(["registered"]);
    let ear = Ear::new(listen, move |heard| archived(heard.event(), &heard.stream_id, &to));
    let listening = subject.listen(ear);
    store.append(&stream, ann()).await.unwrap();
    subject.holds_no_secret(&archive).await;
    assert_eq!(store.registrations(&archive).await, [ann()]);
    drop(listening);
}
