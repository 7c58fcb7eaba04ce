//! Streams made by UUID and used with their name; names that are longer than ours may be.

use event_sourcery::backend::{stored_stream_id, stored_tenant_id};
use event_sourcery::{Error, NameKind, RawEvent, StreamId};
use serde_json::json;
use uuid::Uuid;

use super::invoicing::{Paid, numbered, paid, payments, payments_in_python};
use super::process::{Expected, append, event, with};
use super::shared_file::shared;

const NAME: &str = "invoices/1003";

fn by_name() -> StreamId {
    StreamId::from_name(NAME).unwrap()
}

fn by_uuid() -> StreamId {
    StreamId::from_uuid(by_name().uuid())
}

#[tokio::test]
async fn a_stream_that_rust_made_by_uuid_gets_its_name_when_it_is_used_with_it() {
    let (_file, mut python, rust) = shared().await;
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

#[tokio::test]
async fn a_stream_that_python_made_by_uuid_gets_its_name_when_rust_uses_it_with_it() {
    let (_file, mut python, rust) = shared().await;
    python.create(&by_uuid(), &[event(&paid("1"))]);
    assert_eq!(payments(&rust.load_stream(&by_name()).await.unwrap()), numbered(1..=1));

    rust.append(&by_name(), paid("2")).expected_version(1).await.unwrap();

    python.append(&by_name(), Expected::Version(2), &[event(&paid("3"))]).unwrap();
    assert_eq!(payments_in_python(&python.load(&by_name())), numbered(1..=3));
}

#[tokio::test]
async fn a_name_that_rust_gave_stays_when_the_stream_is_used_by_uuid() {
    let (_file, mut python, rust) = shared().await;
    rust.append(&by_name(), paid("1")).await.unwrap();

    rust.append(&by_uuid(), paid("2")).expected_version(1).await.unwrap();
    python.append(&by_uuid(), Expected::Version(2), &[event(&paid("3"))]).unwrap();

    assert_eq!(payments_in_python(&python.load(&by_name())), numbered(1..=3));
}

#[tokio::test]
async fn a_name_that_another_uuid_has_is_refused_by_both() {
    let (file, mut python, rust) = shared().await;
    let holder = Uuid::from_u128(7);
    python.create(&StreamId::from_uuid(holder), &[event(&paid("1"))]);
    file.run(&format!("UPDATE event_sourcery_streams SET name = '{NAME}'"));

    let refused = rust.append(&by_name(), paid("?")).await;

    assert!(
        matches!(refused, Err(Error::StreamNameTaken { holder: found, .. }) if found == holder),
        "{refused:?}"
    );
    let refused = python.append(&by_name(), Expected::Version(0), &[event(&paid("?"))]).unwrap_err();
    assert_eq!(refused.error, "IncompatibleUuidAndName", "the reference finds out when it reads the row");
}

/// SQLite does not hold Python to 255 characters.
#[tokio::test]
async fn names_longer_than_ours_may_be_are_read() {
    let (_file, mut python, rust) = shared().await;
    let (name, category, tenant) = ("n".repeat(300), "ü".repeat(600), "t".repeat(300));
    assert!(StreamId::from_name(&name).is_err());
    let long = stored_stream_id(uuid_of(&name), Some(&name), &category);
    python.told(&with(append(&long, Expected::Version(0), &[event(&paid("1"))]), "tenant", tenant.as_str()));

    let tenants = rust.for_tenant(stored_tenant_id(&tenant));
    assert_eq!(payments(&tenants.load_stream(&long).await.unwrap()), numbered(1..=1));
    let mut all = rust.read_all::<Paid>().stream();
    let recorded = all.try_next().await.unwrap().unwrap();
    assert_eq!(recorded.stream_id, long);
    assert_eq!(recorded.stream_id.name(), Some(name.as_str()));
    assert_eq!(recorded.tenant_id.as_str(), tenant);

    // What was read can be worked on.
    tenants.append(&recorded.stream_id, paid("2")).expected_version(1).await.unwrap();
    let load = json!({"do": "load", "stream": {"name": name, "category": category}, "tenant": tenant});
    assert_eq!(payments_in_python(&python.loaded(&load)), numbered(1..=2));
}

#[tokio::test]
async fn an_event_name_longer_than_ours_may_be_is_read() {
    let (file, mut python, rust) = shared().await;
    let long = format!("some.module.{}", "N".repeat(300));
    python.create(&by_name(), &[event(&paid("1"))]);
    file.run(&format!("UPDATE event_sourcery_events SET name = '{long}'"));

    let events = rust.load_stream::<RawEvent>(&by_name()).await.unwrap();

    assert_eq!(events[0].event.name(), long);
    let again = rust.append(&by_name(), events[0].event.clone()).expected_version(1).await;
    assert!(matches!(again, Err(Error::InvalidName { kind: NameKind::EventName, .. })), "{again:?}");
}

/// The UUID that a name stands for, however long the name is.
fn uuid_of(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::from_u128(0x3a24a3ee_d33d_4266_93ab_7d8e256a6d44), name.as_bytes())
}
