//! The directory of event names: in which blocks of positions events of a name are.
//!
//! A reader of a rare name would otherwise read every event there is. An index on the events would cost each append; the
//! directory costs appends nothing, because it is built behind them, by those readers whom it serves.
//!
//! A block is a run of [`BLOCK`] positions, numbered from 0. A row of `event_blocks` says that its block holds, or once held,
//! an event of that name. The one row of `event_blocks_listed` tells how far this is complete: no row is missing for a block
//! *below* its number. Above it, events are read one after the other. Three things keep that true:
//!
//! - Only blocks that are settled as a whole are listed, up to the position on record: no event appears in them later. The
//!   record and the events are read in one statement, so that whatever the record counts as settled is visible to it.
//! - The rows and the mark are written by that same statement, whoever is first locking the mark. Others do not wait: they
//!   read without.
//! - No row is ever taken back. Where events were deleted, a block is looked at for nothing; a position is never used again.
//!
//! Tables that were filled from elsewhere may not fit a directory that was there before, or came at another moment: readers would pass
//! by what it lacks. So two blocks are looked at when a store is opened.
//!
//! Nothing depends on the directory but speed: a role that may not write it, or read it, reads without.

use event_sourcery::Result;
use event_sourcery::backend::Filter;

use super::Operations;
use crate::rows::value;
use crate::scans::{self, Only};
use crate::sql::{Statement, statements};
use crate::tables::Tables;

/// How many positions are a block.
pub(crate) const BLOCK: i64 = 1024;

/// How many blocks are listed in one statement.
const AT_ONCE: i64 = 256;

/// So many blocks are read without a directory rather than listed.
const FEW: i64 = 16;

/// The last position before a block. What stands in the tables may be any number.
const fn before(block: i64) -> i64 {
    block.saturating_mul(BLOCK).saturating_sub(1)
}

statements! {
    /// The statements about the directory.
    DirectorySql;
    /// Below which block all are listed; and those from $1 to $2 that hold events of these names ($3), at most $4.
    find_blocks: "
        SELECT l.below, ARRAY(
            SELECT DISTINCT b.block FROM unnest($3::text[]) AS n (name) CROSS JOIN LATERAL (
                SELECT b.block FROM {event_blocks} b
                WHERE b.name = n.name AND b.block >= $1 AND b.block <= $2 AND b.block < l.below
                ORDER BY b.block LIMIT $4
            ) b
            ORDER BY b.block LIMIT $4
        ) FROM {event_blocks_listed} l WHERE l.only_row";
    /// Whether the first block that holds events, or the last of those that are listed, holds a name that is not listed for it, $1
    /// positions a block. The names are looked up one by one: the directory may be large.
    lacks: "
        SELECT EXISTS (
            SELECT FROM {event_blocks_listed} l
            CROSS JOIN LATERAL (
                SELECT (SELECT e.id / $1 FROM {events} e WHERE e.id > 0 ORDER BY e.id LIMIT 1) AS block
                UNION ALL
                SELECT (SELECT e.id / $1 FROM {events} e WHERE e.id < l.below * $1 ORDER BY e.id DESC LIMIT 1)
            ) b
            CROSS JOIN LATERAL (
                SELECT DISTINCT e.name FROM {events} e WHERE e.id >= b.block * $1 AND e.id < b.block * $1 + $1
            ) e
            WHERE l.only_row AND b.block >= 0 AND b.block < l.below AND NOT EXISTS (
                SELECT FROM {event_blocks} d WHERE d.name = e.name AND d.block = b.block OFFSET 0))";
    /// Lists up to $1 blocks of $2 positions, behind those without events, if they are settled and nobody else is at it. The
    /// planner is told that there is one row of each kind: it would compile a statement that it takes for an expensive one. A reader
    /// waits for no disk and no standby: what is lost of the directory is lost as a whole, and listed anew.
    list_blocks: "
        WITH setting AS MATERIALIZED (
            SELECT set_config('synchronous_commit', 'off', true)
        ), listed AS MATERIALIZED (
            SELECT l.below FROM {event_blocks_listed} l WHERE l.only_row LIMIT 1 FOR UPDATE SKIP LOCKED
        ), settled AS MATERIALIZED (
            SELECT (s.position + 1) / $2 AS below FROM {settled} s WHERE s.only_row
        ), chunk AS MATERIALIZED (
            SELECT l.below AS first, least(s.below, $1 + coalesce(
                       (SELECT e.id / $2 FROM {events} e WHERE e.id >= l.below * $2 ORDER BY e.id LIMIT 1), s.below)) AS below
            FROM listed l, settled s, setting WHERE l.below < s.below
        ), block AS (
            INSERT INTO {event_blocks} (name, block)
            SELECT DISTINCT e.name, e.id / $2 FROM chunk c CROSS JOIN LATERAL (
                SELECT e.name, e.id FROM {events} e WHERE e.id >= c.first * $2 AND e.id < c.below * $2 OFFSET 0
            ) e
            ON CONFLICT DO NOTHING
        )
        UPDATE {event_blocks_listed} l SET below = c.below FROM chunk c WHERE l.only_row";
}

