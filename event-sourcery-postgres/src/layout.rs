//! The tables: made, adopted from Event Sourcery for Python, updated, or checked.

use std::time::{Duration, Instant};

use event_sourcery::{Error, Result};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, Row as _};

use crate::connections::acquire;
use crate::failure::{During, Failure};
use crate::options::PostgresOptions;
use crate::settled;
use crate::tables::Tables;

/// The layout that this version of the library makes and knows.
const LAYOUT: i32 = 4;

/// How long a migration waits in all for others that are at work on the tables.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it waits at a time, while those who come later wait behind it: less than the server takes to look for
/// deadlocks, so that it is never somebody else that is ended.
const MOMENT: &str = "SET LOCAL lock_timeout = '300ms'";

/// One migration at a time in a database, whatever the names of its tables: two could want to create one schema.
const ONE_AT_A_TIME: &str = "SELECT pg_advisory_xact_lock(hashtextextended('event_sourcery migration', 0))";

/// How long it leaves the tables to others in between.
const PAUSE: Duration = Duration::from_millis(100);

/// The tables of the reference, with what we add in columns that have defaults; and those of our own.
const TABLES: [(&str, &str); 15] = [
    ("streams", include_str!("layout/streams.sql")),
    ("events", include_str!("layout/events.sql")),
    ("snapshots", include_str!("layout/snapshots.sql")),
    ("outbox_entries", include_str!("layout/outbox_entries.sql")),
    ("projector_cursors", include_str!("layout/projector_cursors.sql")),
    ("settled", include_str!("layout/settled.sql")),
    ("subscriptions", include_str!("layout/subscriptions.sql")),
    ("subscription_segments", include_str!("layout/subscription_segments.sql")),
    ("subscription_members", include_str!("layout/subscription_members.sql")),
    ("blocked_streams", include_str!("layout/blocked_streams.sql")),
    ("projected_streams", include_str!("layout/projected_streams.sql")),
    ("event_blocks", include_str!("layout/event_blocks.sql")),
    ("event_blocks_listed", include_str!("layout/event_blocks_listed.sql")),
    ("aggregate_snapshots", include_str!("layout/aggregate_snapshots.sql")),
    ("layout", include_str!("layout/layout.sql")),
];

/// The index by which events without versions are read in order.
const UNVERSIONED: &str = include_str!("layout/unversioned.sql");

/// The columns that a table has, whoever made it. A table of that name without them is somebody else's.
const COLUMNS: [(&str, &[&str]); 15] = [
    ("streams", &["id", "uuid", "name", "category", "tenant_id", "version"]),
    ("events", &["id", "version", "uuid", "name", "data", "event_context", "created_at", "db_stream_id"]),
    ("snapshots", &["uuid", "version", "name", "data", "event_context", "created_at", "db_stream_id"]),
    ("outbox_entries", &["id", "created_at", "data", "stream_name", "position", "tries_left"]),
    ("projector_cursors", &["id", "name", "stream_id", "category", "version"]),
    ("settled", &["only_row", "position"]),
    ("subscriptions", &["tenant_id", "name", "kept"]),
    (
        "subscription_segments",
        &["tenant_id", "name", "segment", "position", "token", "member", "leased_until"],
    ),
    ("subscription_members", &["tenant_id", "name", "member", "member_until"]),
    (
        "blocked_streams",
        &[
            "stream_uuid",
            "category",
            "tenant_id",
            "subscription_tenant_id",
            "subscription_name",
            "after_position",
        ],
    ),
    ("projected_streams", &["stream_uuid", "category", "tenant_id", "projector", "version", "position"]),
    ("event_blocks", &["name", "block"]),
    ("event_blocks_listed", &["only_row", "below"]),
    (
        "aggregate_snapshots",
        &["db_stream_id", "name", "format", "version", "event_uuid", "data", "created_at"],
    ),
    ("layout", &["version"]),
];

