//! Stores of others in PostgreSQL.

mod horizon;
mod layouts;

use async_trait::async_trait;
use event_sourcery::jiff::Timestamp;
use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres, Row as _};

use self::layouts::Layout;
use crate::error::{ImportError, Result};
use crate::source::{ForeignEvent, ForeignStream, ForeignTime, Order, PAGE_BYTES, Source, StreamCount};

/// A store of another program's in a PostgreSQL database, which is only read, on one connection, whose transactions are read-only.
///
/// # Why nothing is missed
///
/// The numbers of these stores come from a sequence, and transactions commit in another order than they draw them: what a reader has
/// passed may still appear. So a run looks where the sequence stands, and then who holds the lock that each `INSERT` takes on the table.
/// That lock is taken before the number is drawn, and let go once the transaction has ended. Whoever may still commit a number up to
/// where the sequence stood is therefore among the holders, or has ended by then. Once those have ended, everything up to there is
/// complete, and is read. Transaction ids would not do: a number may be drawn before the transaction has an id.
///
/// This needs the primary server, because a standby does not see these locks, and a sequence that gives its numbers one by one
/// (`CACHE 1`, as all these stores have it) and stands no lower than what is there. All of this is looked at. A transaction that stays
/// open for a minute ends the run with [`ImportError::StillWriting`].
#[derive(Debug)]
pub struct PostgresSource {
    name: String,
    layout: Layout,
    connection: PgConnection,
    /// How many events are asked for at once. A page ends by its bytes as well, but the server sends all that it was asked for.
    asked: usize,
}

/// How many events are asked for at first, and by how much more where all of them were small.
const FEW: usize = 16;
const MORE: usize = 4;

const IS_STANDBY: &str =
    "the server is a standby, which does not tell who is writing: read from the primary one";

const IS_UUID: &str = "
    SELECT atttypid = 'uuid'::regtype FROM pg_attribute
    WHERE attrelid = $1::text::regclass AND attname = $2::text::name";

impl PostgresSource {
    /// An application of `eventsourcing` for Python, by its schema and its table: `public` and `bank_events` for an application named
    /// `Bank`. Dashes and dots of the name are kept; capital letters are not.
    ///
    /// An event has no id, no metadata and no category; its time is its own, and stands in its state under `timestamp`.
    ///
    /// With `POSTGRES_ENABLE_DB_FUNCTIONS` and two applications in one schema, events of the one are in the table of the other, and
    /// nothing tells whose they are: look at the table first.
    ///
    /// # Errors
    ///
    /// [`ImportError::Source`] where the database cannot be reached, [`ImportError::Layout`] where it has no such table, or is a standby.
    pub async fn eventsourcing(url: &str, schema: &str, table: &str) -> Result<Self> {
        Self::open(url, Layout::eventsourcing(schema, table)).await
    }

    /// Emmett: the table `emt_messages`, with what is archived. The partition is that of the stream; `emt:default` is none.
    ///
    /// The time is when the transaction began. Ids need not be unique, nor UUIDs.
    ///
    /// Emmett has no index on `global_position` alone: a store of millions is read faster with one.
    ///
    /// # Errors
    ///
    /// As for [`eventsourcing`](Self::eventsourcing).
    pub async fn emmett(url: &str) -> Result<Self> {
        Self::open(url, Layout::emmett()).await
    }

    /// message-db: the table `message_store.messages`. The category is what stands before the first dash of the stream's name.
    ///
    /// The time is when the transaction began, in UTC. Its versions begin at 0; ours are one higher. A payload may be null, or no
    /// object: see [`Mapping::wrap`](method@crate::Mapping::wrap).
    ///
    /// # Errors
    ///
    /// As for [`eventsourcing`](Self::eventsourcing).
    pub async fn message_db(url: &str) -> Result<Self> {
        Self::open(url, Layout::message_db()).await
    }