/// What is read next, up to a position.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) up_to: i64,
    pub(super) only: Only,
}

impl Stretch {
    pub(super) const fn of_all(up_to: i64) -> Self {
        Self { up_to, only: Only::Everything }
    }
}

impl Operations<'_> {
    /// What to read next above a position, of at most so many blocks of the directory. Both positions are settled.
    ///
    /// Where much is not listed, some blocks are listed first, and read, or as many are read without: so a page takes no
    /// longer for what lies far behind it, nor for others who are listing.
    pub(super) async fn next_stretch(
        &mut self,
        above: i64,
        up_to: i64,
        filter: &Filter,
        at_most: i64,
    ) -> Result<Stretch> {
        let Some(names) = scans::names(filter) else { return Ok(Stretch::of_all(up_to)) };
        let (first, last) = (above.saturating_add(1) / BLOCK, up_to / BLOCK);
        let (mut below, mut blocks) = self.find_blocks(first, last, &names, at_most).await?;
        if below <= first && last.saturating_sub(first) >= FEW && self.list_blocks().await {
            (below, blocks) = self.find_blocks(first, last, &names, at_most).await?;
        }
        if below <= first {
            return Ok(Stretch::of_all(up_to.min(before(first.saturating_add(AT_ONCE)))));
        }
        let are_all = i64::try_from(blocks.len()).is_ok_and(|found| found < at_most);
        let next = blocks.last().filter(|_| !are_all).map_or(below, |last| last.saturating_add(1));
        Ok(Stretch { up_to: up_to.min(before(next)), only: Only::Blocks(blocks) })
    }

    /// Below which block all are listed, and those to look at. A role that may not read the directory has none.
    async fn find_blocks(
        &mut self,
        first: i64,
        last: i64,
        names: &[&str],
        at_most: i64,
    ) -> Result<(i64, Vec<i64>)> {
        let query = self.sql.directory.find_blocks.query().bind(first).bind(last).bind(names).bind(at_most);
        let row = match self.row(query).await {
            Err(failure) if !failure.is_about_rights() => return Err(self.failed(failure)),
            found => found.unwrap_or_default(),
        };
        let Some(row) = row else { return Ok((0, Vec::new())) };
        let read = || Ok((value(&row, 0)?, value(&row, 1)?));
        read().map_err(|error: sqlx::Error| self.failed(error))
    }

    /// Whether some blocks were listed. The statement is a transaction of its own, so that it sees all that is settled.
    pub(super) async fn list_blocks(&mut self) -> bool {
        let query = self.sql.directory.list_blocks.query().bind(AT_ONCE).bind(BLOCK);
        match self.execute(query).await {
            Ok(listed) => listed > 0,
            Err(failure) => {
                tracing::debug!(
                    problem = failure.message(),
                    "events are read without a directory of their names"
                );
                false
            }
        }
    }
}
