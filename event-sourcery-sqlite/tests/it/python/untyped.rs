//! Columns that hold what they were not declared for.

use event_sourcery::{Error, RawEvent, StreamId};
use reference::invoicing::{Paid, paid};
use reference::{SharedDatabase as _, errors_of_reading, event};

use super::shared_file::SharedFile;

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap()
}

#[tokio::test]
async fn a_name_or_a_version_that_cannot_be_read_is_an_error() {
    let file = SharedFile::create().await;
    let (mut python, rust) = file.both().await;
    python.create(&stream(), &[event(&paid("1")), event(&paid("2")), event(&paid("3"))]);
    for set in ["name = x'ff00'", "version = 'two'", "version = 2.5", "version = x'02'"] {
        file.run("UPDATE event_sourcery_events SET version = 2, name = 'invoicing.Paid' WHERE id = 2");
        file.run(&format!("UPDATE event_sourcery_events SET {set} WHERE id = 2"));
        // A reader of payments is told, too: what has no name that is text may be one.
        let of_payments = errors_of_reading::<Paid>(&rust, &stream()).await;
        for error in errors_of_reading::<RawEvent>(&rust, &stream()).await.into_iter().chain(of_payments) {
            assert!(matches!(error, Error::InvalidEvent { .. }), "{set}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_row_of_a_stream_that_cannot_be_read_is_an_error() {
    let file = SharedFile::create().await;
    let (mut python, rust) = file.both().await;
    python.create(&stream(), &[event(&paid("1")), event(&paid("2")), event(&paid("3"))]);
    file.run("UPDATE event_sourcery_streams SET uuid = 'not a UUID'");

    let mut all = rust.read_all::<Paid>().stream();
    let error = all.try_next().await.unwrap_err();

    assert!(matches!(error, Error::InvalidEvent { .. }), "{error:?}");
}
