//! One look at the database: what is there, who may still add to it, and where all that was seen.

use std::sync::Arc;
use std::time::Instant;

use event_sourcery::{Error, Result};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::evidence::Hole;
use crate::failure::{During, Failure};
use crate::lease::Lease;
use crate::numbering::{self, WentBack};
use crate::operations::Operations;
use crate::sql::Sql;
use crate::tables::Sequence;

/// How many events are looked at in one statement.
pub(super) const LOOK_AT: i64 = 10_000;

/// A run of the server: from its start, its recovery after a crash, or its promotion, to the next of them.
///
/// Its name is a random mark in a table that is not logged, which the server empties whenever it recovers: after a crash of
/// one of its processes, a power cut, a restore, a promotion. The mark counts only beside the time at which the server was
/// started, which is compared for equality alone, and in the database whose number it begins with, so that a copy of the files,
/// or of the database, is another run. Where nobody has left a mark, that time and that number are the name: enough to tell
/// another server, but not what a crash has taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Run {
    name: Arc<str>,
    is_marked: bool,
}

impl Run {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its name; none where nobody has looked.
    pub(crate) fn looked_at(&self) -> Option<&str> {
        (!self.name.is_empty()).then_some(&*self.name)
    }

    /// Whether what was seen in it can be evidence later on.
    pub(crate) fn is_marked(&self) -> bool {
        self.is_marked
    }
}

/// What the statement finds.
#[derive(Debug)]
pub(super) struct Look {
    /// Above which position it looked.
    pub(super) from: i64,
    pub(super) events: i64,
    pub(super) reached: i64,
    pub(super) first: Option<i64>,
    pub(super) newest: Option<(i64, String)>,
    pub(super) holders: Option<Vec<String>>,
    pub(super) drawn: i64,
    pub(super) recorded: i64,
    pub(super) checkpoint: Option<i64>,
    pub(super) timeline: Option<String>,
    /// How far the server's log was flushed.
    pub(super) log: Option<i64>,
    pub(super) run: Run,
    /// What was left for others in this run.
    pub(super) left: Option<Hole>,
}

impl Look {
    /// Looks at what is above a position. `drawn` was drawn by then.
    pub(super) async fn take(connection: &mut Lease, sql: &Sql, from: i64, drawn: i64) -> Result<Self> {
        let since = Instant::now();
        let failed = |failure: Failure| failure.into_error(During::NothingKept, since.elapsed());
        let query = sql.settled.look.query().bind(from).bind(LOOK_AT).bind(drawn);
        let row = match Operations::alone(connection, sql).row(query).await {
            Ok(Some(row)) => row,
            Ok(None) => return Err(failed(sqlx::Error::RowNotFound.into())),
            Err(failure) => return Err(on_standby(connection, sql).await.unwrap_or_else(|| failed(failure))),
        };
        let failed = |error: sqlx::Error| failed(error.into());
        if row.try_get(9).map_err(failed)? {
            return Err(refused_on_standby());
        }
        if let Some(how) = row.try_get::<Option<String>, _>(16).map_err(failed)? {
            return Err(sql.sequence.out_of_order(&how));
        }
        Self::read(&row, from).map_err(failed)
    }

    fn read(row: &PgRow, from: i64) -> Result<Self, sqlx::Error> {
        let newest = row.try_get::<Option<i64>, _>(3)?.zip(row.try_get(4)?);
        let left = row.try_get::<Option<i64>, _>(14)?.zip(row.try_get::<Option<Vec<String>>, _>(15)?);
        Ok(Self {
            from,
            events: row.try_get(0)?,
            reached: row.try_get(1)?,
            first: row.try_get(2)?,
            newest,
            holders: row.try_get(5)?,
            drawn: row.try_get(6)?,
            recorded: row.try_get(7)?,
            checkpoint: row.try_get(8)?,
            timeline: row.try_get(10)?,
            log: row.try_get(11)?,
            run: Run { name: row.try_get::<String, _>(12)?.into(), is_marked: row.try_get(13)? },
            left: left.map(|(ceiling, holders)| Hole { ceiling, holders: holders.into_iter().collect() }),
        })
    }

