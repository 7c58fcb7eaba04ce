//! Clauses 12.1 and 12.3: types that change while what was stored stays.

use event_sourcery::{Event, RawEvent};
use serde::{Deserialize, Serialize};

use super::ledger::{Ledgers as _, ledger};
use super::subject::Subject;

/// As it was at first, in another module.
mod first {
    use serde::{Deserialize, Serialize};

    use event_sourcery::Event;

    #[derive(Event, Serialize, Deserialize)]
    pub(super) struct Paid {
        pub(super) amount: u64,
        pub(super) till: u8,
    }
}

/// As it is now: renamed, a field more, a field less.
#[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
#[event(name = "invoicing.Paid", alias = "Paid", alias = "PaidInFull")]
struct InvoicePaid {
    amount: u64,
    #[serde(default = "euro")]
    currency: String,
}

fn euro() -> String {
    "EUR".to_owned()
}

fn paid(amount: u64, currency: &str) -> InvoicePaid {
    InvoicePaid { amount, currency: currency.to_owned() }
}

pub(super) async fn clause_12_1_a_name_is_part_of_the_type_and_not_of_its_module(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, first::Paid { amount: 7, till: 3 }).await.unwrap();
    assert_eq!(store.load_stream::<RawEvent>(&stream).await.unwrap()[0].event.name(), "Paid");
}

pub(super) async fn clause_12_1_former_names_are_read_as_aliases(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let in_full = RawEvent::new("PaidInFull", r#"{"amount":8}"#).unwrap();
    let last =
        store.append(&stream, (first::Paid { amount: 7, till: 3 }, in_full, paid(9, "CHF"))).await.unwrap();
    let events = store.load_stream::<InvoicePaid>(&stream).await.unwrap();
    let expected = [paid(7, "EUR"), paid(8, "EUR"), paid(9, "CHF")];
    assert!(events.iter().map(|event| &event.event).eq(&expected), "{events:?}");

    store.settled(last.position).await;
    let mut across = store.read_all::<InvoicePaid>().stream();
    for expected in expected {
        assert_eq!(across.try_next().await.unwrap().unwrap().wrapped_event.event, expected);
    }
    // New events get the new name.
    let names: Vec<_> = store
        .load_stream::<RawEvent>(&stream)
        .await
        .unwrap()
        .iter()
        .map(|event| event.event.name().to_owned())
        .collect();
    assert_eq!(names, ["Paid", "PaidInFull", "invoicing.Paid"]);
}

pub(super) async fn clause_12_1_a_snapshot_under_a_former_name_is_found(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, [paid(1, "EUR"), paid(2, "EUR")]).await.unwrap();
    store.save_snapshot(&stream, 2, RawEvent::new("Paid", r#"{"amount":3}"#).unwrap()).await.unwrap();
    let events = store.load_stream::<InvoicePaid>(&stream).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event, paid(3, "EUR"));
}

pub(super) async fn clause_12_3_a_field_with_a_default_reads_old_events(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let old = RawEvent::new("invoicing.Paid", r#"{"amount":7}"#).unwrap();
    store.append(&stream, old).await.unwrap();
    assert_eq!(store.load_stream::<InvoicePaid>(&stream).await.unwrap()[0].event, paid(7, "EUR"));
}

pub(super) async fn clause_12_3_an_unknown_field_in_old_events_is_ignored(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let text = r#"{"till":{"number":[1,{"amount":666}]},"amount":7,"currency":"CHF","x":null}"#;
    store.append(&stream, RawEvent::new("invoicing.Paid", text).unwrap()).await.unwrap();
    assert_eq!(store.load_stream::<InvoicePaid>(&stream).await.unwrap()[0].event, paid(7, "CHF"));
    // What was not read is still there.
    let raw = store.load_stream::<RawEvent>(&stream).await.unwrap().remove(0).event;
    assert_eq!(raw, RawEvent::new("invoicing.Paid", text).unwrap());
}
