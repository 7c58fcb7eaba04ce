//! Whether the store's numbers go on above all that were given before.
//!
//! Positions come from the sequence of the events' ids. Where that went back, the next events get positions that readers
//! have passed, and are never handed over: tables that were moved without their sequences (logical replication does not
//! carry them, nor do `COPY` and a dump of the data alone), `TRUNCATE .. RESTART IDENTITY`, `setval`. What was given before
//! is known from the events that are there, and from what is kept about positions: what was settled, checkpoints, the
//! directory of names. A sequence of the streams' numbers that went back refuses new streams, one by one.
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
    /// The sequences, as SQL spells their names: the events', and the streams' where this role may read it. With their steps
    /// and ends.
    sequences: "
        SELECT c.name, s.seqincrement, s.seqmax
        FROM (VALUES (1, pg_get_serial_sequence({events as text}, 'id')),
                     (2, pg_get_serial_sequence({streams as text}, 'id'))) AS c (number, name)
        JOIN pg_sequence s ON s.seqrelid = c.name::regclass
        WHERE c.number = 1 OR has_sequence_privilege(c.name, 'SELECT')
        ORDER BY c.number";
}

/// What tells that a position was given.
pub(crate) const EVENT: &str = "an event";
pub(crate) const SETTLED: &str = "the settled position";
pub(crate) const CHECKPOINT: &str = "a checkpoint";
pub(crate) const PASSED: &str = "a position that readers may have passed";

/// What a sequence numbers.
#[derive(Debug, Clone, Copy)]
enum Of {
    Positions,
    Streams,
}

/// A sequence, and what it has drawn.
struct Sequence {
    name: String,
    of: Of,
    step: i64,
    end: i64,
    drawn: i64,
}

/// The highest numbers that were given, each with what tells so.
struct Given {
    positions: (i64, &'static str),
    streams: (i64, &'static str),
}

impl Given {
    const fn of(&self, what: Of) -> (i64, &'static str) {
        match what {
            Of::Positions => self.positions,
            Of::Streams => self.streams,
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
    let given = evidence(connection, sql).await?;
    let mut behind = sequences(connection, sql).await?;
    behind.retain(|sequence| sequence.drawn < given.of(sequence.of).0);
    let Some(Sequence { of, drawn, .. }) = behind.first() else { return Ok(Ok(given.positions.0)) };
    let (highest, evidence) = given.of(*of);
    let repair: Vec<_> = behind.iter().map(|sequence| sequence.raise_to(given.of(sequence.of).0)).collect();
    Ok(Err(Error::NumberingWentBack { drawn: *drawn, highest, evidence, repair: repair.join("; ") }))
}

/// The error for a sequence that has no number left; `None` where each has.
pub(crate) async fn used_up(
    connection: &mut PgConnection,
    sql: &NumberingSql,
) -> Result<Option<Error>, Failure> {
    let all = sequences(connection, sql).await?;
    let at_its_end =
        all.into_iter().find(|sequence| sequence.drawn.saturating_add(sequence.step) > sequence.end);
    Ok(at_its_end.map(|Sequence { name, drawn, end, .. }| Error::NumbersUsedUp {
        last: drawn,
        repair: match end {
            i64::MAX => "append to a new store: there are no higher numbers".to_owned(),
            _ => format!("ALTER SEQUENCE {name} AS bigint NO MAXVALUE"),
        },
    }))
}

/// The highest position that was given, and what tells so. Readers begin behind 0: whatever else is known, nothing may be drawn
/// at or below it.
pub(crate) fn highest(told: &[(i64, &'static str)]) -> (i64, &'static str) {
    let nothing = (0, "readers begin behind 0");
    told.iter().fold(nothing, |most, next| if next.0 > most.0 { *next } else { most })
}

async fn evidence(connection: &mut PgConnection, sql: &NumberingSql) -> Result<Given, sqlx::Error> {
    let row = sql.evidence.query().bind(BLOCK).fetch_one(connection).await?;
    let positions = highest(&[
        (row.try_get(0)?, EVENT),
        (row.try_get(1)?, SETTLED),
        (row.try_get(2)?, CHECKPOINT),
        (row.try_get(3)?, "the directory of event names"),
    ]);
    Ok(Given { positions, streams: (row.try_get(4)?, "the number of a stream") })
}

async fn sequences(connection: &mut PgConnection, sql: &NumberingSql) -> Result<Vec<Sequence>, sqlx::Error> {
    let mut sequences = Vec::new();
    for (row, of) in
        sql.sequences.query().fetch_all(&mut *connection).await?.iter().zip([Of::Positions, Of::Streams])
    {
        let (name, step, end): (String, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        // From the sequence itself: `pg_sequence_last_value` is NULL also where the next number is a low one.
        let last = format!("SELECT CASE WHEN is_called THEN last_value ELSE last_value - $1 END FROM {name}");
        let drawn = sqlx::query_scalar(AssertSqlSafe(last))
            .persistent(false)
            .bind(step)
            .fetch_one(&mut *connection)
            .await?;
        sequences.push(Sequence { name, of, step, end, drawn });
    }
    Ok(sequences)
}

impl Sequence {
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
