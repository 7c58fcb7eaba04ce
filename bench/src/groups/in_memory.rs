//! The memory backend, on one core, up to ten million events.

use std::time::Instant;

use event_sourcery::{EventStore, MemoryBackend, StreamId};
use tokio::runtime;

use crate::Result;
use crate::bench::{Bench, rate};
use crate::figure::{Figure, Pair, Target};
use crate::invoice::{InvoiceEvent, streams};
use crate::machine;

const MILLIONS: usize = 10;
const MILLION: usize = 1_000_000;
const STREAMS: usize = 10_000;
const ASKED: f64 = 500_000.0;

pub fn measure(bench: &mut Bench) -> Result<()> {
    let one_core = runtime::Builder::new_current_thread().build()?;
    if bench.wants("memory/existing") {
        one_core.block_on(existing(bench))?;
    }
    if bench.wants("memory/new") {
        one_core.block_on(new(bench))?;
    }
    Ok(())
}

/// Grows a store to ten million events in ten thousand streams; a pair is a million events.
async fn existing(bench: &mut Bench) -> Result<()> {
    let million = bench.count(MILLION);
    let store = EventStore::new(MemoryBackend::new());
    let streams = streams("invoices", STREAMS)?;
    let before = machine::resident()?;
    let mut places = (0..).flat_map(|version| streams.iter().map(move |stream| (stream, version)));
    let mut rates = Vec::new();
    for _ in 0..MILLIONS {
        let began = Instant::now();
        for (stream, version) in places.by_ref().take(million) {
            store.append(stream, InvoiceEvent::nth(version)).expected_version(version).await?;
        }
        rates.push(rate(million, began));
    }
    let grown = machine::resident()? - before;
    let asked: Vec<_> = rates.iter().map(|rate| Pair { ours: *rate, baseline: ASKED }).collect();
    bench.report(Figure::of("memory/existing", "appends/s", &asked, "asked for", Target::AtLeast(1.0)))?;
    if let [first, .., last] = rates.as_slice() {
        let flat = [Pair { ours: *last, baseline: *first }];
        let name = "memory/last-million";
        bench.report(Figure::of(name, "appends/s", &flat, "first million", Target::AtLeast(0.8)))?;
    }
    let bytes = [Pair { ours: grown / (million * MILLIONS) as f64, baseline: 1_000.0 }];
    bench.report(Figure::of(
        "memory/resident",
        "bytes an event",
        &bytes,
        "our own limit",
        Target::AtMost(1.0),
    ))
}

/// Every append creates a stream.
async fn new(bench: &mut Bench) -> Result<()> {
    let million = bench.count(MILLION);
    let streams: Vec<StreamId> = streams("invoices", million)?;
    let mut asked = Vec::new();
    for _ in 0..bench.pairs {
        let store = EventStore::new(MemoryBackend::new());
        let began = Instant::now();
        for (number, stream) in (0..).zip(&streams) {
            store.append(stream, InvoiceEvent::nth(number)).await?;
        }
        asked.push(Pair { ours: rate(million, began), baseline: ASKED });
    }
    bench.report(Figure::of("memory/new", "appends/s", &asked, "asked for", Target::AtLeast(1.0)))
}
