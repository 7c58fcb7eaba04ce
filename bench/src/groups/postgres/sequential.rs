//! One event an append, one append after the other.

use std::time::Instant;

use crate::Result;
use crate::bench::{Bench, rate};
use crate::figure::{Figure, Target};
use crate::invoice::{InvoiceEvent, streams};
use crate::postgres::{Server, Sides};

const APPENDS: usize = 1_000;
const STREAMS: usize = 10;
const ASKED: Target = Target::AtLeast(0.90);

pub async fn measure(bench: &mut Bench, server: &Server) -> Result<()> {
    if bench.wants("postgres/sequential/new") {
        new(bench, server).await?;
    }
    if bench.wants("postgres/sequential/existing") {
        existing(bench, server).await?;
    }
    Ok(())
}

async fn new(bench: &mut Bench, server: &Server) -> Result<()> {
    let appends = bench.count(APPENDS);
    let Sides { store, by_hand, .. } = &server.both().await?;
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
                    by_hand.append(stream, 0, &InvoiceEvent::nth(number)).await?;
                }
                Ok(rate(appends, began))
            },
        )
        .await?;
    bench.report(Figure::of("postgres/sequential/new", "appends/s", &pairs, "by hand", ASKED))
}

async fn existing(bench: &mut Bench, server: &Server) -> Result<()> {
    let rounds = bench.count(APPENDS) / STREAMS;
    let Sides { store, by_hand, .. } = &server.both().await?;
    let streams = streams("invoices", STREAMS)?;
    for stream in &streams {
        store.append(stream, InvoiceEvent::nth(0)).await?;
        by_hand.append(stream, 0, &InvoiceEvent::nth(0)).await?;
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
                        by_hand.append(stream, version, &InvoiceEvent::nth(version)).await?;
                    }
                }
                Ok(rate(rounds * STREAMS, began))
            },
        )
        .await?;
    bench.report(Figure::of("postgres/sequential/existing", "appends/s", &pairs, "by hand", ASKED))
}
