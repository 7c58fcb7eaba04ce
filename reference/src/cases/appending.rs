//! One language appends to the other's streams.

use event_sourcery::{Error, Position, StreamId};
use serde_json::json;

use crate::invoicing::{Invoice, Paid, Voided, issued, numbered, paid, payments};
use crate::run::Database;
use crate::{Expected, event, payments_in_python};

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap().in_category("invoices").unwrap()
}

pub(super) async fn rust_appends_to_pythons_stream_with_the_right_version_only(database: Database) {
    let (mut python, rust) = database.both().await;
    python.create(&stream(), &[event(&paid("1")), event(&paid("2"))]);

    for wrong in [None, Some(1), Some(3)] {
        let refused = rust.append(&stream(), paid("?")).expected_version(wrong).await;
        let wrong = wrong.unwrap_or(0);
        assert!(
            matches!(&refused, Err(Error::Conflict { expected, actual: 2, .. }) if *expected == wrong),
            "{refused:?}"
        );
    }
    let appended = rust.append(&stream(), [paid("3"), paid("4")]).expected_version(2).await.unwrap();

    assert_eq!((appended.first_version, appended.last_version), (Some(3), Some(4)));
    assert_eq!(payments_in_python(&python.load(&stream())), numbered(1..=4));
}

pub(super) async fn python_appends_to_rusts_stream_with_the_right_version_only(database: Database) {
    let (mut python, rust) = database.both().await;
    rust.append(&stream(), [paid("1"), paid("2")]).await.unwrap();

    for wrong in [1, 3] {
        let refused = python.append(&stream(), Expected::Version(wrong), &[event(&paid("?"))]).unwrap_err();
        assert_eq!(refused.error, "ConcurrentStreamWriteError", "{}", refused.message);
    }
    let refused = python.append(&stream(), Expected::Version(0), &[event(&paid("?"))]).unwrap_err();
    assert_eq!(refused.error, "IntegrityError", "the reference lets the database's error out");
    python.append(&stream(), Expected::Version(2), &[event(&paid("3"))]).unwrap();

    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=3));
}

pub(super) async fn a_stream_that_both_append_to_in_turn_stays_in_order(database: Database) {
    let (mut python, rust) = database.both().await;

    for version in 0..20 {
        let next = paid((version + 1).to_string());
        if version % 2 == 0 {
            python.append(&stream(), Expected::Version(version), &[event(&next)]).unwrap();
        } else {
            rust.append(&stream(), next).expected_version(version).await.unwrap();
        }
    }

    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=20));
    assert_eq!(payments_in_python(&python.load(&stream())), numbered(1..=20));
    assert_eq!(database.row_version(&stream()), Some(20));
}

pub(super) async fn payloads_of_rusts_become_pythons_types(database: Database) {
    let (mut python, rust) = database.both().await;
    let events: [Invoice; 3] = [issued().into(), paid("2025/1003").into(), Voided.into()];

    let appended = rust.append(&stream(), events).await.unwrap();

    let loaded = python.load(&stream());
    let classes: Vec<_> = loaded.iter().map(|event| event.class.as_str()).collect();
    assert_eq!(classes, ["Issued", "Paid", "Voided"]);
    assert_eq!(loaded[0].fields, serde_json::to_value(issued()).unwrap());
    assert_eq!(loaded[2].fields, json!({}));
    assert_eq!(appended.position.to_i64(), python.position().to_i64());
}

pub(super) async fn python_subscribes_to_what_rust_appends(database: Database) {
    let (mut python, rust) = database.both().await;
    let other = StreamId::random();
    rust.append(&stream(), paid("1")).await.unwrap();
    rust.append(&other, paid("2")).no_versioning().await.unwrap();
    rust.append(&stream(), paid("3")).expected_version(1).await.unwrap();

    let records = python.subscribe(Position::START, 3);

    let fields: Vec<_> = records.iter().map(|record| record.event.fields["number"].clone()).collect();
    assert_eq!(fields, ["1", "2", "3"]);
    let places: Vec<_> = records.iter().map(|record| (record.stream, record.position.to_i64())).collect();
    assert_eq!(places, [(stream().uuid(), 1), (other.uuid(), 2), (stream().uuid(), 3)]);
    assert_eq!(records[0].name.as_deref(), stream().name());
    assert_eq!(records[0].category.as_deref(), Some("invoices"));
    assert_eq!((&records[1].name, &records[1].category), (&None, &None));
    assert_eq!(
        records.iter().map(|record| record.event.version).collect::<Vec<_>>(),
        [Some(1), None, Some(2)]
    );
    assert_eq!(python.subscribe(records[1].position, 1), records[2..]);
}

