//! Clause 12.2: older stored forms are read as the current one, on every read path.

use event_sourcery::backend::{Expectation, Span};
use event_sourcery::{
    Error, Event, EventStore, RawEvent, Recorded, Source, StoredForm, Successor, WrappedEvent,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::timeout;

use super::ledger::{Ledgers as _, append_request, category, ledger, load_request, record};
use super::reaction::{Deed, End, Reaction};
use super::running::{SOON, Settings};
use super::steps::{Answer, Ending, Step};
use super::subject::Subject;
use super::subscribing::InTime as _;

/// A payment. Form 1 had euros, and form 2 no currency. What was paid in cash was once an event of its own.
#[derive(Event, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[event(name = "noted", alias = "paid in cash", upcast(euros_to_cents, with_currency))]
pub(super) struct Paid {
    number: u64,
    cents: u64,
    currency: String,
    #[serde(default)]
    in_cash: bool,
}

fn euros_to_cents(event: &mut StoredForm) -> Result<(), Source> {
    let euros: u64 = event.read("euros")?;
    event.fields_mut().remove("euros");
    event.write("cents", euros * 100)
}

fn with_currency(event: &mut StoredForm) -> Result<(), Source> {
    let in_cash = event.name() == "paid in cash";
    event.write("in_cash", in_cash)?;
    event.write("currency", "EUR")
}

/// What becomes of an invoice. Both ends were once one event, in two forms.
#[derive(Event, Debug, Clone, PartialEq)]
#[event(upcast("closed" = (settled_to_paid, split_closed)))]
enum Invoice {
    Paid(Paid),
    #[event(name = "voided")]
    Voided,
}

fn settled_to_paid(event: &mut StoredForm) -> Result<(), Source> {
    let settled: bool = event.read("settled")?;
    event.write("paid", settled)
}

fn split_closed(event: &mut StoredForm) -> Result<Successor, Source> {
    Ok(if event.read("paid")? { Successor::of("noted") } else { Successor::of("voided") })
}

pub(super) fn paid(number: u64) -> Paid {
    Paid { number, cents: number * 100, currency: "EUR".to_owned(), in_cash: false }
}

fn in_cash(number: u64) -> Paid {
    Paid { in_cash: true, ..paid(number) }
}

/// The payments 1 to 6, in every form that there was.
fn history() -> Vec<RawEvent> {
    let raw = |name, version, data: &str| RawEvent::new(name, data).unwrap().with_schema_version(version);
    vec![
        raw("noted", 1, r#"{"number":1,"euros":1}"#),
        raw("paid in cash", 1, r#"{"number":2,"euros":2}"#),
        raw("noted", 2, r#"{"number":3,"cents":300}"#),
        raw("paid in cash", 2, r#"{"number":4,"cents":400}"#),
        raw("noted", 3, r#"{"number":5,"cents":500,"currency":"EUR"}"#),
        raw("noted", 3, &paid(6).encode().unwrap()),
    ]
}

/// What [`history`] reads as.
fn payments() -> Vec<Paid> {
    vec![paid(1), in_cash(2), paid(3), in_cash(4), paid(5), paid(6)]
}

fn closed(number: u64, paid: bool) -> RawEvent {
    let data = format!(r#"{{"number":{number},"euros":{number},"paid":{paid}}}"#);
    RawEvent::new("closed", data).unwrap().with_schema_version(2)
}

fn closed_in_form_1(number: u64, paid: bool) -> RawEvent {
    RawEvent::new("closed", format!(r#"{{"number":{number},"euros":{number},"settled":{paid}}}"#)).unwrap()
}

/// A store that has a history.
pub(super) trait Historic {
    async fn with_history(&self);
}

impl Historic for EventStore {
    async fn with_history(&self) {
        let appended = self.append(&ledger("1"), history()).await.unwrap();
        self.settled(appended.position).await;
    }
}

fn events<E: Clone>(wrapped: &[WrappedEvent<E>]) -> Vec<E> {
    wrapped.iter().map(|wrapped| wrapped.event.clone()).collect()
}

fn recorded<E: Clone>(recorded: &[Recorded<E>]) -> Vec<E> {
    recorded.iter().map(|recorded| recorded.wrapped_event.event.clone()).collect()
}

async fn until_there_are<E>(count: usize, mut handled: watch::Receiver<Vec<E>>) {
    handled.wait_for(|handled| handled.len() >= count).await.map(|_| ()).expect("the handler is there");
}

/// The forms that are stored in a ledger, by name.
async fn stored_forms(store: &EventStore, name: &str) -> Vec<(String, u32)> {
    let raw = store.load_stream::<RawEvent>(&ledger(name)).full_history().await.unwrap();
    raw.iter().map(|raw| (raw.event.name().to_owned(), raw.event.schema_version())).collect()
}

pub(super) async fn clause_12_2_a_stream_reads_every_form_as_the_current_one(subject: Subject) {
    let store = subject.store();
    store.with_history().await;
    let stream = ledger("1");
    assert_eq!(events(&store.load_stream::<Paid>(&stream).await.unwrap()), payments());
    assert_eq!(events(&store.load_stream::<Paid>(&stream).full_history().await.unwrap()), payments());
    let range = store.load_stream::<Paid>(&stream).versions(2..5).await.unwrap();
    assert_eq!(events(&range), payments()[1..4]);
    // What is stored is as it was.
    let raw = store.load_stream::<RawEvent>(&stream).await.unwrap();
    assert_eq!(events(&raw), history());
}

pub(super) async fn clause_12_2_a_paged_read_upcasts(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let old =
        |number: u64| RawEvent::new("noted", format!(r#"{{"number":{number},"euros":{number}}}"#)).unwrap();
    store.append(&stream, (1..=600).map(old).collect::<Vec<_>>()).await.unwrap();
    let mut paged = store.load_stream::<Paid>(&stream).stream();
    for number in 1..=600 {
        assert_eq!(paged.try_next().await.unwrap().unwrap().event, paid(number));
    }
    assert!(paged.try_next().await.unwrap().is_none());
}

pub(super) async fn clause_12_2_a_snapshot_in_an_older_form_is_upcast(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_history().await;
    store.save_snapshot(&stream, 3, history().remove(3)).await.unwrap();
    let loaded = store.load_stream::<Paid>(&stream).await.unwrap();
    assert_eq!(events(&loaded), [in_cash(4), in_cash(4), paid(5), paid(6)]);
    // The newest one counts, in the form that it was saved in.
    store.save_snapshot(&stream, 6, in_cash(9)).await.unwrap();
    assert_eq!(events(&store.load_stream::<Paid>(&stream).await.unwrap()), [in_cash(9)]);
}

pub(super) async fn clause_12_2_a_snapshot_in_a_newer_form_is_passed_over(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_history().await;
    let newer = RawEvent::new("noted", paid(7).encode().unwrap()).unwrap().with_schema_version(4);
    store.save_snapshot(&stream, 6, newer).await.unwrap();
    assert_eq!(events(&store.load_stream::<Paid>(&stream).await.unwrap()), payments());
}

pub(super) async fn clause_12_2_a_transaction_reads_the_forms_that_it_and_others_wrote(subject: Subject) {
    let store = subject.store();
    store.with_history().await;
    let appended = {
        let mut in_form_2 = record(7).with_schema_version(2);
        in_form_2.data = r#"{"number":7,"cents":700}"#.to_owned();
        let mut request = append_request(&ledger("2"), Expectation::Version(0), &[]);
        request.streams[0].events.push(in_form_2);
        Step::Append(request)
    };
    let loads = ["1", "2"].map(|name| Step::Load(load_request(&ledger(name), Span::Full)));
    let steps = std::iter::once(appended).chain(loads).collect();
    let answers = subject.transaction(steps, Ending::Commit).await.unwrap();
    let mut read = Vec::new();
    for answer in answers {
        let Answer::Loaded(loaded) = answer.unwrap() else { continue };
        read.extend(
            loaded
                .events
                .iter()
                .map(|event| Paid::decode_stored(&event.name, event.schema_version, &event.data).unwrap()),
        );
    }
    let expected: Vec<_> = payments().into_iter().chain([paid(7)]).collect();
    assert_eq!(read, expected);
}

pub(super) async fn clause_12_2_reading_across_streams_upcasts(subject: Subject) {
    let store = subject.store();
    store.with_history().await;
    let mut across = store.read_all::<Paid>().stream();
    for expected in payments() {
        assert_eq!(across.try_next().await.unwrap().unwrap().wrapped_event.event, expected);
    }
    assert!(across.try_next().await.unwrap().is_none());
}

pub(super) async fn clause_12_2_a_subscription_upcasts_what_is_there_and_what_comes(subject: Subject) {
    let store = subject.store();
    store.with_history().await;
    let mut subscription = store.subscribe::<Paid>().stream();
    let (read, _) = subscription.until_caught_up().await;
    assert_eq!(recorded(&read), payments());
    store.append(&ledger("2"), history()).await.unwrap();
    for expected in payments() {
        assert_eq!(subscription.next_event().await.wrapped_event.event, expected);
    }
}

pub(super) async fn clause_12_2_batches_are_upcast(subject: Subject) {
    let store = subject.store();
    store.with_history().await;
    let mut batches = store.subscribe::<Paid>().batches(4);
    let mut read = Vec::new();
    while read.len() < payments().len() {
        read.extend(recorded(&batches.next(SOON).await.unwrap().events));
    }
    assert_eq!(read, payments());
}

pub(super) async fn clause_12_2_a_durable_subscription_upcasts(subject: Subject) {
    let store = subject.store();
    store.with_history().await;
    let (sink, handled) = watch::channel(Vec::new());
    let durable = store.subscribe::<Paid>().durable("payments").until(until_there_are(6, handled.clone()));
    let run = durable.run(move |recorded: Recorded<Paid>, _| {
        sink.send_modify(|handled| handled.push(recorded.wrapped_event.event));
        std::future::ready(Ok::<(), Source>(()))
    });
    timeout(SOON, run).await.expect("all payments are handled in time").unwrap();
    assert_eq!(*handled.borrow(), payments());
}

pub(super) async fn clause_12_2_a_handler_in_a_transaction_is_handed_the_form(subject: Subject) {
    let store = subject.store();
    store.with_history().await;
    let noted: Vec<_> = history().into_iter().filter(|event| event.name() == "noted").collect();
    let (sink, handled) = watch::channel(Vec::new());
    let reaction = Reaction::new(move |recorded| {
        sink.send_modify(|handled| handled.push(recorded.wrapped_event.event.clone()));
        Deed { deletes: Vec::new(), shreds: Vec::new(), appends: Vec::new(), end: End::Done }
    });
    let (reactor, all) = (subject.reactor().await, until_there_are(noted.len(), handled.clone()));
    let run = reactor.run_exactly_once(Settings::default(), Box::pin(all), reaction);
    timeout(SOON, run).await.expect("all payments are handled in time").unwrap();
    assert_eq!(*handled.borrow(), noted);
}

pub(super) async fn clause_12_2_what_is_appended_carries_the_current_version(subject: Subject) {
    let store = subject.store();
    store.append(&ledger("1"), [Invoice::from(paid(1)), Invoice::Voided]).await.unwrap();
    store.append(&ledger("1"), paid(2)).expected_version(2).await.unwrap();
    let expected =
        [("noted", 3), ("voided", 1), ("noted", 3)].map(|(name, version)| (name.to_owned(), version));
    assert_eq!(stored_forms(&store, "1").await, expected);
    store.append(&ledger("2"), paid(3)).no_versioning().await.unwrap();
    assert_eq!(stored_forms(&store, "2").await, expected[..1]);
}

pub(super) async fn clause_12_2_each_stream_of_one_append_keeps_its_forms(subject: Subject) {
    let store = subject.store();
    let mut append = store.append_all();
    for name in ["1", "2", "3"] {
        append = append.and(&ledger(name), history());
    }
    append.await.unwrap();
    for name in ["1", "2", "3"] {
        assert_eq!(events(&store.load_stream::<Paid>(&ledger(name)).await.unwrap()), payments());
    }
}

pub(super) async fn clause_12_2_a_copy_of_an_event_keeps_its_form(subject: Subject) {
    let store = subject.store();
    store.with_history().await;
    for event in store.load_stream::<RawEvent>(&ledger("1")).await.unwrap() {
        store.append(&ledger("2"), event.event).expected_version(event.version.unwrap() - 1).await.unwrap();
    }
    assert_eq!(stored_forms(&store, "2").await, stored_forms(&store, "1").await);
    assert_eq!(events(&store.load_stream::<Paid>(&ledger("2")).await.unwrap()), payments());
}

pub(super) async fn clause_12_2_a_name_that_was_split_is_found_and_read_as_its_successors(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1").in_category("invoices").unwrap());
    let written =
        (closed(1, true), closed_in_form_1(2, false), RawEvent::new("other", "{}").unwrap(), Invoice::Voided);
    let appended = store.append(&stream, written).await.unwrap();
    store.settled(appended.position).await;
    let expected = [Invoice::Paid(paid(1)), Invoice::Voided, Invoice::Voided];

    let (read, _) =
        store.subscribe::<Invoice>().category(category("invoices")).stream().until_caught_up().await;
    assert_eq!(recorded(&read), expected);
    let mut across = store.read_all::<Invoice>().stream();
    for expected in expected {
        assert_eq!(across.try_next().await.unwrap().unwrap().wrapped_event.event, expected);
    }
    assert!(across.try_next().await.unwrap().is_none());
    store.save_snapshot(&stream, 4, closed_in_form_1(9, true)).await.unwrap();
    assert_eq!(events(&store.load_stream::<Invoice>(&stream).await.unwrap()), [Invoice::Paid(paid(9))]);
}

pub(super) async fn clause_12_2_a_repeat_is_recognised_in_an_older_form(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let id = uuid::Uuid::from_u128;
    let old: Vec<_> =
        history().into_iter().zip(1..).map(|(event, number)| event.with_id(id(number))).collect();
    let first = store.append(&stream, old).await.unwrap();
    let again: Vec<_> =
        payments().into_iter().zip(1..).map(|(event, number)| event.with_id(id(number))).collect();
    let repeat = store.append(&stream, again).await.unwrap();
    assert!(repeat.repeated);
    assert_eq!(repeat.position, first.position);
    let differs = Paid { cents: 101, ..paid(1) }.with_id(id(1));
    assert_refused!(store.append(&stream, differs).await, Error::DuplicateEvent { .. });

    let split = store.append(&ledger("2"), closed(7, true).with_id(id(7))).await.unwrap();
    let repeat = store.append(&ledger("2"), Invoice::Paid(paid(7)).with_id(id(7))).await.unwrap();
    assert_eq!((repeat.repeated, repeat.position), (true, split.position));
}

pub(super) async fn clause_12_2_equal_payloads_in_different_forms_are_no_repeat(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let id = uuid::Uuid::from_u128(1);
    let raw = |version| RawEvent::new("noted", r#"{"number":1}"#).unwrap().with_schema_version(version);
    store.append(&stream, raw(1).with_id(id)).await.unwrap();
    assert!(store.append(&stream, raw(1).with_id(id)).await.unwrap().repeated);
    assert_refused!(store.append(&stream, raw(2).with_id(id)).await, Error::DuplicateEvent { .. });
}

pub(super) async fn clause_12_2_a_newer_form_is_an_error_and_never_guessed(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let newer =
        |version| RawEvent::new("noted", paid(1).encode().unwrap()).unwrap().with_schema_version(version);
    store.append(&stream, (paid(1), newer(4), newer(i32::MAX as u32))).await.unwrap();
    for (at, found_version) in [(2, 4), (3, i32::MAX as u32)] {
        assert_refused!(
            store.load_stream::<Invoice>(&stream).versions(at..=at).await,
            Error::NewerForm { name, stream: named, version: Some(version), found, known: 3 }
                if name == "noted" && named == stream && version == at && found == found_version,
        );
    }
    assert_refused!(store.load_stream::<Paid>(&stream).await, Error::NewerForm { .. });
    store.append(&ledger("2"), closed(1, true).with_schema_version(3)).await.unwrap();
    assert_refused!(
        store.load_stream::<Invoice>(&ledger("2")).await,
        Error::NewerForm { name, found: 3, known: 2, .. } if name == "closed",
    );
}

pub(super) async fn clause_12_2_a_version_that_no_store_holds_is_refused(subject: Subject) {
    let store = subject.store();
    for version in [0, i32::MAX as u32 + 1, u32::MAX] {
        let event = RawEvent::new("noted", "{}").unwrap().with_schema_version(version);
        assert_refused!(store.append(&ledger("1"), event).await, Error::InvalidPayload { .. });
    }
    subject.holds(0).await;
}

pub(super) async fn clause_12_2_a_step_that_fails_is_an_error_that_names_it(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let broken = RawEvent::new("noted", r#"{"number":2,"euros":"two"}"#).unwrap();
    store.append(&stream, (paid(1), broken)).await.unwrap();
    assert_refused!(
        store.load_stream::<Paid>(&stream).await,
        Error::InvalidEvent { name, stream: named, version: Some(2), problem, .. }
            if name == "noted" && named == stream && problem.contains("version 1") && problem.contains("\"euros\""),
    );
}
