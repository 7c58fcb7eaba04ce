//! Streams made by UUID and used with their name.

use event_sourcery::{Error, StreamId};
use uuid::Uuid;

use crate::invoicing::{numbered, paid, payments};
use crate::run::Database;
use crate::{Expected, event, payments_in_python};

const NAME: &str = "invoices/1003";

fn by_name() -> StreamId {
    StreamId::from_name(NAME).unwrap()
}

fn by_uuid() -> StreamId {
    StreamId::from_uuid(by_name().uuid())
}

pub(super) async fn a_stream_that_rust_made_by_uuid_gets_its_name_when_it_is_used_with_it(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    rust.append(&by_uuid(), paid("1")).await.unwrap();
    assert!(python.load(&by_name()).is_empty(), "the reference does not find it by name");
    let refused = python.append(&by_name(), Expected::Version(1), &[event(&paid("?"))]).unwrap_err();
    assert_eq!(refused.error, "IndexError", "the reference can not even be refused properly");

    rust.append(&by_name(), paid("2")).expected_version(1).await.unwrap();

    assert_eq!(payments_in_python(&python.load(&by_name())), numbered(1..=2));
    python.append(&by_name(), Expected::Version(2), &[event(&paid("3"))]).unwrap();
    python.append(&by_uuid(), Expected::Version(3), &[event(&paid("4"))]).unwrap();
    assert_eq!(payments(&rust.load_stream(&by_uuid()).await.unwrap()), numbered(1..=4));
}

pub(super) async fn a_stream_that_python_made_by_uuid_gets_its_name_when_rust_uses_it_with_it(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    python.create(&by_uuid(), &[event(&paid("1"))]);
    assert_eq!(payments(&rust.load_stream(&by_name()).await.unwrap()), numbered(1..=1));

    rust.append(&by_name(), paid("2")).expected_version(1).await.unwrap();

    python.append(&by_name(), Expected::Version(2), &[event(&paid("3"))]).unwrap();
    assert_eq!(payments_in_python(&python.load(&by_name())), numbered(1..=3));
}

pub(super) async fn a_name_that_rust_gave_stays_when_the_stream_is_used_by_uuid(database: Database) {
    let (mut python, rust) = database.both().await;
    rust.append(&by_name(), paid("1")).await.unwrap();

    rust.append(&by_uuid(), paid("2")).expected_version(1).await.unwrap();
    python.append(&by_uuid(), Expected::Version(2), &[event(&paid("3"))]).unwrap();

    assert_eq!(payments_in_python(&python.load(&by_name())), numbered(1..=3));
}

pub(super) async fn a_name_that_another_uuid_has_is_refused_by_both(database: Database) {
    let (mut python, rust) = database.both().await;
    let holder = Uuid::from_u128(7);
    python.create(&StreamId::from_uuid(holder), &[event(&paid("1"))]);
    database.run(&format!("UPDATE event_sourcery_streams SET name = '{NAME}'"));

    let refused = rust.append(&by_name(), paid("?")).await;

    assert!(
        matches!(refused, Err(Error::StreamNameTaken { holder: found, .. }) if found == holder),
        "{refused:?}"
    );
    let refused = python.append(&by_name(), Expected::Version(0), &[event(&paid("?"))]).unwrap_err();
    assert_eq!(refused.error, "IncompatibleUuidAndName", "the reference finds out when it reads the row");
}
