//! The seed's page as a program.

use event_sourcery::{EventStore, RawEvent, StreamId};
use event_sourcery_sqlite::SqliteBackend;
use tempfile::tempdir;

use super::{printed, run};

const NOTHING: [&str; 0] = [];

#[test]
fn every_refusal_of_the_page_is_seen_to_happen() {
    let folder = tempdir().unwrap();
    let text = printed(&run("invoices", folder.path(), NOTHING));
    for expected in [
        "Events in invoices/1003 so far: 0",
        "version 1: InvoicePaid { invoice_number: \"1003\" }",
        "creates invoices/1111 at version 1",
        "Conflict: the stream invoices/1111 is at version 1, but the append expected that it does not exist",
        "expecting version 1: appended as version 2",
        "wins: appended as version 3",
        "Conflict: the stream invoices/1111 is at version 3, but the append expected version 2",
        "invoices/123 holds 2 events, 0 of them with a version",
        "ExpectedVersionUsedOnVersionlessStream: the stream invoices/123",
        "NoExpectedVersionGivenOnVersionedStream: the stream invoices/1111",
        "invoices/draft had no version",
        "created anew, it is at version 1",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing in:\n{text}");
    }
    assert_eq!(text.matches("wins").count(), 1, "{text}");
}

#[tokio::test]
async fn a_second_run_goes_on_with_what_is_there() {
    let folder = tempdir().unwrap();
    printed(&run("invoices", folder.path(), NOTHING));
    let text = printed(&run("invoices", folder.path(), NOTHING));
    for expected in [
        "Events in invoices/1003 so far: 1",
        "version 2: InvoicePaid { invoice_number: \"1003\" }",
        "Conflict: the stream invoices/1111 is at version 3, but the append expected that it does not exist",
        "expecting version 3: appended as version 4",
        "invoices/123 holds 4 events",
        "created anew, it is at version 1",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing in:\n{text}");
    }

    let store = EventStore::new(SqliteBackend::open(folder.path().join("invoices.db")).await.unwrap());
    for (name, events) in
        [("invoices/1003", 2), ("invoices/1111", 5), ("invoices/123", 4), ("invoices/draft", 1)]
    {
        let stream = StreamId::from_name(name).unwrap();
        assert_eq!(store.load_stream::<RawEvent>(&stream).await.unwrap().len(), events, "{name}");
    }
}
