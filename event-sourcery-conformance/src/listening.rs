//! Clause 9.1: what a listener hears, in which order, and what becomes of an append that it makes fail.

use std::sync::{Arc, Mutex, PoisonError};

use event_sourcery::backend::Backend;
use event_sourcery::{
    Context, Error, Event as _, Heard, Listen, NewEvent, Position, RawEvent, Result, StreamId,
};
use uuid::Uuid;

use super::ear::Ear;
use super::ledger::{Fragile, Ledgers as _, Noted, category, ledger, noted, notes, number, tenant};
use super::reaction::{Deed, End};
use super::subject::Subject;

/// Who heard what.
type Entry = (&'static str, Heard<RawEvent>);

/// What was heard, in its order, and by whom. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<Entry>>>);

impl Log {
    /// A listener of this name that notes what it hears.
    pub(super) fn ear<B: Backend>(&self, name: &'static str, listen: Listen<B, RawEvent>) -> Ear<RawEvent> {
        self.ear_that(name, listen, |_| nothing())
    }

    /// One that notes what it hears, and does something about it.
    pub(super) fn ear_that<B: Backend>(
        &self,
        name: &'static str,
        listen: Listen<B, RawEvent>,
        decide: impl Fn(&Heard<RawEvent>) -> Deed + Send + Sync + 'static,
    ) -> Ear<RawEvent> {
        let log = self.clone();
        Ear::new(listen, move |heard| {
            log.0.lock().unwrap_or_else(PoisonError::into_inner).push((name, heard.clone()));
            decide(heard)
        })
    }

    pub(super) fn all(&self) -> Vec<Entry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who heard something, in that order.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.all().iter().map(|(name, _)| *name).collect()
    }

    /// The numbers that one of them heard.
    pub(super) fn numbers(&self, of: &str) -> Vec<u64> {
        self.all().iter().filter(|(name, _)| *name == of).map(|(_, heard)| number_of(heard)).collect()
    }
}

pub(super) fn number_of(heard: &Heard<RawEvent>) -> u64 {
    serde_json::from_str::<Noted>(heard.event().data().get()).unwrap().number
}

pub(super) fn nothing() -> Deed {
    Deed { deletes: Vec::new(), shreds: Vec::new(), appends: Vec::new(), end: End::Done }
}

pub(super) fn fails() -> Deed {
    Deed { deletes: Vec::new(), shreds: Vec::new(), appends: Vec::new(), end: End::Fails }
}

/// Appends the number of an event, under another name, to a stream without versions.
pub(super) fn passes_on(heard: &Heard<RawEvent>, name: &'static str, to: &StreamId) -> Deed {
    let event: NewEvent<RawEvent> =
        RawEvent::new(name, heard.event().data().get()).unwrap().with_id(Uuid::now_v7());
    Deed { deletes: Vec::new(), shreds: Vec::new(), appends: vec![(to.clone(), event)], end: End::Done }
}

