//! The yardstick: a loop over pages, as a good engineer writes it, with the same columns, decoding and page size.

use std::hint::black_box;
use std::time::Instant;

use crate::bench::rate;
use crate::{Result, by_hand, postgres};

/// The size of the pages that the library reads.
const PAGE: i64 = 512;

pub enum ReadByHand {
    Sqlite(by_hand::ByHand),
    Postgres(postgres::by_hand::ByHand),
}

/// Which events.
#[derive(Clone, Copy)]
pub enum Wanted {
    All,
    /// One type, of one category.
    IssuedOf(&'static str),
}

impl ReadByHand {
    /// Events a second until there are no more.
    pub async fn read(&self, wanted: Wanted) -> Result<f64> {
        let (began, mut count, mut position) = (Instant::now(), 0, 0);
        loop {
            let (read, last) = match self {
                Self::Sqlite(by_hand) => {
                    let page = match wanted {
                        Wanted::All => by_hand.page(position, PAGE)?,
                        Wanted::IssuedOf(category) => {
                            by_hand.page_of(position, PAGE, category, "InvoiceIssued")?
                        }
                    };
                    let last = page.last().map(|last| last.position);
                    (black_box(page).len(), last)
                }
                Self::Postgres(by_hand) => {
                    let page = match wanted {
                        Wanted::All => by_hand.page(position, PAGE).await?,
                        Wanted::IssuedOf(category) => {
                            by_hand.page_of(position, PAGE, category, "InvoiceIssued").await?
                        }
                    };
                    let last = page.last().map(|last| last.position);
                    (black_box(page).len(), last)
                }
            };
            let Some(last) = last else { return Ok(rate(count, began)) };
            (count, position) = (count + read, last);
        }
    }
}