/// Makes the tables what this version needs, or checks that they are; refuses a server that they cannot be used on.
pub(crate) async fn prepare(pool: &PgPool, options: &PostgresOptions) -> Result<Tables> {
    let place = place(pool);
    let mut connection = connect(pool, &place).await?;
    let mut schema = Schema::of(&mut connection, options, place).await?;
    schema.refuse_server().await?;
    let pending = schema.plan().await?;
    if !pending.is_empty() {
        if !options.migrate {
            return Err(Error::MigrationNeeded { problem: summary(&pending) });
        }
        schema.migrate().await?;
    }
    schema.refuse_sequence().await?;
    Ok(schema.tables)
}

/// What [`prepare`] would run.
pub(crate) async fn script(pool: &PgPool, options: &PostgresOptions) -> Result<String> {
    let place = place(pool);
    let mut connection = connect(pool, &place).await?;
    let mut schema = Schema::of(&mut connection, options, place).await?;
    Ok(schema.plan().await?.iter().map(|statement| format!("{statement};\n")).collect())
}

async fn connect(pool: &PgPool, place: &str) -> Result<PoolConnection<Postgres>> {
    acquire(pool).await.map_err(|error| match error {
        Error::StoreNotFound { problem, .. } => Error::StoreNotFound { place: place.to_owned(), problem },
        other => other,
    })
}

/// Where the database is, for messages; no password.
fn place(pool: &PgPool) -> String {
    let options = pool.connect_options();
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    format!("{}:{}/{database}", options.get_host(), options.get_port())
}

/// What is pending, short enough for a message.
fn summary(pending: &[String]) -> String {
    let first_lines = pending.iter().filter_map(|statement| statement.lines().next());
    first_lines.map(|line| line.trim_end_matches(" (")).collect::<Vec<_>>().join("; ")
}

/// What is in the schema.
struct Schema<'c> {
    connection: &'c mut PgConnection,
    name: String,
    tables: Tables,
    place: String,
    since: Instant,
}

impl<'c> Schema<'c> {
    async fn of(connection: &'c mut PgConnection, options: &PostgresOptions, place: String) -> Result<Self> {
        let since = Instant::now();
        let name = match &options.schema {
            Some(name) => name.clone(),
            None => {
                let found: Option<String> = sqlx::query_scalar("SELECT current_schema()::text")
                    .fetch_one(&mut *connection)
                    .await
                    .map_err(|error| Failure::from(error).into_error(During::NothingKept, since.elapsed()))?;
                found.ok_or_else(|| Error::InvalidOption {
                    option: "schema",
                    problem: "the connection's search_path names no schema that exists: name one".to_owned(),
                })?
            }
        };
        let tables = Tables::new(&name, &options.prefix);
        Ok(Self { connection, name, tables, place, since })
    }

    fn failed(&self, error: sqlx::Error) -> Error {
        Failure::from(error).into_error(During::NothingKept, self.since.elapsed())
    }

    fn foreign(&self, problem: String) -> Error {
        Error::ForeignLayout { place: self.place.clone(), problem }
    }

    /// A server on which the promises could not be kept.
    async fn refuse_server(&mut self) -> Result<()> {
        let sql = "SELECT pg_is_in_recovery(), getdatabaseencoding()::text";
        let row =
            sqlx::query(sql).fetch_one(&mut *self.connection).await.map_err(|error| self.failed(error))?;
        let read = || -> Result<(bool, String), sqlx::Error> { Ok((row.try_get(0)?, row.try_get(1)?)) };
        let (on_standby, encoding) = read().map_err(|error| self.failed(error))?;
        if on_standby {
            return Err(settled::on_standby());
        }
        if encoding != "UTF8" {
            return Err(
                self.foreign(format!("its encoding is {encoding}, in which not every text can be stored"))
            );
        }
        Ok(())
    }

