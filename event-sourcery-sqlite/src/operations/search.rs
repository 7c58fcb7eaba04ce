//! Going through the events that pass a filter, in the order of their positions.

#[cfg(test)]
mod tests;

use std::ops::ControlFlow::{self, Break, Continue};

use event_sourcery::backend::Filter;
use event_sourcery::{Position, Result};
use rusqlite::Row;

use super::directory::BLOCK;
use super::{Operations, json_array};
use crate::sql::Sql;

/// How many blocks the directory is asked about at once.
const ASKED_AT_ONCE: i64 = 256;

/// What comes of the events that are found.
pub(crate) trait Found: Send + 'static {
    /// The statement that finds them: above ?1, up to ?2, of tenant ?3, of category ?4, with one of the names ?5.
    fn sql(sql: &Sql) -> &str;

    /// Takes the next event; breaks where no more are wanted.
    fn take(&mut self, operations: Operations<'_>, row: &Row<'_>) -> Result<ControlFlow<()>>;
}

/// A search, which goes on from one read transaction to the next while the directory is built for it.
#[derive(Debug)]
pub(crate) struct Search<F> {
    filter: Filter,
    /// The filter's names, as JSON.
    names: Option<String>,
    after: i64,
    /// Up to where: unknown before the first transaction, if it is what is settled then.
    pub(super) end: Option<Position>,
    /// How many positions are looked at one after the other, before the directory is asked.
    near: i64,
    lists: bool,
    pub(super) found: F,
}

impl<F: Found> Search<F> {
    pub(super) fn new(filter: Filter, after: Position, end: Option<Position>, near: i64, found: F) -> Self {
        let names = filter.names.as_ref().map(|names| json_array(names.iter().map(|name| &**name)));
        Self { filter, names, after: after.to_i64(), end, near, lists: true, found }
    }

    /// Goes on in a read transaction: to its end, or to a stretch that the directory lacks.
    pub(crate) fn go_on(&mut self, operations: Operations<'_>) -> Result<Option<Stretch>> {
        let end = match self.end {
            Some(end) => end,
            None => operations.position()?,
        };
        self.end = Some(end);
        let mut rest = Stretch { after: self.after, end: end.to_i64() };
        if let Some(names) = &self.filter.names {
            if names.is_empty() {
                return Ok(None);
            }
            let near = rest.cut_off(rest.after.saturating_add(std::mem::take(&mut self.near)));
            if self.look_through(operations, near)?.is_break()
                || self.look_up(operations, &mut rest)?.is_break()
            {
                return Ok(None);
            }
            if self.lists && operations.lacks(rest)? {
                return Ok(Some(rest));
            }
        }
        self.look_through(operations, rest).map(|_| None)
    }

    /// Makes do with the directory as it is.
    pub(crate) fn without_listing(&mut self) {
        self.lists = false;
    }

    /// Finds the events below the mark by the directory.
    fn look_up(&mut self, operations: Operations<'_>, rest: &mut Stretch) -> Result<ControlFlow<()>> {
        let names = self.names.clone().unwrap_or_default();
        let mark = if rest.is_empty() { 0 } else { operations.first_unlisted()? };
        while !rest.is_empty() && rest.blocks().0 < mark {
            let end = mark.min(rest.blocks().0 + ASKED_AT_ONCE);
            let asked = rest.cut_off(end * BLOCK - 1);
            for part in operations.listed(&names, asked)? {
                if self.look_through(operations, part)?.is_break() {
                    return Ok(Break(()));
                }
            }
            self.after = asked.end;
        }
        Ok(Continue(()))
    }

    /// Looks at every event of a stretch.
    fn look_through(&mut self, operations: Operations<'_>, stretch: Stretch) -> Result<ControlFlow<()>> {
        if stretch.is_empty() {
            return Ok(Continue(()));
        }
        let tenant = self.filter.tenant.as_ref().map(|tenant| tenant.as_str());
        let category = self.filter.category.as_ref().map(|category| category.as_str());
        let values = (stretch.after, stretch.end, tenant, category, &self.names);
        let mut statement = operations.statement(F::sql(operations.sql))?;
        let mut rows = statement.query(values).map_err(|error| operations.failed(error))?;
        while let Some(row) = rows.next().map_err(|error| operations.failed(error))? {
            if self.found.take(operations, row)?.is_break() {
                return Ok(Break(()));
            }
        }
        self.after = stretch.end;
        Ok(Continue(()))
    }
}

/// The events above one position and up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(super) after: i64,
    pub(super) end: i64,
}

impl Stretch {
    const fn is_empty(self) -> bool {
        self.after >= self.end
    }

    /// The blocks of its first position and of its last.
    pub(super) const fn blocks(self) -> (i64, i64) {
        (self.after.saturating_add(1) / BLOCK, self.end / BLOCK)
    }

    /// Cuts off what is up to this position.
    fn cut_off(&mut self, position: i64) -> Self {
        let middle = position.min(self.end).max(self.after);
        let cut_off = Self { after: self.after, end: middle };
        self.after = middle;
        cut_off
    }
}
