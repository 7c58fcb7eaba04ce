//! Large events: a page ends by its bytes, and nothing is missed where it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use event_sourcery_import::{
    ForeignEvent, ForeignStream, Import, ImportError, Mapping, Order, PAGE_BYTES, PostgresSource, Source,
    SqliteSource, StreamCount,
};
use postgres_cluster::Server;
use rusqlite::Connection;

use crate::scene::{equal, memory};
use crate::servers::MESSAGES;

const LARGE: usize = 300_000;
/// One fills a page by itself.
const HUGE: usize = 2 * PAGE_BYTES;

/// Weighs the pages of a source.
struct Weighed<S> {
    of: S,
    heaviest: Arc<AtomicUsize>,
}

impl<S> Weighed<S> {
    fn weigh(&self, page: &[ForeignEvent]) {
        let payloads = page.iter().filter_map(|event| event.payload.as_ref());
        self.heaviest.fetch_max(payloads.map(Vec::len).sum(), Ordering::Relaxed);
    }
}

#[async_trait]
impl<S: Source> Source for Weighed<S> {
    fn name(&self) -> &str {
        self.of.name()
    }

    fn order(&self) -> Order {
        self.of.order()
    }

    async fn horizon(&mut self) -> Result<i64, ImportError> {
        self.of.horizon().await
    }

    async fn page(&mut self, after: i64, up_to: i64, limit: usize) -> Result<Vec<ForeignEvent>, ImportError> {
        let page = self.of.page(after, up_to, limit).await?;
        self.weigh(&page);
        Ok(page)
    }

    async fn streams(&mut self) -> Result<Vec<StreamCount>, ImportError> {
        self.of.streams().await
    }

    async fn events_of(
        &mut self,
        stream: &ForeignStream,
        after: i64,
        limit: usize,
    ) -> Result<Vec<ForeignEvent>, ImportError> {
        let page = self.of.events_of(stream, after, limit).await?;
        self.weigh(&page);
        Ok(page)
    }
}

/// Forty large events, three huge ones, and three hundred small ones are all there, and no page was heavier than it may be.
async fn is_bounded<S: Source>(source: impl AsyncFn() -> S, mapping: Mapping) {
    let heaviest = Arc::new(AtomicUsize::new(0));
    let weighed = async || Weighed { of: source().await, heaviest: Arc::clone(&heaviest) };
    let store = memory();
    let planned = Import::new(weighed().await, &store, mapping.clone()).dry_run().await.unwrap();
    assert_eq!(planned.events, 343);
    let run = Import::new(weighed().await, &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.is_clean(), run.began_anew), (343, true, false), "{run:?}");
    let again = Import::new(weighed().await, &store, mapping.clone()).after(run.mark);
    assert_eq!(again.run().await.unwrap().present, 0);
    assert!(equal(weighed().await, &store, &mapping).await.unwrap());
    let heaviest = heaviest.load(Ordering::Relaxed);
    assert!((HUGE..PAGE_BYTES + HUGE + LARGE).contains(&heaviest), "{heaviest} bytes in a page");
}

/// How large the text of each event is.
fn size() -> String {
    format!("CASE WHEN n <= 40 THEN {LARGE} WHEN n <= 43 THEN {HUGE} ELSE 1 END")
}

#[tokio::test]
async fn pages_of_large_events_from_a_file_end_by_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.db");
    let file = Connection::open(&path).unwrap();
    file.execute_batch(&format!(
        r#"CREATE TABLE stored_events (originator_id TEXT, originator_version INTEGER, topic TEXT, state BLOB,
            PRIMARY KEY (originator_id, originator_version));
        WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 343)
        INSERT INTO stored_events
        SELECT 'a', n, 'Bank:Paid', CAST('{{"timestamp": "2026-03-01T12:00:00+00:00", "text": "'
            || replace(hex(zeroblob({})), '00', 'x') || '"}}' AS BLOB)
        FROM number"#,
        size()
    ))
    .unwrap();
    is_bounded(async || SqliteSource::eventsourcing(&path).await.unwrap(), Mapping::new("bank")).await;
}

#[tokio::test]
async fn pages_of_large_events_from_a_server_end_by_their_bytes() {
    let database = Server::shared().create_database();
    database.psql(MESSAGES);
    database.psql(&format!(
        "INSERT INTO message_store.messages (position, time, stream_name, type, data, metadata)
         SELECT n - 1, '2026-03-01 12:00:00', 'account-17', 'Opened', jsonb_build_object('text', repeat('x', {})), NULL
         FROM generate_series(1, 343) AS n ORDER BY n",
        size()
    ));
    let url = database.url();
    is_bounded(async || PostgresSource::message_db(&url).await.unwrap(), Mapping::new("accounts")).await;
}
