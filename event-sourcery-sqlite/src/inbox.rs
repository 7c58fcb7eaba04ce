//! Messages from elsewhere, each handled once, in the consumer's own transaction.

use std::time::{Duration, Instant};

use event_sourcery::backend::InboxMemory;
use event_sourcery::{Error, Result, Within};
use jiff::Timestamp;
use rusqlite::Connection;

use crate::failure::Failure;
use crate::transaction::SqliteTransaction;

/// The table and its index. They can be made again at any time.
const MIGRATION: &str = include_str!("inbox/inbox.sql");

const SAVEPOINT: &str = "SAVEPOINT event_sourcery_inbox";
const RELEASE: &str = "RELEASE event_sourcery_inbox";
const TAKE_BACK: &str = "ROLLBACK TO event_sourcery_inbox; RELEASE event_sourcery_inbox";

/// Takes an id down, unless it is there. Another unique index, of the user's, is no reason to take a message for one that was handled.
const TAKE: &str = "
    INSERT INTO event_sourcery_inbox (consumer, message_id, handled_at) VALUES (?1, ?2, ?3)
    ON CONFLICT (consumer, message_id) DO NOTHING";

/// Takes out two that are older than the window, so that there are never many more of those than of the others.
const FORGET: &str = "
    DELETE FROM event_sourcery_inbox WHERE rowid IN (
        SELECT rowid FROM event_sourcery_inbox
        WHERE consumer = ?1 AND handled_at < ?2 ORDER BY handled_at LIMIT 2)";

/// Takes out some beyond the newest. The one that was just taken down is not among them, wherever the clock was set.
const FORGET_BEYOND: &str = "
    DELETE FROM event_sourcery_inbox WHERE rowid IN (
        SELECT rowid FROM event_sourcery_inbox
        WHERE consumer = ?1 AND rowid <> ?2 ORDER BY handled_at DESC LIMIT ?4 OFFSET ?3)";

/// Messages that a consumer has handled, in a table of its own beside yours: `event_sourcery_inbox`.
///
/// Whoever delivers messages at least once delivers some of them again. A consumer that hands them to an inbox, in the transaction of
/// what it makes of them, handles each once: the message's id is committed with the rest, or not at all.
///
/// ```
/// # use event_sourcery::{EventStore, RawEvent, StreamId};
/// # use event_sourcery_sqlite::{Inbox, SqliteBackend};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("books.db");
/// type Failure = Box<dyn std::error::Error + Send + Sync>;
///
/// let store = EventStore::new(SqliteBackend::open(path).await?);
/// let inbox: Inbox = store.transaction(|tx| Inbox::open(tx.connection(), "books")).await?;
///
/// let stream = StreamId::from_name("sales")?;
/// for delivery in 1..=2 {
///     let (inbox, stream) = (inbox.clone(), stream.clone());
///     let booked = store.transaction::<_, Failure, _>(move |tx| {
///         inbox.handle(tx, "e0b5a7c2", |tx| {
///             tx.append(&stream, RawEvent::new("SaleBooked", "{}")?).run()?;
///             Ok(())
///         })
///     });
///     assert_eq!(booked.await?.is_some(), delivery == 1); // and acknowledge the message only now
/// }
/// # assert_eq!(store.version(&stream).await?, Some(1));
/// # Ok::<(), Failure>(()) }).unwrap();
/// ```
///
/// **How long it remembers.** An id is kept for a week, or as long as [`keep_for`](Self::keep_for) says, by the machine's clock: a message that
/// comes again later is handled again. So the window has to be longer than whoever delivers goes on trying. Each message that is
/// handled takes out two ids that are older: the table holds what came within the window, and does not grow beyond. Where that is
/// too much, [`keep_at_most`](Self::keep_at_most) bounds it by their number as well: the window is as long as so many messages take
/// to come then, if that is shorter.
///
/// **Several consumers** at once, and several processes: SQLite lets one transaction write at a time, so the second that has a message
/// finds it handled, unless the first has rolled back. Those of one name share a memory; those of different names each handle every
/// message.
///
/// Order is not its business: what is delivered in order stays so where one message is handled after the other.
#[derive(Debug, Clone)]
pub struct Inbox {
    consumer: String,
    memory: InboxMemory,
}

impl Inbox {
    /// The inbox of this consumer, on a connection of yours or of the store's ([`SqliteTransaction::connection`]). Its table is made where
    /// it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for a name outside of 1 to 255 bytes, or with a NUL; [`Error::Busy`], [`Error::ReadOnly`],
    /// [`Error::StorageFull`], and the database's own.
    pub fn open(connection: &Connection, consumer: impl Into<String>) -> Result<Self> {
        let consumer = consumer.into();
        InboxMemory::check("consumer", &consumer)?;
        on(connection, |connection| connection.execute_batch(MIGRATION))?;
        Ok(Self { consumer, memory: InboxMemory::default() })
    }

