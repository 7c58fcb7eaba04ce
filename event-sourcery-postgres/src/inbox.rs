//! Messages from elsewhere, each handled once, in the consumer's own transaction.

use std::sync::Arc;
use std::time::Duration;

use event_sourcery::backend::InboxMemory;
use event_sourcery::{Error, Result};
use sqlx::{Acquire as _, AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};

use crate::failure::classify;
use crate::session::durable;

/// The table and its index. They can be made again at any time.
const MIGRATION: &str = include_str!("inbox/inbox.sql");

/// One at a time: two that make a table at once get in each other's way.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7163821846519203)";

const IS_THERE: &str = "SELECT to_regclass('event_sourcery_inbox') IS NOT NULL";

/// What keeps a table of that name from remembering each id once; and the table with its schema, as SQL spells it. An id that is not
/// inserted counts as handled before: whoever leaves it out, or puts it elsewhere, loses the message.
const UNFIT: &str = "
    SELECT CASE
        WHEN c.relkind NOT IN ('r', 'p') THEN 'it is no table: an inbox needs one of that name'
        WHEN c.relpersistence <> 'p' THEN 'what it holds is lost in a crash: ALTER TABLE event_sourcery_inbox SET LOGGED'
        WHEN NOT EXISTS (
            SELECT FROM pg_index i
            WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
              AND i.indpred IS NULL AND i.indexprs IS NULL
              AND ARRAY['consumer', 'message_id'] = ARRAY(
                  SELECT a.attname::text FROM pg_attribute a
                  WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                  ORDER BY a.attname::text))
        THEN 'it has no valid unique index: CREATE UNIQUE INDEX ON event_sourcery_inbox (consumer, message_id)'
        WHEN EXISTS (
            SELECT FROM pg_index i JOIN pg_collation l ON l.oid = ANY (i.indcollation::oid[])
            WHERE i.indrelid = c.oid AND i.indisunique AND NOT l.collisdeterministic)
        THEN 'it takes different ids for the same: ALTER TABLE event_sourcery_inbox '
             'ALTER COLUMN consumer TYPE varchar(255) COLLATE \"C\", ALTER COLUMN message_id TYPE varchar(255) COLLATE \"C\"'
        WHEN EXISTS (
            SELECT FROM pg_rewrite r
            WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN' AND r.ev_enabled IN ('O', 'A'))
        THEN 'it has a rule, and rules rewrite what is inserted: drop it'
        WHEN EXISTS (
            SELECT FROM pg_trigger g
            WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
              AND g.tgtype & 3 = 3 AND g.tgtype & 4 <> 0)
        THEN 'it has a trigger that may leave out what is inserted: make it an AFTER trigger'
    END, format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('event_sourcery_inbox')";

/// Takes an id down, unless it is there; and takes out two that are older than the window, so that there are never many more of those
/// than of the others. What somebody else is taking out is left to him. The commit waits for the disk.
const TAKE: &str = "
    WITH expired AS (
        SELECT message_id FROM {inbox}
        WHERE consumer = $1 AND message_id <> $2
          AND handled_at < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $3)
        ORDER BY handled_at LIMIT 2 FOR UPDATE SKIP LOCKED
    ), forgotten AS (
        DELETE FROM {inbox} WHERE consumer = $1 AND message_id IN (SELECT message_id FROM expired)
    )
    INSERT INTO {inbox} (consumer, message_id, handled_at)
    SELECT $1, $2, pg_catalog.clock_timestamp() WHERE {durable} IS NOT NULL
    ON CONFLICT (consumer, message_id) DO NOTHING";

/// Takes out some beyond the newest. The one that was just taken down is not among them, and what somebody else is taking out is left to
/// him.
const FORGET_BEYOND: &str = "
    WITH beyond AS MATERIALIZED (
        SELECT message_id FROM {inbox}
        WHERE consumer = $1 AND message_id <> $2 ORDER BY handled_at DESC LIMIT $4 OFFSET $3
    ), free AS MATERIALIZED (
        SELECT message_id FROM {inbox}
        WHERE consumer = $1 AND message_id IN (SELECT message_id FROM beyond) FOR UPDATE SKIP LOCKED
    )
    DELETE FROM {inbox} WHERE consumer = $1 AND message_id IN (SELECT message_id FROM free)";

