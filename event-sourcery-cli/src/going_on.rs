//! Listings: so much of them as is asked for, and where they go on.

use clap::Args;
use event_sourcery::look::{Mark, Page};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Output, for_shell, json};
use crate::table::{Column, Table};

/// How many pages that may be empty are read, before it is left to the caller whether to look on: half a million events.
pub(crate) const MOST_PAGES: usize = 64;

/// How long a listing is, unless somebody says.
const UNLESS_SAID: u16 = 50;

/// How much of a listing is wanted, and from where.
#[derive(Debug, Args)]
pub(crate) struct Paging {
    /// At most so many, up to 10000; without, 50
    #[arg(long, value_name = "NUMBER")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: Option<u16>,

    /// Goes on where a page has ended: what that page says
    #[arg(long, value_name = "MARK")]
    from: Option<Mark>,
}

impl Paging {
    pub(crate) fn limit(&self) -> usize {
        self.limit.unwrap_or(UNLESS_SAID).into()
    }

    /// Refuses what was said before an action, which has pages of its own, or none.
    pub(crate) fn refuse_before_action(&self) -> Result<(), Failure> {
        if self.limit.is_none() && self.from.is_none() {
            return Ok(());
        }
        Err(Failure::Usage {
            what: "--limit and --from stand before the action, where they say nothing".to_owned(),
            to_do: "give them behind it, if it has pages: `event-sourcery subscriptions show NAME --limit 5`"
                .to_owned(),
        })
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
    /// Whether the document has begun, and has no end yet.
    is_open: bool,
}

impl<'o> Listing<'o> {
    pub(crate) fn begin(out: &'o mut Output, columns: &'static [Column]) -> Self {
        Self { out, table: Table::new(columns), is_open: false }
    }

    pub(crate) fn item<J: Serialize>(
        &mut self,
        value: impl FnOnce() -> J,
        cells: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Failure> {
        if !self.out.is_json() {
            self.table.row(cells());
            return Ok(());
        }
        let value = json(&value())?;
        let before = if self.is_open { ",\n" } else { "{\"items\":[\n" };
        self.is_open = true;
        self.out.text(before)?;
        self.out.text(&value)
    }

    /// Ends it, and says where it goes on; or that there is none.
    pub(crate) fn end(self, next: Option<&Mark>, none: &str) -> Result<(), Failure> {
        self.end_saying(next, none, &how_to_go_on(next))
    }

    /// The same, with other words for people.
    pub(crate) fn end_saying(mut self, next: Option<&Mark>, none: &str, told: &str) -> Result<(), Failure> {
        if self.out.is_json() {
            let begun = if self.is_open { "" } else { "{\"items\":[" };
            self.is_open = false;
            return self.out.line(&format!("{begun}\n],\"next\":{}}}", json(&next.map(Mark::to_string))?));
        }
        if self.table.is_empty() {
            self.out.line(none)?;
        } else {
            self.table.print(self.out)?;
        }
        if told.is_empty() { Ok(()) } else { self.out.line(told) }
    }
}

/// A document that has begun is closed, whatever has ended it, and says that it is not whole.
impl Drop for Listing<'_> {
    fn drop(&mut self) {
        if self.is_open {
            // Where it cannot be printed, nobody reads it.
            let _ = self.out.line("\n],\"next\":null,\"incomplete\":true}");
        }
    }
}

/// How a listing goes on, for people; nothing where it does not.
pub(crate) fn how_to_go_on(next: Option<&Mark>) -> String {
    let told =
        |next: &Mark| format!("There may be more. Go on with: --from {}", for_shell(&next.to_string()));
    next.map(told).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::{self, Write};
    use std::rc::Rc;

    use serde_json::{Value, json};

    use super::*;

    /// What was printed.
    #[derive(Default, Clone)]
    struct Printed(Rc<RefCell<Vec<u8>>>);

    impl Write for Printed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a listing prints that is dropped behind so many items.
    fn dropped(items: u8) -> Vec<u8> {
        let printed = Printed::default();
        let mut out = Output::json_to(printed.clone());
        let mut listing = Listing::begin(&mut out, &[]);
        (0..items).for_each(|item| listing.item(|| item, Vec::new).unwrap());
        drop(listing);
        drop(out);
        printed.0.take()
    }

    #[test]
    fn a_listing_that_is_interrupted_is_json_all_the_same_and_says_so() {
        let document: Value = serde_json::from_slice(&dropped(2)).unwrap();
        assert_eq!(document, json!({ "items": [0, 1], "next": null, "incomplete": true }));
        assert!(dropped(0).is_empty(), "what has not begun has no end");
    }
}
