//! Going through the events that pass a filter, in the order of their positions.

#[cfg(test)]
mod tests;

use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_sourcery::backend::Filter;
use event_sourcery::{Category, Position, Result, TenantId};
use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::directory::{BLOCK, LOST, before};
use super::few::FEW;
use super::{Operations, json_array};
use crate::sql::Sql;

/// How many blocks the directory is asked about at once.
const ASKED_AT_ONCE: i64 = 256;

/// How many positions are looked at before a page looks at the time.
const FAR: i64 = 16_384;

/// How long a page looks for events before it is handed over as it is.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);

/// Events that stand no further apart are looked at together with what stands between them.
const CLOSE: i64 = 16;

/// How many names are compared one by one. More are looked up, which costs each event more than half as much again.
const FEW_NAMES: usize = 8;

/// The names of a filter that nothing passes, as JSON.
const NO_NAMES: &str = "[]";

/// What comes of the events that are found.
pub(crate) trait Found: Send + 'static {
    /// The beginning of the statement that finds them, up to the positions that they are above, and at or below.
    fn sql(sql: &Sql) -> &str;

    /// Takes the next event; breaks where no more are wanted.
    fn take(&mut self, operations: Operations<'_>, row: &Row<'_>) -> Result<ControlFlow<()>>;

    /// Adds what is read of all at once, before the transaction ends in which they were found.
    fn complete(&mut self, operations: Operations<'_>) -> Result<()> {
        let _ = operations;
        Ok(())
    }
}

/// A search, which goes on from one read transaction to the next while the directory is built for it.
#[derive(Debug)]
pub(crate) struct Search<F> {
    /// The end of the statement: what the filter asks of an event. What it does not ask is not in it, because that would
    /// be asked of every event.
    conditions: String,
    tenant: Option<TenantId>,
    category: Option<Category>,
    /// What is bound to it behind the positions.
    values: Vec<String>,
    /// The filter's names, as JSON.
    names: Option<String>,
    /// The same, and what events are listed under that have lost theirs.
    listed_as: String,
    after: i64,
    /// Up to where: unknown before the first transaction, if it is what is settled then.
    pub(super) end: Option<Position>,
    /// How many positions are looked at one after the other, before the directory is asked.
    near: i64,
    /// How many events the streams that are asked for have at most, where these are found by their streams.
    few: usize,
    /// How long it may take, from when it begins, before it is cut off; `None`: as long as it takes.
    patience: Option<Duration>,
    until: Option<Instant>,
    /// Whether it has ended before the end, because it has looked at enough.
    pub(super) is_cut: bool,
    lists: bool,
    /// Whether there are events that nobody may see: what is left of deleted streams.
    hides: bool,
    pub(super) found: F,
}

impl<F: Found> Search<F> {
    pub(super) fn new(
        filter: Filter,
        (after, end): (Position, Option<Position>),
        near: i64,
        patience: Option<Duration>,
        found: F,
    ) -> Self {
        let (mut conditions, mut values) = (String::new(), Vec::new());
        if let Some(tenant) = &filter.tenant {
            conditions.push_str(" AND s.tenant_id = ?");
            values.push(tenant.as_str().to_owned());
        }
        if let Some(category) = &filter.category {
            conditions.push_str(" AND s.category = ?");
            values.push(category.as_str().to_owned());
        }
        let names = filter.names.as_ref().map(|names| json_array(names.iter().map(|name| &**name)));
        let listed_as = filter.names.iter().flat_map(|names| names.iter()).map(|name| &**name);
        let listed_as = json_array(listed_as.chain([LOST]));
        if let (Some(each), Some(all)) = (&filter.names, &names) {
            let (condition, named) = is_named(each, all);
            conditions.push_str(condition);
            values.extend(named);
        }
        Self {
            conditions,
            tenant: filter.tenant,
            category: filter.category,
            values,
            names,
            listed_as,
            after: after.to_i64(),
            end,
            near,
            few: FEW,
            patience,
            until: None,
            is_cut: false,
            lists: true,
            hides: false,
            found,
        }
    }

    /// Everything up to here was looked at.
    pub(super) fn reached(&self) -> Position {
        Position::from_i64(self.after)
    }

    /// Whether it is to be cut off here: it has taken long enough.
    fn is_over(&mut self) -> bool {
        self.is_cut = self.until.is_some_and(|until| Instant::now() >= until);
        self.is_cut
    }

    /// Goes on in a read transaction: to its end, or to a stretch that the directory lacks, or to where it is cut off.
    pub(crate) fn go_on(&mut self, operations: Operations<'_>) -> Result<Option<Stretch>> {
        let lacking = self.look(operations)?;
        self.found.complete(operations)?;
        Ok(lacking)
    }

