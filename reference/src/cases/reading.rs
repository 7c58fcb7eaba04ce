//! Python writes, Rust reads.

use event_sourcery::{Error, RawEvent, StreamId};
use serde_json::json;

use crate::invoicing::{Invoice, Paid, Voided, issued, numbered, paid, payments};
use crate::run::Database;
use crate::{Expected, event};

pub(super) async fn streams_are_found_by_name_by_uuid_and_in_their_category(database: Database) {
    let (mut python, rust) = database.both().await;
    let named = StreamId::from_name("invoices/1003 – Käse 🧀").unwrap();
    let unnamed = StreamId::random();
    let categorised = named.clone().in_category("invoices").unwrap();
    for (number, stream) in [&named, &unnamed, &categorised].into_iter().enumerate() {
        python.create(stream, &[event(&paid(number.to_string()))]);
    }

    for (number, stream) in [&named, &unnamed, &categorised].into_iter().enumerate() {
        let expected = [(number.to_string(), Some(1))];
        let by_uuid = StreamId::from_uuid(stream.uuid()).in_category(stream.stored_category()).unwrap();
        assert_eq!(payments(&rust.load_stream(stream).await.unwrap()), expected);
        assert_eq!(payments(&rust.load_stream(&by_uuid).await.unwrap()), expected);
    }
    let elsewhere = unnamed.in_category("invoices").unwrap();
    assert!(rust.load_stream::<Paid>(&elsewhere).await.unwrap().is_empty());
}

pub(super) async fn payloads_come_back_with_what_python_meant_by_them(database: Database) {
    let (mut python, rust) = database.both().await;
    let stream = StreamId::random();
    let full = json!({
        "type": "Issued",
        "fields": {
            "number": "2025/1003",
            "amount": "1234567890.10",
            "due": "2025-03-31",
            "customer": "5ca1ab1e-0000-4000-8000-00000000cafe",
            "lines": [{"text": "Käse – 3 × 🧀", "quantity": 3}, {"text": "\"quoted\"\n\t\\", "quantity": -1}],
        },
    });

    python.create(
        &stream,
        &[full, json!({"type": "Paid", "fields": {"number": "2025/1003"}}), json!({"type": "Voided"})],
    );

    let events = rust.load_stream::<Invoice>(&stream).await.unwrap();
    let events: Vec<_> = events.into_iter().map(|event| event.event).collect();
    assert_eq!(events, [issued().into(), paid("2025/1003").into(), Voided.into()]);
}

pub(super) async fn an_event_without_a_name_of_its_own_is_stored_under_its_module_and_class(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    let stream = StreamId::random();

    python.create(&stream, &[json!({"type": "Voided"})]);

    let events = rust.load_stream::<RawEvent>(&stream).await.unwrap();
    assert_eq!(events[0].event, RawEvent::new("invoicing.Voided", "{}").unwrap());
}

pub(super) async fn ids_and_versions_are_those_that_python_gave(database: Database) {
    let (mut python, rust) = database.both().await;
    let stream = StreamId::from_name("invoices/1003").unwrap();
    python.create(&stream, &[event(&paid("1")), event(&paid("2"))]);
    python.append(&stream, Expected::Version(2), &[event(&paid("3"))]).unwrap();

    let (theirs, ours) = (python.load(&stream), rust.load_stream::<Paid>(&stream).await.unwrap());

    assert_eq!(payments(&ours), numbered(1..=3));
    let ids = |uuid: uuid::Uuid, version| (uuid, version);
    let theirs: Vec<_> = theirs.iter().map(|event| ids(event.uuid, event.version)).collect();
    let ours: Vec<_> = ours.iter().map(|event| ids(event.uuid, event.version)).collect();
    assert_eq!(ours, theirs);
}

pub(super) async fn a_range_of_versions_of_a_stream_of_pythons_is_read(database: Database) {
    let (mut python, rust) = database.both().await;
    let stream = StreamId::from_name("invoices/1003").unwrap();
    let events: Vec<_> = (1..=5).map(|number: u32| event(&paid(number.to_string()))).collect();
    python.create(&stream, &events);

    let some = rust.load_stream::<Paid>(&stream).versions(2..4).await.unwrap();

    assert_eq!(payments(&some), numbered(2..4));
}

pub(super) async fn a_stream_without_versions_is_read_in_the_order_it_was_written(database: Database) {
    let (mut python, rust) = database.both().await;
    let stream = StreamId::from_name("audit").unwrap();
    for number in ["1", "2", "3"] {
        python.append(&stream, Expected::NoVersioning, &[event(&paid(number))]).unwrap();
    }
    // The reference may well have read them in another order: it sorts by the version that they lack.
    assert_eq!(database.row_version(&stream), None);

    let events = rust.load_stream::<Paid>(&stream).await.unwrap();

    assert_eq!(payments(&events), ["1", "2", "3"].map(|number| (number.to_owned(), None)));
    let ranged = rust.load_stream::<Paid>(&stream).versions(1..).await;
    assert!(matches!(ranged, Err(Error::VersionRangeOnVersionlessStream { .. })), "{ranged:?}");
}

pub(super) async fn everything_is_read_in_position_order_across_streams(database: Database) {
    let (mut python, rust) = database.both().await;
    let (first, second) =
        (StreamId::random(), StreamId::from_name("second").unwrap().in_category("invoices").unwrap());
    python.create(&first, &[event(&paid("1"))]);
    python.create(&second, &[event(&paid("2"))]);
    python.append(&first, Expected::Version(1), &[event(&paid("3"))]).unwrap();

    let (mut all, mut read) = (rust.read_all::<Paid>().stream(), Vec::new());
    while let Some(recorded) = all.try_next().await.unwrap() {
        read.push((recorded.position.to_i64(), recorded.stream_id, recorded.wrapped_event.event.number));
    }

    let expected = [(1, &first, "1"), (2, &second, "2"), (3, &first, "3")];
    assert_eq!(
        read,
        expected.map(|(position, stream, number)| (position, stream.clone(), number.to_owned()))
    );
    assert_eq!(rust.position().await.unwrap(), python.position());
}
