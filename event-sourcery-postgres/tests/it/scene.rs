//! A store in a database of the test's own, and connections that are not the store's.

use std::time::{Duration, Instant};

use event_sourcery::backend::JoinableBackend as _;
use event_sourcery::{EventStore, RawEvent, Result, StreamId};
use event_sourcery_conformance::{self as conformance, Answer, Ending, Step};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_postgres::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use event_sourcery_postgres::sqlx::{self, AssertSqlSafe, PgPool, Postgres, Transaction};
use postgres_cluster::{Database, Server};

use crate::process;

pub(crate) type Store = EventStore<PostgresBackend>;
pub(crate) type Tx = Transaction<'static, Postgres>;

/// What is waited for comes within this, or never.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a test's own connections call themselves.
pub(crate) const OWN: &str = "the test";

/// Appends wait while this table has a row.
pub(crate) const GATE: &str = "
    CREATE TABLE gate (closed boolean);
    CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        WHILE EXISTS (SELECT FROM gate) LOOP
            PERFORM pg_sleep(0.005);
        END LOOP;
        RETURN NULL;
    END $$;
    CREATE TRIGGER gate AFTER INSERT ON event_sourcery_events FOR EACH STATEMENT EXECUTE FUNCTION wait_at_gate()";

/// How many appends wait at the gate.
pub(crate) const AT_THE_GATE: &str = "
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND wait_event = 'PgSleep'";

/// How many connections wait for somebody's lock.
pub(crate) const WAIT_FOR_LOCKS: &str = "
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

pub(crate) struct Scene {
    pub(crate) store: Store,
    /// Connections that are not the store's.
    pub(crate) pool: PgPool,
    pub(crate) database: Database,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::on(Server::shared().create_database()).await
    }

    pub(crate) async fn on(database: Database) -> Self {
        let (pool, store) = (pool(&database.url()), open_to_test(&database).await);
        Self { store, pool, database }
    }

    /// The store as another process has it.
    pub(crate) async fn another_store(&self) -> Store {
        open_to_test(&self.database).await
    }

    /// A transaction of the caller's own, on a connection that is not the store's.
    pub(crate) async fn begin(&self) -> Tx {
        self.pool.begin().await.unwrap()
    }

    /// A transaction at this isolation level.
    pub(crate) async fn begin_at(&self, isolation: &'static str) -> Tx {
        let begin = format!("BEGIN ISOLATION LEVEL {isolation}");
        self.pool.begin_with(AssertSqlSafe(begin)).await.unwrap()
    }

    /// A table of the caller's own.
    pub(crate) async fn with_own_table(self) -> Self {
        self.run("CREATE TABLE invoices (number text PRIMARY KEY)").await;
        self
    }

    pub(crate) async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap()
    }

    /// How many events the table holds, settled or not.
    pub(crate) async fn events(&self) -> i64 {
        self.number("SELECT count(*) FROM event_sourcery_events").await
    }

    /// Returns once no connection is left but the test's own.
    pub(crate) async fn is_left_by_stores(&self) {
        let others = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND application_name <> '{OWN}'",
            self.database.name()
        );
        until(async || Server::shared().psql("postgres", &others) == "0").await;
    }

    /// Returns once so many connections to the database wait for somebody's lock.
    pub(crate) async fn until_waiting(&self, connections: i64) {
        until(async || self.number(WAIT_FOR_LOCKS).await >= connections).await;
    }
}

pub(crate) fn pool(url: &str) -> PgPool {
    let options = PgPoolOptions::new().max_connections(80).test_before_acquire(false);
    let connect: PgConnectOptions = url.parse().unwrap();
    options.connect_lazy_with(connect.application_name(OWN))
}

/// A store in this database: behind a pooler, where the tests are run behind one.
async fn open_to_test(database: &Database) -> Store {
    let Some((port, told)) = process::pooler() else { return open(&database.url()).await };
    let url = format!("postgres://postgres@127.0.0.1:{port}/{}", database.name());
    EventStore::new(PostgresBackend::options(url).transaction_pooler(told).open().await.unwrap())
}

pub(crate) async fn open(url: &str) -> Store {
    EventStore::new(PostgresBackend::connect(url).await.unwrap())
}

/// Returns once it holds.
pub(crate) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let (deadline, mut looks) = (Instant::now() + PATIENCE, tokio::time::interval(Duration::from_millis(2)));
    while !holds().await {
        assert!(Instant::now() < deadline, "what was waited for did not happen");
        looks.tick().await;
    }
}

/// Inserts a row into the caller's own table.
pub(crate) async fn insert_invoice(tx: &mut Tx, number: &str) {
    let insert = sqlx::query("INSERT INTO invoices (number) VALUES ($1)").bind(number);
    insert.execute(&mut **tx).await.unwrap();
}

pub(crate) fn event() -> RawEvent {
    RawEvent::new("Happened", "{}").unwrap()
}

pub(crate) fn events(count: usize) -> Vec<RawEvent> {
    (0..count).map(|_| event()).collect()
}

pub(crate) async fn length(store: &Store, stream: &StreamId) -> usize {
    store.load_stream::<RawEvent>(stream).await.unwrap().len()
}

/// A variable with a number, for longer runs.
pub(crate) fn from_environment(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |number| number.parse().expect("a number"))
}

/// Runs steps of the conformance kit in a transaction of the caller's, and ends it so.
pub(crate) async fn run_steps(
    backend: &PostgresBackend,
    steps: Vec<Step>,
    ending: Ending,
) -> Result<Vec<Result<Answer>>> {
    let mut transaction = backend.begin().await?;
    let answers = conformance::run_joined_steps(&mut *backend.join(&mut transaction), steps).await;
    match ending {
        Ending::Commit => transaction.commit().await?,
        Ending::Fail => transaction.rollback().await?,
        Ending::Panic => drop(transaction),
    }
    Ok(answers)
}