    /// The statements that make the table, for those who run their own migrations. They can be run again at any time.
    #[must_use]
    pub const fn migration() -> &'static str {
        MIGRATION
    }

    /// Keeps ids for so long; a week otherwise.
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

    /// Runs the handler in a transaction of the store's, unless a message of this id was handled before: `None` then. Acknowledge the
    /// message once the transaction is committed, in both cases.
    ///
    /// The handler runs under a savepoint: where it fails, what it has written is taken back, with the id, and the transaction
    /// goes on, if you do not pass the error on.
    ///
    /// # Errors
    ///
    /// The handler's. [`Error::InvalidOption`] for an id outside of 1 to 255 bytes, or with a NUL; [`Error::StorageFull`], and
    /// the database's own.
    pub fn handle<T, E, H>(
        &self,
        transaction: &mut Within<'_, SqliteTransaction<'_>>,
        message_id: &str,
        handler: H,
    ) -> Result<Option<T>, E>
    where
        E: From<Error>,
        H: FnOnce(&mut Within<'_, SqliteTransaction<'_>>) -> Result<T, E>,
    {
        if !self.take(transaction.connection(), message_id)? {
            return Ok(None);
        }
        // A panic ends the transaction, and everything in it.
        let handled = handler(transaction);
        end(transaction.connection(), handled)
    }

    /// The same on a connection of yours: in its transaction, or in one of its own where there is none. Begin yours with `IMMEDIATE`,
    /// or it may be [`Error::Busy`] at once, whatever time-out the connection has.
    ///
    /// # Errors
    ///
    /// As for [`handle`](Self::handle), and [`Error::Busy`] where another connection writes for longer than this one waits.
    pub fn handle_on<T, E, H>(
        &self,
        connection: &Connection,
        message_id: &str,
        handler: H,
    ) -> Result<Option<T>, E>
    where
        E: From<Error>,
        H: FnOnce(&Connection) -> Result<T, E>,
    {
        if !self.take(connection, message_id)? {
            return Ok(None);
        }
        let open = Open { connection, is_ended: false };
        let handled = handler(connection);
        open.end(handled)
    }

    /// Whether the id was not there. Then it is now, under a savepoint that is open; otherwise there is none.
    fn take(&self, connection: &Connection, message_id: &str) -> Result<bool> {
        InboxMemory::check("message_id", message_id)?;
        let now = Timestamp::now().as_microsecond();
        let window = i64::try_from(self.memory.window().as_micros()).unwrap_or(i64::MAX);
        on(connection, |connection| connection.execute_batch(SAVEPOINT))?;
        let open = Open { connection, is_ended: false };
        let taken = on(connection, |connection| {
            let take = (&self.consumer, message_id, now);
            let taken = connection.prepare_cached(TAKE)?.execute(take)?;
            let forget = (&self.consumer, now.saturating_sub(window));
            connection.prepare_cached(FORGET)?.execute(forget)?;
            if taken > 0
                && let Some((others, at_once)) = self.memory.due()
            {
                let beyond = (&self.consumer, connection.last_insert_rowid(), others, at_once);
                self.memory.forgot(connection.prepare_cached(FORGET_BEYOND)?.execute(beyond)? as u64);
            }
            Ok(taken > 0)
        });
        if matches!(taken, Ok(true)) {
            open.leave_open();
            return Ok(true);
        }
        open.end(taken).map(|_| false)
    }
}

/// A savepoint that is open. Dropped, as by a handler's panic, it takes back what was written.
struct Open<'c> {
    connection: &'c Connection,
    is_ended: bool,
}

impl Open<'_> {
    fn end<T, E: From<Error>>(mut self, handled: Result<T, E>) -> Result<Option<T>, E> {
        self.is_ended = true;
        end(self.connection, handled)
    }

    fn leave_open(mut self) {
        self.is_ended = true;
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.is_ended {
            take_back(self.connection);
        }
    }
}

/// Keeps what was written under the savepoint, or takes it back where the handler has failed, or where it cannot be kept.
fn end<T, E: From<Error>>(connection: &Connection, handled: Result<T, E>) -> Result<Option<T>, E> {
    let kept = handled.and_then(|made| {
        on(connection, |connection| connection.execute_batch(RELEASE))?;
        Ok(Some(made))
    });
    if kept.is_err() {
        take_back(connection);
    }
    kept
}

/// Where SQLite has rolled back everything, as it does when the disk is full, there is no savepoint left.
fn take_back(connection: &Connection) {
    let _ = connection.execute_batch(TAKE_BACK);
}

/// What SQLite answers, with its failure as the store's error.
fn on<T>(connection: &Connection, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
    let began = Instant::now();
    ask(connection).map_err(|error| Failure::from(error).into_error(began.elapsed()))
}