    /// A sequence that hands out positions ahead, or backwards: an event could get a position below one that readers
    /// have passed.
    async fn refuse_sequence(&mut self) -> Result<()> {
        let sql =
            "SELECT q.seqcache, q.seqincrement, q.seqcycle, q.seqrelid::regclass::text FROM pg_sequence q
                   WHERE q.seqrelid = pg_get_serial_sequence($1, 'id')::regclass";
        let query = sqlx::query(sql).bind(self.tables.table("events"));
        let row = query.fetch_optional(&mut *self.connection).await.map_err(|error| self.failed(error))?;
        let events = self.tables.table("events");
        let Some(row) = row else {
            return Err(
                self.foreign(format!("{events}.id has no sequence of its own to draw positions from"))
            );
        };
        let read = || -> Result<(i64, i64, bool, String), sqlx::Error> {
            Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
        };
        let (cache, increment, cycle, name) = read().map_err(|error| self.failed(error))?;
        if cache == 1 && increment > 0 && !cycle {
            return Ok(());
        }
        Err(self.foreign(format!(
            "the sequence {name} has CACHE {cache}, INCREMENT {increment}{}, so that events could get positions below those \
             that readers have passed: ALTER SEQUENCE {name} CACHE 1 INCREMENT 1 NO CYCLE",
            if cycle { ", CYCLE" } else { "" }
        )))
    }

    /// Runs what is pending. Others may be at work on the tables: whoever waits for them, or for whom they wait, is the
    /// migration, and it waits only for moments at a time, so that nobody queues up behind it.
    async fn migrate(&mut self) -> Result<()> {
        loop {
            match self.try_migrate().await {
                Err(Error::Busy { .. } | Error::SerializationFailure { .. })
                    if self.since.elapsed() < PATIENCE =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(Error::SerializationFailure { .. }) => {
                    return Err(Error::Busy { waited: self.since.elapsed() });
                }
                other => return other,
            }
        }
    }

    /// Runs what is pending, in one transaction. Several processes may try at once: each looks again once it has the lock.
    async fn try_migrate(&mut self) -> Result<()> {
        let (name, tables, place, since) =
            (self.name.clone(), self.tables.clone(), self.place.clone(), self.since);
        let failed = |error: sqlx::Error| match Failure::from(error) {
            failure if failure.is_about_what_depends_on_it() => {
                Error::MigrationNeeded { problem: failure.message() }
            }
            failure => failure.into_error(During::NothingKept, since.elapsed()),
        };
        let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
        let mut transaction = self.connection.begin_with(begin).await.map_err(failed)?;
        sqlx::raw_sql(MOMENT).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::raw_sql(ONE_AT_A_TIME).execute(&mut *transaction).await.map_err(failed)?;
        let mut inside = Schema { connection: &mut transaction, name, tables, place, since };
        for statement in inside.plan().await? {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *inside.connection).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// The statements that turn what is there into what this version needs; none where nothing is to be done.
    async fn plan(&mut self) -> Result<Vec<String>> {
        self.refuse_django().await?;
        self.refuse_other_columns().await?;
        let found = self.layout().await?;
        if found > LAYOUT {
            let [found, known] = [found, LAYOUT].map(|layout| u32::try_from(layout).unwrap_or(0));
            return Err(Error::NewerLayout { found, known });
        }
        let mut statements = Vec::new();
        if !self
            .exists("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", &self.name.clone())
            .await?
        {
            statements.push(format!("CREATE SCHEMA {}", self.tables.schema));
        }
        for (table, sql) in TABLES {
            if !self.has_table(table).await? {
                statements.extend(self.script(sql));
            } else if ["events", "snapshots"].contains(&table) {
                statements.extend(self.adopt(table).await?);
            } else if table == "subscription_members" {
                statements.extend(self.adopt_members(table).await?);
            }
        }
        let unversioned = format!("{}.ix_{}events_unversioned", self.tables.schema, self.tables.prefix);
        if !self.exists("SELECT to_regclass($1) IS NOT NULL", &unversioned).await? {
            statements.extend(self.script(UNVERSIONED));
        }
        if found < LAYOUT {
            let layout = self.tables.table("layout");
            statements.push(format!("DELETE FROM {layout}"));
            statements.push(format!("INSERT INTO {layout} (version) VALUES ({LAYOUT})"));
        }
        Ok(statements)
    }

    /// The statements of a script of ours. The names are put in last: a schema's may hold anything.
    fn script(&self, script: &str) -> Vec<String> {
        let statements = script.split(';').map(str::trim).filter(|statement| !statement.is_empty());
        statements.map(|statement| self.tables.put_into(statement)).collect()
    }

    /// What a table of the reference lacks. No row is rewritten: a column with a default and a wider limit are entries in
    /// the catalogue.
    async fn adopt(&mut self, table: &str) -> Result<Vec<String>> {
        let mut statements = Vec::new();
        let name = self.tables.table(table);
        if !self.columns(table).await?.iter().any(|column| column == "schema_version") {
            statements
                .push(format!("ALTER TABLE {name} ADD COLUMN schema_version INTEGER NOT NULL DEFAULT 1"));
        }
        let narrow =
            "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = 'name'
                      AND atttypmod BETWEEN 0 AND 203)";
        if self.exists(narrow, &name).await? {
            statements.push(format!("ALTER TABLE {name} ALTER COLUMN name TYPE VARCHAR(200)"));
        }
        Ok(statements)
    }

