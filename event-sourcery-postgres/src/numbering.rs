//! Whether the store's numbers go on above all that were given before.
//!
//! Positions come from the sequence of the events' ids. Where that went back, the next events get positions that readers
//! have passed, and are never handed over: tables that were moved without their sequences (logical replication does not
//! carry them, nor do `COPY` and a dump of the data alone), `TRUNCATE .. RESTART IDENTITY`, `setval`. What was given before
//! is known from the events that are there, and from what is kept about positions: what was settled, checkpoints, the
//! directory of names. A sequence of the streams' numbers that went back refuses new streams, one by one, and one of the numbers of
//! the outbox's entries refuses what goes in there.
//!
//! Once appends have caught up, nothing shows any more that it went back. So each append is refused whose position is not above
//! what was known to be given before it began, with nothing written; and where an append or a look has seen it, that is kept
//! until the store is opened again.
//!
//! The evidence is read before the sequences are: a position that is kept anywhere was drawn before that, and a sequence
//! only rises, whoever rolls back. A crash takes no evidence and leaves the sequence behind: what a sequence has drawn is in
//! the log before what was made of it, and the log is kept from its beginning.

use std::sync::OnceLock;

use event_sourcery::{Error, Result};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::failure::Failure;
use crate::operations::BLOCK;
use crate::sql::{Statement, statements};
use crate::tables::{Tables, as_text};

statements! {
    /// The statements about numbering.
    NumberingSql;
    /// What tells of positions that were given: the highest event, what was settled, the highest checkpoint, and the end of
    /// the directory of names, $1 positions a block. And of streams: the highest number.
    evidence: "
        SELECT coalesce((SELECT max(e.id) FROM {events} e), 0),
               coalesce((SELECT max(s.position) FROM {settled} s), 0),
               coalesce((SELECT max(s.position) FROM {subscription_segments} s), 0),
               coalesce((SELECT max(l.below) * $1 - 1 FROM {event_blocks_listed} l WHERE l.below > 0), 0),
               coalesce((SELECT max(s.id) FROM {streams} s), 0)";
    /// The highest number of an entry of the outbox.
    entries: "
        SELECT coalesce(max(o.id), 0) FROM {outbox_entries} o";
    /// The sequences, as SQL spells their names: of the events (1), and where this role may read them, of the streams (2) and of the
    /// entries of the outbox (3). With their steps and ends.
    sequences: "
        SELECT c.number, c.name, s.seqincrement, s.seqmax
        FROM (VALUES (1, pg_get_serial_sequence({events as text}, 'id'), TRUE),
                     (2, pg_get_serial_sequence({streams as text}, 'id'), TRUE),
                     (3, pg_get_serial_sequence({outbox_entries as text}, 'id'),
                         has_table_privilege({outbox_entries as text}, 'SELECT'))) AS c (number, name, may_be_read)
        JOIN pg_sequence s ON s.seqrelid = c.name::regclass
        WHERE c.number = 1 OR c.may_be_read AND has_sequence_privilege(c.name, 'SELECT')
        ORDER BY c.number";
}

/// What tells that a position was given.
pub(crate) const EVENT: &str = "an event";
pub(crate) const SETTLED: &str = "the settled position";
pub(crate) const CHECKPOINT: &str = "a checkpoint";
pub(crate) const PASSED: &str = "a position that readers may have passed";

/// What a sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Positions,
    Streams,
    Entries,
}

/// A sequence.
struct Sequence {
    name: String,
    of: Of,
    step: i64,
    end: i64,
}