/// The longest that ids are kept: a hundred years, which PostgreSQL's times bear.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Messages that a consumer has handled, in a table of its own: `event_sourcery_inbox`, in the first schema of the connection's
/// `search_path` when it is opened. It is the same table from then on, whatever path a transaction has: where tenants have schemas
/// of their own, open an inbox for each.
///
/// Whoever delivers messages at least once delivers some of them again. A consumer that hands them to an inbox, in the transaction of
/// what it makes of them, handles each once: the message's id is committed with the rest, or not at all.
///
/// ```
/// # use event_sourcery_postgres::{Inbox, sqlx};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let database = postgres_cluster::Server::shared().create_database();
/// let pool = sqlx::PgPool::connect(&database.url()).await?;
/// # sqlx::raw_sql("CREATE TABLE sales (cents BIGINT)").execute(&pool).await?;
/// let inbox = Inbox::open(&pool, "books").await?;
///
/// for delivery in 1..=2 {
///     let mut tx = pool.begin().await?;
///     let booked = inbox.handle(&mut tx, "e0b5a7c2", async |tx| {
///         sqlx::query("INSERT INTO sales VALUES (500)").execute(&mut **tx).await?;
///         Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
///     });
///     assert_eq!(booked.await?.is_some(), delivery == 1);
///     tx.commit().await?; // and acknowledge the message only now
/// }
/// # let sales: i64 = sqlx::query_scalar("SELECT count(*) FROM sales").fetch_one(&pool).await?;
/// # assert_eq!(sales, 1);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(()) }).unwrap();
/// ```
///
/// **How long it remembers.** An id is kept for a week, or as long as [`keep_for`](Self::keep_for) says, by the server's clock: a message that
/// comes again later is handled again. So the window has to be longer than whoever delivers goes on trying. Each message that is
/// handled takes out two ids that are older: the table holds what came within the window, and does not grow beyond. Where that is
/// too much, [`keep_at_most`](Self::keep_at_most) bounds it by their number as well: the window is as long as so many messages take
/// to come then, if that is shorter.
///
/// **Several consumers** at once, and several processes: two that have one message wait for each other, and the second handles it only where
/// the first has rolled back. Those of one name share a memory; those of different names each handle every message.
///
/// **Durability.** A message is acknowledged after the commit, and does not come again: so that commit waits for the disk, also where
/// `synchronous_commit = off` is set for the role, unless [`accept_lost_commits`](Self::accept_lost_commits) was said. What is stronger
/// stays, and what is set counts again in the next transaction.
///
/// Order is not its business: what is delivered in order stays so where one message is handled after the other.
#[derive(Debug, Clone)]
pub struct Inbox {
    consumer: String,
    memory: InboxMemory,
    /// With its schema, as SQL spells it.
    table: Arc<str>,
    may_lose_commits: bool,
}

impl Inbox {
    /// The inbox of this consumer. Its table is made where it is missing, which needs the right to make one; a role without that right
    /// uses one that is there ([`migration`](Self::migration)).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for a name outside of 1 to 255 bytes, or with a NUL; [`Error::MissingGrant`] where the table is
    /// missing and the role may not make it; [`Error::ForeignLayout`] where it would not remember each id once;
    /// [`Error::Unavailable`], and the database's own.
    pub async fn open(pool: &PgPool, consumer: impl Into<String>) -> Result<Self> {
        let consumer = consumer.into();
        InboxMemory::check("consumer", &consumer)?;
        let mut connection = pool.acquire().await.map_err(classify)?;
        if !is_there(&mut connection).await? {
            // Sent together, so that they share a transaction, which holds the lock.
            let make = AssertSqlSafe(format!("{LOCK}; {MIGRATION}"));
            sqlx::raw_sql(make).execute(&mut *connection).await.map_err(classify)?;
        }
        let unfit = sqlx::query_as(UNFIT).persistent(false).fetch_optional(&mut *connection).await;
        let unfit: Option<(Option<String>, String)> = unfit.map_err(classify)?;
        match unfit.unwrap_or_else(|| (Some("somebody has taken it away".to_owned()), String::new())) {
            (None, table) => Ok(Self {
                consumer,
                memory: InboxMemory::default(),
                table: table.into(),
                may_lose_commits: false,
            }),
            (Some(problem), _) => {
                Err(Error::ForeignLayout { place: "the table event_sourcery_inbox".to_owned(), problem })
            }
        }
    }

