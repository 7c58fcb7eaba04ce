//! A store that Python made, opened by Rust for the first time.

use event_sourcery::{Error, RawEvent, StreamId};
use serde_json::json;

use crate::invoicing::{numbered, paid, payments};
use crate::run::Database;
use crate::{Expected, Python, append, event, payments_in_python, place, with};

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap()
}

/// Something in every table, from several tenants, with holes between the positions.
pub fn fill(python: &mut Python) {
    let events = [event(&paid("1")), event(&paid("2"))];
    let (unnamed, audit) = (StreamId::random(), StreamId::random().in_category("audit").unwrap());
    python.create(&unnamed, &events);
    python.told(&with(append(&stream(), Expected::Version(0), &events), "outbox", true));
    python.append(&audit, Expected::NoVersioning, &events).unwrap();
    python.told(&with(append(&stream(), Expected::Version(0), &events), "tenant", "acme"));
    python.snapshot(&unnamed, 2, &json!({"type": "Summary", "fields": {"payments": 2}}));
    python
        .told(&json!({"do": "put_cursor", "stream": place(&stream()), "projector": "revenue", "version": 1}));
}

pub(super) async fn adopting_a_store_changes_no_row(database: Database) {
    let mut python = database.made_by_python();
    fill(&mut python);
    let before = database.rows();
    assert!(before.len() == 5 && before.values().all(|rows| !rows.is_empty()), "{before:?}");

    database.rust().await;

    assert_eq!(database.rows(), before);
}

pub(super) async fn adoption_happens_once(database: Database) {
    let mut python = database.made_by_python();
    fill(&mut python);
    database.rust().await;
    let (adopted, content) = (database.schema(), database.rows());

    database.rust().await;
    python.create_all();
    database.rust().await;

    assert_eq!(database.schema(), adopted);
    assert_eq!(database.rows(), content);
}

pub(super) async fn python_goes_on_with_the_connection_it_had_when_the_store_was_adopted(database: Database) {
    let mut python = database.made_by_python();
    python.create(&stream(), &[event(&paid("1"))]);

    let rust = database.rust().await;

    python.append(&stream(), Expected::Version(1), &[event(&paid("2"))]).unwrap();
    assert_eq!(payments_in_python(&python.load(&stream())), numbered(1..=2));
    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=2));
    let deleted = StreamId::random();
    python.create(&deleted, &[event(&paid("1"))]);
    python.delete(&deleted);
    assert!(python.load(&deleted).is_empty());
    assert!(rust.load_stream::<RawEvent>(&deleted).await.unwrap().is_empty());
    python.snapshot(&stream(), 2, &json!({"type": "Summary", "fields": {"payments": 2}}));
    assert_eq!(python.load(&stream())[0].class, "Summary");
}

pub(super) async fn nothing_is_lost_that_python_writes_while_the_store_is_adopted(database: Database) {
    let mut python = database.made_by_python();
    let appends = 60;
    for expected in 0..appends {
        python.send(&append(
            &stream(),
            Expected::Version(expected),
            &[event(&paid((expected + 1).to_string()))],
        ));
    }
    python.answer().unwrap();

    let rust = database.rust().await;

    for _ in 1..appends {
        python.answer().unwrap();
    }
    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=appends));
}

pub(super) async fn positions_go_on_above_those_that_the_outbox_has_promised(database: Database) {
    let mut python = database.made_by_python();
    let deleted = StreamId::from_name("deleted").unwrap();
    python.create(&stream(), &[event(&paid("1"))]);
    python.told(&with(
        append(&deleted, Expected::Version(0), &[event(&paid("1")), event(&paid("2"))]),
        "outbox",
        true,
    ));
    python.delete(&deleted);
    let promised = database.number("SELECT max(position) FROM event_sourcery_outbox_entries").unwrap();
    assert!(python.position().to_i64() < promised, "the reference would give the position again");

    let rust = database.rust().await;

    let appended = rust.append(&StreamId::random(), paid("3")).await.unwrap();
    assert_eq!(appended.position.to_i64(), promised + 1);
}

pub(super) async fn a_store_that_is_not_to_be_migrated_is_refused_and_left_alone(database: Database) {
    let mut python = database.made_by_python();
    fill(&mut python);
    let before = database.schema();

    let refused = database.open(false).await;

    assert!(matches!(refused, Err(Error::MigrationNeeded { .. })), "{refused:?}");
    assert_eq!(database.schema(), before);
}
