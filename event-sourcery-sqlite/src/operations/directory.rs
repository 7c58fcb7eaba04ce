//! The type directory: which blocks of positions hold events of which name. By it a rare type is found among many other
//! events.
//!
//! An index on the events' names would do the same, and every append would pay for it. The directory is built behind the
//! appends instead: whoever searches for names, and finds more than a few blocks missing, reads the names of the next
//! blocks and hands them to the writer in one small write.
//!
//! Its invariants:
//!
//! - Below the mark the directory is complete: for each event there, its name and its block are listed. The mark moves in
//!   the transaction that lists the blocks below it, and only from where the builder found it: of two builders, one wins.
//! - Only blocks that are settled as a whole are listed. Positions are never given twice, no event appears at a settled
//!   one, and none changes its name: a listed block gains no name. Who renames events by hand deletes the mark; most who do
//!   not are told when a store is opened, by the first block and the last that is listed.
//! - It may list too much: a block stays listed when its events are deleted. What it lists is a place to look at.

use std::collections::{BTreeMap, BTreeSet};

use event_sourcery::Result;
use rusqlite::MAIN_DB;

use super::Operations;
use super::search::Stretch;

/// How many positions a block has.
pub(crate) const BLOCK: i64 = 1_024;

/// What an event is listed under whose name is no text: it may be any of those that somebody asks for. No event is named so.
pub(super) const LOST: &str = "";

/// So many missing blocks are searched event by event; more are listed first.
const FEW: i64 = 16;

/// The most blocks that are listed at once, and how many names in blocks end it early: the writer is held up for
/// milliseconds.
const LISTED_AT_ONCE: i64 = 64;
const NAMES_AT_ONCE: usize = 1_024;

/// The last position before a block. What stands in the tables may be any number.
pub(super) const fn before(block: i64) -> i64 {
    block.saturating_mul(BLOCK).saturating_sub(1)
}

/// Blocks above the mark, and the names in them.
#[derive(Debug)]
pub(crate) struct Unlisted {
    first: i64,
    end: i64,
    blocks_by_name: BTreeMap<String, Vec<i64>>,
}

impl Operations<'_> {
    /// The mark: the first block that is not listed.
    pub(super) fn first_unlisted(&self) -> Result<i64> {
        Ok(self.first(&self.sql.first_unlisted, [], |row| row.get(0))?.unwrap_or(0))
    }

    /// The parts of a stretch, all of it below the mark, that may hold events of these names. Adjacent blocks are one.
    pub(super) fn listed(&self, names: &str, stretch: Stretch) -> Result<Vec<Stretch>> {
        let (first, last) = stretch.blocks();
        let blocks = self.all_rows(&self.sql.listed_blocks, (names, first, last), |row| {
            row.get::<_, i64>(0).map_err(|error| error.to_string())
        })?;
        let mut parts: Vec<Stretch> = Vec::new();
        for block in blocks.into_iter().collect::<BTreeSet<_>>() {
            let (after, end) = (before(block), before(block.saturating_add(1)));
            match parts.last_mut() {
                Some(before) if before.end == after => before.end = end,
                _ => parts.push(Stretch { after, end }),
            }
        }
        for part in &mut parts {
            *part = Stretch { after: part.after.max(stretch.after), end: part.end.min(stretch.end) };
        }
        Ok(parts)
    }

    /// The first block from this one on that may hold events of these names: however far away.
    pub(super) fn next_listed(&self, names: &str, block: i64) -> Result<Option<i64>> {
        self.first(&self.sql.next_listed, (names, block), |row| row.get(0)).map(Option::flatten)
    }

    /// Whether so much of a stretch is missing in the directory that it has to be listed first. Where nobody can write,
    /// nothing is.
    pub(super) fn lacks(&self, stretch: Stretch) -> Result<bool> {
        let writable = !self.connection.is_readonly(MAIN_DB).map_err(|error| self.failed(error))?;
        let (first, last) = stretch.blocks();
        let first = first.max(self.first_unlisted()?);
        Ok(writable && last.min(self.settled_blocks()?).saturating_sub(first) > FEW)
    }

    /// The next blocks to be listed, behind those without events; `None` where so much as this stretch needs is listed.
    pub(crate) fn unlisted(&self, stretch: Stretch) -> Result<Option<Unlisted>> {
        if !self.lacks(stretch)? {
            return Ok(None);
        }
        let first = self.first_unlisted()?;
        let settled = self.settled_blocks()?;
        let next = self.first(&self.sql.next_event, [before(first)], |row| row.get::<_, i64>(0))?;
        let mut end = next.map_or(settled, |next| settled.min(next / BLOCK + LISTED_AT_ONCE));
        let mut blocks_by_name: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let mut statement = self.statement(&self.sql.names)?;
        let mut rows = statement.query([before(first), before(end)]).map_err(|error| self.failed(error))?;
        let (mut block, mut listed) = (first, 0);
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            let position: i64 = row.get(0).map_err(|error| self.failed(error))?;
            if position / BLOCK != block {
                block = position / BLOCK;
                if listed >= NAMES_AT_ONCE {
                    end = block;
                    break;
                }
            }
            let name = row.get_ref(1).map_err(|error| self.failed(error))?;
            let name = name.as_str().unwrap_or(LOST);
            match blocks_by_name.get_mut(name) {
                Some(blocks) if blocks.last() == Some(&block) => continue,
                Some(blocks) => blocks.push(block),
                None => drop(blocks_by_name.insert(name.to_owned(), vec![block])),
            }
            listed += 1;
        }
        Ok(Some(Unlisted { first, end, blocks_by_name }))
    }

    /// Lists blocks and moves the mark, unless somebody else has moved it.
    pub(crate) fn list(&self, unlisted: &Unlisted) -> Result<()> {
        if self.first_unlisted()? != unlisted.first {
            return Ok(());
        }
        self.atomically(|| {
            let mut list = self.statement(&self.sql.list_block)?;
            for (name, blocks) in &unlisted.blocks_by_name {
                for block in blocks {
                    list.execute((name, block)).map_err(|error| self.failed(error))?;
                }
            }
            self.execute(&self.sql.delete_mark, [])?;
            self.execute(&self.sql.insert_mark, [unlisted.end])?;
            Ok(())
        })
    }

    /// How many blocks are settled as a whole.
    fn settled_blocks(&self) -> Result<i64> {
        Ok(self.position()?.to_i64().saturating_add(1) / BLOCK)
    }
}
