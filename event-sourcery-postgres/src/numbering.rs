//! Whether the store's numbers go on above all that were given before.
//!
//! Positions come from the sequence of the events' ids. Where that went back, the next events get positions that readers
//! have passed, and are never handed over: tables that were moved without their sequences (logical replication does not
//! carry them, nor do `COPY` and a dump of the data alone), `TRUNCATE .. RESTART IDENTITY`, `setval`. What was given before
//! is known from the events that are there, and from what is kept about positions: what was settled, checkpoints, the
//! directory of names. The other sequences draw keys of rows: one that went back refuses new rows one by one, of streams, of entries
//! of the outbox, of tags, of deletions, or takes a stream that is to be blocked for one that is. Numbers of the reference's cursors
//! are drawn by the reference alone.
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
    /// the directory of names, $1 positions a block. And the highest number of a stream, of a blocked one, of a tag, and of a deletion.
    evidence: "
        SELECT coalesce((SELECT max(e.id) FROM {events} e), 0),
               coalesce((SELECT max(s.position) FROM {settled} s), 0),
               coalesce((SELECT max(s.position) FROM {subscription_segments} s), 0),
               coalesce((SELECT max(l.below) * $1 - 1 FROM {event_blocks_listed} l WHERE l.below > 0), 0),
               coalesce((SELECT max(s.id) FROM {streams} s), 0),
               coalesce((SELECT max(b.id) FROM {blocked_streams} b), 0),
               greatest((SELECT max(t.id) FROM {tags} t), (SELECT max(t.tag_id) FROM {event_tags} t), 0),
               coalesce((SELECT max(d.id) FROM {stream_deletions} d), 0)";
    /// The highest number of an entry of the outbox.
    entries: "
        SELECT coalesce(max(o.id), 0) FROM {outbox_entries} o";
    /// The sequences, as SQL spells their names, by the places of [`Of::ALL`]: of the events, and where this role may read them, the
    /// others. With their steps and ends.
    sequences: "
        SELECT c.number, c.name, s.seqincrement, s.seqmax
        FROM (VALUES (0, pg_get_serial_sequence({events as text}, 'id'), TRUE),
                     (1, pg_get_serial_sequence({streams as text}, 'id'), TRUE),
                     (2, pg_get_serial_sequence({outbox_entries as text}, 'id'),
                         has_table_privilege({outbox_entries as text}, 'SELECT')),
                     (3, pg_get_serial_sequence({blocked_streams as text}, 'id'), TRUE),
                     (4, pg_get_serial_sequence({tags as text}, 'id'), TRUE),
                     (5, pg_get_serial_sequence({stream_deletions as text}, 'id'), TRUE)) AS c (number, name, may_be_read)
        JOIN pg_sequence s ON s.seqrelid = c.name::regclass
        WHERE c.number = 0 OR c.may_be_read AND has_sequence_privilege(c.name, 'SELECT')
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
    Blocked,
    Tags,
    Deletions,
}

impl Of {
    const ALL: [Self; 6] =
        [Self::Positions, Self::Streams, Self::Entries, Self::Blocked, Self::Tags, Self::Deletions];
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
    streams: i64,
    entries: i64,
    blocked: i64,
    tags: i64,
    deletions: i64,
}

impl Given {
    const fn of(&self, what: Of) -> (i64, &'static str) {
        match what {
            Of::Positions => self.positions,
            Of::Streams => (self.streams, "the number of a stream"),
            Of::Entries => (self.entries, "an entry of the outbox"),
            Of::Blocked => (self.blocked, "the number of a blocked stream"),
            Of::Tags => (self.tags, "the number of a tag"),
            Of::Deletions => (self.deletions, "the number of a deletion"),
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
    let drawn = drawn(connection, &sequences).await?;
    let behind = sequences.into_iter().zip(drawn);
    let behind: Vec<_> = behind.filter(|(sequence, drawn)| *drawn < given.of(sequence.of).0).collect();
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
    let sequences = sequences(connection, sql).await?;
    let drawn = drawn(connection, &sequences).await?;
    for (sequence, last) in sequences.into_iter().zip(drawn) {
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
    Ok(Given {
        positions,
        streams: row.try_get(4)?,
        entries,
        blocked: row.try_get(5)?,
        tags: row.try_get(6)?,
        deletions: row.try_get(7)?,
    })
}

async fn sequences(connection: &mut PgConnection, sql: &NumberingSql) -> Result<Vec<Sequence>, sqlx::Error> {
    let rows = sql.sequences.query().fetch_all(connection).await?;
    let sequence = |row: &PgRow| -> Result<_, sqlx::Error> {
        let number: i32 = row.try_get(0)?;
        let of = usize::try_from(number).ok().and_then(|number| Of::ALL.get(number).copied());
        let of = of.unwrap_or(Of::Positions);
        Ok(Sequence { of, name: row.try_get(1)?, step: row.try_get(2)?, end: row.try_get(3)? })
    };
    rows.iter().map(sequence).collect()
}

/// What each has drawn: from the sequence itself, for `pg_sequence_last_value` is NULL also where the next number is a low one. One
/// that draws several at once for a session is told to have drawn them all.
async fn drawn(connection: &mut PgConnection, sequences: &[Sequence]) -> Result<Vec<i64>, sqlx::Error> {
    if sequences.is_empty() {
        return Ok(Vec::new());
    }
    let last = |(place, Sequence { name, step, .. }): (usize, &Sequence)| {
        format!(
            "SELECT {place} AS place, CASE WHEN is_called THEN last_value ELSE last_value - {step} END AS drawn FROM {name}"
        )
    };
    let last: Vec<_> = sequences.iter().enumerate().map(last).collect();
    let last = format!("SELECT drawn FROM ({}) s ORDER BY place", last.join(" UNION ALL "));
    sqlx::query_scalar(AssertSqlSafe(last)).persistent(false).fetch_all(connection).await
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
