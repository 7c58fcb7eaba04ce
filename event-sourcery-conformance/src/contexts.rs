//! Clauses 3.6 and 3.7: what stands in a context, and what enrichers add to it.

use std::sync::{Arc, Mutex};

use event_sourcery::{Context, ContextComponent, Error, Event as _};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ledger::{Ledgers as _, Noted, Summed, ledger, noted, notes, tenant};
use super::subject::Subject;

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Request {
    id: String,
}

impl ContextComponent for Request {
    const NAME: &'static str = "request";
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Trace {
    seen: Vec<String>,
}

impl ContextComponent for Trace {
    const NAME: &'static str = "trace";
}

fn request(id: &str) -> Request {
    Request { id: id.to_owned() }
}

pub(super) async fn clause_3_6_unknown_root_keys_of_a_context_are_kept_and_written_back(subject: Subject) {
    let (store, stream, copy) = (subject.store(), ledger("1"), ledger("2"));
    let stored = json!({
        "correlation_id": "6f9619ff-8b86-4011-b42d-00cf4fc964ff",
        "request": {"ip": "::1", "tries": [1, 2.5, null]},
        "flag": false,
        "": "an empty key",
    });
    let context: Context = serde_json::from_value(stored.clone()).unwrap();
    store.append(&stream, noted(1).with_context(context.clone())).await.unwrap();

    let read = store.load_stream::<Noted>(&stream).await.unwrap().remove(0).context;
    assert_eq!(read, context);
    assert_eq!(read.root::<bool>("flag").unwrap(), Some(false));
    assert_eq!(read.root::<String>("").unwrap().as_deref(), Some("an empty key"));
    assert_eq!(read.root::<Request>("absent").unwrap(), None);
    assert_refused!(read.root::<Request>("flag"), Error::InvalidContext { component, .. } if component == "flag");

    store.append(&copy, noted(2).with_context(read)).await.unwrap();
    let back = store.load_stream::<Noted>(&copy).await.unwrap().remove(0).context;
    assert_eq!(serde_json::to_value(back).unwrap(), stored);
}

pub(super) async fn clause_3_7_enrichers_run_on_every_event_and_keep_what_the_caller_set(subject: Subject) {
    let store = subject.store().with_enricher(|_| Some(request("made"))).unwrap();
    let stream = ledger("1");
    let own = noted(1).with_context(Context::new().with_component(&request("own")).unwrap());
    store.append(&stream, (own, noted(2))).await.unwrap();
    store.for_tenant(tenant("acme")).append(&stream, noted(3)).await.unwrap();
    subject.store().append(&stream, noted(4)).expected_version(2).await.unwrap();

    let events = store.load_stream::<Noted>(&stream).await.unwrap();
    let requests: Vec<_> = events.iter().map(|event| event.context.component::<Request>().unwrap()).collect();
    assert_eq!(requests, [Some(request("own")), Some(request("made")), None]);
    let of_acme = subject.store().for_tenant(tenant("acme")).load_stream::<Noted>(&stream).await.unwrap();
    assert_eq!(of_acme[0].context.component::<Request>().unwrap(), Some(request("made")));
}

pub(super) async fn clause_3_7_enrichers_run_in_order_and_see_the_event(subject: Subject) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noting = Arc::clone(&calls);
    let store = subject
        .store()
        .with_enricher(|_| Some(request("first")))
        .unwrap()
        .with_enricher(move |event| {
            let seen = event.context.component::<Request>().unwrap().unwrap().id;
            noting.lock().unwrap().push((
                event.event_name.to_owned(),
                event.stream_id.clone(),
                event.tenant_id.clone(),
            ));
            Some(Trace { seen: vec![seen] })
        })
        .unwrap();
    let (acme, stream) = (tenant("acme"), ledger("1"));
    store.for_tenant(acme.clone()).append(&stream, notes([1, 2])).await.unwrap();
    let event = store.for_tenant(acme.clone()).load_stream::<Noted>(&stream).await.unwrap().remove(0);
    assert_eq!(event.context.component::<Trace>().unwrap(), Some(Trace { seen: vec!["first".to_owned()] }));
    assert_eq!(*calls.lock().unwrap(), vec![("noted".to_owned(), stream, acme); 2]);
}

pub(super) async fn clause_3_7_an_enricher_sees_what_is_to_be_stored(subject: Subject) {
    let (seen, stream) = (Arc::new(Mutex::new(Vec::new())), ledger("1"));
    let seeing = Arc::clone(&seen);
    let store = subject.store().with_enricher(move |event| {
        let as_other = event.event::<Summed>().is_some();
        let facts = (event.event_id(), event.created_at(), event.payload().to_owned());
        seeing.lock().unwrap().push((event.event::<Noted>(), as_other, facts));
        event
            .event::<Noted>()
            .filter(|noted| noted.number > 1)
            .map(|noted| request(&noted.number.to_string()))
    });
    store
        .unwrap()
        .append(&stream, (notes([1, 2]), event_sourcery::RawEvent::new("other", "{}").unwrap()))
        .await
        .unwrap();

    let events = subject.store().load_stream::<event_sourcery::RawEvent>(&stream).await.unwrap();
    let requests: Vec<_> = events.iter().map(|event| event.context.component::<Request>().unwrap()).collect();
    assert_eq!(requests, [None, Some(request("2")), None]);
    let seen = seen.lock().unwrap();
    let as_noted: Vec<_> = seen.iter().map(|(noted, ..)| *noted).collect();
    assert_eq!(as_noted, [Some(noted(1)), Some(noted(2)), None]);
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    for ((_, as_other, (id, time, payload)), stored) in seen.iter().zip(&events) {
        assert!(!as_other, "{payload}");
        assert_eq!(value(payload), value(stored.event.data().get()));
        assert_eq!((*id, *time), (stored.uuid, stored.created_at));
    }
}

pub(super) async fn clause_3_7_an_enricher_can_leave_an_event_alone(subject: Subject) {
    let store = subject.store().with_enricher(|_| None::<Request>).unwrap();
    let stream = ledger("1");
    store.append(&stream, noted(1)).await.unwrap();
    assert_eq!(store.load_stream::<Noted>(&stream).await.unwrap()[0].context, Context::default());
}

pub(super) async fn clause_3_7_two_enrichers_of_one_name_are_refused(subject: Subject) {
    let store = subject.store().with_enricher(|_| Some(request("1"))).unwrap();
    assert_refused!(
        store.with_enricher(|_| Some(request("2"))),
        Error::DuplicateEnricher { name } if name == "request",
    );
}

pub(super) async fn clause_3_7_enriching_leaves_a_repeat_a_repeat(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let event = noted(1).with_id(uuid::Uuid::from_u128(1));
    store.append(&stream, event.clone()).await.unwrap();
    let enriched = store.with_enricher(|_| Some(request("again"))).unwrap();
    assert!(enriched.append(&stream, event).await.unwrap().repeated);
}

#[derive(Serialize, Deserialize, Debug)]
struct Nested {
    value: serde_json::Value,
}

impl ContextComponent for Nested {
    const NAME: &'static str = "nested";
}

pub(super) async fn clause_3_7_a_component_too_deep_to_be_read_back_is_refused(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    let holding = |depth| Context::new().with_component(&Nested { value: nested(depth) }).unwrap();
    assert_refused!(
        store.append(&stream, noted(1).with_context(holding(125))).await,
        Error::InvalidContext { .. }
    );
    subject.holds(0).await;
    store.append(&stream, noted(1).with_context(holding(124))).await.unwrap();
    assert_eq!(store.numbers(&stream).await, [1]);
}
