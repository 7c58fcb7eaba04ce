//! What an append needs that somebody listens to: its savepoint is open until they have heard.

use std::collections::HashMap;

use event_sourcery::backend::Written;
use event_sourcery::{AppendPosition, Error, Result};
use uuid::Uuid;

use super::{KEEP, Operations, TAKE_BACK};
use crate::failure::{Failure, ended_before_its_time};
use crate::rows::value;

impl Operations<'_> {
    /// Where the events of these ids stand that were just written, in their order. Where there is one, that is told
    /// already.
    pub(crate) async fn positions(
        &mut self,
        ids: &[Uuid],
        written: &[Written],
    ) -> Result<Vec<AppendPosition>> {
        if let ([_], [written]) = (ids, written) {
            return Ok(vec![written.last_position]);
        }
        let rows = self.rows(self.sql.append.positions.query().bind(ids)).await;
        let rows = rows.map_err(|failure| self.failed(failure))?;
        let mut positions = HashMap::new();
        for row in &rows {
            let id: Uuid = value(row, 0).map_err(|error| self.failed(error))?;
            let position: i64 = value(row, 1).map_err(|error| self.failed(error))?;
            positions.insert(id, AppendPosition::from_i64(position));
        }
        let positions: Option<Vec<_>> = ids.iter().map(|id| positions.get(id).copied()).collect();
        positions.ok_or(Error::bug("events that were just written are not there"))
    }

    /// Ends the savepoint of what was written: keeps it, or takes it back where somebody who has heard of it failed. It
    /// is not there to be kept where a statement has failed in silence, or somebody has ended the transaction.
    pub(crate) async fn close(&mut self, heard: Result<()>) -> Result<()> {
        let failed = match heard {
            Err(failed) => failed,
            Ok(()) => match self.run(KEEP).await {
                Ok(()) => return Ok(()),
                Err(failure) => self.not_closed(failure),
            },
        };
        if self.is_spent() {
            return Err(failed);
        }
        match self.run(TAKE_BACK).await {
            Ok(()) => Err(failed),
            Err(failure) => Err(self.not_closed(failure)),
        }
    }

    fn not_closed(&self, failure: Failure) -> Error {
        if failure.is_an_ended_transaction() { ended_before_its_time() } else { self.failed(failure) }
    }
}