    /// cqrs-es: the table `events`. The type of an aggregate is the category.
    ///
    /// An event has neither id nor time nor a place in an order across streams: see [`TimeRule`](crate::TimeRule), and
    /// [`PayloadRule::Tagged`](crate::PayloadRule::Tagged) for the payload. Within a stream nothing can appear below what is there: each
    /// append writes the number after the highest one that it has read, and a number is given once. So no horizon is needed, and each
    /// run looks at all streams.
    ///
    /// # Errors
    ///
    /// As for [`eventsourcing`](Self::eventsourcing).
    pub async fn cqrs_es(url: &str) -> Result<Self> {
        Self::cqrs_es_in(url, "events").await
    }

    /// The same, where the table of events has another name: the one that `with_tables` of cqrs-es was given, which is SQL.
    ///
    /// # Errors
    ///
    /// As for [`eventsourcing`](Self::eventsourcing).
    pub async fn cqrs_es_in(url: &str, table: impl Into<String>) -> Result<Self> {
        Self::open(url, Layout::cqrs_es(table.into())).await
    }

    /// mire: the table `es_events`.
    ///
    /// The time is when the transaction began; an event has no id. The category is that of the stream, which its first append has named;
    /// another one that a later append has named is left out. mire reads in the order of transactions, in which an event may stand before
    /// an earlier one of its stream: here it is positions across streams, and versions within one.
    ///
    /// # Errors
    ///
    /// As for [`eventsourcing`](Self::eventsourcing).
    pub async fn mire(url: &str) -> Result<Self> {
        Self::open(url, Layout::mire()).await
    }

    async fn open(url: &str, mut layout: Layout) -> Result<Self> {
        let name = format!("{} in PostgreSQL", layout.name);
        let failed = |error: sqlx::Error| ImportError::Source { name: name.clone(), source: error.into() };
        let mut connection = PgConnection::connect(url).await.map_err(failed)?;
        let read_only = sqlx::query("SET default_transaction_read_only = on");
        read_only.execute(&mut connection).await.map_err(failed)?;
        let is_standby = sqlx::query_scalar::<_, bool>("SELECT pg_is_in_recovery()");
        let is_standby = is_standby.fetch_one(&mut connection).await.map_err(failed)?;
        if is_standby && layout.order == Order::Positions {
            return Err(ImportError::Layout { name, problem: IS_STANDBY.to_owned() });
        }
        let looked_at = sqlx::query(AssertSqlSafe(layout.select("LIMIT 0"))).fetch_all(&mut connection).await;
        match looked_at {
            Ok(_) => {}
            Err(sqlx::Error::Database(error)) => {
                return Err(ImportError::Layout { name, problem: error.message().to_owned() });
            }
            Err(error) => return Err(failed(error)),
        }
        if let Some(uuid_is) = layout.uuid_is {
            let is_uuid = sqlx::query_scalar::<_, bool>(IS_UUID).bind(&layout.table).bind(layout.stream);
            if is_uuid.fetch_one(&mut connection).await.map_err(failed)? {
                layout.stream_is = uuid_is;
            }
        }
        Ok(Self { name, layout, connection, asked: FEW })
    }

    fn failed(&self, error: sqlx::Error) -> ImportError {
        ImportError::Source { name: self.name.clone(), source: error.into() }
    }

    /// A page, which is read in one statement. Where more are wanted than were asked for, all are read anew: they were few, and small.
    async fn read<'q>(
        &mut self,
        limit: usize,
        query: impl Fn(i64) -> Query<'q, Postgres, PgArguments> + Send + Sync,
    ) -> Result<Vec<ForeignEvent>> {
        loop {
            let asked = self.asked.min(limit);
            let query = query(i64::try_from(asked).unwrap_or(i64::MAX));
            let read = page_of(&self.layout, &mut self.connection, query).await;
            let (events, bytes) = read.map_err(|error| self.failed(error))?;
            if bytes >= PAGE_BYTES {
                // Two at least: where one fills a page, the next may be small.
                self.asked = events.len().max(2);
                return Ok(events);
            }
            if events.len() < asked || asked == limit {
                return Ok(events);
            }
            self.asked = asked.saturating_mul(MORE);
        }
    }
}

