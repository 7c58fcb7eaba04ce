//! Servers and sequences on which the promises could not be kept.

use event_sourcery::Result;
use sqlx::Row as _;

use super::schema::Schema;
use crate::failure::During;
use crate::numbering::{self, NumberingSql};
use crate::settled;

impl Schema<'_> {
    /// A server on which the promises could not be kept.
    pub(super) async fn refuse_server(&mut self) -> Result<()> {
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
    pub(super) async fn refuse_sequence(&mut self) -> Result<()> {
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

    /// Numbers that were given before would be given again.
    pub(super) async fn refuse_numbering(&mut self) -> Result<()> {
        let sql = NumberingSql::new(&self.tables);
        match numbering::went_back(self.connection, &sql).await {
            Ok(went_back) => went_back.map_or(Ok(()), Err),
            Err(failure) => Err(failure.into_error(During::NothingKept, self.since.elapsed())),
        }
    }
}