    /// Members of the layouts 2 and 3 do not tell how long their leases last.
    async fn adopt_members(&mut self, table: &str) -> Result<Option<String>> {
        let is_there = self.columns(table).await?.iter().any(|column| column == "lasting_ms");
        let name = self.tables.table(table);
        let add = || format!("ALTER TABLE {name} ADD COLUMN lasting_ms BIGINT NOT NULL DEFAULT 0");
        Ok((!is_there).then(add))
    }

    async fn exists(&mut self, sql: &'static str, about: &str) -> Result<bool> {
        let found = sqlx::query_scalar(sql).bind(about).fetch_one(&mut *self.connection).await;
        found.map_err(|error| self.failed(error))
    }

    async fn has_table(&mut self, name: &str) -> Result<bool> {
        let table = self.tables.table(name);
        self.exists("SELECT to_regclass($1) IS NOT NULL", &table).await
    }

    async fn columns(&mut self, name: &str) -> Result<Vec<String>> {
        let sql = "SELECT attname::text FROM pg_attribute
                   WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
        let query = sqlx::query_scalar(sql).bind(self.tables.table(name));
        query.fetch_all(&mut *self.connection).await.map_err(|error| self.failed(error))
    }

    /// Tables of our names that somebody else made for something else.
    async fn refuse_other_columns(&mut self) -> Result<()> {
        for (table, needed) in COLUMNS {
            let found = self.columns(table).await?;
            if found.is_empty() {
                continue;
            }
            let missing = needed.iter().find(|column| !found.iter().any(|found| found == *column));
            let name = self.tables.table(table);
            match missing {
                Some(missing) => {
                    return Err(self.foreign(format!("its table {name} has no column {missing}")));
                }
                None if table == "layout" && found.len() > 1 => {
                    return Err(self.foreign(format!("its table {name} is not ours")));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// The layout on record; 0 where there is none.
    async fn layout(&mut self) -> Result<i32> {
        if !self.has_table("layout").await? {
            return Ok(0);
        }
        let sql = format!("SELECT coalesce(max(version), 0) FROM {}", self.tables.table("layout"));
        let found = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *self.connection).await;
        found.map_err(|error| self.failed(error))
    }

    /// The reference's Django backend has tables of another layout.
    async fn refuse_django(&mut self) -> Result<()> {
        let django = format!("{}.event_sourcery_django_event", self.tables.schema);
        if !self.exists("SELECT to_regclass($1) IS NOT NULL", &django).await?
            || self.has_table("events").await?
        {
            return Ok(());
        }
        let problem = "it holds the tables of the Django backend of Event Sourcery for Python, which have another layout";
        Err(self.foreign(problem.to_owned()))
    }
}