#[async_trait]
impl Source for PostgresSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn order(&self) -> Order {
        self.layout.order
    }

    async fn horizon(&mut self) -> Result<i64> {
        horizon::horizon(&self.name, &self.layout, &mut self.connection).await
    }

    async fn page(&mut self, after: i64, up_to: i64, limit: usize) -> Result<Vec<ForeignEvent>> {
        let position = self.layout.position;
        let sql = self
            .layout
            .select(&format!("WHERE {position} > $1 AND {position} <= $2 ORDER BY {position} LIMIT $3"));
        self.read(limit, |most: i64| {
            sqlx::query(AssertSqlSafe(sql.clone())).bind(after).bind(up_to).bind(most)
        })
        .await
    }

    async fn streams(&mut self) -> Result<Vec<StreamCount>> {
        let Layout { table, category, stream, partition, .. } = &self.layout;
        let sql =
            format!("SELECT {category}, {stream}::text, {partition}, count(*) FROM {table} GROUP BY 1, 2, 3");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await;
        let counts = rows.and_then(|rows| rows.iter().map(count).collect());
        counts.map_err(|error| self.failed(error))
    }

    async fn events_of(
        &mut self,
        stream: &ForeignStream,
        after: i64,
        limit: usize,
    ) -> Result<Vec<ForeignEvent>> {
        let Layout { stream_is, version, position, .. } = &self.layout;
        let sql = self
            .layout
            .select(&format!("WHERE {stream_is} AND {version} > $4 ORDER BY {version}, {position} LIMIT $5"));
        let ForeignStream { category, id, partition } = stream;
        let query = |most: i64| {
            let query = sqlx::query(AssertSqlSafe(sql.clone())).bind(id.as_str());
            query.bind(category.as_deref()).bind(partition.as_deref()).bind(after).bind(most)
        };
        self.read(limit, query).await
    }
}

fn count(row: &PgRow) -> Result<StreamCount, sqlx::Error> {
    let stream = ForeignStream { category: row.try_get(0)?, id: row.try_get(1)?, partition: row.try_get(2)? };
    Ok(StreamCount { stream, events: row.try_get::<i64, _>(3)?.unsigned_abs() })
}

/// The events of a page, and how many bytes they have. What is behind its end the connection passes over.
async fn page_of(
    layout: &Layout,
    connection: &mut PgConnection,
    query: Query<'_, Postgres, PgArguments>,
) -> Result<(Vec<ForeignEvent>, usize), sqlx::Error> {
    let (mut events, mut bytes) = (Vec::new(), 0);
    let mut rows = query.fetch(connection);
    while bytes < PAGE_BYTES
        && let Some(row) = rows.try_next().await?
    {
        let event = event(layout, &row)?;
        bytes += event.size();
        events.push(event);
    }
    Ok((events, bytes))
}

fn event(layout: &Layout, row: &PgRow) -> Result<ForeignEvent, sqlx::Error> {
    let microseconds: Option<i64> = row.try_get(10)?;
    let at = microseconds.and_then(|at| Timestamp::from_microsecond(at).ok());
    let elsewhere = layout.time_in_payload.map_or(ForeignTime::Unknown, ForeignTime::InPayload);
    Ok(ForeignEvent {
        position: row.try_get(0)?,
        stream: ForeignStream { category: row.try_get(1)?, id: row.try_get(2)?, partition: row.try_get(3)? },
        version: row.try_get(4)?,
        id: row.try_get(5)?,
        event_type: row.try_get(6)?,
        payload: row.try_get(7)?,
        metadata: row.try_get(8)?,
        form: row.try_get(9)?,
        time: at.map_or(elsewhere, ForeignTime::At),
    })
}
