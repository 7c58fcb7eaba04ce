//! One event an append, one append after the other.

use std::time::Instant;

use crate::Result;
use crate::bench::{Bench, rate};
use crate::figure::{Figure, Target};
use crate::invoice::{InvoiceEvent, streams};

const APPENDS: usize = 1_000;
const STREAMS: usize = 10;

pub async fn measure(bench: &mut Bench) -> Result<()> {
    if bench.wants("sequential/new") {
        new(bench).await?;
    }
    if bench.wants("sequential/existing") {
        existing(bench).await?;
    }
    Ok(())
}

async fn new(bench: &mut Bench) -> Result<()> {
    let appends = bench.count(APPENDS);
    let (store, by_hand) = bench.both().await?;
    let streams = streams("invoices", appends * (bench.pairs + 1))?;
    let (mut ours, mut theirs) = (streams.chunks(appends), streams.chunks(appends));
    let pairs = bench
        .alternate(
            async || {
                let began = Instant::now();
                for (number, stream) in (0..).zip(ours.next().unwrap_or_default()) {
                    store.append(stream, InvoiceEvent::nth(number)).await?;
                }
                Ok(rate(appends, began))
            },
            async || {
                let began = Instant::now();
                for (number, stream) in (0..).zip(theirs.next().unwrap_or_default()) {
                    by_hand.transaction(|tx| tx.append(stream, 0, &[InvoiceEvent::nth(number)]))?;
                }
                Ok(rate(appends, began))
            },
        )
        .await?;
    bench.report(Figure::of("sequential/new", "appends/s", &pairs, "by hand", Target::AtLeast(0.75)))
}

async fn existing(bench: &mut Bench) -> Result<()> {
    let rounds = bench.count(APPENDS) / STREAMS;
    let (store, by_hand) = bench.both().await?;
    let streams = streams("invoices", STREAMS)?;
    for stream in &streams {
        store.append(stream, InvoiceEvent::nth(0)).await?;
        by_hand.transaction(|tx| tx.append(stream, 0, &[InvoiceEvent::nth(0)]))?;
    }
    let (mut ours, mut theirs) = (1.., 1..);
    let pairs = bench
        .alternate(
            async || {
                let began = Instant::now();
                for version in ours.by_ref().take(rounds) {
                    for stream in &streams {
                        store.append(stream, InvoiceEvent::nth(version)).expected_version(version).await?;
                    }
                }
                Ok(rate(rounds * STREAMS, began))
            },
            async || {
                let began = Instant::now();
                for version in theirs.by_ref().take(rounds) {
                    for stream in &streams {
                        by_hand
                            .transaction(|tx| tx.append(stream, version, &[InvoiceEvent::nth(version)]))?;
                    }
                }
                Ok(rate(rounds * STREAMS, began))
            },
        )
        .await?;
    bench.report(Figure::of("sequential/existing", "appends/s", &pairs, "by hand", Target::AtLeast(0.75)))
}