fn raw(name: &'static str, number: u64) -> RawEvent {
    RawEvent::new(name, format!(r#"{{"number":{number}}}"#)).unwrap()
}

/// That an append was refused because of a listener: what that has failed with.
pub(super) fn failed<T: std::fmt::Debug>(refused: Result<T>) -> String {
    match refused {
        Err(Error::ListenerFailed { source, .. }) => source.to_string(),
        other => panic!("no listener has failed: {other:?}"),
    }
}

pub(super) async fn clause_9_1_a_listener_hears_each_event_in_its_turn_with_what_the_store_knows(
    subject: Subject,
) {
    let (store, log) = (subject.store(), Log::default());
    subject.listen(log.ear("all", store.listen()));
    let acme = store.for_tenant(tenant("acme"));
    let stream = ledger("1").in_category("sales").unwrap();
    acme.append(&stream, notes(1..=2)).await.unwrap();
    let context = Context::new().with_correlation_id(Uuid::from_u128(7));
    let three = (noted(3).with_context(context), noted(4).with_id(Uuid::from_u128(8)), noted(5));
    acme.append(&stream, three).expected_version(2).await.unwrap();
    let appended = store.append(&ledger("2"), notes(6..=7)).no_versioning().await.unwrap();

    let (records, heard) = (store.records(appended.position).await, log.all());
    assert_eq!(log.numbers("all"), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(records.len(), heard.len());
    for ((_, heard), record) in heard.iter().zip(&records) {
        assert_eq!(heard.wrapped_event, record.wrapped_event);
        assert_eq!((&heard.stream_id, &heard.tenant_id), (&record.stream_id, &record.tenant_id));
        assert_eq!(heard.stream_id.name(), record.stream_id.name());
        assert_eq!(heard.position.to_i64(), record.position.to_i64());
    }
    assert_eq!(heard[6].1.position, appended.position);
    assert_eq!(heard[6].1.wrapped_event.version, None);
}

pub(super) async fn clause_9_1_a_listener_hears_event_types_a_category_or_everything_and_nothing_else(
    subject: Subject,
) {
    let (store, log) = (subject.store(), Log::default());
    let sales = || category("sales");
    subject.listen(log.ear("type", store.listen().event_names(["noted"])));
    subject.listen(log.ear("category", store.listen().category(sales())));
    subject.listen(log.ear("both", store.listen().category(sales()).event_names(["noted"])));
    subject.listen(log.ear("all", store.listen()));
    subject.listen(log.ear("none", store.listen().event_names(["never"])));
    let (in_sales, other) = (ledger("1").with_category(sales()), ledger("1"));
    let elsewhere = ledger("1").in_category("purchases").unwrap();
    store.append(&in_sales, (raw("noted", 1), raw("struck", 2))).await.unwrap();
    store.append(&other, (raw("struck", 3), raw("noted", 4))).await.unwrap();
    store.append(&elsewhere, raw("noted", 5)).await.unwrap();
    assert_eq!(log.numbers("type"), [1, 4, 5]);
    assert_eq!(log.numbers("category"), [1, 2]);
    assert_eq!(log.numbers("both"), [1]);
    assert_eq!(log.numbers("all"), [1, 2, 3, 4, 5]);
    assert_eq!(log.numbers("none"), [0; 0]);
}

pub(super) async fn clause_9_1_an_event_that_matches_more_than_once_is_heard_once(subject: Subject) {
    let (store, log) = (subject.store(), Log::default());
    let several = store.listen().event_names(["noted", "noted"]).or().category(category("sales")).or();
    subject.listen(log.ear("several", several.event_names(["struck"])));
    let in_sales = ledger("1").in_category("sales").unwrap();
    store.append(&in_sales, (raw("noted", 1), raw("other", 2), raw("struck", 3))).await.unwrap();
    store.append(&ledger("1"), (raw("noted", 4), raw("other", 5), raw("struck", 6))).await.unwrap();
    assert_eq!(log.numbers("several"), [1, 2, 3, 4, 6]);
}

pub(super) async fn clause_9_1_listeners_are_called_in_the_order_of_their_registration(subject: Subject) {
    let (store, log) = (subject.store(), Log::default());
    subject.listen(log.ear("first", store.listen()));
    let second = subject.listen(log.ear("second", store.listen().event_names(["noted"])));
    subject.listen(log.ear("third", store.listen()));
    store.append(&ledger("1"), (raw("noted", 1), raw("other", 2))).await.unwrap();
    assert_eq!(log.names(), ["first", "second", "third", "first", "third"]);
    second.remove();
    subject.listen(log.ear("fourth", store.listen()));
    store.append(&ledger("2"), raw("noted", 1)).await.unwrap();
    assert_eq!(log.names()[5..], ["first", "third", "fourth"]);
}

pub(super) async fn clause_9_1_a_listener_hears_every_tenant_and_a_tenants_its_own(subject: Subject) {
    let (store, log) = (subject.store(), Log::default());
    let before = store.for_tenant(tenant("acme"));
    subject.listen(log.ear("every", store.listen()));
    subject.listen(log.ear("acmes", before.listen()));
    let (after, other) = (store.for_tenant(tenant("acme")), store.for_tenant(tenant("globex")));
    before.append(&ledger("1"), noted(1)).await.unwrap();
    after.append(&ledger("2"), noted(2)).await.unwrap();
    other.append(&ledger("1"), noted(3)).await.unwrap();
    store.append(&ledger("1"), noted(4)).await.unwrap();
    subject.store().append(&ledger("2"), noted(5)).await.unwrap();
    assert_eq!(log.numbers("every"), [1, 2, 3, 4, 5]);
    assert_eq!(log.numbers("acmes"), [1, 2]);
    let tenants: Vec<_> = log.all().into_iter().map(|(_, heard)| heard.tenant_id).collect();
    assert_eq!(tenants[4], tenant("globex"));
}

pub(super) async fn clause_9_1_nothing_is_decoded_that_a_listener_did_not_ask_for(subject: Subject) {
    let (store, heard) = (subject.store(), Arc::<Mutex<Vec<u64>>>::default());
    let noting = Arc::clone(&heard);
    let listen = store.listen::<Fragile>().category(category("sales"));
    subject.listen_to_fragile(Ear::new(listen, move |heard| {
        noting.lock().unwrap_or_else(PoisonError::into_inner).push(heard.event().number);
        nothing()
    }));
    let in_sales = ledger("1").in_category("sales").unwrap();
    // The type's code panics on odd numbers.
    store.append(&ledger("1"), noted(1)).await.unwrap();
    store.append(&in_sales, (raw("other", 3), raw("noted", 4))).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), [4]);
    let refused = store.append(&in_sales, raw("noted", 5)).expected_version(2).await;
    assert!(failed(refused).contains("5 is odd"));
    assert_eq!(store.version(&in_sales).await.unwrap(), Some(2));
}

pub(super) async fn clause_9_1_a_listener_that_was_removed_hears_nothing_and_others_go_on(subject: Subject) {
    let (store, log) = (subject.store(), Log::default());
    let goes = subject.listen(log.ear("goes", store.listen()));
    let stays = subject.listen(log.ear("stays", store.listen()));
    store.append(&ledger("1"), noted(1)).await.unwrap();
    for _ in 0..2 {
        goes.remove();
    }
    store.append(&ledger("2"), noted(2)).await.unwrap();
    // It stays although nobody holds it.
    drop(stays);
    subject.listen(log.ear("comes", store.listen()));
    goes.remove();
    store.append(&ledger("3"), noted(3)).await.unwrap();
    assert_eq!(log.numbers("goes"), [1]);
    assert_eq!(log.numbers("stays"), [1, 2, 3]);
    assert_eq!(log.numbers("comes"), [3]);
}

pub(super) async fn clause_9_1_where_a_listener_fails_nothing_is_appended(subject: Subject) {
    let (store, log) = (subject.store(), Log::default());
    let (stream, effects) = (ledger("1"), ledger("effects"));
    store.append(&stream, noted(1)).await.unwrap();
    let to = effects.clone();
    let names = || store.listen().event_names(["noted"]);
    subject.listen(log.ear_that("writes", names(), move |heard| passes_on(heard, "posted", &to)));
    for (end, words) in [(End::Fails, "the handler fails"), (End::Panics, "the handler panics")] {
        let failing = Ear::new(names(), move |heard| Deed {
            end: if number_of(heard) == 3 { end } else { End::Done },
            ..nothing()
        });
        let failing = subject.listen(failing);
        subject.listen(log.ear("behind it", names())).remove();
        let refused = store.append(&stream, notes(2..=4)).expected_version(1).await;
        let Err(Error::ListenerFailed { name, stream: of, version, source, .. }) = &refused else {
            panic!("{refused:?}");
        };
        assert_eq!((name.as_str(), of, *version), ("noted", &stream, Some(3)));
        assert!(source.to_string().contains(words), "{source}");
        assert_eq!(store.numbers(&stream).await, [1]);
        assert_eq!(store.version(&effects).await.unwrap(), None);
        subject.holds(1).await;
        failing.remove();
    }
    // What was refused is not in the way of the same again.
    store.append(&stream, notes(2..=4)).expected_version(1).await.unwrap();
    assert_eq!(store.numbers(&stream).await, [1, 2, 3, 4]);
    assert_eq!(store.load_stream::<RawEvent>(&effects).await.unwrap().len(), 3);
}

pub(super) async fn clause_9_1_what_a_listener_appends_is_committed_with_the_event_and_carries_its_context(
    subject: Subject,
) {
    let (store, log, effects) = (subject.store(), Log::default(), ledger("effects"));
    let to = effects.clone();
    let listen = store.listen().event_names(["noted"]);
    subject.listen(log.ear_that("posts", listen, move |heard| passes_on(heard, "posted", &to)));
    let acme = store.for_tenant(tenant("acme"));
    let context = Context::new().with_correlation_id(Uuid::from_u128(7));
    acme.append(&ledger("1"), noted(1).with_context(context).with_id(Uuid::from_u128(1))).await.unwrap();
    store.append(&ledger("1"), noted(2).with_id(Uuid::from_u128(2))).await.unwrap();
    for (handle, cause, correlation) in [(&acme, 1, Some(7)), (&store, 2, None)] {
        let posted = handle.load_stream::<RawEvent>(&effects).await.unwrap();
        assert_eq!(posted.len(), 1, "for the tenant of the event");
        let context = &posted[0].context;
        assert_eq!(context.causation_id(), Some(Uuid::from_u128(cause)));
        assert_eq!(context.correlation_id(), correlation.map(Uuid::from_u128));
    }
}

pub(super) async fn clause_9_1_what_a_listener_appends_is_heard_and_what_it_sets_off_has_a_bound(
    subject: Subject,
) {
    let (store, log, effects) = (subject.store(), Log::default(), ledger("effects"));
    let on = |name: &'static str, next: &'static str| {
        let to = effects.clone();
        let listen = store.listen().event_names([name]);
        log.ear_that(name, listen, move |heard| passes_on(heard, next, &to))
    };
    subject.listen(on("noted", "posted"));
    subject.listen(on("posted", "sent"));
    subject.listen(log.ear("all", store.listen()));
    store.append(&ledger("1"), notes(1..=2)).await.unwrap();
    let order = ["noted", "posted", "all", "all", "all"];
    assert_eq!(log.names(), [order, order].concat(), "what it has set off comes before the next listener");
    assert_eq!(log.numbers("all"), [1, 1, 1, 2, 2, 2]);

    // Each sets off the other.
    let circle = subject.listen(on("sent", "noted"));
    let before = store.load_stream::<RawEvent>(&effects).await.unwrap().len();
    let refused = store.append(&ledger("2"), noted(3)).await;
    assert_refused!(refused, Error::ListenersTooDeep { depth: 16, stream, .. } if stream == effects);
    assert_eq!(store.load_stream::<RawEvent>(&effects).await.unwrap().len(), before);
    assert_eq!(store.version(&ledger("2")).await.unwrap(), None);
    circle.remove();
    store.append(&ledger("2"), noted(3)).await.unwrap();
}

pub(super) async fn clause_9_1_an_append_that_is_a_repeat_or_is_refused_calls_nobody(subject: Subject) {
    let (store, log, stream) = (subject.store(), Log::default(), ledger("1"));
    let two = || [1, 2].map(|number| noted(number).with_id(Uuid::from_u128(u128::from(number))));
    store.append(&stream, two()).await.unwrap();
    subject.listen(log.ear_that("all", store.listen(), |_| fails()));
    assert!(store.append(&stream, two()).await.unwrap().repeated);
    let refused = store.append(&stream, noted(3)).await;
    assert_refused!(refused, Error::Conflict { expected: 0, actual: 2, .. });
    let taken = noted(3).with_id(Uuid::from_u128(1));
    let refused = store.append(&stream, (noted(4), taken)).expected_version(2).await;
    assert_refused!(refused, Error::DuplicateEvent { .. });
    assert!(log.all().is_empty());
    subject.holds(2).await;
    let first = store.records_after(Position::START).await.remove(0);
    assert_eq!(number(&first), 1);
    // It would fail, had it been called.
    failed(store.append(&stream, noted(3)).expected_version(2).await);
}