pub(super) async fn a_stream_is_unversioned_for_both(database: Database) {
    let (mut python, rust) = database.both().await;
    let (theirs, ours) = (StreamId::from_name("theirs").unwrap(), StreamId::from_name("ours").unwrap());
    python.append(&theirs, Expected::NoVersioning, &[event(&paid("1"))]).unwrap();
    rust.append(&ours, paid("1")).no_versioning().await.unwrap();

    for stream in [&theirs, &ours] {
        let refused = rust.append(stream, paid("?")).expected_version(1).await;
        assert!(matches!(refused, Err(Error::ExpectedVersionUsedOnVersionlessStream { .. })), "{refused:?}");
        let refused = python.append(stream, Expected::Version(1), &[event(&paid("?"))]).unwrap_err();
        assert_eq!(refused.error, "ExpectedVersionUsedOnVersionlessStream");

        rust.append(stream, paid("2")).no_versioning().await.unwrap();
        python.append(stream, Expected::NoVersioning, &[event(&paid("3"))]).unwrap();

        let read = payments(&rust.load_stream::<Paid>(stream).await.unwrap());
        assert_eq!(read, ["1", "2", "3"].map(|number| (number.to_owned(), None)));
        assert_eq!(python.load(stream).len(), 3);
    }
}

pub(super) async fn a_stream_is_versioned_for_both(database: Database) {
    let (mut python, rust) = database.both().await;
    let (theirs, ours) = (StreamId::from_name("theirs").unwrap(), StreamId::from_name("ours").unwrap());
    python.create(&theirs, &[event(&paid("1"))]);
    rust.append(&ours, paid("1")).await.unwrap();

    for stream in [&theirs, &ours] {
        let refused = rust.append(stream, paid("?")).no_versioning().await;
        assert!(matches!(refused, Err(Error::NoExpectedVersionGivenOnVersionedStream { .. })), "{refused:?}");
        let refused = python.append(stream, Expected::NoVersioning, &[event(&paid("?"))]).unwrap_err();
        assert_eq!(refused.error, "NoExpectedVersionGivenOnVersionedStream");
        assert_eq!(payments(&rust.load_stream(stream).await.unwrap()), numbered(1..=1));
    }
}

pub(super) async fn an_event_of_pythons_that_rust_appends_again_is_recognised(database: Database) {
    let (mut python, rust) = database.both().await;
    python.create(&stream(), &[event(&issued()), event(&paid("2"))]);
    let read = rust.load_stream::<Invoice>(&stream()).await.unwrap();
    let again = |number: usize| {
        use event_sourcery::Event as _;
        read[number].event.clone().with_id(read[number].uuid)
    };

    let repeated = rust.append(&stream(), [again(0), again(1)]).await.unwrap();

    assert!(repeated.repeated);
    assert_eq!((repeated.first_version, repeated.last_version), (Some(1), Some(2)));
    let reordered = rust.append(&stream(), [again(1), again(0)]).await;
    assert!(matches!(reordered, Err(Error::DuplicateEvent { .. })), "{reordered:?}");
}

pub(super) async fn an_event_type_that_only_rust_has_is_a_key_error_in_python_and_hurts_no_other_stream(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    let other = StreamId::random();
    rust.append(&stream(), event_sourcery::RawEvent::new("invoicing.New", "{}").unwrap()).await.unwrap();
    rust.append(&other, paid("1")).await.unwrap();

    let load = json!({"do": "load", "stream": {"name": "invoices/1003", "category": "invoices"}});

    assert_eq!(python.ask(&load).unwrap_err().error, "KeyError");
    assert_eq!(payments_in_python(&python.load(&other)), numbered(1..=1));
    python.append(&stream(), Expected::Version(1), &[event(&paid("2"))]).unwrap();
}
