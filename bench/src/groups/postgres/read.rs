//! Reading the events of all streams.

use std::hint::black_box;
use std::pin::pin;
use std::time::Instant;

use event_sourcery::EventStore;
use futures_util::TryStreamExt as _;

use crate::Result;
use crate::bench::{Bench, rate};
use crate::figure::Figure;
use crate::invoice::{InvoiceEvent, streams};
use crate::postgres::by_hand::ByHand;
use crate::postgres::{CONNECTIONS, Server, open, pool};

const NAME: &str = "postgres/read/all";
const STREAMS: usize = 2_000;
const EVENTS_A_STREAM: u64 = 100;
/// The size of the pages that the library reads.
const PAGE: i64 = 512;

pub async fn measure(bench: &mut Bench, server: &Server) -> Result<()> {
    if !bench.wants(NAME) {
        return Ok(());
    }
    let database = server.database();
    let store = EventStore::new(open(&database).await?);
    let streams = streams("invoices", bench.count(STREAMS))?;
    for stream in &streams {
        store.append(stream, InvoiceEvent::several(EVENTS_A_STREAM)).await?;
    }
    // As autovacuum would after a minute: not while it is measured.
    database.psql("VACUUM ANALYZE");
    let by_hand = ByHand::new(pool(&database, CONNECTIONS).await?);
    let all = streams.len() * EVENTS_A_STREAM as usize;
    let complete = |read: usize| if read == all { Ok(()) } else { Err("events are missing") };
    let pairs = bench
        .alternate(
            async || {
                let began = Instant::now();
                let (mut read, mut events) = (0, pin!(store.read_all::<InvoiceEvent>().stream()));
                while let Some(event) = events.try_next().await? {
                    black_box(event);
                    read += 1;
                }
                complete(read)?;
                Ok(rate(read, began))
            },
            async || {
                let began = Instant::now();
                let (mut read, mut position) = (0, 0);
                loop {
                    let page = by_hand.page(position, PAGE).await?;
                    let Some(last) = page.last() else { break };
                    position = last.position;
                    read += page.len();
                    page.into_iter().for_each(|event| drop(black_box(event)));
                }
                complete(read)?;
                Ok(rate(read, began))
            },
        )
        .await?;
    bench.report(Figure::of(NAME, "events/s", &pairs, "by hand", None))
}
