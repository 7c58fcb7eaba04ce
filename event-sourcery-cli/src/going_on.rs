//! Listings: so much of them as is asked for, and where they go on.

use clap::Args;
use event_sourcery::look::{Mark, Page};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Output, for_shell, json};
use crate::table::{Column, Table};

/// How many pages that may be empty are read, before it is left to the caller whether to look on: half a million events.
pub(crate) const MOST_PAGES: usize = 64;

/// How much of a listing is wanted, and from where.
#[derive(Debug, Args)]
pub(crate) struct Paging {
    /// At most so many, up to 10000
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,

    /// Goes on where a page has ended: what that page says
    #[arg(long, value_name = "MARK")]
    from: Option<Mark>,
}

impl Paging {
    pub(crate) fn limit(&self) -> usize {
        self.limit.into()
    }

    pub(crate) const fn from(&self) -> Option<&Mark> {
        self.from.as_ref()
    }

    /// Reads pages until as many were shown as are wanted, or so many pages were read. Tells where to go on.
    pub(crate) async fn walk<T>(
        &self,
        most_pages: usize,
        mut page: impl AsyncFnMut(Option<Mark>, usize) -> Result<Page<T>, Failure>,
        mut show: impl FnMut(T) -> Result<(), Failure>,
    ) -> Result<Option<Mark>, Failure> {
        let (mut left, mut from) = (self.limit(), self.from.clone());
        for _ in 0..most_pages {
            let found = page(from, left).await?;
            left = left.saturating_sub(found.items.len());
            from = found.next;
            found.items.into_iter().try_for_each(&mut show)?;
            if left == 0 || from.is_none() {
                break;
            }
        }
        Ok(from)
    }
}

/// A listing as it is printed: a document with `items` and `next`, or a table.
pub(crate) struct Listing<'o> {
    out: &'o mut Output,
    table: Table,
    items: usize,
}

impl<'o> Listing<'o> {
    pub(crate) fn begin(out: &'o mut Output, columns: &'static [Column]) -> Result<Self, Failure> {
        if out.is_json() {
            out.text("{\"items\":[")?;
        }
        Ok(Self { out, table: Table::new(columns), items: 0 })
    }

    pub(crate) fn item<J: Serialize>(
        &mut self,
        value: impl FnOnce() -> J,
        cells: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Failure> {
        self.items += 1;
        if !self.out.is_json() {
            self.table.row(cells());
            return Ok(());
        }
        let separator = if self.items == 1 { "\n" } else { ",\n" };
        self.out.text(separator)?;
        self.out.text(&json(&value())?)
    }

    /// Ends it, and says where it goes on; or that there is none.
    pub(crate) fn end(self, next: Option<&Mark>, none: &str) -> Result<(), Failure> {
        self.end_saying(next, none, &how_to_go_on(next))
    }

    /// The same, with other words for people.
    pub(crate) fn end_saying(self, next: Option<&Mark>, none: &str, told: &str) -> Result<(), Failure> {
        let Self { out, table, .. } = self;
        if out.is_json() {
            out.text("\n],\"next\":")?;
            return out.line(&format!("{}}}", json(&next.map(Mark::to_string))?));
        }
        if table.is_empty() {
            out.line(none)?;
        } else {
            table.print(out)?;
        }
        if told.is_empty() { Ok(()) } else { out.line(told) }
    }
}

/// How a listing goes on, for people; nothing where it does not.
pub(crate) fn how_to_go_on(next: Option<&Mark>) -> String {
    let told =
        |next: &Mark| format!("There may be more. Go on with: --from {}", for_shell(&next.to_string()));
    next.map(told).unwrap_or_default()
}
