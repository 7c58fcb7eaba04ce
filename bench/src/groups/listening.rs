//! Appends with a listener that does nothing, and with one that listens to something else, beside appends without.

use std::time::Instant;

use event_sourcery::backend::Backend;
use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};

use crate::Result;
use crate::bench::{Bench, open, rate};
use crate::figure::Figure;
use crate::invoice::{InvoiceEvent, streams};
use crate::postgres::{self, Server};

const IN_MEMORY: usize = 100_000;
const ON_DISK: usize = 1_000;
const STREAMS: usize = 10;
const NOBODY: &str = "without a listener";

/// No event has this name.
const NEVER: [&str; 1] = ["NeverAppended"];

pub async fn measure(bench: &mut Bench) -> Result<()> {
    let memory = || EventStore::new(MemoryBackend::new());
    if bench.wants("listening/memory") {
        let with = memory();
        with.listen::<InvoiceEvent>().in_transaction(|_, _| Ok(()))?;
        compare(bench, "listening/memory", IN_MEMORY, &with, &memory()).await?;
    }
    if bench.wants("listening/memory-elsewhere") {
        let with = memory();
        with.listen::<RawEvent>().event_names(NEVER).in_transaction(|_, _| Ok(()))?;
        compare(bench, "listening/memory-elsewhere", IN_MEMORY, &with, &memory()).await?;
    }
    if bench.wants("listening/sqlite") {
        let (with, without) = (open(&bench.fresh("ours")?).await?, open(&bench.fresh("by-hand")?).await?);
        with.listen::<InvoiceEvent>().in_transaction(|_, _| Ok(()))?;
        compare(bench, "listening/sqlite", ON_DISK, &with, &without).await?;
    }
    if bench.wants("listening/sqlite-elsewhere") {
        let (with, without) = (open(&bench.fresh("ours")?).await?, open(&bench.fresh("by-hand")?).await?);
        with.listen::<RawEvent>().event_names(NEVER).in_transaction(|_, _| Ok(()))?;
        compare(bench, "listening/sqlite-elsewhere", ON_DISK, &with, &without).await?;
    }
    Ok(())
}

pub async fn postgres(bench: &mut Bench, server: &Server) -> Result<()> {
    if bench.wants("postgres/listening/append") {
        let databases = [server.database(), server.database()];
        let [with, without] = [postgres::open(&databases[0]).await?, postgres::open(&databases[1]).await?];
        let (with, without) = (EventStore::new(with), EventStore::new(without));
        with.listen::<InvoiceEvent>().within(|_, _| Box::pin(async { Ok(()) }))?;
        compare(bench, "postgres/listening/append", ON_DISK, &with, &without).await?;
    }
    if bench.wants("postgres/listening/elsewhere") {
        let databases = [server.database(), server.database()];
        let [with, without] = [postgres::open(&databases[0]).await?, postgres::open(&databases[1]).await?];
        let (with, without) = (EventStore::new(with), EventStore::new(without));
        let elsewhere = with.listen::<RawEvent>().event_names(NEVER);
        elsewhere.within(|_, _| Box::pin(async { Ok(()) }))?;
        compare(bench, "postgres/listening/elsewhere", ON_DISK, &with, &without).await?;
    }
    Ok(())
}

/// One event an append, one append after the other, to streams that are there.
async fn compare<B: Backend>(
    bench: &mut Bench,
    name: &str,
    appends: usize,
    with: &EventStore<B>,
    without: &EventStore<B>,
) -> Result<()> {
    let (rounds, streams) = ((bench.count(appends) / STREAMS).max(1), streams("invoices", STREAMS)?);
    let (mut ours, mut theirs) = (0, 0);
    let pairs = bench
        .alternate(
            async || append(with, &streams, &mut ours, rounds).await,
            async || append(without, &streams, &mut theirs, rounds).await,
        )
        .await?;
    bench.report(Figure::of(name, "appends/s", &pairs, NOBODY, None))
}

/// Appends from this version on, and moves it.
async fn append<B: Backend>(
    store: &EventStore<B>,
    streams: &[StreamId],
    version: &mut u64,
    rounds: usize,
) -> Result<f64> {
    let began = Instant::now();
    for _ in 0..rounds {
        for stream in streams {
            store.append(stream, InvoiceEvent::nth(*version)).expected_version(*version).await?;
        }
        *version += 1;
    }
    Ok(rate(rounds * streams.len(), began))
}
