//! NaN and the infinities, which Python writes into JSON.

use event_sourcery::{RawEvent, StreamId};
use reference::invoicing::{Measured, paid};
use reference::{Expected, SharedDatabase as _, append, assert_names, errors_of_reading, event, with};
use serde_json::json;

use super::shared_file::SharedFile;

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap()
}

#[tokio::test]
async fn a_nan_of_pythons_is_an_invalid_event() {
    let file = SharedFile::create().await;
    let (mut python, rust) = file.both().await;
    for weight in ["nan", "inf", "-inf"] {
        python.delete(&stream());
        python.create(&stream(), &[json!({"type": "Measured", "fields": {"weight": weight}})]);
        let stored = "SELECT data FROM event_sourcery_events";
        let stored = file.texts(stored);
        assert!(stored[0].contains("NaN") || stored[0].contains("Infinity"), "{stored:?}");

        let as_raw_json = errors_of_reading::<RawEvent>(&rust, &stream()).await;
        for error in errors_of_reading::<Measured>(&rust, &stream()).await.iter().chain(&as_raw_json) {
            assert_names(error, &stream(), "invoicing.Measured", Some(1));
        }
    }
}

/// What only its event knew.
#[tokio::test]
async fn an_entry_in_pythons_outbox_gets_its_category_when_rust_deletes_the_stream() {
    let file = SharedFile::create().await;
    let (mut python, rust) = file.both().await;
    let stream = StreamId::from_name("1003").unwrap().in_category("invoices").unwrap();
    python.told(&with(append(&stream, Expected::Version(0), &[event(&paid("1"))]), "outbox", true));

    rust.delete_stream(&stream).await.unwrap();

    let kept = file.texts("SELECT json_extract(data, '$.category') FROM event_sourcery_outbox_entries");
    assert_eq!(kept, ["invoices"]);
    assert_eq!(python.publish().len(), 1);
}

/// SQLite's functions would read the NaN, and write `null` in its place.
#[tokio::test]
async fn a_nan_in_pythons_outbox_stays_when_rust_deletes_the_stream() {
    let file = SharedFile::create().await;
    let (mut python, rust) = file.both().await;
    let measured = json!({"type": "Measured", "fields": {"weight": "nan"}});
    python.told(&with(append(&stream(), Expected::Version(0), &[measured]), "outbox", true));
    let outbox = || file.texts("SELECT data FROM event_sourcery_outbox_entries ORDER BY id");
    let before = outbox();
    assert!(before[0].contains("NaN"), "{before:?}");

    rust.delete_stream(&stream()).await.unwrap();

    assert_eq!(outbox(), before);
}