    /// The highest position of an event that is visible; 0 for none.
    pub(super) fn visible(&self) -> i64 {
        self.newest.as_ref().map_or(0, |(position, _)| *position)
    }

    /// Refuses a sequence that is behind what was given already: the next events would get positions that readers have
    /// passed. It is read after the look's snapshot was taken, and only grows, so whatever the snapshot shows is below it.
    ///
    /// It is kept, unless only a checkpoint tells so, which can be reset.
    pub(super) fn refuse_numbering_that_went_back(
        &self,
        sequence: &Sequence,
        known: i64,
        went_back: &WentBack,
    ) -> Result<()> {
        let passed = numbering::highest(&[
            (self.visible(), numbering::EVENT),
            (self.recorded, numbering::SETTLED),
            (known, numbering::PASSED),
        ]);
        let highest = numbering::highest(&[passed, (self.checkpoint.unwrap_or(0), numbering::CHECKPOINT)]);
        if self.drawn >= highest.0 {
            return Ok(());
        }
        let error = sequence.went_back(self.drawn, highest);
        if self.drawn < passed.0 {
            went_back.note(&error);
        }
        Err(error)
    }
}

/// The error for a server that only follows another one, if this is one. A look fails there: tables that are not logged are
/// not to be read on it.
async fn on_standby(connection: &mut Lease, sql: &Sql) -> Option<Error> {
    let ask = sqlx::query("SELECT pg_is_in_recovery()").persistent(false);
    let row = Operations::alone(connection, sql).row(ask).await.ok()??;
    row.try_get(0).unwrap_or(false).then(refused_on_standby)
}

/// The error for a server that only follows another one.
pub(crate) fn refused_on_standby() -> Error {
    Error::read_only(
        "this server is a standby, where the writers' locks cannot be seen, so that nothing is ever known to be \
                  settled: connect to the primary",
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tables::Tables;

    /// A look of a run with a mark.
    pub(in crate::settled) fn look(reached: i64, visible: i64, holders: Option<&[&str]>) -> Look {
        let holders = holders.map(|holders| holders.iter().map(|&holder| holder.to_owned()).collect());
        Look {
            from: 4,
            events: 1,
            reached,
            first: Some(5),
            newest: Some((visible, "an event".to_owned())),
            holders,
            drawn: visible,
            recorded: 0,
            checkpoint: None,
            timeline: Some("00000001".to_owned()),
            log: Some(1_000),
            run: run("a run"),
            left: None,
        }
    }

    pub(in crate::settled) fn run(name: &str) -> Run {
        Run { name: name.into(), is_marked: true }
    }

    #[test]
    fn a_sequence_behind_anything_that_was_given_is_refused_with_the_statement_that_repairs_it() {
        let mut tables = Tables::new("public", "", "role");
        tables.sequence = "public.\"s'q\"".to_owned();
        let sequence = Sequence::new(&tables);
        let at = |drawn| Look { drawn, ..look(9, 9, None) };
        for (look, known, expected, is_kept) in [
            (at(8), 0, 9, true),
            (Look { recorded: 12, ..at(11) }, 0, 12, true),
            (Look { checkpoint: Some(14), ..at(11) }, 0, 14, false),
            (Look { checkpoint: Some(14), ..at(8) }, 0, 14, true),
            (at(11), 15, 15, true),
            (at(-3), 0, 9, true),
        ] {
            let went_back = WentBack::default();
            let refused = look.refuse_numbering_that_went_back(&sequence, known, &went_back).unwrap_err();
            let Error::NumberingWentBack { highest, repair, .. } = refused else { panic!() };
            assert_eq!((highest, went_back.refuse().is_err()), (expected, is_kept));
            assert!(
                repair.contains(&format!("setval('public.\"s''q\"', greatest(last_value, {expected}))")),
                "{repair}"
            );
        }
        let fits = Look { recorded: 12, checkpoint: Some(12), ..at(12) };
        fits.refuse_numbering_that_went_back(&sequence, 12, &WentBack::default()).unwrap();
    }
}