/// The highest numbers that were given, each with what tells so.
struct Given {
    positions: (i64, &'static str),
    streams: (i64, &'static str),
    entries: (i64, &'static str),
}

impl Given {
    const fn of(&self, what: Of) -> (i64, &'static str) {
        match what {
            Of::Positions => self.positions,
            Of::Streams => self.streams,
            Of::Entries => self.entries,
        }
    }
}

/// That positions went back, once it was seen.
#[derive(Debug, Default)]
pub(crate) struct WentBack(OnceLock<Seen>);

/// What the error said.
#[derive(Debug)]
struct Seen {
    drawn: i64,
    highest: i64,
    evidence: &'static str,
    repair: String,
}

impl WentBack {
    /// Keeps what this error says.
    pub(crate) fn note(&self, error: &Error) {
        if let Error::NumberingWentBack { drawn, highest, evidence, repair } = error {
            let (drawn, highest, evidence, repair) = (*drawn, *highest, *evidence, repair.clone());
            let _ = self.0.set(Seen { drawn, highest, evidence, repair });
        }
    }

    /// The error again.
    pub(crate) fn refuse(&self) -> Result<()> {
        let Some(Seen { drawn, highest, evidence, repair }) = self.0.get() else { return Ok(()) };
        let (drawn, highest, evidence, repair) = (*drawn, *highest, *evidence, repair.clone());
        Err(Error::NumberingWentBack { drawn, highest, evidence, repair })
    }
}

/// The highest position that was given. The inner error is for a store whose next numbers were given before.
pub(crate) async fn check(connection: &mut PgConnection, sql: &NumberingSql) -> Result<Result<i64>, Failure> {
    let sequences = sequences(connection, sql).await?;
    let has_entries = sequences.iter().any(|sequence| sequence.of == Of::Entries);
    let given = evidence(connection, sql, has_entries).await?;
    let mut behind = Vec::new();
    for sequence in sequences {
        let drawn = sequence.drawn(connection).await?;
        if drawn < given.of(sequence.of).0 {
            behind.push((sequence, drawn));
        }
    }
    let Some((Sequence { of, .. }, drawn)) = behind.first() else { return Ok(Ok(given.positions.0)) };
    let (highest, evidence) = given.of(*of);
    let repair: Vec<_> =
        behind.iter().map(|(sequence, _)| sequence.raise_to(given.of(sequence.of).0)).collect();
    Ok(Err(Error::NumberingWentBack { drawn: *drawn, highest, evidence, repair: repair.join("; ") }))
}

/// The error for a sequence that has no number left; `None` where each has.
pub(crate) async fn used_up(
    connection: &mut PgConnection,
    sql: &NumberingSql,
) -> Result<Option<Error>, Failure> {
    for sequence in sequences(connection, sql).await? {
        let last = sequence.drawn(connection).await?;
        let Sequence { name, step, end, .. } = sequence;
        if last.saturating_add(step) > end {
            let repair = match end {
                i64::MAX => "append to a new store: there are no higher numbers".to_owned(),
                _ => format!("ALTER SEQUENCE {name} AS bigint NO MAXVALUE"),
            };
            return Ok(Some(Error::NumbersUsedUp { last, repair }));
        }
    }
    Ok(None)
}

/// The highest position that was given, and what tells so. Readers begin behind 0: whatever else is known, nothing may be drawn
/// at or below it.
pub(crate) fn highest(told: &[(i64, &'static str)]) -> (i64, &'static str) {
    let nothing = (0, "readers begin behind 0");
    told.iter().fold(nothing, |most, next| if next.0 > most.0 { *next } else { most })
}

async fn evidence(
    connection: &mut PgConnection,
    sql: &NumberingSql,
    has_entries: bool,
) -> Result<Given, sqlx::Error> {
    let entries =
        if has_entries { sql.entries.query().fetch_one(&mut *connection).await?.try_get(0)? } else { 0 };
    let row = sql.evidence.query().bind(BLOCK).fetch_one(connection).await?;
    let positions = highest(&[
        (row.try_get(0)?, EVENT),
        (row.try_get(1)?, SETTLED),
        (row.try_get(2)?, CHECKPOINT),
        (row.try_get(3)?, "the directory of event names"),
    ]);
    let streams = (row.try_get(4)?, "the number of a stream");
    Ok(Given { positions, streams, entries: (entries, "an entry of the outbox") })
}

async fn sequences(connection: &mut PgConnection, sql: &NumberingSql) -> Result<Vec<Sequence>, sqlx::Error> {
    let rows = sql.sequences.query().fetch_all(connection).await?;
    let sequence = |row: &PgRow| -> Result<_, sqlx::Error> {
        let of = match row.try_get::<i32, _>(0)? {
            1 => Of::Positions,
            2 => Of::Streams,
            _ => Of::Entries,
        };
        Ok(Sequence { of, name: row.try_get(1)?, step: row.try_get(2)?, end: row.try_get(3)? })
    };
    rows.iter().map(sequence).collect()
}

impl Sequence {
    /// What it has drawn: from the sequence itself, for `pg_sequence_last_value` is NULL also where the next number is a low one.
    async fn drawn(&self, connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
        let Self { name, step, .. } = self;
        let last = format!("SELECT CASE WHEN is_called THEN last_value ELSE last_value - $1 END FROM {name}");
        sqlx::query_scalar(AssertSqlSafe(last)).persistent(false).bind(*step).fetch_one(connection).await
    }

    fn raise_to(&self, highest: i64) -> String {
        repair(&self.name, highest)
    }
}

/// What lets a sequence go on above a number. Run again, it never takes the sequence back; it is for when nobody writes, since what
/// is drawn while it runs would be drawn again.
pub(crate) fn repair(sequence: &str, highest: i64) -> String {
    let (text, highest) = (as_text(sequence), highest.max(1));
    format!("SELECT setval({text}, greatest(last_value, {highest})) FROM {sequence}")
}
