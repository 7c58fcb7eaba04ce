//! One language publishes what the other has put into the outbox.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use event_sourcery::{EventStore, RawEvent, Recorded, StreamId, TenantId, Version};

use crate::invoicing::paid;
use crate::run::Database;
use crate::{Expected, Python, append, event, with};

/// A publisher that notes what it is handed.
#[derive(Default)]
struct Noting(Mutex<Vec<Recorded<RawEvent>>>);

impl Noting {
    fn records(&self) -> Vec<Recorded<RawEvent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn versions(&self) -> Vec<Option<Version>> {
        self.records().iter().map(|record| record.wrapped_event.version).collect()
    }
}

impl Publisher for Noting {
    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.extend(entries.iter().map(|entry| entry.recorded().clone()));
        Box::pin(std::future::ready(entries.iter().map(|_| Ok(())).collect()))
    }
}

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap().in_category("invoices").unwrap()
}

fn python_appends(python: &mut Python, expected: Expected, numbers: &[&str]) {
    let events: Vec<_> = numbers.iter().map(|number| event(&paid(*number))).collect();
    python.told(&with(append(&stream(), expected, &events), "outbox", true));
}

fn left(database: &Database) -> Option<i64> {
    database.number("SELECT count(*) FROM event_sourcery_outbox_entries")
}

async fn publish(rust: &EventStore) -> Noting {
    let noting = Noting::default();
    // What was appended last may not be settled yet.
    let position = async || rust.position().await.unwrap();
    let (mut before, mut settled) = (None, position().await);
    while before != Some(settled) {
        rust.outbox().run(&noting).await.unwrap();
        (before, settled) = (Some(settled), position().await);
    }
    noting
}

pub(super) async fn python_publishes_what_rust_has_put_into_the_outbox(database: Database) {
    let (mut python, rust) = database.both().await;
    let rust = rust.with_outbox(|event| event.event_name != "ignored").unwrap();
    let acme = rust.for_tenant(TenantId::new("acme").unwrap());
    acme.append(&stream(), (paid("1"), RawEvent::new("ignored", "{}").unwrap(), paid("2"))).await.unwrap();
    rust.append(&StreamId::random(), paid("3")).no_versioning().await.unwrap();

    let published = python.publish();

    let told: Vec<_> =
        published.iter().map(|one| (&*one.tenant, one.event.version, one.name.as_deref())).collect();
    assert_eq!(
        told,
        [("acme", Some(1), stream().name()), ("acme", Some(3), stream().name()), ("", None, None)]
    );
    let numbers: Vec<_> = published.iter().map(|one| one.event.fields["number"].as_str()).collect();
    assert_eq!(numbers, [Some("1"), Some("2"), Some("3")]);
    let events = acme.load_stream::<RawEvent>(&stream()).await.unwrap();
    assert_eq!(published[0].event.uuid, events[0].uuid);
    let created_at = events[0].created_at.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string();
    assert_eq!(published[0].event.created_at, created_at);
    assert_eq!(left(&database), Some(0));
    assert!(publish(&rust).await.records().is_empty(), "nothing is left for us");
}

pub(super) async fn rust_publishes_what_python_has_put_into_the_outbox(database: Database) {
    let (mut python, rust) = database.both().await;
    python_appends(&mut python, Expected::Version(0), &["1", "2"]);
    let expected = rust.load_stream::<RawEvent>(&stream()).await.unwrap();

    let published = publish(&rust).await.records();

    let events: Vec<_> = published.iter().map(|record| record.wrapped_event.clone()).collect();
    assert_eq!(events, expected);
    for record in &published {
        assert_eq!((&record.stream_id, record.stream_id.name()), (&stream(), stream().name()));
        assert_eq!(record.stream_id.category(), stream().category(), "its event tells it");
    }
    assert_eq!(left(&database), Some(0));
    assert!(python.publish().is_empty());

    python_appends(&mut python, Expected::Version(2), &["3"]);
    rust.delete_stream(&stream()).await.unwrap();
    let published = publish(&rust).await.records();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].stream_id.category(), stream().category(), "though its event is gone");
}

pub(super) async fn rust_publishes_in_the_order_of_a_stream_that_both_append_to(database: Database) {
    let (mut python, rust) = database.both().await;
    let rust = rust.with_outbox(|_| true).unwrap();
    for version in (0..6).step_by(2) {
        python_appends(&mut python, Expected::Version(version), &["python"]);
        rust.append(&stream(), paid("rust")).expected_version(version + 1).await.unwrap();
    }
    assert_eq!(publish(&rust).await.versions(), (1..=6).map(Some).collect::<Vec<_>>());
    assert_eq!(left(&database), Some(0));
}

pub(super) async fn rust_publishes_what_python_has_given_up(database: Database) {
    let (mut python, rust) = database.both().await;
    python_appends(&mut python, Expected::Version(0), &["1"]);
    database.run("UPDATE event_sourcery_outbox_entries SET tries_left = 0");
    assert!(python.publish().is_empty());
    assert_eq!(publish(&rust).await.versions(), [Some(1)]);
}

pub(super) async fn what_rust_keeps_after_it_was_published_python_does_not_publish(database: Database) {
    let (mut python, rust) = database.both().await;
    let rust = rust.with_outbox(|_| true).unwrap();
    rust.append(&stream(), paid("1")).await.unwrap();
    while left(&database)
        == database.number("SELECT count(*) FROM event_sourcery_outbox_entries WHERE tries_left > 0")
    {
        rust.outbox().keep_published(Duration::from_secs(3_600)).run(Noting::default()).await.unwrap();
    }
    assert_eq!(left(&database), Some(1));
    assert!(python.publish().is_empty());
    assert!(publish(&rust).await.records().is_empty());
}
