//! A hundred events in one append.

use std::time::Instant;

use crate::Result;
use crate::bench::{Bench, rate};
use crate::figure::{Figure, Target};
use crate::invoice::{InvoiceEvent, streams};
use crate::postgres::{Server, Sides};

const NAME: &str = "postgres/batch/100";
const EVENTS: u64 = 100;
const APPENDS: usize = 300;

pub async fn measure(bench: &mut Bench, server: &Server) -> Result<()> {
    if !bench.wants(NAME) {
        return Ok(());
    }
    let appends = bench.count(APPENDS);
    let events = appends * EVENTS as usize;
    let Sides { store, by_hand, .. } = &server.both().await?;
    let streams = streams("invoices", appends * (bench.pairs + 1))?;
    let (mut ours, mut theirs) = (streams.chunks(appends), streams.chunks(appends));
    let pairs = bench
        .alternate(
            async || {
                let began = Instant::now();
                for stream in ours.next().unwrap_or_default() {
                    store.append(stream, InvoiceEvent::several(EVENTS)).await?;
                }
                Ok(rate(events, began))
            },
            async || {
                let began = Instant::now();
                for stream in theirs.next().unwrap_or_default() {
                    by_hand.create_with_many(stream, &InvoiceEvent::several(EVENTS)).await?;
                }
                Ok(rate(events, began))
            },
        )
        .await?;
    bench.report(Figure::of(NAME, "events/s", &pairs, "by hand", Target::AtLeast(0.85)))
}
