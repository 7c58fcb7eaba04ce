//! One event an append, one append after the other.

use std::time::Instant;

use crate::Result;
use crate::bench::{Bench, in_a_task, rate};
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
                let (store, streams) = (store.clone(), ours.next().unwrap_or_default().to_vec());
                in_a_task(async move {
                    let began = Instant::now();
                    for (number, stream) in (0..).zip(&streams) {
                        store.append(stream, InvoiceEvent::nth(number)).await?;
                    }
                    Ok(rate(appends, began))
                })
                .await
            },
            async || {
                let (by_hand, streams) = (by_hand.clone(), theirs.next().unwrap_or_default().to_vec());
                in_a_task(async move {
                    let began = Instant::now();
                    for (number, stream) in (0..).zip(&streams) {
                        by_hand.append(stream, 0, &InvoiceEvent::nth(number)).await?;
                    }
                    Ok(rate(appends, began))
                })
                .await
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
                let (store, streams) = (store.clone(), streams.clone());
                let versions: Vec<u64> = ours.by_ref().take(rounds).collect();
                in_a_task(async move {
                    let began = Instant::now();
                    for version in versions {
                        for stream in &streams {
                            store
                                .append(stream, InvoiceEvent::nth(version))
                                .expected_version(version)
                                .await?;
                        }
                    }
                    Ok(rate(rounds * STREAMS, began))
                })
                .await
            },
            async || {
                let (by_hand, streams) = (by_hand.clone(), streams.clone());
                let versions: Vec<u64> = theirs.by_ref().take(rounds).collect();
                in_a_task(async move {
                    let began = Instant::now();
                    for version in versions {
                        for stream in &streams {
                            by_hand.append(stream, version, &InvoiceEvent::nth(version)).await?;
                        }
                    }
                    Ok(rate(rounds * STREAMS, began))
                })
                .await
            },
        )
        .await?;
    bench.report(Figure::of("postgres/sequential/existing", "appends/s", &pairs, "by hand", ASKED))
}
