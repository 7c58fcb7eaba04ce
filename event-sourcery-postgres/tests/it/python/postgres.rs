//! The database that both languages work on.

use event_sourcery::{EventStore, Projector, RawEvent, Recorded, Result};
use event_sourcery_postgres::PostgresBackend;
use postgres_cluster::{Database, Server};
use reference::{Python, Rows, SharedDatabase, Unreadable, in_a_word};

use crate::scene::until;

/// The tables that the reference makes.
pub(super) const TABLES: [&str; 5] = [
    "event_sourcery_events",
    "event_sourcery_outbox_entries",
    "event_sourcery_projector_cursors",
    "event_sourcery_snapshots",
    "event_sourcery_streams",
];

/// A database of the test's own.
pub(super) struct Postgres(Database);

impl Postgres {
    /// As Rust finds it.
    pub(super) fn rust_url(&self) -> String {
        self.0.url()
    }

    /// The backend, its type known.
    pub(super) async fn backend(&self) -> PostgresBackend {
        PostgresBackend::connect(&self.rust_url()).await.expect("the store opens")
    }

    /// The schema without what tells nothing of the layout: in which file a table lies.
    pub(super) fn layout(&self) -> Vec<String> {
        let mut schema = self.schema();
        schema.retain(|line| !line.contains(" in file "));
        schema
    }

    /// The reference, with settings of the server's for its connection.
    pub(super) fn python_with(&self, settings: &[(&str, &str)]) -> Python {
        Python::start(&self.url_with(settings))
    }

    /// Waits as the server itself does: until a connection waits for another's lock.
    pub(super) async fn until_somebody_waits_for_a_lock(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until(async || self.number(waiting) > Some(0)).await;
    }

    fn url_with(&self, settings: &[(&str, &str)]) -> String {
        let url = self.0.url();
        let url = url.replacen("postgres://", "postgresql+psycopg://", 1);
        let options: Vec<_> = settings.iter().map(|(name, value)| format!("-c%20{name}%3D{value}")).collect();
        let separator = if url.contains('?') { '&' } else { '?' };
        format!("{url}{separator}options={}", options.join("%20"))
    }
}

#[async_trait::async_trait]
impl SharedDatabase for Postgres {
    async fn create() -> Self {
        Self(Server::shared().create_database())
    }

    fn url(&self) -> String {
        self.url_with(&[("lock_timeout", "30s")])
    }

    async fn open(&self, migrate: bool) -> Result<EventStore> {
        let backend = PostgresBackend::options(self.rust_url()).migrate(migrate).open().await?;
        Ok(EventStore::new(backend).erased())
    }

    async fn project(&self, projector: &str, recorded: Recorded<RawEvent>) -> Vec<String> {
        let store = EventStore::new(self.backend().await);
        let mut transaction = store.backend().begin().await.expect("a transaction");
        let mut projection = Projector::new(projector).expect("a name").project(recorded);
        let mut given = Vec::new();
        while let Some(projected) =
            projection.next_joined(&store, &mut transaction).await.expect("it is projected")
        {
            given.push(in_a_word(&projected));
        }
        transaction.commit().await.expect("it commits");
        given
    }

    fn run(&self, sql: &str) {
        self.0.psql(sql);
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        // The mark keeps rows apart from none: psql prints nothing for an empty text.
        let marked = format!("SELECT '=' || coalesce(found.first::text, '') FROM ({sql}) AS found (first)");
        self.0.psql(&marked).lines().map(|line| line.trim_start_matches('=').to_owned()).collect()
    }

    fn rows(&self) -> Rows {
        let rows = |table| {
            self.texts(&format!("SELECT to_jsonb(t) - 'schema_version' - 'published_at' FROM {table} t ORDER BY t::text"))
        };
        TABLES.iter().map(|table| ((*table).to_owned(), rows(table))).collect()
    }

    /// A table that was written anew lies in another file. NOT NULL is told with its column: newer servers count it among
    /// the constraints too.
    fn schema(&self) -> Vec<String> {
        self.texts(
            "SELECT oid::regclass || ' in file ' || relfilenode
             FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i', 'S')
             UNION ALL
             SELECT attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod)
                    || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
                    || coalesce(' DEFAULT ' || pg_get_expr(adbin, adrelid), '')
             FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
             LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
             WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
             UNION ALL
             SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
             UNION ALL
             SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
             FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
             ORDER BY 1",
        )
    }

    fn unreadable(&self) -> Unreadable {
        Unreadable {
            payloads: &["'null'", "'[\"2\"]'", "'\"2\"'", "'7'", "'true'"],
            contexts: &[
                "'[]'",
                "'null'",
                "'7'",
                "'{\"correlation_id\": \"not a UUID\"}'",
                "'{\"causation_id\": 7}'",
                "'{\"components\": []}'",
            ],
            ids: &["NULL"],
            times: &[
                "'infinity'",
                "'-infinity'",
                "'4713-11-24 00:00:00 BC'",
                "'0001-12-31 23:59:59.999999 BC'",
                "'10000-01-01 00:00:00'",
                "'294276-12-31 23:59:59.999999'",
            ],
            event: "data = '7', event_context = '[]', uuid = NULL",
        }
    }
}