    /// The statements that make the table, for those who run their own migrations. They can be run again at any time.
    #[must_use]
    pub const fn migration() -> &'static str {
        MIGRATION
    }

    /// Keeps ids for so long; a week otherwise, and a hundred years at most.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] below one second.
    pub fn keep_for(self, window: Duration) -> Result<Self> {
        Ok(Self { memory: self.memory.keep_for(window)?, ..self })
    }

    /// Keeps so many ids at most, the newest, and a sixteenth more between two looks of a process, or two where a look is rolled back with
    /// its message; as many as come within the window otherwise. An id is forgotten by whichever of the two bounds it meets first.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for none.
    pub fn keep_at_most(self, ids: u64) -> Result<Self> {
        Ok(Self { memory: self.memory.keep_at_most(ids)?, ..self })
    }

    /// Whether `synchronous_commit = off` is left as it is, so that what was handled, with its id, may be gone after a crash of the
    /// server, although it was acknowledged. Not by default.
    #[must_use]
    pub fn accept_lost_commits(self, accept: bool) -> Self {
        Self { may_lose_commits: accept, ..self }
    }

    /// Runs the handler, unless a message of this id was handled before: `None` then. Commit the transaction, and acknowledge the
    /// message after that, in both cases.
    ///
    /// Four round trips beside the handler's, and a fifth where it looks for [too many ids](Self::keep_at_most). The handler runs under
    /// a savepoint: where it fails, what it has written is taken back, with the id, and the transaction goes on. It is given the
    /// transaction, for statements of its own (`&mut **tx`) and for [`within`](event_sourcery::EventStore::within); it leaves the end
    /// to the caller. If this call is dropped half-way, roll the transaction back.
    ///
    /// # Errors
    ///
    /// The handler's. [`Error::InvalidOption`] for an id outside of 1 to 255 bytes, or with a NUL; [`Error::SerializationFailure`]
    /// where two transactions take several messages in different orders, and above READ COMMITTED where somebody else has
    /// handled it meanwhile: run the whole transaction again; [`Error::RolledBack`] where the handler has kept the failure of a statement
    /// to itself; and the database's own.
    pub async fn handle<T, E, H>(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        message_id: &str,
        handler: H,
    ) -> Result<Option<T>, E>
    where
        E: From<Error>,
        H: AsyncFnOnce(&mut Transaction<'_, Postgres>) -> Result<T, E>,
    {
        InboxMemory::check("message_id", message_id)?;
        // Dropped half-way, it is rolled back before anything else is sent.
        let mut savepoint = transaction.begin().await.map_err(classify)?;
        if !self.take(&mut savepoint, message_id).await? {
            savepoint.commit().await.map_err(classify)?;
            return Ok(None);
        }
        match handler(&mut savepoint).await {
            Ok(made) => {
                savepoint.commit().await.map_err(classify)?;
                Ok(Some(made))
            }
            Err(error) => {
                // Where this fails, so will the caller's next statement, and nothing is kept.
                let _ = savepoint.rollback().await;
                Err(error)
            }
        }
    }

    /// Whether the id was not there; it is now.
    async fn take(&self, connection: &mut PgConnection, message_id: &str) -> Result<bool> {
        let window = self.memory.window().min(CENTURY).as_secs_f64();
        let durable = if self.may_lose_commits { "TRUE".to_owned() } else { durable(true) };
        let take = AssertSqlSafe(self.in_its_table(&TAKE.replace("{durable}", &durable)));
        let take = sqlx::query(take).bind(&self.consumer).bind(message_id).bind(window);
        // Unnamed, for those behind a pooler.
        let taken = take.persistent(false).execute(&mut *connection).await.map_err(classify)?;
        let is_new = taken.rows_affected() > 0;
        if is_new && let Some((others, at_once)) = self.memory.due() {
            let beyond = sqlx::query(AssertSqlSafe(self.in_its_table(FORGET_BEYOND)))
                .bind(&self.consumer)
                .bind(message_id);
            let beyond = beyond.bind(others).bind(at_once).persistent(false);
            self.memory.forgot(beyond.execute(connection).await.map_err(classify)?.rows_affected());
        }
        Ok(is_new)
    }

    /// A statement, with the table's name in it.
    fn in_its_table(&self, statement: &str) -> String {
        statement.replace("{inbox}", &self.table)
    }
}

async fn is_there(connection: &mut PgConnection) -> Result<bool> {
    sqlx::query_scalar(IS_THERE).persistent(false).fetch_one(connection).await.map_err(classify)
}
