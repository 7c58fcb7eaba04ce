//! What an append writes: the pages that it has to.

use std::fs;

use event_sourcery::{EventStore, RawEvent, StreamId};
use event_sourcery_sqlite::SqliteBackend;
use tempfile::TempDir;

/// A page of SQLite's default size in the log, with what stands before it there.
const FRAME: u64 = 24 + 4_096;

/// That of the event, of its id, of its place in the stream, of the stream's version, and of the last position that was given. Now
/// and then one of them is full.
#[tokio::test]
async fn an_append_to_a_stream_writes_five_pages_whether_it_has_a_name_or_not() {
    for stream in [StreamId::from_name("ledger").unwrap(), StreamId::random()] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("events.db");
        let store = EventStore::new(SqliteBackend::open(&path).await.unwrap());
        let mut lengths = Vec::new();
        for version in 0..12_u64 {
            let event = RawEvent::new("Happened", "{}").unwrap();
            store.append(&stream, event).expected_version(version).await.unwrap();
            lengths.push(fs::metadata(path.with_extension("db-wal")).unwrap().len());
        }
        let pages: Vec<_> = lengths.windows(2).map(|pair| (pair[1] - pair[0]) / FRAME).collect();
        assert_eq!(pages.iter().min(), Some(&5), "{pages:?}");
    }
}