    fn look(&mut self, operations: Operations<'_>) -> Result<Option<Stretch>> {
        self.until = self.until.or_else(|| Some(Instant::now() + self.patience?));
        let end = match self.end {
            Some(end) => end,
            None => operations.position()?,
        };
        if self.end.is_none() || self.after > end.to_i64() {
            operations.refuse_beyond_end(self.reached())?;
        }
        self.end = Some(end);
        self.hides = operations.has_leftovers()?;
        let mut rest = Stretch { after: self.after, end: end.to_i64() };
        if self.names.as_deref() == Some(NO_NAMES) {
            return Ok(None);
        }
        if self.names.is_some() || self.asks_of_stream() {
            let near = rest.cut_off(rest.after.saturating_add(std::mem::take(&mut self.near)));
            if self.look_through(operations, near)?.is_break() || !rest.is_empty() && self.is_over() {
                return Ok(None);
            }
        }
        if !rest.is_empty()
            && let Some(few) = operations.few(self.tenant.as_ref(), self.category.as_ref(), self.few)?
        {
            return self.look_at_few(operations, rest, &few).map(|_| None);
        }
        if self.names.is_some() {
            if self.look_up(operations, &mut rest)?.is_break() {
                return Ok(None);
            }
            if self.lists && operations.lacks(rest)? {
                return Ok(Some(rest).filter(|_| !self.is_over()));
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
        let names = self.listed_as.clone();
        let mark = if rest.is_empty() { 0 } else { operations.first_unlisted()? };
        while !rest.is_empty() && rest.blocks().0 < mark {
            if self.is_over() {
                return Ok(Break(()));
            }
            let end = mark.min(rest.blocks().0.saturating_add(ASKED_AT_ONCE));
            let asked = rest.cut_off(before(end));
            let parts = operations.listed(&names, asked)?;
            if parts.is_empty() {
                let next = operations.next_listed(&names, end)?.map_or(mark, |next| next.min(mark));
                rest.cut_off(before(next));
            }
            for part in parts {
                if self.look_through(operations, part)?.is_break() {
                    return Ok(Break(()));
                }
            }
            self.after = rest.after;
        }
        Ok(Continue(()))
    }

    const fn asks_of_stream(&self) -> bool {
        self.tenant.is_some() || self.category.is_some()
    }

    /// Looks at these events, as far as they are in a stretch: it holds no others that are asked for.
    fn look_at_few(
        &mut self,
        operations: Operations<'_>,
        rest: Stretch,
        few: &[i64],
    ) -> Result<ControlFlow<()>> {
        let few = few.iter().copied().filter(|position| (rest.after + 1..=rest.end).contains(position));
        let mut parts: Vec<Stretch> = Vec::new();
        for position in few {
            match parts.last_mut() {
                Some(part) if position - part.end <= CLOSE => part.end = position,
                _ => parts.push(Stretch { after: position - 1, end: position }),
            }
        }
        for part in parts {
            if self.is_over() || self.look_at_all(operations, part)?.is_break() {
                return Ok(Break(()));
            }
        }
        self.after = rest.end;
        Ok(Continue(()))
    }

    /// An event whose stream is lost comes along where nothing is asked of the stream.
    fn text(&self, sql: &Sql) -> String {
        let hidden = if self.hides { &*sql.is_not_hidden } else { "" };
        let text = format!("{}{}{hidden} ORDER BY e.id", F::sql(sql), self.conditions);
        if self.asks_of_stream() { text.replacen("LEFT JOIN", "CROSS JOIN", 1) } else { text }
    }

    /// Looks at every event of a stretch, unless it takes too long.
    fn look_through(&mut self, operations: Operations<'_>, mut rest: Stretch) -> Result<ControlFlow<()>> {
        while !rest.is_empty() {
            let far = if self.until.is_some() { FAR } else { i64::MAX };
            let part = rest.cut_off(rest.after.saturating_add(far));
            if self.look_at_all(operations, part)?.is_break() {
                return Ok(Break(()));
            }
            if rest.is_empty() {
                break;
            }
            // Whatever lies between: a store may begin at any position, and have holes of any length.
            let next =
                operations.first(&operations.sql.next_event, [rest.after], |row| row.get::<_, i64>(0))?;
            rest.cut_off(next.map_or(rest.end, |next| next - 1));
            self.after = rest.after;
            if !rest.is_empty() && self.is_over() {
                return Ok(Break(()));
            }
        }
        Ok(Continue(()))
    }

    /// Looks at every event of a stretch.
    fn look_at_all(&mut self, operations: Operations<'_>, stretch: Stretch) -> Result<ControlFlow<()>> {
        let mut statement = operations.statement(&self.text(operations.sql))?;
        let positions = [stretch.after, stretch.end].map(Value::from);
        let values = positions.into_iter().chain(self.values.iter().cloned().map(Value::from));
        let mut rows = statement.query(params_from_iter(values)).map_err(|error| operations.failed(error))?;
        while let Some(row) = rows.next().map_err(|error| operations.failed(error))? {
            if self.found.take(operations, row)?.is_break() {
                return Ok(Break(()));
            }
        }
        self.after = stretch.end;
        Ok(Continue(()))
    }
}

/// The condition that an event has one of these names, or has lost its own: what is no text stands behind every text, and nobody can tell
/// that it is none of these. With what is bound to it. Few texts for all, so that they stay prepared.
fn is_named(names: &[Arc<str>], as_json: &str) -> (&'static str, Vec<String>) {
    match names {
        [name] => (" AND (e.name = ? OR e.name >= x'')", vec![name.to_string()]),
        [.., last] if names.len() <= FEW_NAMES => {
            let padded = names.iter().chain(std::iter::repeat_n(last, FEW_NAMES - names.len()));
            (
                " AND (e.name IN (?, ?, ?, ?, ?, ?, ?, ?) OR e.name >= x'')",
                padded.map(ToString::to_string).collect(),
            )
        }
        _ => (" AND (e.name IN (SELECT value FROM json_each(?)) OR e.name >= x'')", vec![as_json.to_owned()]),
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
