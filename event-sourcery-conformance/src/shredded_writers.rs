//! Clause 13.3: who has the key of a shredded subject in memory writes nothing for it, whichever way he writes.
//!
//! A refusal makes a handle forget the key: so each way has a handle of its own.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use event_sourcery::{
    CommandError, Emitting, Error, EventStore, NewEvent, NewEvents, RawEvent, Repository, Select, StreamId,
};

use super::customers::{Customer, Customers as _, Registered, ann, bob, customers, encryption};
use super::ledger::{ledger, noted};
use super::reaction::{Deed, End, Reaction};
use super::running::{Settings, eventually};
use super::subject::Subject;

/// A stream with an event about somebody.
async fn told(subject: &Subject) -> StreamId {
    let stream = customers("17");
    subject.private().append(&stream, ann()).await.unwrap();
    stream
}

/// A handle that shares nothing with the others but the store, and has the key in memory.
async fn with_the_key(subject: &Subject) -> EventStore {
    let store = subject.another_private().await;
    assert_eq!(store.registrations(&customers("17")).await, [ann()]);
    store
}

/// By somebody else.
async fn shred(subject: &Subject) {
    assert!(!subject.private().shred("17").await.unwrap().repeated);
}

pub(super) async fn clause_13_3_who_has_the_key_in_memory_is_refused_whichever_way_he_writes(
    subject: Subject,
) {
    let (stream, archive) = (told(&subject).await, customers("archive"));
    let (plain, copying, saving) =
        (with_the_key(&subject).await, with_the_key(&subject).await, with_the_key(&subject).await);
    let copy = copying.load_stream::<RawEvent>(&stream).await.unwrap().remove(0).event;
    shred(&subject).await;
    let refused = plain.append(&stream, (bob(), ann())).expected_version(1).await;
    assert_refused!(refused, Error::SubjectShredded { subject } if subject == "17");
    let refused = copying.append(&archive, copy).await;
    assert_refused!(refused, Error::SubjectShredded { subject } if subject == "17");
    let refused = saving.save_snapshot(&stream, 1, ann()).await;
    assert_refused!(refused, Error::SubjectShredded { subject } if subject == "17");
    subject.holds_events(&stream, 1).await;
    subject.holds_events(&archive, 0).await;
}

pub(super) async fn clause_13_3_a_repository_is_refused_whatever_it_has_in_memory(subject: Subject) {
    let (store, id) = (subject.another_private().await, StreamId::random());
    let repository = Repository::<Customer>::new(&store);
    let emit = |customer: &mut Emitting<Customer>| {
        customer.emit(ann());
        Ok::<_, Infallible>(())
    };
    repository.aggregate(&id, emit).await.unwrap();
    shred(&subject).await;
    let refused = repository.aggregate(&id, emit).await;
    assert!(matches!(refused, Err(CommandError::Store(Error::SubjectShredded { .. }))));
    subject.holds_events(&repository.stream_id(&id).unwrap(), 1).await;
}

pub(super) async fn clause_13_3_an_append_to_several_streams_is_refused_whatever_is_in_memory(
    subject: Subject,
) {
    let (stream, other) = (told(&subject).await, customers("18"));
    let store = with_the_key(&subject).await;
    shred(&subject).await;
    let refused = store.append(&other, bob()).and(&stream, ann()).expected_version(1).await;
    assert_refused!(refused, Error::SubjectShredded { subject } if subject == "17");
    subject.holds_events(&stream, 1).await;
    subject.holds_events(&other, 0).await;
}

pub(super) async fn clause_13_3_a_decision_is_refused_whatever_is_in_memory(subject: Subject) {
    let stream = told(&subject).await;
    let store = with_the_key(&subject).await;
    shred(&subject).await;
    let known = Select::<Registered>::all().fold(0_usize, |known: &mut usize, _| *known += 1);
    let decision = |known: &usize, events: &mut NewEvents| {
        assert_eq!(*known, 1);
        events.emit(ann());
        Ok::<_, Infallible>(())
    };
    let refused = store.decide(known, decision).await;
    assert!(matches!(refused, Err(CommandError::Store(Error::SubjectShredded { .. }))));
    subject.holds_events(&stream, 1).await;
    assert_eq!(subject.another_private().await.registrations(&stream).await.len(), 1);
}

/// In the transaction of a subscription: it keeps what it was handed over, and appends it once that one was shredded.
pub(super) async fn clause_13_3_a_handler_is_refused_whatever_is_in_memory(subject: Subject) {
    told(&subject).await;
    let (late, seen) = (customers("late"), Arc::new(Mutex::new(None::<RawEvent>)));
    let (to, seeing) = (late.clone(), Arc::clone(&seen));
    let reaction = Reaction::new(move |recorded| {
        let (mut seen, mut appends) = (seeing.lock().unwrap(), Vec::new());
        if recorded.event().name() == "registered" {
            *seen = Some(recorded.event().clone());
        } else if let Some(copy) = seen.clone() {
            appends.push((to.clone(), NewEvent::new(copy)));
        }
        Deed { deletes: Vec::new(), shreds: Vec::new(), appends, end: End::Done }
    });
    let reactor = subject.reactor().await.with_encryption(encryption());
    let (stopped, until) = tokio::sync::oneshot::channel::<()>();
    let settings = Settings { names: &["registered", "noted"], attempts: 1, ..Settings::default() };
    let run =
        reactor.run_exactly_once(settings.clone(), Box::pin(async move { drop(until.await) }), reaction);
    let run = tokio::spawn(run);
    eventually("it was handed over", async || seen.lock().unwrap().is_some()).await;
    shred(&subject).await;
    let store = subject.store();
    store.append(&ledger("1"), noted(1)).await.unwrap();
    let durable = settings.of(store.subscribe::<RawEvent>());
    eventually("it is parked", async || !durable.parked().await.unwrap().is_empty()).await;
    let parked = durable.parked().await.unwrap().remove(0);
    assert!(parked.error.contains("shredded"), "{}", parked.error);
    subject.holds_events(&late, 0).await;
    drop(stopped);
    run.await.unwrap().unwrap();
}
